"""What the tests of one simulated Alpaca hold in their hands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.alpaca.desk import Desk
from tests.contracts.rig import Rig


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """The paper account, flat, at its usual price, in a market that never closes."""
    desk = Desk(rig)
    desk.flatten()
    yield desk
    desk.hours("always")
    desk.price("1")
