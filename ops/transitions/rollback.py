"""The way down: rollback and flip-mode. Never refused by a gate, a signature, or a ledger that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from ops.checks.control import fleet_mode, fleet_switch
from ops.checks.sight import Sight, take_sight
from ops.doors import Doors
from ops.errors import DoorError, HostError, InputError, LockHeld, ResidueLeft
from ops.hosts.fleet import Replies
from ops.hosts.reply import Reply
from ops.ledger.store import LedgerUnavailable
from ops.model.history import History
from ops.model.mode import Mode, Switch
from ops.transitions.approval import fence_seen
from ops.transitions.conduct import Descent, descend
from ops.transitions.halt import ask_to_halt
from ops.transitions.lock import locked
from ops.transitions.preflight import current_history
from ops.transitions.progress import Progress

LOCK_WAIT_SECONDS = 90.0


@dataclass(frozen=True)
class Lowered:
    """How the way down ended: what was rolled back, or that there was nothing to do."""

    was: str
    nothing_to_do: bool = False


def rollback(doors: Doors, progress: Progress, how: Descent) -> Lowered:
    """To proven paper and tripped. Raises ResidueLeft, naming each thing, if that could not be proven."""
    with _held(doors, how.verb, progress):
        history = _history(doors)
        sight = take_sight(doors, history, _looked(doors), timedelta(hours=1))
        was = _described(history, sight)
        ours, foreign, silent = _open_live(doors, sight)
        if _down_already(history, sight) and not ours and not (how.flatten and _held_live(sight)):
            told = f"; left alone on the live account, not ours: {', '.join(foreign)}" if foreign else ""
            told += f"; open orders UNKNOWN just now, zero when last proven: {', '.join(silent)}" if silent else ""
            return Lowered(was + told, nothing_to_do=True)
        progress.note(f"rolling back {doors.profile.system}: {was}")
        history.epoch = max(history.epoch, fence_seen(sight.replies))
        if fleet_mode(sight) is not Mode.PAPER and history.stage == "paper":
            history.stage = "live-unplanned"  # somebody flipped a host by hand: treat the live account as in force
        residue = descend(doors, progress, how, history)
        if residue:
            raise ResidueLeft(
                f"{doors.profile.system}: paper and tripped could NOT be proven everywhere", residue=residue
            )
        return Lowered(was)


@contextmanager
def _held(doors: Doors, verb: str, progress: Progress) -> Iterator[None]:
    """The lock if it can be had; a transition that holds it is asked to halt, which makes it go back by itself.

    The way down never waits for ever: after a while it goes on without the lock, and the hosts' fence keeps the other
    transition's late effects out.
    """
    until, asked = doors.monotonic() + LOCK_WAIT_SECONDS, False
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(doors, verb))
            except LockHeld as error:
                if not asked:
                    progress.note(f"{error.problem}: asking it to halt")
                    ask_to_halt(doors)
                    asked = True
                if doors.monotonic() < until:
                    doors.pause(0.25)
                    continue
                progress.note("the lock is still held: going on without it, above its fence")
            yield
            return


def _looked(doors: Doors) -> Replies:
    """Without Ansible or a usable hosts.yml every host is dark; the accounts can still be cancelled. A host that does
    not answer is not asked twice: the others are not tripped yet, and the trip will insist."""
    try:
        return doors.fleet.look()
    except HostError as error:
        return {host: Reply.dark(host, str(error)) for host in doors.profile.hosts}


def _history(doors: Doors) -> History:
    """A ledger that cannot be read stops nothing on the way down; the hosts' fences still tell the epoch."""
    try:
        return current_history(doors)
    except (LedgerUnavailable, ValueError):
        return History(doors.profile.system, stage="live-unknown")


def _down_already(history: History, sight: Sight) -> bool:
    """Proven paper and tripped, nothing interrupted, nothing unproven, nothing open at the venue."""
    if history.live or history.interrupted or history.residue:
        return False
    if (fleet_mode(sight), fleet_switch(sight)) != (Mode.PAPER, Switch.TRIPPED):
        return False
    try:
        return not any(sight.open_orders(venue, "paper") for venue in sight.profile.venues)
    except DoorError:
        return False


def _open_live(doors: Doors, sight: Sight) -> tuple[list[str], list[str], list[str]]:
    """(Our, other people's) open orders on the live accounts of a system that may be on paper already, and the
    accounts that did not answer.

    Ours are cancelled; another's may be the stop of who adopted a position, so it is named only. An account that does
    not answer is named too: the way down that ended without residue had proven zero there.
    """
    ours: list[str] = []
    foreign: list[str] = []
    silent: list[str] = []
    for venue in doors.profile.venues:
        try:
            for order in sight.open_orders(venue, "live") if doors.may_open(venue, "live") else ():
                own = order.client_id.startswith(doors.own_orders(venue, "live"))
                (ours if own else foreign).append(doors.order_name(venue, order))
        except (DoorError, InputError):
            silent.append(doors.account_name(venue, "live"))
    return ours, foreign, silent


def _held_live(sight: Sight) -> bool:
    """Whether anything may be held on a live account: what a venue does not say is not nothing."""
    try:
        return any(sight.positions(venue, "live") for venue in sight.profile.venues)
    except (DoorError, InputError):
        return True


def _described(history: History, sight: Sight) -> str:
    if history.interrupted:
        left = history.interrupted[-1]
        return f"{left.verb} {left.id}, interrupted at {left.intended[-1] if left.intended else 'its beginning'}"
    return f"stage {history.stage}, mode {fleet_mode(sight)}, switch {fleet_switch(sight)}"
