"""From a report to an approved plan: what every raise must have before it may begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ops.doors import Doors
from ops.errors import Refused, Waiting
from ops.hosts.reply import Reply
from ops.model.history import History
from ops.model.plan import Plan
from ops.transitions import signoff
from ops.transitions.conduct import Descent, descend, raise_end
from ops.transitions.kernel import Start, may_begin
from ops.transitions.plans import find_plan, make_plan, pending_plan, stale_reasons
from ops.transitions.preflight import Report, current_history
from ops.transitions.progress import Progress

# Hands a plan to the people who may sign it; returns what they gave: person -> armored signature. The real one gives
# nothing and people sign when they can; the sandbox's approvers sign at once.
# A statement (attestation.py) is handed over in the same way: it has the text, the namespace and the requester.
Approver = Callable[[Any], Mapping[str, str]]


@dataclass(frozen=True)
class Raised:
    """What a raise achieved. `nothing_to_do` means that it was so already."""

    stage: str
    plan: str
    signers: Mapping[str, str]
    counts: Mapping[str, int]
    nothing_to_do: bool = False


def begin(doors: Doors, progress: Progress, verb: str, stage_to: str) -> tuple[History, bool]:
    """The system's past, and whether there is anything to do. An interrupted transition is brought to its end first.

    Raises SafeFailure or ResidueLeft after such a recovery, Refused if only the way down is open.
    """
    broken = doors.ledger.broken_at()
    if broken:
        raise Refused(f"the ledger is contradicted at record {broken[0]}: {broken[1]}", remedy="invoke ledger.verify")
    history = current_history(doors)
    start, why = may_begin(verb, stage_to, history)
    if start is Start.RECOVER:
        recover(doors, progress, why)
    if start is Start.REFUSE:
        raise Refused(why, remedy="invoke rollback")
    return history, start is not Start.NOTHING


def recover(doors: Doors, progress: Progress, why: str) -> None:
    """Brings an interrupted transition to its safe end, and says so: never goes on with it by itself."""
    progress.note(f"{why}: going to a safe state first")
    history = current_history(doors)
    history.epoch = max(history.epoch, fence_seen(doors.fleet.look(insist=True)))
    residue = descend(doors, progress, Descent(adopter=doors.requester), history)
    raise_end(doors, why, residue)


def refuse_shut(report: Report) -> None:
    if report.shut:
        reasons = [
            f"{a.id} {a.outcome}: {f.check}: {f.seen}{f' -> {f.remedy}' if f.remedy else ''}"
            for a in report.shut for f in a.findings if str(f.outcome) not in ("pass", "waived")
        ]  # fmt: skip
        raise Refused(
            f"preflight keeps the gate shut: {len(report.shut)} of {len(report.answers)} requirements", reasons=reasons
        )


def refuse_dark(replies: Mapping[str, Reply]) -> None:
    """A raise without other gates begins only if every host answers. Raises Refused, nothing has been changed."""
    dark = [f"{host}: {reply.error}" for host, reply in replies.items() if not reply.reached]
    if dark:
        raise Refused(f"hosts did not answer: {'; '.join(dark)}", reasons=dark, remedy="invoke status")


def approved(
    doors: Doors, progress: Progress, verb: str, stage: str, report: Report, approve: Approver, plan_id: str = ""
) -> Plan:
    """A plan that is signed and still true.

    Raises Refused for a stale or badly signed one, Waiting for one unsigned.
    """
    history = current_history(doors)
    plan = find_plan(plan_id, history) if plan_id else pending_plan(doors, verb, history)
    if plan is not None:
        if plan.verb != verb:
            raise Refused(f"plan {plan.id} is a plan to {plan.verb}, not to {verb}")
        reasons = stale_reasons(doors, plan, report, history)
        if reasons and plan_id:
            raise Refused(f"plan {plan.id} is stale: {'; '.join(reasons)}", reasons=reasons, remedy="invoke plan")
        if reasons:
            progress.note(f"plan {plan.id} is stale ({reasons[0]}): making a new one")
            plan = None
    plan = plan or make_plan(doors, verb, stage, report)
    return _signed(doors, progress, plan, approve)


def _signed(doors: Doors, progress: Progress, plan: Plan, approve: Approver) -> Plan:
    verdict = signoff.quorum(doors, plan, current_history(doors))
    if verdict.missing and not verdict.problems:
        for person, armored in approve(plan).items():
            if person not in verdict.signers:
                signoff.add_signature(doors, plan, person, armored, current_history(doors))
                progress.note(f"plan {plan.id} signed by {person}")
        verdict = signoff.quorum(doors, plan, current_history(doors))
    if verdict.problems:
        raise Refused(f"plan {plan.id} is not approved: {'; '.join(verdict.problems)}", reasons=verdict.problems)
    if verdict.missing:
        roles = " and ".join(verdict.missing)
        raise Waiting(
            f"plan {plan.id} waits for a signature as {roles}: invoke sign --env={plan.environment} "
            f"--system={plan.system} --plan={plan.id} --person=NAME --key=FILE, "
            f"then run this command again before {plan.expires_at:%H:%M}Z"
        )
    return plan


def fence_seen(replies: Mapping[str, Reply]) -> int:
    """The highest epoch that any host showed."""
    return max((int((r.look.get("fence") or {}).get("epoch") or 0) for r in replies.values()), default=0)
