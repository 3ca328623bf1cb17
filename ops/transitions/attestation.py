"""Signed statements: what only a person can say, naming the stage and plan of that moment; each counts for a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ops.checklist import by_hand, load_checklist
from ops.checks.human import REVIEW, review_period
from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.doors import Doors
from ops.errors import InputError, Refused
from ops.model.canonical import utc_text
from ops.model.outcome import Outcome
from ops.signatures import sign, verify
from ops.transitions.preflight import current_history

NAMESPACE = "interlock-attest@v1"


BY_HAND = "by-hand"
BY_HAND_ROLE = "operator"


@dataclass(frozen=True)
class Statement:
    """What is signed: it has what a plan has for those who sign at once."""

    evidence: str
    role: str
    valid_hours: int
    text: str
    requester: str
    more: Mapping[str, Any]
    namespace: str = NAMESPACE


def attest(doors: Doors, evidence: str, person: str, key: str, confirm: Callable[[str], None]) -> str:
    """Signs and records a statement; returns until when it counts. Raises InputError or Refused, nothing recorded."""
    made = statement(doors, evidence, person)
    if person not in doors.people or made.role not in doors.people[person].roles:
        raise Refused(f"{person} does not hold the role {made.role}", remedy="let somebody sign who does (people.yml)")
    confirm(made.text)
    _record(doors, made, person, sign(made.text, NAMESPACE, Path(key).expanduser()))
    return f"for {made.valid_hours} hours"


def attest_at_once(doors: Doors, evidence: str, approve: Callable[[Any], Mapping[str, str]]) -> str:
    """The same by whoever signs at once, if anybody of the right role does; returns who did, or nothing."""
    for person, known in doors.people.items():
        made = statement(doors, evidence, person)
        armored = approve(made).get(person) if made.role in known.roles else None
        if armored:
            _record(doors, made, person, armored)
            return person
    return ""


def due(sight: Sight, phases: Sequence[str]) -> list[str]:
    """The statements of those phases that nobody has signed lately."""
    names = []
    for entry in load_checklist(sight.profile.checklist):
        for probe in entry.probes if entry.phase in phases else ():
            if probe["type"] in ("attestation", "by_hand"):
                finding = ask(str(probe["type"]), sight, probe)
                names += [str(probe.get("evidence", BY_HAND))] if finding.outcome is not Outcome.PASS else []
    return list(dict.fromkeys(names))


def statement(doors: Doors, evidence: str, person: str) -> Statement:
    """The statement of that name as this person would sign it now. Raises InputError if the checklist has none."""
    asked = _asked(doors, evidence)
    history = current_history(doors)
    text = (
        f"Interlock attestation, version 1\n{evidence} for {doors.profile.system} in {doors.place.name}\n"
        f"by {person} as {asked.role}\n{asked.lines}stage {history.stage}, plan {history.plan or 'none'}\n"
        f"made {utc_text(doors.clock())}\nnonce {doors.new_id()}\n"
    )
    return Statement(evidence, asked.role, asked.valid_hours, text, doors.requester, asked.more)


@dataclass(frozen=True)
class _Asked:
    """What the checklist asks of a statement: by whom, how long it counts, and what it must name."""

    role: str
    valid_hours: int = 24
    lines: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def _asked(doors: Doors, evidence: str) -> _Asked:
    probes = [p for e in load_checklist(doors.profile.checklist) for p in e.probes]
    found = {str(p["evidence"]): p for p in probes if p["type"] == "attestation"}
    hand = any(p["type"] == "by_hand" for p in probes)
    if evidence == BY_HAND and hand:
        ids, mark = by_hand(doors.profile.checklist)
        lines = f"{len(ids)} requirements seen to by hand, list {mark}: {' '.join(ids)}\n"
        return _Asked(BY_HAND_ROLE, lines=lines, more={"list": mark})
    periods = [review_period(str(p["every"])) for p in probes if p["type"] == "review"]
    if evidence == REVIEW and periods:
        return _Asked(BY_HAND_ROLE, valid_hours=int(min(periods) / timedelta(hours=1)))
    if evidence not in found:
        known = ", ".join(sorted([*found, *([BY_HAND] if hand else []), *([REVIEW] if periods else [])]))
        raise InputError(f"there is no statement {evidence!r}", expected=f"one of: {known}")
    return _Asked(str(found[evidence]["role"]), int(found[evidence].get("max_age_h", 24)))


def _record(doors: Doors, made: Statement, person: str, armored: str) -> None:
    signers = Path(doors.environment.allowed_signers)
    mark, problem = verify(made.text, NAMESPACE, person, armored, signers, doors.clock())
    if problem:
        raise Refused(f"the attestation by {person} does not count: {problem}")
    body = {"system": doors.profile.system, "name": f"attestation/{made.evidence}", "outcome": "pass",
            "seen": made.text, "person": person, "key": mark, "armored": armored, **made.more}  # fmt: skip
    doors.ledger.append("evidence.recorded", body)
