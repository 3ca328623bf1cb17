"""The contract's clauses, C01 to C16, as IBKR's adapter keeps them."""

from __future__ import annotations

from ops.venues.ibkr.questions import SUBMITTED_UNKNOWN
from ops.venues.protocol import VenueActor
from tests.contracts.clauses import VenueContract
from tests.contracts.rig import Rig


class TestIbkr(VenueContract):
    """One clause is other: IBKR does not say when an order was submitted."""

    def test_c06_a_placed_order_is_seen_whole_from_both_ends(self, rig: Rig, door: VenueActor) -> None:
        wishes = [rig.wish() for _ in range(3)]
        ids = [door.place(wish).id for wish in wishes]
        assert [order.id for order in door.open_orders(newest_first=False)] == ids
        assert [order.id for order in door.open_orders(newest_first=True)] == ids[::-1]
        order, wish = door.open_orders(newest_first=False)[0], wishes[0]
        assert (order.client_id, order.symbol, order.side, order.qty) == (wish.client_id, "AAPL", "buy", wish.qty)
        assert (order.status, order.open, order.protective) == ("Submitted", True, False)
        assert order.submitted_at == SUBMITTED_UNKNOWN
        assert door.order(order.id) == order
