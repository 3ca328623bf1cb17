"""One testinfra host and its facts per managed host; run by `invoke verify`, never by the project's own tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import testinfra

FACTS = json.loads(Path(os.environ["INTERLOCK_HOST_FACTS"]).read_text())


@pytest.fixture(params=sorted(FACTS), scope="session")
def name(request):
    """The managed host's name."""
    return request.param


@pytest.fixture
def facts(name):
    """What must be true on it."""
    return FACTS[name]


@pytest.fixture(scope="session")
def machine(name):
    """The machine through testinfra."""
    return testinfra.get_host("local://")
