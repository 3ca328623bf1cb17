"""Waiting for a condition, with a deadline and an error that says what did not happen."""

from __future__ import annotations

import time
from collections.abc import Callable

from ops.errors import HostError


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Returns as soon as the condition holds. Raises HostError with `otherwise` when the time is up."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise HostError(otherwise)
        time.sleep(0.05)
