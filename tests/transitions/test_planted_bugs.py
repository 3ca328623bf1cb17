"""Would these tests notice? Known mistakes of such tools, planted one at a time; each must be caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ops.errors import InterlockError
from ops.transitions import approval, conduct, engine, kernel
from ops.transitions.approval import begin
from ops.transitions.kernel import Start
from ops.transitions.paths import PATHS
from ops.transitions.progress import Silent
from tests.transitions.journeys import go_live, kept, roll_back, travelled
from tests.transitions.stage import Stage
from tests.transitions.truths import hold_true, unsafe
from tests.transitions.world import SimHost, SimVenue

Plant = Callable[[pytest.MonkeyPatch], None]


def in_order(verb: str, *names: str) -> Plant:
    """The path in another order, or with moves left out."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        policy, moves = PATHS[verb]
        table = {move.name: move for move in moves}
        patch.setitem(PATHS, verb, (policy, tuple(table[name] for name in names)))

    return plant


def left_out(verb: str, *missing: str) -> Plant:
    return in_order(verb, *(move.name for move in PATHS[verb][1] if move.name not in missing))


def replaced(owner: Any, name: str, value: Any) -> Plant:
    return lambda patch: patch.setattr(owner, name, value)


def intents_unwritten(self: engine.Engine, kind: str, body: dict[str, object], lowering: bool) -> None:
    if kind != "step.intended":
        self._doors.ledger.append(kind, {"system": self._doors.profile.system, **body})


def cancelled_at_once(self: SimVenue, newest_first: bool = True) -> list[object]:
    return []


def started_without_reading(self: SimHost) -> None:
    self._set(starts=self.starts + 1)


def armed_by_a_start(self: SimHost) -> None:
    self._set(loaded=self.declared, switch=(False, "fresh start"), gate=None)


UP = [move.name for move in PATHS["go-live"][1]]
BUGS: dict[str, Plant] = {
    "rollback flips before it trips": in_order(
        "rollback", "flip-paper", "trip", "cancel", "positions", "diagnostics", "disarm", "prove-paper"
    ),
    "rollback does not trip": left_out("rollback", "trip"),
    "rollback does not cancel": left_out("rollback", "cancel", "cancel-again"),
    "rollback forgets the hosts' deadline": left_out("rollback", "disarm"),
    "rollback leaves the env files": left_out("rollback", "flip-paper", "prove-paper"),
    "go-live re-arms before it verifies": in_order("go-live", *UP[:5], "rearm", *UP[5:-1]),
    "go-live does not verify the signatures again": left_out("go-live", "sign-off"),
    "go-live does not prove mode again": left_out("go-live", "prove-again"),
    "go-live leaves the deadline running": left_out("go-live", "disarm"),
    "go-live flips without a halt": left_out("go-live", "trip"),
    "intents are not written": replaced(engine.Engine, "_record", intents_unwritten),
    "the epoch is not raised": replaced(conduct, "next_epoch", lambda history: max(1, history.epoch)),
    "hosts do not compare the fence": replaced(SimHost, "_match_fence", lambda self, given: None),
    "hosts take any fence": replaced(SimHost, "_take_fence", lambda self, given: self._set(fence=dict(given))),
    "an interrupted transition is not seen": replaced(approval, "may_begin", lambda *given: (Start.FRESH, "")),
    "an unproven move does not stop a raise": replaced(
        engine, "decide", lambda path, raises, transition, halt: kernel.decide(path, False, transition)
    ),
    "a cancellation that was asked for counts as made": replaced(SimVenue, "open_orders", cancelled_at_once),
    "a restart does not read the env file anew": replaced(SimHost, "_recreate", started_without_reading),
    "a start re-arms the bot": replaced(SimHost, "_recreate", armed_by_a_start),
}


def everything_holds(stage: Stage) -> None:
    """The heart of the other tests: crash after each change, recover, let late requests land, lose an answer."""
    journey = travelled(stage, "go-live")
    for _, left in journey.instants:
        world = left.copied()
        world.on_change = hold_true
        roll_back(stage, world)
        assert unsafe(world) == []
    for left, host, request in journey.requests:
        world = left.copied()
        begin_again(stage, world)
        if request["op"] != "look":
            assert not world.hosts[host].perform(request)["ok"]
        assert unsafe(world) == []
    an_unproven_flip_is_noticed(stage)


def begin_again(stage: Stage, world: Any) -> None:
    with pytest.raises(InterlockError, match="verified PAPER"):
        begin(stage.doors(world), Silent(), "go-live", "live-1")


def an_unproven_flip_is_noticed(stage: Stage) -> None:
    world = stage.world("paper")
    world.loses_requests = True
    sent: list[str] = []

    def lose_second_flip(number: int, host: str) -> str:
        flips = [op for op in sent if op == "flip host-2"]
        return "before" if len(flips) == 1 and sent[-1] == "flip host-2" else ""

    world.on_request = lambda host, request: sent.append(f"{request['op']} {host}")
    world.request_fails = lose_second_flip
    _, end = kept(world, lambda: go_live(stage, world))
    assert isinstance(end, InterlockError)
    assert unsafe(world) == []


def test_without_a_bug_everything_holds(stage: Stage) -> None:
    everything_holds(stage)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(stage: Stage, monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    BUGS[bug](monkeypatch)
    with pytest.raises((AssertionError, InterlockError, pytest.fail.Exception)):
        everything_holds(stage)
