"""What must hold in a simulated world at every instant, and what it must be like at a safe end."""

from __future__ import annotations

from datetime import timedelta

from ops.model.canonical import utc_time
from ops.model.history import replay
from ops.transitions.paths import PATHS
from tests.transitions.stage import REQUESTER
from tests.transitions.world import SimHost, World, mode_of

SYSTEM = "alpaca-bot"
MOVES_OF = {
    "trip": ("trip",), "arm": ("arm",), "flip": ("flip", "flip-paper"), "restart": ("restart",), "rearm": ("rearm",),
    "disarm": ("disarm",),
}  # fmt: skip
EVIDENCE_MAX = timedelta(seconds=60)


def key_class(host: SimHost) -> str:
    """Whose key the process holds: `paper-key-...` or `live-key-...`."""
    return (host.loaded or {}).get("ALPACA_API_KEY", "none").split("-")[0]


def hold_true(world: World, what: str) -> None:
    """Every invariant of one instant. Fails with the change that broke it."""
    one_mode_while_any_is_armed(world, what)
    no_key_of_the_other_mode(world, what)
    if world.in_hand and world.in_hand["op"] in MOVES_OF:
        intent_was_durable(world, what)
    if world.in_hand.get("op") == "rearm":
        rearm_came_last(world, what)


def one_mode_while_any_is_armed(world: World, what: str) -> None:
    """I2: if any host is armed, all hosts have the same declared = loaded mode and key class.

    A host that never took the newest fence could not be reached: then it is residue, and the others are brought down.
    """
    newest = max((host.fence or {"epoch": 0})["epoch"] for host in world.hosts.values())
    reached = [
        h for h in world.hosts.values() if not world.loses_requests or (h.fence or {"epoch": 0})["epoch"] == newest
    ]
    if any(host.armed for host in reached):
        seen = {(mode_of(h.declared), h.mode, key_class(h)) for h in reached if h.loaded is not None}
        assert len(seen) == 1, f"after {what}: armed, and the hosts differ: {seen}"


def no_key_of_the_other_mode(world: World, what: str) -> None:
    """I4: never a paper key in a live process or a live key in a paper process."""
    for host in world.hosts.values():
        assert host.loaded is None or key_class(host) == host.mode, f"after {what}: {host.name} has the wrong key"


def intent_was_durable(world: World, what: str) -> None:
    """I17: the newest record is the intent of the very move that changes the host now."""
    last, request = world.records[-1], world.in_hand
    expected = [("step.intended", request["fence"]["transition"], move) for move in MOVES_OF[request["op"]]]
    assert (last.kind, last.body.get("transition"), last.body.get("step")) in expected, f"{what} without intent"


def rearm_came_last(world: World, what: str) -> None:
    """I14 and I3: every other move of the path is proven, the proof of mode is young, and a quorum signed the plan."""
    transition = replay(world.records, SYSTEM).transitions[world.in_hand["fence"]["transition"]]
    moves = [move.name for move in PATHS[transition.verb][1]]
    assert moves[-1] == "rearm"
    assert {"trip", "cancel", "prove-again", "sign-off", *moves[:-1]} <= set(transition.done), (
        f"{what} before it was proven"
    )
    assert world.now - utc_time(str(transition.done["prove-again"]["at"])) <= EVIDENCE_MAX
    signers = {
        r.body["person"] for r in world.records if r.kind == "signature.added" and r.body["plan"] == transition.plan
    }
    assert len(signers - {REQUESTER}) >= 2, f"{what} without a quorum"


def unsafe(world: World) -> list[str]:
    """What keeps a world from being proven paper and tripped; empty if nothing does."""
    wrong = []
    for host in world.hosts.values():
        modes = {mode_of(host.declared), host.mode, key_class(host)}
        wrong += [f"{host.name} is {modes}"] if modes != {"paper"} else []
        wrong += [f"{host.name} is armed"] if host.armed else []
        wrong += [f"{host.name} has no gate"] if host.gate is None else []
        wrong += [f"{host.name} has a deadline"] if host.deadline is not None else []
    wrong += [f"open on {slot}: {set(venue.open)}" for slot, venue in world.venues.items() if venue.open]
    history = replay(world.records, SYSTEM)
    wrong += [f"{left.verb} {left.id} is open" for left in history.interrupted]
    wrong += [f"the ledger says {history.stage}"] if history.stage != "paper" else []
    return [*wrong, *(f"residue: {text}" for text in history.residue)]


def running_live(world: World) -> bool:
    """Every host armed in live mode, and the ledger says so."""
    hosts = world.hosts.values()
    return replay(world.records, SYSTEM).live and all(host.armed and host.mode == "live" for host in hosts)
