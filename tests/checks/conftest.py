"""One set of doors for all checks of a run: nothing here is changed by a check."""

from __future__ import annotations

import pytest

from ops.checks.sight import Sight
from ops.doors import Doors
from tests.checks import sights


@pytest.fixture(scope="session")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Doors:
    return sights.doors(tmp_path_factory.mktemp("doors"))


@pytest.fixture
def good(doors: Doors) -> Sight:
    return sights.sight(doors)


@pytest.fixture
def live(doors: Doors) -> Sight:
    return sights.sight(doors, "live")
