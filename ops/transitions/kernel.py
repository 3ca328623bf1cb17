"""What happens next: pure decisions from what the ledger says. No files, no network, no clock.

The engine writes the intent of a move before it makes it and its end afterwards, so this function, given the records,
decides the same after a crash as before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ops.model.history import History, Transition


class Next(StrEnum):
    """The kinds of decision."""

    MOVE = "move"
    COMMIT = "commit"
    TURN_BACK = "turn-back"


@dataclass(frozen=True)
class Decision:
    """What to do, with which move, and why."""

    next: Next
    move: str = ""
    why: str = ""


def decide(path: Sequence[str], raises: bool, transition: Transition, halt_asked: str = "") -> Decision:
    """The next decision of a running transition.

    A raise stops at its first unproven move, and at any request to halt (a kill, a signal, a withdrawn approval).
    A lowering goes on to its end; what it could not prove is its residue.
    """
    if raises and halt_asked:
        return Decision(Next.TURN_BACK, why=halt_asked)
    if raises and transition.failed:
        return Decision(Next.TURN_BACK, why=transition.failed)
    ended = set(transition.done) | transition.unproven
    for move in path:
        if move not in ended:
            return Decision(Next.MOVE, move)
    return Decision(Next.COMMIT)


class Start(StrEnum):
    """What a command may begin, given the past."""

    FRESH = "fresh"
    RECOVER = "recover"
    NOTHING = "nothing"
    REFUSE = "refuse"


def may_begin(verb: str, stage_to: str, history: History) -> tuple[Start, str]:
    """Whether a verb may begin. An interrupted transition is brought to a safe end before anything else; after an
    unproven end only the way down is open."""
    if history.interrupted:
        last = history.interrupted[-1]
        return (
            Start.RECOVER,
            f"{last.verb} {last.id} was interrupted at {last.intended[-1] if last.intended else 'its beginning'}",
        )
    lowers = verb in ("rollback", "flip-mode")
    if history.residue and not lowers:
        return Start.REFUSE, f"the last transition left unproven: {'; '.join(history.residue)}"
    if verb == "go-live" and history.stage == stage_to:
        return Start.NOTHING, f"already at {stage_to}"
    if verb == "go-live" and history.live:
        return Start.REFUSE, f"at {history.stage}: going up from there is promotion, not go-live"
    return Start.FRESH, ""


def next_epoch(history: History) -> int:
    """One more than any transition of the system ever had: older controllers are fenced off."""
    return history.epoch + 1
