"""Every way that a system can be taken, run once, with the world kept after each change on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.transitions.conduct import Descent, ascend
from ops.transitions.lock import locked
from ops.transitions.plans import pending_plan
from ops.transitions.preflight import current_history
from ops.transitions.progress import Silent
from ops.transitions.rollback import rollback
from tests.transitions.stage import REQUESTER, Stage
from tests.transitions.truths import hold_true
from tests.transitions.world import World

Travel = Callable[[Stage, World], object]
Instant = tuple[str, World]
Sent = tuple[World, str, Mapping[str, Any]]


def go_live(stage: Stage, world: World) -> None:
    _up(stage, world, "go-live", "live-1")


def rearm(stage: Stage, world: World) -> None:
    _up(stage, world, "rearm", _here(world))


def rotate_keys(stage: Stage, world: World) -> None:
    _up(stage, world, "rotate-keys", _here(world))


def restart(stage: Stage, world: World) -> None:
    doors = stage.doors(world)
    with locked(doors, "restart"):
        ascend(doors, Silent(), "restart", _here(world), None)


def roll_back(stage: Stage, world: World) -> Any:
    return rollback(stage.doors(world), Silent(), Descent(adopter=REQUESTER))


def flip_mode(stage: Stage, world: World) -> Any:
    return rollback(stage.doors(world), Silent(), Descent("flip-mode", REQUESTER))


def _up(stage: Stage, world: World, verb: str, stage_to: str) -> None:
    doors = stage.doors(world)
    plan = pending_plan(doors, verb, current_history(doors)) or stage.signed_plan(world, verb, stage_to)
    with locked(doors, verb):
        ascend(doors, Silent(), verb, stage_to, plan)


def _here(world: World) -> str:
    return next(iter(world.hosts.values())).mode.replace("live", "live-1")


# Where each journey begins: the ones before it, from a fleet armed on paper; and then the journey itself.
JOURNEYS: dict[str, tuple[tuple[Travel, ...], Travel]] = {
    "go-live": ((), go_live),
    "rearm on paper": ((go_live, roll_back), rearm),
    "rearm in live": ((go_live, restart), rearm),
    "rotate-keys on paper": ((), rotate_keys),
    "rotate-keys in live": ((go_live,), rotate_keys),
    "restart on paper": ((), restart),
    "restart in live": ((go_live,), restart),
    "rollback": ((go_live,), roll_back),
    "rollback of a halted system": ((go_live, restart), roll_back),
    "flip-mode": ((go_live,), flip_mode),
}


@dataclass
class Journey:
    """One way: its beginning, the world after each change, and each request just before a host carried it out."""

    beginning: World
    travel: Travel
    instants: list[Instant]
    requests: list[Sent]


def travelled(stage: Stage, name: str) -> Journey:
    """The journey, made. Whatever must always hold is held true at each change."""
    before, travel = JOURNEYS[name]
    world = stage.world("paper")
    for earlier in before:
        earlier(stage, world)
    if travel in (go_live, rearm, rotate_keys):
        stage.signed_plan(world, travel.__name__.replace("_", "-"), "live-1" if travel is go_live else _here(world))
    beginning, requests = world.copied(), []
    world.on_request = lambda host, request: requests.append((world.copied(), host, request))
    instants, end = kept(world, lambda: travel(stage, world))
    assert end is None, f"{name} was meant to succeed: {end}"
    return Journey(beginning, travel, instants, requests)


def kept(world: World, go: Callable[[], object]) -> tuple[list[Instant], Exception | None]:
    """Goes, and keeps the world after each change. The exception it ended with, if it did."""
    instants: list[Instant] = []

    def keep(now: World, what: str) -> None:
        hold_true(now, what)
        instants.append((what, now.copied()))

    world.on_change = keep
    try:
        go()
    except Exception as error:
        return instants, error
    finally:
        world.on_change = None
    return instants, None
