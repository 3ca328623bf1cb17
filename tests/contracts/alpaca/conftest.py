"""One simulated Alpaca per module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.contracts.clauses")

from tests.contracts.alpaca.desk import Desk  # noqa: E402  after the clauses are registered
from tests.contracts.alpaca.facts import ALPACA  # noqa: E402
from tests.contracts.rig import Rig, rigged  # noqa: E402


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(ALPACA, tmp_path_factory.mktemp("alpaca")) as rig:
        yield rig


@pytest.fixture
def rig(running: Rig) -> Iterator[Rig]:
    running.begin()
    yield running
    running.no_faults()


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """The paper account, flat, at its usual price, in a market that never closes."""
    desk = Desk(rig)
    desk.flatten()
    yield desk
    desk.hours("always")
    desk.price("1")
