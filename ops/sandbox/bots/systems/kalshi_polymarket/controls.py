"""The five risk controls of seed 002, its daily reset at midnight UTC, and its data file.

Three controls are the common ones under the seed's names (position size, trades a day, loss a day; the bet amount caps
each order); balance and return on investment are here. The data file is `real_trading_data.json`, in paper mode
`paper_trading_data.json`, so that no mode reads the other's figures (gap 5 of the catalogue). It is written from the
audit database and the venues' answers: a reset makes it anew, and cannot lift a limit (contradiction C10).
"""

from __future__ import annotations

import json
from collections import deque
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...clock import day_start, stamp
from ...files import write_whole
from ...trading.habits import Habits, Proposal
from ...venue import Secret

if TYPE_CHECKING:
    from ...trading.loop import Worker

_TRADES_SHOWN = 100
_ERRORS_SHOWN = 50
_ENABLED = {"live": "LIVE TRADING ENABLED", "paper": 'LIVE TRADING DISABLED: mode is "paper"'}


class RiskControls(Habits):
    """The habits of seed 002."""

    def __init__(self, balance_usd: Decimal, roi_min_pct: Decimal, reset_key: Secret) -> None:
        self.balance_usd, self.roi_min_pct, self.reset_key = balance_usd, roi_min_pct, reset_key
        self._day: date | None = None
        self._errors: deque[dict[str, str]] = deque(maxlen=_ERRORS_SHOWN)
        self._written: object = None

    def attach(self, worker: Worker) -> None:
        """Says in the log which mode it is in; the day of the last reset is the file's."""
        worker.log.info(_ENABLED[worker.settings.mode])
        try:
            found = json.loads(self.data_file(worker).read_text(encoding="utf-8"))
            self._day = date.fromisoformat(found["last_reset"])
            self._errors.extend(found["errors"])
        except (OSError, ValueError, KeyError, TypeError):
            self._day = None

    @staticmethod
    def data_file(worker: Worker) -> Path:
        """One per mode."""
        name = "real" if worker.settings.mode == "live" else "paper"
        return worker.settings.home / f"{name}_trading_data.json"

    def begin(self, worker: Worker) -> None:
        """The daily reset: a halt for the loss of a day ends with that day."""
        today = worker.clock.now().date()
        if today == self._day:
            return
        self._day = today
        worker.log.info("daily metrics reset: %s", today)
        state = worker.switch.state
        if state.tripped and state.reason.startswith("daily loss"):
            worker.pulse.pnl_usd = None
            worker.rearm(state.reason)

    def refuse(self, worker: Worker, proposal: Proposal) -> str | None:
        """Insufficient balance, or a bet that could not pay enough. Sells only reduce."""
        order = proposal.order
        if order.side == "sell":
            return None
        free = self.balance_usd - proposal.exposure.at_stake_usd
        wanted = order.qty * order.limit_price
        if wanted > free:
            return f"insufficient balance: {free:.2f} USD free, {wanted:.2f} wanted"
        roi = (1 - order.limit_price) / order.limit_price * 100
        return f"ROI {roi:.2f} % is below the minimum {self.roi_min_pct} %" if roi < self.roi_min_pct else None

    def end(self, worker: Worker) -> None:
        """Notes an error, and writes the data file if anything in it has changed."""
        pulse = worker.pulse
        if pulse.last_error and (not self._errors or self._errors[-1]["message"] != pulse.last_error):
            self._errors.append({"timestamp": stamp(worker.clock.now()), "message": pulse.last_error})
        news = (self._day, pulse.pnl_usd, sum(worker.desk.results.values()), worker.desk.fills_recorded)
        if (*news, len(self._errors)) != self._written:
            self.write(worker)
            self._written = (*news, len(self._errors))

    def write(self, worker: Worker) -> None:
        """The data file, made from the audit database and the last answers of the venues."""
        write_whole(self.data_file(worker), json.dumps(self._document(worker), indent=2) + "\n")

    def start_anew(self, worker: Worker) -> Path:
        """Sets the data file aside and makes a new one; returns where the old one is. Raises OSError."""
        path = self.data_file(worker)
        aside = path.with_name(f"{path.stem}.{worker.clock.now():%Y%m%dT%H%M%SZ}.json")
        if path.exists():
            path.replace(aside)
        self._errors.clear()
        self.write(worker)
        worker.log.warning("data file made anew, the old one is %s", aside.name)
        return aside

    def daily(self, worker: Worker) -> dict[str, Any]:
        """`daily_loss` (None while not known) and `daily_trades`, since midnight UTC."""
        pnl = worker.pulse.pnl_usd
        trades = worker.audit.orders_since(day_start(worker.clock.now()))
        return {"daily_loss": None if pnl is None else str(max(Decimal(0), -pnl)), "daily_trades": trades}

    def _document(self, worker: Worker) -> dict[str, Any]:
        accounts = worker.pulse.accounts.items()
        return {
            "mode": worker.settings.mode,
            "last_reset": None if self._day is None else self._day.isoformat(),
            "balance": {name: str(account.equity) for name, account in accounts},
            **self.daily(worker),
            "trades": _trades(worker),
            "errors": list(self._errors),
        }


def _trades(worker: Worker) -> list[dict[str, str]]:
    """The last orders, oldest first."""
    query = (
        "SELECT at, venue, symbol, side, qty, limit_price, status, client_order_id, coalesce(order_id, '')"
        " FROM orders ORDER BY at DESC LIMIT ?"
    )
    names = ("timestamp", "platform", "market", "side", "qty", "price", "status", "client_order_id", "order_id")
    with worker.audit.own_tables() as connection:
        rows = connection.execute(query, (_TRADES_SHOWN,)).fetchall()
    return [dict(zip(names, row, strict=True)) for row in reversed(rows)]
