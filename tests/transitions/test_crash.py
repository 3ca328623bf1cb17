"""Interlock may die after any change. Whatever comes next finds the interrupted transition and ends it safely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from ops.errors import ResidueLeft, SafeFailure
from ops.model.history import replay
from ops.transitions.approval import begin
from ops.transitions.kernel import Start, may_begin
from ops.transitions.progress import Silent
from tests.transitions.journeys import JOURNEYS, Instant, Journey, kept, roll_back, travelled
from tests.transitions.stage import Stage
from tests.transitions.truths import SYSTEM, hold_true, running_live, unsafe
from tests.transitions.world import World

DEADLINE_PASSED_SECONDS = 700


@pytest.fixture(scope="module")
def journey(stage: Stage) -> Callable[[str], Journey]:
    return cache(lambda name: travelled(stage, name))


def watched(world: World) -> World:
    """A copy in which every change is held true."""
    twin = world.copied()
    twin.on_change = hold_true
    return twin


def ended(world: World) -> bool:
    return not replay(world.records, SYSTEM).interrupted


def told(number: int, what: str) -> str:
    return f"crash {number}, after {what}"


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_rollback_after_a_crash_at_any_change_ends_on_paper_and_tripped(
    stage: Stage, journey: Callable[[str], Journey], name: str
) -> None:
    for number, (what, left) in enumerate(journey(name).instants):
        world = watched(left)
        roll_back(stage, world)
        assert unsafe(world) == [], told(number, what)


@pytest.mark.parametrize("name", JOURNEYS)
def test_the_same_command_after_a_crash_recovers_and_never_goes_on(
    stage: Stage, journey: Callable[[str], Journey], name: str
) -> None:
    for number, (what, left) in enumerate(journey(name).instants):
        if ended(left):
            continue
        world = watched(left)
        verb = replay(left.records, SYSTEM).interrupted[-1].verb
        with pytest.raises(SafeFailure):
            begin(stage.doors(world), Silent(), verb, "live-1")
        assert unsafe(world) == [], told(number, what)


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_transition_is_committed_only_by_its_last_record(journey: Callable[[str], Journey], name: str) -> None:
    *before, (_, after) = journey(name).instants
    assert not any(ended(world) for _, world in before)
    assert ended(after)
    stage_to = replay(after.records, SYSTEM).stage
    begun = replay(journey(name).beginning.records, SYSTEM).stage
    assert {replay(world.records, SYSTEM).stage for _, world in before} == {begun}
    assert name != "go-live" or (stage_to == "live-1" and running_live(after))


def test_a_committed_go_live_has_nothing_left_to_do(stage: Stage, journey: Callable[[str], Journey]) -> None:
    _, after = journey("go-live").instants[-1]
    world = watched(after)
    _, something = begin(stage.doors(world), Silent(), "go-live", "live-1")
    assert not something
    assert len(world.records) == len(after.records)


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_second_recovery_changes_nothing(stage: Stage, journey: Callable[[str], Journey], name: str) -> None:
    for number, (what, left) in enumerate(journey(name).instants[::3]):
        world = left.copied()
        roll_back(stage, world)
        again, end = kept(
            world, lambda world=world: roll_back(stage, world).nothing_to_do or pytest.fail("did something")
        )
        assert (again, end) == ([], None), told(number * 3, what)


@pytest.mark.parametrize("name", JOURNEYS)
def test_hosts_whose_controller_never_comes_back_end_halted_by_themselves(
    stage: Stage, journey: Callable[[str], Journey], name: str
) -> None:
    """I26: from the arming of their deadline until the commit reached them."""
    for number, (what, left) in enumerate(journey(name).instants):
        world = watched(left)
        waiting = [host for host in world.hosts.values() if host.deadline is not None]
        before = {host.name: host.revert_text for host in waiting}
        world.pass_time(DEADLINE_PASSED_SECONDS)
        for host in waiting:
            assert not host.armed, told(number, what)
            assert (host.env_text, host.deadline) == (before[host.name], None), told(number, what)
        roll_back(stage, world)
        assert unsafe(world) == [], told(number, what)


def crashed_recoveries(stage: Stage, left: World) -> Iterator[Instant]:
    world = left.copied()
    instants, end = kept(world, lambda: roll_back(stage, world))
    assert end is None
    yield from instants


@pytest.mark.parametrize("name", ["go-live", "rollback"])
def test_a_crash_in_the_recovery_from_any_crash_is_recovered_from_too(
    stage: Stage, journey: Callable[[str], Journey], name: str
) -> None:
    """One pair in eight, so that each first crash and each second one still has its share."""
    pairs = 0
    for first, (what, left) in enumerate(journey(name).instants):
        for second, (then, worse) in enumerate(crashed_recoveries(stage, left)):
            if (first + second) % 8 == 0:
                world = worse.copied()
                roll_back(stage, world)
                assert unsafe(world) == [], f"{told(first, what)}; {told(second, then)}"
                pairs += 1
    assert pairs > 100


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_request_that_lands_after_the_recovery_is_refused(
    stage: Stage, journey: Callable[[str], Journey], name: str
) -> None:
    """The controller died, its request did not: the hosts' fence must be above it."""
    for left, host, request in journey(name).requests:
        if request["op"] == "look":
            continue
        world = left.copied()
        roll_back(stage, world)
        assert world.hosts[host].perform(request)["error"]["code"] == "fenced", request["op"]
        assert unsafe(world) == [], f"late {request['op']} on {host}"


@pytest.mark.parametrize("name", ["go-live", "rearm in live", "rotate-keys in live"])
def test_a_request_that_lands_at_any_moment_of_the_recovery_does_no_harm(
    stage: Stage, journey: Callable[[str], Journey], name: str
) -> None:
    for left, host, request in journey(name).requests:
        if request["op"] == "look":
            continue
        for moment in range(0, 36, 3):
            world = left.copied()
            land_at(world, moment, host, request)
            roll_back_until_safe(stage, world)
            assert unsafe(world) == [], f"late {request['op']} on {host} at change {moment} of the recovery"


def land_at(world: World, moment: int, host: str, request: dict[str, object]) -> None:
    """Lets a late request land right after the recovery's change of that number."""
    seen: list[str] = []

    def count(now: World, what: str) -> None:
        seen.append(what)
        if len(seen) == moment + 1:
            now.on_change = None
            in_hand, now.in_hand = now.in_hand, {}
            now.hosts[host].perform(request)
            now.in_hand = in_hand

    world.on_change = count


def roll_back_until_safe(stage: Stage, world: World) -> None:
    """A recovery that was disturbed may say so; the next one must not."""
    try:
        roll_back(stage, world)
    except ResidueLeft as disturbed:
        assert disturbed.residue
        roll_back(stage, world)


def test_after_an_unproven_end_only_the_way_down_is_open(stage: Stage, journey: Callable[[str], Journey]) -> None:
    world = journey("go-live").instants[20][1].copied()
    world.request_fails = lambda number, host: "before" if host == "host-2" else ""
    with pytest.raises(ResidueLeft) as left:
        roll_back(stage, world)
    assert all("host-2" in text for text in left.value.residue)
    history = replay(world.records, SYSTEM)
    for verb in ("go-live", "rearm", "rotate-keys", "restart"):
        assert may_begin(verb, "live-1", history)[0] is Start.REFUSE
    for verb in ("rollback", "flip-mode"):
        assert may_begin(verb, "paper", history)[0] is Start.FRESH
    world.request_fails = lambda number, host: ""
    roll_back(stage, world)
    assert unsafe(world) == []
