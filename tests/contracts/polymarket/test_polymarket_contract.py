"""The contract's clauses for Polymarket."""

from __future__ import annotations

from datetime import timedelta

from ops.venues.protocol import VenueActor
from tests.contracts.clauses import VenueContract, unknown
from tests.contracts.rig import Rig


class TestPolymarket(VenueContract):
    """Every clause but one."""

    def test_c12_a_dead_mans_switch_fires_unless_it_is_renewed_or_disarmed(self, rig: Rig, door: VenueActor) -> None:
        """Replaced: the heartbeat has one length, ten seconds, and nothing disarms it but its firing."""
        order = door.place(rig.wish())
        unknown(lambda: door.set_dead_man(9))
        fires = door.set_dead_man(60)
        assert fires is not None
        assert fires - rig.now <= timedelta(seconds=10)
        rig.later(8)
        rig.door().set_dead_man(10)  # another door takes the running timer over
        unknown(lambda: door.set_dead_man(None))
        rig.later(8)
        assert door.order(order.id).open
        rig.later(2)
        assert door.order(order.id).status == "canceled"
        assert [line["reason"] for line in rig.log(event="canceled")] == ["no heartbeat"]
        assert door.set_dead_man(None) is None
        later = door.place(rig.wish())
        rig.later(600)
        assert door.order(later.id).open
