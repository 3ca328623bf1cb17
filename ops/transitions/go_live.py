"""Go-live: from paper to the first stage of the ramp, or exactly back."""

from __future__ import annotations

from ops.checks.control import fleet_mode, fleet_switch
from ops.checks.sight import Sight
from ops.checks.trade import average_slippage_bps
from ops.doors import Doors
from ops.errors import Refused
from ops.model.history import History
from ops.model.mode import Mode, Switch
from ops.transitions import attestation, drills, rotation
from ops.transitions.approval import Approver, Raised, approved, begin, fence_seen, refuse_shut
from ops.transitions.conduct import Began, ascend
from ops.transitions.halt import halt_mark, refuse_halted
from ops.transitions.lock import locked
from ops.transitions.preflight import Report, current_history, look, preflight
from ops.transitions.progress import Progress


def go_live(doors: Doors, progress: Progress, approve: Approver, plan_id: str = "") -> Raised:
    """Gate, plan, signatures, path. Running it again when it is done changes nothing."""
    stage, mark = doors.profile.ramp[0].stage, halt_mark(doors)
    with locked(doors, "go-live"):
        history, something = begin(doors, progress, "go-live", stage)
        if not something:
            return _already_live(doors, history)
        report = prepared(doors, progress, approve)
        refuse_shut(report)
        plan = approved(doors, progress, "go-live", stage, report, approve, plan_id)
        _baseline(doors, report.sight)
        refuse_halted(doors, mark)
        run = ascend(doors, progress, "go-live", stage, plan, Began(fence_seen(report.sight.replies), mark))
        rotation.record_in_force(doors, "live")
        return Raised(stage, plan.id, run.done["sign-off"]["signers"], report.counts)


def _already_live(doors: Doors, history: History) -> Raised:
    """Nothing to do, but only if the world agrees with the ledger."""
    sight = look(doors)
    mode, switch = fleet_mode(sight), fleet_switch(sight)
    if (mode, switch) != (Mode.LIVE, Switch.ARMED):
        raise Refused(
            f"the ledger says {history.stage}, but the hosts show mode {mode} and switch {switch}",
            remedy="invoke rearm if they were tripped on purpose, else invoke rollback",
        )
    return Raised(history.stage, history.plan, {}, {}, nothing_to_do=True)


def prepared(doors: Doors, progress: Progress, approve: Approver) -> Report:
    """Takes in what live keys are pending, runs the drills that are due and has signed what people must attest, if
    somebody signs at once; then asks every question of preflight.

    Behind a dark host the gate is shut, and nothing is drilled or signed for it: that would reach the others in vain.
    """
    for mark in rotation.take_in_pending(doors, "live", current_history(doors)):
        progress.note(f"live key {mark} taken in and tested")
    report = preflight(doors)
    if not all(reply.reached for reply in report.sight.replies.values()):
        return report
    names, statements = drills.due(report.sight), attestation.due(report.sight, ("preflight",))
    signed = [name for name in statements if attestation.attest_at_once(doors, name, approve)]
    if signed:
        progress.note(f"attested: {', '.join(signed)}")
    if not names and not signed:
        return report
    drills.run_drills(doors, progress, names)
    return preflight(doors)


def _baseline(doors: Doors, sight: Sight) -> None:
    """What fills cost on paper, to hold the first live ones against (seed 000, first day)."""
    average = average_slippage_bps(sight)
    if average is not None:
        body = {"system": doors.profile.system, "name": "paper_baseline", "outcome": "pass",
                "slippage_bps": f"{average:.3f}", "seen": f"{average:.2f} bps on paper"}  # fmt: skip
        doors.ledger.append("evidence.recorded", body)
