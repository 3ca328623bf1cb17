"""The venue's request limit: per account and minute of venue time (Alpaca docs: 200)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a request is told about the limit; at Unix second `reset_s` the count starts anew."""

    limit: int
    remaining: int
    reset_s: int
    exceeded: bool = False

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }


class RequestLimit:
    """Counts the requests of one account."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._minute = 0
        self._used = 0

    def take(self, at: datetime) -> Allowance:
        """Count one request at venue time `at`."""
        minute = int(at.timestamp()) // 60
        self._used = self._used + 1 if minute == self._minute else 1
        self._minute = minute
        left = self.per_minute - self._used
        return Allowance(self.per_minute, max(left, 0), (minute + 1) * 60, left < 0)
