"""What an end left unproven on the live account stays asked for, and a kill before the first change wins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

from ops.errors import InputError, Refused, ResidueLeft, SafeFailure, VenueError
from ops.inventory import load_profile
from ops.steps.cancel import _to_zero
from ops.transitions.conduct import Began, ascend
from ops.transitions.halt import ask_to_halt, halt_mark, refuse_halted
from ops.transitions.plans import stale_reasons
from ops.transitions.preflight import current_history, look, rearm_gate
from ops.transitions.progress import Silent
from ops.venues.protocol import VenueActor
from tests.transitions.journeys import go_live, roll_back
from tests.transitions.stage import Stage, set_stage
from tests.transitions.world import SimVenue, World


@pytest.fixture
def alone(tmp_path: Path, stage: Stage) -> Stage:
    """A stage whose folder no other test uses."""
    return set_stage(tmp_path)


def adopted(world: World) -> list[object]:
    steps = [r.body for r in world.records if r.kind == "step.done" and r.body["step"] == "positions"]
    return [body["evidence"]["positions"] for body in steps]


def test_a_second_rollback_asks_the_live_account_again_that_the_first_could_not_reach(alone: Stage) -> None:
    """Hosts that were flipped by hand: after the first rollback nothing but the ledger tells that they were live."""
    world = alone.world("live")
    world.venues["live"].held = {"AAPL": "3"}
    world.venue_fails = lambda number, slot: slot == "live"
    for _ in range(2):
        with pytest.raises(ResidueLeft) as end:
            roll_back(alone, world)
        assert any(text.startswith("positions: live positions: UNKNOWN") for text in end.value.residue)
    world.venue_fails = lambda number, slot: False
    roll_back(alone, world)
    assert adopted(world) == [{"alpaca": {"AAPL": "3"}}]
    assert not current_history(alone.doors(world)).live_unproven


def test_a_kill_after_the_command_began_wins_over_it_and_over_the_plan_that_was_signed(alone: Stage) -> None:
    """Between a command's beginning and its first change lies all the time that checks and people take."""
    world = alone.world("paper")
    go_live(alone, world)
    roll_back(alone, world)
    doors, plan = alone.doors(world), alone.signed_plan(world, "rearm", "paper")
    mark, report = halt_mark(doors), rearm_gate(look(doors))
    assert not [text for text in stale_reasons(doors, plan, report, current_history(doors)) if "killed" in text]
    ask_to_halt(doors)
    doors.ledger.append("kill.done", {"system": plan.system, "reason": "odd fills"})
    assert "killed since, for: odd fills" in stale_reasons(doors, plan, report, current_history(doors))
    with pytest.raises(Refused, match="killed or rolled back"):
        refuse_halted(doors, mark)
    with pytest.raises(SafeFailure, match="killed or rolled back"):
        ascend(doors, Silent(), "rearm", "paper", plan, Began(mark=mark))
    assert not any(host.armed for host in world.hosts.values())


@pytest.mark.parametrize(("name", "left"), [("a1-l-7", set()), ("typed-by-kim", {"typed-by-kim"})])
def test_an_order_on_live_of_a_system_on_paper_is_cancelled_if_it_is_ours_and_named_if_not(
    alone: Stage, name: str, left: set[str]
) -> None:
    """Somebody else's may be the stop of who adopted a position."""
    world = alone.world("paper")
    go_live(alone, world)
    roll_back(alone, world)
    world.venues["live"].take(name)
    ended = roll_back(alone, world)
    assert set(world.venues["live"].open) == left
    assert ended.nothing_to_do == bool(left)
    assert not left or f"not ours: {name}" in ended.was
    world.venue_fails = lambda number, slot: slot == "live"
    assert "UNKNOWN just now" in roll_back(alone, world).was, "an account that is silent is not called empty"


@dataclass
class Refusing(SimVenue):
    """A venue that no longer takes Interlock's own key."""

    def open_orders(self, newest_first: bool = True) -> NoReturn:
        raise VenueError("refused: HTTP 401", status=401)

    def cancel_all(self) -> NoReturn:
        raise VenueError("refused: HTTP 401", status=401)


def test_a_key_that_is_refused_gives_way_to_the_bots_own(alone: Stage) -> None:
    world = alone.world("paper")
    live = world.venues["live"]
    live.take("a1-l-1")
    ways: list[VenueActor] = [Refusing("live", live.number, world), live]
    proof, named = _to_zero(alone.doors(world), ways)
    assert (proof.proven, list(named), live.open) == (True, ["a1-l-1"], {})
    assert ways[0] is live, "and it is asked first from then on"


@pytest.mark.parametrize(
    ("there", "ways"),
    [("kill observer bot", 2), ("observer bot", 1), ("bot", 1), ("kill observer", 1), ("kill", 0), ("", 0)],
)
def test_a_way_down_opens_with_whatever_keys_are_there(alone: Stage, there: str, ways: int) -> None:
    profile = load_profile(alone.place, "kraken-bot")
    account = profile.venues["kraken"].live
    names = {
        "kill": account.kill,
        "observer": account.observer,
        "bot": next(iter(profile.bot_keys("kraken", "live").values())),
    }
    for purpose in there.split():
        alone.secrets.put(str(names[purpose]), {"key": purpose, "secret": "c2VjcmV0"})
    doors = replace(alone.doors(alone.world("paper")), profile=profile, _venues={})
    if ways:
        assert len(doors.ways_down("kraken", "live")) == ways
    else:
        with pytest.raises(InputError, match="no such secret"):
            doors.ways_down("kraken", "live")
