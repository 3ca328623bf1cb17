"""Asks every question that must be answered before risk goes up, and says which answers keep the gate shut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ops.checklist import Entry, load_checklist
from ops.checks.registry import ask
from ops.checks.sight import Sight, take_sight
from ops.doors import Doors
from ops.model.canonical import canonical_json, digest
from ops.model.history import History, replay
from ops.model.outcome import Finding, Outcome, opens_gate, worst

# Asked besides what the seed asks: no transition begins from a state that Interlock cannot explain.
Rule = tuple[str, str, str, Mapping[str, Any]]
HOUSE: tuple[Rule, ...] = (
    ("HOUSE-001", "mode_consistency", "Declared, loaded and observed mode agree on every host", {}),
    ("HOUSE-002", "release_equality", "Every host runs the same code", {}),
    ("HOUSE-003", "host_health", "Every bot is alive, listens on loopback only, and shows no secret", {}),
    ("HOUSE-004", "env_file", "Every env file is canonical, private, and holds the key in force", {}),
    ("HOUSE-005", "venue.auth", "The key in force opens the pinned account", {"env": "in force"}),
    ("HOUSE-006", "venue.open_orders", "Every open order is one of ours", {"env": "in force"}),
    ("HOUSE-007", "limits", "The limits in the running process are the profile's", {}),
    (
        "HOUSE-010",
        "fleet_equality",
        "The hosts are one fleet: release, settings, keys, mode, unit, clock, instance",
        {},
    ),
    ("HOUSE-011", "host_identity", "Each host is a machine of its own, prepared by this toolkit and watched", {}),
)
BEFORE_LIVE: Rule = (
    "HOUSE-008",
    "venue.open_orders",
    "Nothing is open on the live account yet",
    {"env": "live", "expect": "none"},
)
# Findings that stand on a person's signature, and are counted as attested.
BY_PEOPLE = ("attestation", "by_hand")
BEFORE_REARM: Rule = ("HOUSE-009", "reconcile", "The venue's fills and the bots' records agree", {"scope": "fills"})


@dataclass(frozen=True)
class Answered:
    """One entry of the checklist (or of the house) with what its probes found."""

    id: str
    asks: str
    answer: str
    blocking: bool
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """As good as its worst probe."""
        return worst(finding.outcome for finding in self.findings)

    @property
    def shut(self) -> bool:
        """Whether it keeps the gate shut."""
        return self.blocking and not opens_gate(self.outcome)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "id": self.id,
            "asks": self.asks,
            "answer": self.answer,
            "blocking": self.blocking,
            "outcome": str(self.outcome),
            "findings": [finding.as_dict() for finding in self.findings],
        }


@dataclass(frozen=True)
class Report:
    """All answers of one run, over one sight."""

    sight: Sight
    answers: tuple[Answered, ...]

    @property
    def shut(self) -> tuple[Answered, ...]:
        """What keeps the gate shut."""
        return tuple(answer for answer in self.answers if answer.shut)

    @property
    def counts(self) -> dict[str, int]:
        """How many findings ended how; attested ones are counted apart."""
        findings = [finding for answer in self.answers for finding in answer.findings]
        found = Counter(str(f.outcome) for f in findings if f.check not in BY_PEOPLE)
        attested = sum(f.outcome is Outcome.PASS for f in findings if f.check in BY_PEOPLE)
        return {"passed": found["pass"], "attested": attested, "waived": found["waived"],
                "failed": found["fail"], "unknown": found["unknown"] + found["stale"]}  # fmt: skip

    @property
    def digest(self) -> str:
        """Over which checks ended how: what the signers rely on."""
        return digest(canonical_json([[a.id, [[f.check, str(f.outcome)] for f in a.findings]] for a in self.answers]))


def preflight(doors: Doors) -> Report:
    """Everything that must hold before go-live, over one look at hosts, venue and ledger."""
    sight = look(doors)
    return Report(sight, (*house(sight, BEFORE_LIVE), *answered(sight, ("preflight",))))


def look(doors: Doors, playbook: str = "look.yml") -> Sight:
    """One sight with the bots' records of the whole soak window."""
    history = replay(doors.ledger.records(), doors.profile.system)
    window = timedelta(days=doors.profile.evidence.soak_days + 1)
    mode, asked = "live" if history.live else "paper", doors.clock()
    replies = doors.fleet.look(asked - window, mode, playbook)
    return take_sight(doors, history, replies, window, asked)


def answered(sight: Sight, phases: Sequence[str]) -> tuple[Answered, ...]:
    """The checklist's entries of those phases, answered."""
    return tuple(_answer(sight, entry) for entry in load_checklist(sight.profile.checklist) if entry.phase in phases)


def _answer(sight: Sight, entry: Entry) -> Answered:
    findings = tuple(ask(str(probe["type"]), sight, probe) for probe in entry.probes)
    return Answered(entry.id, entry.asks, entry.answer, entry.blocking, findings)


def rearm_gate(sight: Sight) -> Report:
    """What must hold before a tripped system may trade again in the mode it is in."""
    return Report(sight, house(sight, BEFORE_REARM))


def recreation_gate(sight: Sight) -> Report:
    """What must hold before services are only recreated, since that mends neither: the transition would have to go back
    to paper, and take hosts along that were well."""
    return Report(
        sight, _asked(sight, tuple(rule for rule in HOUSE if rule[1] in ("release_equality", "host_identity")))
    )


def house(sight: Sight, *more: Rule) -> tuple[Answered, ...]:
    """What the house asks besides the checklist: no transition begins from a state that nobody can explain."""
    return _asked(sight, (*HOUSE, *more))


def _asked(sight: Sight, rules: Sequence[Rule]) -> tuple[Answered, ...]:
    return tuple(
        Answered(identifier, asks, "check", True, (ask(probe, sight, params),))
        for identifier, probe, asks, params in rules
    )


def current_history(doors: Doors) -> History:
    """The system's past as the ledger tells it now."""
    return replay(doors.ledger.records(), doors.profile.system)
