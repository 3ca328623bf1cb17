"""Opens a transition, has the engine run it, turns back if it must, and closes it. Every transition passes here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ops.doors import Doors
from ops.errors import ResidueLeft, SafeFailure
from ops.ledger.store import LedgerUnavailable
from ops.model.history import History, Transition
from ops.model.plan import Plan
from ops.model.profile import Slot
from ops.steps.run import Run
from ops.transitions.engine import Engine, Outcome
from ops.transitions.halt import halt_mark
from ops.transitions.kernel import next_epoch
from ops.transitions.preflight import current_history
from ops.transitions.progress import Progress


@dataclass(frozen=True)
class Descent:
    """What a way down was asked to do about positions, and by whom."""

    verb: str = "rollback"
    adopter: str = ""
    flatten: bool = False


@dataclass(frozen=True)
class Began:
    """What stood when a raise began: the highest epoch that any host showed, and the halt mark.

    Without a mark a kill counts from the first step on, not from the beginning of the command.
    """

    fence: int = 0
    mark: int | None = None


def ascend(
    doors: Doors, progress: Progress, verb: str, stage_to: str, plan: Plan | None, began: Began = Began()
) -> Run:
    """Runs a path that raises risk. If any move is not proven: back to paper, then SafeFailure or ResidueLeft.

    The new epoch is above every one that a host showed, whatever the ledger remembers.
    """
    history = current_history(doors)
    history.epoch = max(history.epoch, began.fence)
    slot: Slot = "live" if stage_to.startswith("live") else "paper"
    size = plan.size_pct if plan else doors.profile.stage(stage_to).size_pct if slot == "live" else 100
    run = _new_run(doors, history, verb, slot, stage_to, size)
    run.planned_env = plan.hosts if plan else None
    run.halt_mark = run.halt_mark if began.mark is None else began.mark
    transition = _open(doors, run, plan)
    outcome = Engine(doors, progress, plan).run(run, transition)
    if outcome.committed:
        try:
            _close(doors, run.transition, "committed", stage=stage_to)
            return run
        except LedgerUnavailable as error:  # what is not on record is not committed
            outcome = Outcome(False, str(error))
    progress.note(f"{verb} stops: {outcome.why}. Going back to paper.")
    residue = descend(doors, progress, Descent(adopter=doors.requester), current_history(doors))
    raise_end(doors, f"{verb} stopped: {outcome.why}", residue)
    raise AssertionError("not reached")


def descend(doors: Doors, progress: Progress, how: Descent, history: History) -> tuple[str, ...]:
    """Runs a path that lowers risk to its end and returns what it could not prove. Needs neither plan nor signature."""
    slot_from: Slot = "live" if _may_be_live(history) else "paper"
    run = replace(_new_run(doors, history, how.verb, "paper", "paper", 100), slot_from=slot_from)
    run.adopter, run.flatten = how.adopter, how.flatten
    transition = _open(doors, run, None, lowering=True)
    outcome = Engine(doors, progress).run(run, transition)
    end = "residue" if outcome.residue else "committed"
    _close(doors, run.transition, end, stage="paper", residue=outcome.residue, lowering=True)
    for left in history.interrupted:
        _close(doors, left.id, "residue" if outcome.residue else "reverted", residue=outcome.residue, lowering=True)
    return outcome.residue


def raise_end(doors: Doors, what: str, residue: tuple[str, ...]) -> None:
    """A raise that failed: exit 5 if everything is verified paper and tripped, 6 if not."""
    if residue:
        raise ResidueLeft(f"{what}. A safe state could NOT be proven", residue=residue)
    raise SafeFailure(f"{what}. {doors.profile.system} is verified PAPER and tripped on every host")


def _may_be_live(history: History) -> bool:
    """Committed live, or on the way there far enough that an order may have gone out; or on a way down from there that
    never ended, or ended with residue: hosts on paper do not make the live account anybody's."""
    return (
        history.live
        or history.live_unproven
        or any("flip" in t.intended or t.slot_from == "live" for t in history.interrupted)
    )


def _new_run(doors: Doors, history: History, verb: str, slot_to: Slot, stage_to: str, size: int) -> Run:
    return Run(
        doors, doors.new_id(), verb, next_epoch(history), "live" if history.live else "paper", slot_to, stage_to, size,
        halt_mark=halt_mark(doors),
    )  # fmt: skip


def _open(doors: Doors, run: Run, plan: Plan | None, lowering: bool = False) -> Transition:
    body = {
        "system": doors.profile.system, "transition": run.transition, "verb": run.verb, "epoch": run.epoch,
        "stage_to": run.stage_to, "plan": plan.id if plan else "", "slot_from": run.slot_from,
    }  # fmt: skip
    _append(doors, "transition.opened", body, lowering)
    return Transition(run.transition, run.verb, run.epoch, plan.id if plan else "", "")


def _close(
    doors: Doors, transition: str, outcome: str, stage: str = "", residue: tuple[str, ...] = (), lowering: bool = False
) -> None:
    body = {
        "system": doors.profile.system, "transition": transition, "outcome": outcome,
        "stage": stage if outcome == "committed" else "", "residue": list(residue),
    }  # fmt: skip
    _append(doors, "transition.closed", body, lowering)


def _append(doors: Doors, kind: str, body: Mapping[str, object], lowering: bool) -> None:
    try:
        doors.ledger.append(kind, body)
    except LedgerUnavailable:
        if not lowering:
            raise
