"""A system with several venues: each is cancelled, read and recorded on its own; one that is silent hides no other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from ops.model.profile import VenueSetting
from ops.steps.cancel import cancel_both, cancel_in_force
from ops.steps.positions import positions
from ops.steps.rearm import rearm
from ops.steps.run import Run
from ops.steps.snapshot import snapshot
from tests.transitions.stage import Stage
from tests.transitions.world import SimVenue, World


@dataclass
class Latching(SimVenue):
    """A venue with a halt of its own."""

    latches: bool = True
    halted: bool = False

    def account(self) -> Any:
        return replace(super().account(), suspended=self.halted)

    def set_suspended(self, suspended: bool) -> None:
        self.halted = suspended

    def close_position(self, position: Any, client_id: str) -> None:
        assert not self.halted
        assert len(client_id) == 18 and client_id.isalnum()
        self.held = {symbol: qty for symbol, qty in self.held.items() if symbol != position.symbol}


@dataclass
class Both:
    """Two venues of the same kind, `alpaca` and `other`; the other one latches."""

    run: Run
    venues: dict[str, SimVenue]
    world: World


@pytest.fixture
def both(stage: Stage) -> Both:
    world = stage.world("paper")
    doors = stage.doors(world)
    setting = doors.profile.venues["alpaca"]
    other = VenueSetting.model_validate(setting.model_dump())
    profile = doors.profile.model_copy(update={"venues": {"alpaca": setting, "other": other}})
    venues = {f"alpaca/{slot}": venue for slot, venue in world.venues.items()}
    venues |= {f"other/{slot}": Latching(slot, f"other-{slot}", world) for slot in ("paper", "live")}
    doors = replace(doors, profile=profile, _venues={f"{name}/current": venue for name, venue in venues.items()})
    run = Run(doors, "t1", "rollback", 1, "live", "paper", "paper", 100, adopter="kim")
    for host in world.hosts.values():
        host.loaded = None  # nobody trades here
    return Both(run, venues, world)


def test_every_account_of_every_venue_is_brought_to_zero(both: Both) -> None:
    for name, venue in both.venues.items():
        venue.take(f"{name}-1")
    both.run.proven.add("trip")
    ended = cancel_both(both.run)
    assert ended.proven, ended.problems
    assert [name for name, venue in both.venues.items() if venue.open] == []
    assert ended.seen.count("zero open twice") == 4
    assert len(ended.evidence["not_ours"]) == 4, "no prefix of a host"


def test_a_venue_that_is_silent_is_unknown_and_the_other_is_proven(both: Both) -> None:
    both.venues["other/live"].take("o-1")
    both.world.venue_fails = lambda number, slot: both.venues["other/live"].open != {} and slot == "live"
    ended = cancel_in_force(replace_slot(both.run))
    assert not ended.proven
    assert {text.split(":")[0] for text in ended.problems} <= {"other live", "alpaca live"}
    both.world.venue_fails = lambda number, slot: False
    assert cancel_in_force(replace_slot(both.run)).proven


def replace_slot(run: Run) -> Run:
    run.slot_from = "live"
    return run


def test_a_host_that_is_not_proven_tripped_is_halted_where_the_venue_can_and_rearm_lifts_that(both: Both) -> None:
    cancel_both(both.run)
    halts = {name: getattr(venue, "halted", None) for name, venue in both.venues.items()}
    assert halts == {"alpaca/paper": None, "alpaca/live": None, "other/paper": True, "other/live": True}
    both.run.done["trip"] = {"reasons": dict.fromkeys(both.world.hosts, "re-armed")}
    rearm(both.run)
    assert (both.venues["other/paper"].halted, both.venues["other/live"].halted) == (False, True)  # type: ignore[attr-defined]


def test_positions_of_both_venues_are_recorded_with_their_place_and_adopted(both: Both) -> None:
    both.venues["alpaca/live"].held, both.venues["other/live"].held = {"AAPL": "2"}, {"KXFED": "-3"}
    ended = positions(both.run)
    assert ended.proven
    assert ended.seen == "AAPL 2 at alpaca, KXFED -3 at other: adopted by kim"
    assert ended.evidence["positions"] == {"alpaca": {"AAPL": "2"}, "other": {"KXFED": "-3"}}
    both.run.slot_to = "live"
    assert set(snapshot(both.run).evidence["live"]) == {"alpaca", "other"}


def test_a_flatten_closes_what_can_be_closed_and_names_the_rest(both: Both) -> None:
    """Alpaca's stand-in here cannot close; the other venue's halt is lifted first, since it would refuse the order."""
    both.venues["alpaca/live"].held, both.venues["other/live"].held = {"AAPL": "2"}, {"KXFED": "-3"}
    both.venues["other/live"].halted = True  # type: ignore[attr-defined]
    both.run.flatten = True
    ended = positions(both.run)
    assert both.venues["other/live"].held == {}
    assert len(ended.problems) == 1 and ended.problems[0].startswith("alpaca live positions: UNKNOWN")
