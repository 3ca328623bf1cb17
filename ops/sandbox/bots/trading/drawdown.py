"""The drawdown guard of seeds 001 and 004: how far the equity is below its highest.

The highest is kept in the table `marks` of the audit database. It begins anew at a re-arm: whoever armed the bot again
has looked at what was lost before, and a guard that could never be armed again would be taken out.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from ..clock import stamp
from .risk import Trigger

if TYPE_CHECKING:
    from .loop import Worker

_SCHEMA = "CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL, at TEXT NOT NULL)"
_UPSERT = "INSERT INTO marks VALUES ('equity', ?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?1, at = ?2"
_PERCENT = Decimal("0.01")


class DrawdownGuard:
    """One bot's highest equity, and the trigger on it."""

    def __init__(self, limit_pct: Decimal) -> None:
        self.limit_pct = limit_pct
        self._highest: Decimal | None = None
        self._at: datetime | None = None

    def open(self, worker: Worker) -> None:
        """Makes the table, or reads it."""
        with worker.audit.own_tables(_SCHEMA) as connection:
            row = connection.execute("SELECT value, at FROM marks WHERE name = 'equity'").fetchone()
        if row is not None:
            self._highest, self._at = Decimal(row[0]), datetime.fromisoformat(row[1])

    def percent(self, worker: Worker) -> Decimal | None:
        """Never negative; None while the equity is not known."""
        equity = worker.pulse.equity_usd
        if equity is None or not self._highest:
            return None
        return max(Decimal(0), (self._highest - equity) / self._highest * 100).quantize(_PERCENT)

    def trigger(self, worker: Worker) -> Trigger:
        """The reading now."""
        self._follow(worker)
        value = self.percent(worker)
        return Trigger("drawdown", value, self.limit_pct, "%", value is not None and value > self.limit_pct)

    def _follow(self, worker: Worker) -> None:
        equity, rearmed_at = worker.pulse.equity_usd, worker.switch.rearmed_at
        old = self._at is None or (rearmed_at is not None and self._at < rearmed_at)
        if equity is None or not (old or self._highest is None or equity > self._highest):
            return
        self._highest, self._at = equity, worker.clock.now()
        with worker.audit.own_tables() as connection:
            connection.execute(_UPSERT, (str(equity), stamp(self._at)))
