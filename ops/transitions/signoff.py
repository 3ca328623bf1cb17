"""Collects and verifies the signatures under a plan.

Verified anew each time: right before the lock, right before rearm.
"""

from __future__ import annotations

from pathlib import Path

from ops.doors import Doors
from ops.errors import Refused
from ops.model.history import History
from ops.model.plan import Plan
from ops.model.signoff import Quorum, Signature, judge
from ops.signatures import verify


def quorum(doors: Doors, plan: Plan, history: History) -> Quorum:
    """The verdict over every signature that the ledger holds for this plan."""
    signatures = []
    for row in history.signatures.get(plan.id, []):
        key, problem = check_signature(doors, plan, row["person"], row["armored"])
        signatures.append(Signature(row["person"], key, not problem, problem))
    roles = {name: person.roles for name, person in doors.people.items()}
    return judge(plan, doors.profile.sign_off.roles(plan.verb), roles, signatures, doors.clock())


def check_signature(doors: Doors, plan: Plan, person: str, armored: str) -> tuple[str, str]:
    """(key fingerprint, "") or ("", why not)."""
    signers = Path(doors.environment.allowed_signers)
    return verify(plan.text, plan.namespace, person, armored, signers, doors.clock())


def add_signature(doors: Doors, plan: Plan, person: str, armored: str, history: History) -> Quorum:
    """Writes a signature into the ledger if it would count. Raises Refused, with nothing written, if it would not."""
    key, problem = check_signature(doors, plan, person, armored)
    rows = history.signatures.get(plan.id, [])
    before = [Signature(r["person"], r["key"], True) for r in rows]
    roles = {name: p.roles for name, p in doors.people.items()}
    given = Signature(person, key, not problem, problem)
    verdict = judge(plan, doors.profile.sign_off.roles(plan.verb), roles, [*before, given], doors.clock())
    if verdict.problems:
        raise Refused(f"the signature by {person} does not count: {verdict.problems[0]}", reasons=verdict.problems)
    if plan.id in history.used_plans:
        raise Refused(f"plan {plan.id} was used already", remedy="make a new plan: invoke plan")
    body = {"system": plan.system, "plan": plan.id, "person": person, "key": key, "armored": armored}
    doors.ledger.append("signature.added", body)
    return verdict
