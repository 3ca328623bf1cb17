"""What a check saw. A pass is earned: no outcome is a default, and nothing but a pass opens a gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The six ways a question can end (design.md section 1)."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    STALE = "stale"
    WAIVED = "waived"
    SKIPPED = "skipped"


# From best to worst: an entry answered by several checks is as good as its worst one.
_ORDER = (Outcome.PASS, Outcome.WAIVED, Outcome.SKIPPED, Outcome.STALE, Outcome.UNKNOWN, Outcome.FAIL)


@dataclass(frozen=True)
class Finding:
    """One answer: which check, how it ended, what was expected and seen, when (UTC), on what evidence."""

    check: str
    outcome: Outcome
    seen: str
    at: datetime
    expected: str = ""
    remedy: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def aged(self, now: datetime, older_than: timedelta) -> Finding:
        """The same finding, `stale` if it passed too long ago or comes from the future."""
        fresh = timedelta(seconds=-2) <= now - self.at <= older_than
        if fresh or self.outcome is not Outcome.PASS:
            return self
        return Finding(
            self.check, Outcome.STALE, f"{self.seen} (seen {self.at:%Y-%m-%d %H:%M}Z)", self.at, self.expected
        )

    def as_dict(self) -> dict[str, Any]:
        """For `--json` and the ledger."""
        return {
            "check": self.check,
            "outcome": str(self.outcome),
            "expected": self.expected,
            "seen": self.seen,
            "remedy": self.remedy,
            "at": self.at.isoformat(),
        }


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of several; of none at all: unknown, since nothing was proven."""
    ranked = sorted(outcomes, key=_ORDER.index)
    return ranked[-1] if ranked else Outcome.UNKNOWN


def opens_gate(outcome: Outcome) -> bool:
    """Only a pass, or a signed waiver in date, opens a gate."""
    return outcome in (Outcome.PASS, Outcome.WAIVED)
