"""Who has signed a plan, and whether that is enough: pure judgement, no keys and no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops.model.plan import Plan


@dataclass(frozen=True)
class Signature:
    """One signature as verified: `valid` is OpenSSH's own verdict over exactly this plan's text and namespace."""

    person: str
    key_fingerprint: str
    valid: bool
    problem: str = ""


@dataclass(frozen=True)
class Quorum:
    """The verdict: who signed in which role, and what is missing or wrong."""

    signers: Mapping[str, str]
    missing: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def reached(self) -> bool:
        """Every role filled by a distinct person, and nothing wrong with any signature."""
        return not self.missing and not self.problems


def judge(
    plan: Plan,
    roles: Sequence[str],
    people: Mapping[str, Sequence[str]],
    signatures: Sequence[Signature],
    now: datetime,
) -> Quorum:
    """One distinct person, with a distinct key, for each role; the requester never counts; an expired plan has none.

    A bad signature does not merely not count: it stops the plan until it is taken away, since somebody tried it.
    """
    problems = [f"{s.person}: {s.problem or 'the signature does not verify'}" for s in signatures if not s.valid]
    problems += [] if roles else ["no role is asked for: a quorum of nobody proves nothing"]
    problems += ["the plan has expired"] if now >= plan.expires_at else []
    problems += ["the plan is from the future"] if plan.made_at > now else []
    good = [s for s in signatures if s.valid]
    if any(s.person == plan.requester for s in good):
        problems.append(f"{plan.requester} asked for the plan and may not sign it")
    keys = [s.key_fingerprint for s in good]
    if len(set(keys)) != len(keys):
        problems.append("one key signed twice")
    names = [s.person for s in good]
    if len(set(names)) != len(names):
        problems.append("one person signed twice")
    eligible = {s.person: tuple(people.get(s.person, ())) for s in good if s.person != plan.requester}
    problems += [f"{name} is not in people.yml" for name, held in eligible.items() if not held]
    taken = _fill(tuple(roles), eligible)
    missing = list(roles)
    for role in taken.values():
        missing.remove(role)
    return Quorum(taken, tuple(missing), tuple(dict.fromkeys(problems)))


def _fill(roles: tuple[str, ...], eligible: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The best assignment of distinct people to roles (few people, so all are tried); a role may be asked for twice."""
    if not roles:
        return {}
    best = _fill(roles[1:], eligible)
    for person, held in eligible.items():
        if roles[0] in held:
            others = {name: r for name, r in eligible.items() if name != person}
            found = {person: roles[0], **_fill(roles[1:], others)}
            if len(found) > len(best):
                best = found
    return best
