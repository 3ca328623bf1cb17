"""Who stops a transition under way, who may hold its lock, and what a fault in the middle of it leaves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.errors import InputError, LockHeld, SafeFailure
from ops.model.step import Ended
from ops.transitions.halt import ask_to_halt, halt_mark
from ops.transitions.lock import locked
from ops.transitions.paths import PATHS, Move
from tests.transitions.journeys import go_live, restart, roll_back
from tests.transitions.stage import Stage, set_stage
from tests.transitions.truths import unsafe
from tests.transitions.world import World


@pytest.fixture
def alone(tmp_path: Path, stage: Stage) -> Stage:
    """A stage whose folder no other test uses."""
    return set_stage(tmp_path)


def at_step(world: World, step: str, act: Callable[[], object]) -> None:
    """Does something as soon as a step was intended."""

    def watch(now: World, what: str) -> None:
        if what == f"ledger step.intended {step}":
            now.on_change = None
            act()

    world.on_change = watch


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("step", ["trip", "flip", "rearm"])
def test_a_signal_lets_the_step_finish_and_then_turns_back(alone: Stage, number: signal.Signals, step: str) -> None:
    world = alone.world("paper")
    before = signal.getsignal(number)
    at_step(world, step, lambda: os.kill(os.getpid(), number))
    with pytest.raises(SafeFailure, match=number.name):
        go_live(alone, world)
    assert unsafe(world) == []
    assert f"step.done {step}" in {f"{r.kind} {r.body.get('step')}" for r in world.records}
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("step", ["cancel", "flip", "rearm"])
def test_a_signal_does_not_stop_the_way_down(alone: Stage, step: str) -> None:
    world = alone.world("paper")
    go_live(alone, world)
    at_step(world, step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    roll_back(alone, world)
    assert unsafe(world) == []


def test_a_mark_counts_even_if_the_clock_was_set_back_since_the_last_one(alone: Stage) -> None:
    world = alone.world("paper")
    mark = alone.place.state / "kill" / "alpaca-bot.mark"
    mark.parent.mkdir(parents=True)
    mark.write_text(str(4_000_000_000 * 10**9))
    at_step(world, "flip", lambda: ask_to_halt(alone.doors(world)))
    with pytest.raises(SafeFailure, match="killed or rolled back"):
        go_live(alone, world)
    assert halt_mark(alone.doors(world)) < 4_000_000_000 * 10**9


def test_an_old_mark_stops_nothing(alone: Stage) -> None:
    world = alone.world("paper")
    ask_to_halt(alone.doors(world))
    restart(alone, world)


def faulty(run: object) -> Ended:
    raise RuntimeError("SECRET-VALUE in a message")


def test_a_fault_of_ours_in_a_step_ends_on_paper_and_shows_no_value(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, moves = PATHS["go-live"]
    broken = tuple(Move(m.name, m.title, faulty) if m.name == "prove-account" else m for m in moves)
    monkeypatch.setitem(PATHS, "go-live", (policy, broken))
    world = alone.world("paper")
    with pytest.raises(
        SafeFailure, match=r"a fault in Interlock: RuntimeError in tests.transitions.test_halt:\d+"
    ) as end:
        go_live(alone, world)
    assert "SECRET-VALUE" not in str(end.value) + json.dumps([r.line for r in world.records])
    assert unsafe(world) == []


def test_one_transition_at_a_time_and_the_second_is_told_who_holds_it(alone: Stage) -> None:
    doors = alone.doors(alone.world("paper"))
    holder = rf"alpaca-bot is locked: go-live by kim \(process {os.getpid()}\) since 2026-11-20"
    with locked(doors, "go-live"), pytest.raises(LockHeld, match=holder), locked(doors, "rearm"):
        pytest.fail("both hold it")
    with locked(doors, "rearm"):
        pass


def test_a_lock_file_left_by_a_crash_holds_nobody_up(alone: Stage) -> None:
    doors = alone.doors(alone.world("paper"))
    path = alone.place.state / "locks" / "alpaca-bot.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"verb": "go-live", "who"')
    with locked(doors, "go-live"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_lock_that_cannot_be_made_is_bad_input_not_a_fault(alone: Stage) -> None:
    doors = alone.doors(alone.world("paper"))
    (alone.place.state / "locks").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="lock"), locked(doors, "go-live"):
        pytest.fail("there is no lock")
