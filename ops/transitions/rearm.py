"""Rearm: lets a tripped system trade again in the mode it is in, under signatures of its own."""

from __future__ import annotations

from ops.checks.control import fleet_switch
from ops.checks.fleet import table
from ops.doors import Doors
from ops.model.mode import Switch
from ops.transitions.approval import Approver, Raised, approved, begin, fence_seen, refuse_shut
from ops.transitions.conduct import Began, ascend
from ops.transitions.halt import halt_mark, refuse_halted
from ops.transitions.lock import locked
from ops.transitions.preflight import look, rearm_gate
from ops.transitions.progress import Progress


def rearm(doors: Doors, progress: Progress, approve: Approver, plan_id: str = "") -> Raised:
    """Gate, plan, signatures, path. An armed system is left as it is."""
    mark = halt_mark(doors)
    with locked(doors, "rearm"):
        history, _ = begin(doors, progress, "rearm", "")
        sight = look(doors)
        if fleet_switch(sight) is Switch.ARMED:
            return Raised(history.stage, history.plan, {}, {}, nothing_to_do=True)
        for line in table(sight):  # who signs a rearm has seen it
            progress.note(line)
        report = rearm_gate(sight)
        refuse_shut(report)
        plan = approved(doors, progress, "rearm", history.stage, report, approve, plan_id)
        refuse_halted(doors, mark)
        run = ascend(doors, progress, "rearm", history.stage, plan, Began(fence_seen(sight.replies), mark))
        return Raised(history.stage, plan.id, run.done["sign-off"]["signers"], report.counts)
