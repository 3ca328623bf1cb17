"""The trade ledger of seed 001: closed trades with their capital buffer, the drawdown guard, and the heartbeat line.

The table `ledger` of the audit database has one row per closed trade. Each loop ends with one line in
`logs/system.log`, which is all that this bot shows of itself:

    2026-11-20T15:00:00.000000Z INFO bot heartbeat mode=paper account=A1 switch=armed gate=absent loop=7 size=1 reason=

The expression for it is HEARTBEAT; the last line that matches is how the bot stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ...trading.drawdown import DrawdownGuard
from ...trading.habits import Habits, Proposal
from ...trading.risk import Trigger

if TYPE_CHECKING:
    from ...trading.loop import Worker

HEARTBEAT = (
    r"^(?P<at>\S+Z) INFO bot heartbeat mode=(?P<mode>\S+) account=(?P<account>\S*) switch=(?P<switch>armed|tripped)"
    r" gate=(?P<gate>present|absent) loop=(?P<loop>\d+) size=(?P<size>\S+) reason=(?P<reason>.*)$"
)
"""`account` is empty until the venue has shown it; `reason` is empty while armed."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    fill_id TEXT PRIMARY KEY, closed_at TEXT NOT NULL, symbol TEXT NOT NULL, qty TEXT NOT NULL,
    entry_price TEXT NOT NULL, exit_price TEXT NOT NULL, pnl_usd TEXT NOT NULL, roi_pct TEXT NOT NULL,
    capital_buffer TEXT NOT NULL, drawdown_pct TEXT NOT NULL
);
"""
_PERCENT = Decimal("0.01")


class TradeLedger(Habits):
    """The habits of seed 001."""

    def __init__(self, buffer_pct: Decimal, drawdown_max_pct: Decimal) -> None:
        self._buffer_pct, self.drawdown = buffer_pct, DrawdownGuard(drawdown_max_pct)
        self._fills_seen = -1

    def attach(self, worker: Worker) -> None:
        """Opens the tables."""
        self.drawdown.open(worker)
        with worker.audit.own_tables(_SCHEMA):
            return

    def begin(self, worker: Worker) -> None:
        """A drill that was asked for by file."""
        worker.drills.take_request()

    def buffer_usd(self, worker: Worker) -> Decimal | None:
        """How much of the equity stays out of trades; None while the equity is not known."""
        equity = worker.pulse.equity_usd
        return None if equity is None else (equity * self._buffer_pct / 100).quantize(_PERCENT)

    def triggers(self, worker: Worker) -> Sequence[Trigger]:
        """The drawdown guard."""
        return (self.drawdown.trigger(worker),)

    def refuse(self, worker: Worker, proposal: Proposal) -> str | None:
        """A buy that would reach into the capital buffer."""
        equity, buffer, order = worker.pulse.equity_usd, self.buffer_usd(worker), proposal.order
        if order.side == "sell":
            return None
        if equity is None or buffer is None:
            return "capital buffer: the equity is not known"
        free = equity - buffer - proposal.exposure.at_stake_usd
        wanted = order.qty * order.limit_price
        return f"capital buffer: {free:.2f} USD free, {wanted:.2f} wanted" if wanted > free else None

    def end(self, worker: Worker) -> None:
        """Closed trades into the ledger, then the heartbeat."""
        if worker.desk.fills_recorded != self._fills_seen:
            self._close_trades(worker)
            self._fills_seen = worker.desk.fills_recorded
        worker.log.info("heartbeat %s", heartbeat(worker))

    def _close_trades(self, worker: Worker) -> None:
        buffer, drawdown = self.buffer_usd(worker), self.drawdown.percent(worker)
        if buffer is None:
            return
        with worker.audit.own_tables() as connection:
            for symbol in worker.settings.symbols:
                _close_trades(connection, symbol, (str(buffer), str(drawdown or 0)))


def _close_trades(connection: sqlite3.Connection, symbol: str, state: tuple[str, str]) -> None:
    """Each sell closes at the average price of what was held before it; those on record already stay as they are."""
    rows = connection.execute("SELECT fill_id, side, qty, price, at FROM fills WHERE symbol = ? ORDER BY at", (symbol,))
    known = {row[0] for row in connection.execute("SELECT fill_id FROM ledger WHERE symbol = ?", (symbol,))}
    held = cost = Decimal(0)
    for fill_id, side, qty_text, price_text, at in rows.fetchall():
        qty, price = Decimal(qty_text), Decimal(price_text)
        if side == "buy" or held <= 0:
            held, cost = held + qty, cost + qty * price
            continue
        entry = cost / held
        held, cost = held - qty, cost - qty * entry
        if fill_id not in known:
            pnl, roi = (price - entry) * qty, (price - entry) / entry * 100
            figures = (entry, price, pnl.quantize(Decimal("0.0001")), roi.quantize(Decimal("0.0001")))
            row = (fill_id, at, symbol, qty_text, *map(str, figures), *state)
            connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def heartbeat(worker: Worker) -> str:
    """What follows the word heartbeat."""
    settings, stopped = worker.settings, worker.stopped_by()
    facts = {
        "mode": worker.faults.mode_shown(settings.mode),
        "account": worker.pulse.account_numbers.get("kraken", ""),
        "switch": "armed" if stopped is None else "tripped",
        "gate": "present" if worker.gate_present() else "absent",
        "loop": worker.pulse.loops,
        "size": settings.size_multiplier,
        "reason": (stopped or "").removeprefix("switch ON: "),
    }
    return " ".join(f"{name}={value}" for name, value in facts.items())
