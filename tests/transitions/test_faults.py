"""The n-th answer is lost, for every n: nothing unseen is taken for done, and once faults stop it ends safely."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache

import pytest

from ops.errors import InterlockError, ResidueLeft, SafeFailure
from ops.ledger.store import LedgerUnavailable
from ops.transitions.halt import ask_to_halt
from tests.transitions.journeys import JOURNEYS, Journey, roll_back, travelled
from tests.transitions.stage import Stage
from tests.transitions.truths import hold_true, running_live, unsafe
from tests.transitions.world import World

RAISES = ("go-live", "rearm in live", "rotate-keys in live", "restart in live")
LOWERS = ("rollback", "flip-mode")
Breaks = Callable[[World, int], None]


@pytest.fixture(scope="module")
def journey(stage: Stage) -> Callable[[str], Journey]:
    return cache(lambda name: travelled(stage, name))


def lose_request(world: World, number: int) -> None:
    world.loses_requests = True
    world.request_fails = lambda n, host: "before" if n == number else ""


def lose_answer(world: World, number: int) -> None:
    world.loses_requests = True
    world.request_fails = lambda n, host: "after" if n == number else ""


def lose_host(world: World, number: int) -> None:
    world.loses_requests = True
    world.request_fails = lambda n, host: "before" if n >= number and host == "host-2" else ""


def lose_all_answers(world: World, number: int) -> None:
    world.loses_requests = True
    world.request_fails = lambda n, host: "after" if n >= number else ""


def lose_venue_answer(world: World, number: int) -> None:
    world.venue_fails = lambda n, slot: n == number


def lose_venue(world: World, number: int) -> None:
    world.venue_fails = lambda n, slot: n >= number


def lose_record(world: World, number: int) -> None:
    world.ledger_fails = lambda n: n == number


def lose_ledger(world: World, number: int) -> None:
    world.ledger_fails = lambda n: n >= number


FAULTS: dict[str, tuple[str, Breaks]] = {
    "a request is lost": ("requests", lose_request),
    "an answer is lost": ("requests", lose_answer),
    "a host is lost for good": ("requests", lose_host),
    "all answers are lost from then on": ("requests", lose_all_answers),
    "an answer of the venue is lost": ("venue_calls", lose_venue_answer),
    "the venue is down from then on": ("venue_calls", lose_venue),
    "a record cannot be written": ("appends", lose_record),
    "the ledger is lost from then on": ("appends", lose_ledger),
}


def broken(stage: Stage, journey: Journey, breaks: Breaks, number: int) -> tuple[World, InterlockError | None]:
    """The journey with one fault in it: the world afterwards, and how the command ended."""
    world = journey.beginning.copied()
    breaks(world, number)
    intents_may_be_missing = breaks in (lose_record, lose_ledger)
    world.on_change = None if intents_may_be_missing else hold_true
    try:
        journey.travel(stage, world)
    except InterlockError as error:
        return world, error
    return world, None


def counted(stage: Stage, journey: Journey, what: str) -> int:
    world = journey.beginning.copied()
    journey.travel(stage, world)
    return int(getattr(world, what))


def healed(world: World) -> World:
    return world.copied()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [*RAISES, *LOWERS])
def test_a_single_fault_at_any_place_is_told_as_what_it_is(
    stage: Stage, journey: Callable[[str], Journey], name: str, fault: str
) -> None:
    what, breaks = FAULTS[fault]
    for number in range(1, counted(stage, journey(name), what) + 1):
        world, end = broken(stage, journey(name), breaks, number)
        where = f"{fault}: {what} {number}, ended with {end!r}"
        if end is None and name == "go-live":
            assert running_live(world), where
        elif end is None and name in LOWERS:
            assert [w for w in unsafe(world) if "ledger" not in w and " is open" not in w] == [], where
        elif isinstance(end, SafeFailure):
            assert unsafe(world) == [], where
        elif end is not None:
            assert isinstance(end, (ResidueLeft, LedgerUnavailable)), where
            assert not isinstance(end, ResidueLeft) or end.residue, where
        later = healed(world)
        roll_back(stage, later)
        assert unsafe(later) == [], f"{where}; faults stopped, rolled back"


@pytest.mark.parametrize("name", RAISES)
@pytest.mark.parametrize("fault", ["a record cannot be written", "the ledger is lost from then on"])
def test_no_risk_is_left_standing_when_the_ledger_is_lost(
    stage: Stage, journey: Callable[[str], Journey], name: str, fault: str
) -> None:
    """C5: no effect without an intent; the way back needs no ledger."""
    _, breaks = FAULTS[fault]
    for number in range(1, counted(stage, journey(name), "appends") + 1):
        world, end = broken(stage, journey(name), breaks, number)
        touched = any(
            host.fence != old.fence
            for host, old in zip(world.hosts.values(), journey(name).beginning.hosts.values(), strict=True)
        )
        assert isinstance(end, InterlockError), f"append {number}"
        if touched:
            assert not any(host.armed for host in world.hosts.values()), f"append {number}: {end!r}"
            assert isinstance(end, (SafeFailure, ResidueLeft)), f"append {number}: {end!r}"


@pytest.mark.parametrize("name", RAISES)
def test_a_kill_at_any_change_of_a_raise_wins(stage: Stage, journey: Callable[[str], Journey], name: str) -> None:
    """X2: gates and mark as `invoke kill` sets them."""
    changes = len(journey(name).instants)
    for moment in range(changes - 1):
        world = journey(name).beginning.copied()
        kill_at(stage, world, moment)
        with pytest.raises((SafeFailure, ResidueLeft)):
            journey(name).travel(stage, world)
        assert not any(host.armed for host in world.hosts.values()), f"kill at change {moment}"
        roll_back(stage, world)
        assert unsafe(world) == [], f"kill at change {moment}"


def kill_at(stage: Stage, world: World, moment: int) -> None:
    seen: list[str] = []
    forget_marks(stage)

    def count(now: World, what: str) -> None:
        seen.append(what)
        if len(seen) == moment + 1:
            now.on_change = None
            ask_to_halt(stage.doors(now))
            for host in now.hosts.values():
                host.trip("kill-1")

    world.on_change = count


def forget_marks(stage: Stage) -> None:
    """The worlds of this module share one folder, and all of them begin at the same instant."""
    shutil.rmtree(stage.place.state / "kill", ignore_errors=True)


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_controller_that_slept_and_wakes_after_another_took_over_changes_nothing(
    stage: Stage, journey: Callable[[str], Journey], name: str
) -> None:
    """C4 and I12: at each change it is stopped, a rollback by somebody else runs to its end, then it goes on."""
    for moment in range(len(journey(name).instants) - 1):
        world = journey(name).beginning.copied()
        take_over_at(stage, world, moment)
        try:
            journey(name).travel(stage, world)
        except InterlockError as error:
            assert isinstance(error, (SafeFailure, ResidueLeft)), f"{moment}: {error!r}"
        assert not any(host.armed for host in world.hosts.values()), f"woken at change {moment}"
        roll_back(stage, world)
        assert unsafe(world) == [], f"woken at change {moment}"


def take_over_at(stage: Stage, world: World, moment: int) -> None:
    seen: list[str] = []
    forget_marks(stage)

    def count(now: World, what: str) -> None:
        seen.append(what)
        if len(seen) == moment + 1:
            now.on_change = None
            in_hand, now.in_hand = now.in_hand, {}
            roll_back(stage, now)
            now.in_hand = in_hand

    world.on_change = count
