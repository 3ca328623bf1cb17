"""Signed statements: what only a person can say, bound to the present plan and release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ops.checklist import load_checklist
from ops.doors import Doors
from ops.errors import InputError, Refused
from ops.model.canonical import utc_text
from ops.signatures import sign, verify
from ops.transitions.preflight import current_history

NAMESPACE = "interlock-attest@v1"


def attest(doors: Doors, evidence: str, person: str, key: str, confirm: Callable[[str], None]) -> str:
    """Signs and records a statement; returns until when it counts. Raises InputError or Refused, nothing recorded."""
    probes = [p for e in load_checklist(doors.profile.checklist) for p in e.probes if p["type"] == "attestation"]
    found = [probe for probe in probes if probe["evidence"] == evidence]
    if not found:
        known = ", ".join(sorted({str(probe["evidence"]) for probe in probes}))
        raise InputError(f"there is no statement {evidence!r}", expected=f"one of: {known}")
    role = str(found[0]["role"])
    if person not in doors.people or role not in doors.people[person].roles:
        raise Refused(f"{person} does not hold the role {role}", remedy="let somebody sign who does (people.yml)")
    text = _text(doors, evidence, person, role)
    confirm(text)
    armored = sign(text, NAMESPACE, Path(key).expanduser())
    signers = Path(doors.environment.allowed_signers)
    mark, problem = verify(text, NAMESPACE, person, armored, signers, doors.clock())
    if problem:
        raise Refused(f"the attestation by {person} does not count: {problem}")
    body = {"system": doors.profile.system, "name": f"attestation/{evidence}", "outcome": "pass", "seen": text,
            "person": person, "key": mark, "armored": armored}  # fmt: skip
    doors.ledger.append("evidence.recorded", body)
    return f"for {found[0].get('max_age_h', 24)} hours"


def _text(doors: Doors, evidence: str, person: str, role: str) -> str:
    history = current_history(doors)
    return (
        f"Interlock attestation, version 1\n{evidence} for {doors.profile.system} in {doors.place.name}\n"
        f"by {person} as {role}\nstage {history.stage}, plan {history.plan or 'none'}\n"
        f"made {utc_text(doors.clock())}\nnonce {doors.new_id()}\n"
    )
