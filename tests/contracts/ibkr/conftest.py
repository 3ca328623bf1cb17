"""One simulated IBKR, paper and live gateway, per module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.contracts.clauses")

from tests.contracts.ibkr.facts import IBKR  # noqa: E402  after the clauses are registered
from tests.contracts.rig import Rig, rigged  # noqa: E402


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(IBKR, tmp_path_factory.mktemp("ibkr")) as rig:
        rig.keys("paper")  # there are none; but now each case begins without orders, also where no adapter is opened
        yield rig


@pytest.fixture
def rig(running: Rig) -> Iterator[Rig]:
    running.begin()
    yield running
    running.no_faults()
