"""How properties are tried here: modestly, without a clock, and without leaving a folder behind in the checkout."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "interlock-hypothesis")


def tried(times: int = 100) -> settings:
    """The decorator for a property. The examples are the same on each run of one version of the test."""
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(deadline=None, database=None, derandomize=True, max_examples=times, suppress_health_check=quiet)
