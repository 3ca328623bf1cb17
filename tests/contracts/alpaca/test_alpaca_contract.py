"""The contract's clauses, C01 to C16, as Alpaca's adapter keeps them."""

from __future__ import annotations

from ops.venues.protocol import VenueActor
from tests.contracts.clauses import VenueContract
from tests.contracts.rig import Rig


class TestAlpaca(VenueContract):
    """One clause is other: Alpaca pages by time, so a whole page of orders at one instant cannot be read past."""

    def test_c06_more_open_orders_than_one_page_are_all_seen(self, rig: Rig, door: VenueActor) -> None:
        """Two batches, each at one instant: the end of the first page falls between orders of the same time."""
        for _ in range(2):
            for _ in range(260):
                rig.by_hand()
            rig.later(1)
        for newest_first in (True, False):
            assert len({order.id for order in door.open_orders(newest_first)}) == 520
