"""One account of the venue: number, cash, positions, configuration, and the marks behind last_equity."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues.alpaca.orders import Fill, Position

CONFIGURATION: dict[str, Any] = {
    "dtbp_check": None,
    "fractional_trading": True,
    "max_margin_multiplier": "1",
    "no_shorting": True,
    "pdt_check": None,
    "suspend_trade": False,
    "trade_confirm_email": "none",
    "ptp_no_exception_entry": False,
    "max_options_trading_level": None,
}
"""Every field of alpaca-py's AccountConfiguration; PATCH replaces what it is sent (trading/models.py)."""

CHOICES: dict[str, tuple[Any, ...]] = {
    "dtbp_check": (None, "both", "entry", "exit"),
    "fractional_trading": (True, False),
    "max_margin_multiplier": ("1", "2", "4"),
    "no_shorting": (True, False),
    "pdt_check": (None, "both", "entry", "exit"),
    "suspend_trade": (True, False),
    "trade_confirm_email": ("all", "none"),
    "ptp_no_exception_entry": (True, False),
    "max_options_trading_level": (None, 0, 1, 2, 3),
}


@dataclass(slots=True)
class Close:
    """Equity in USD at one session close."""

    at: datetime
    equity: Decimal


@dataclass(slots=True)
class Account:
    """A cash account (multiplier 1, long only)."""

    environment: str
    id: str
    number: str
    cash: Decimal
    created_at: datetime
    last_equity: Decimal
    settled_at: datetime
    marked_close_at: datetime
    orders_count: int = 0
    fills_count: int = 0
    configuration: dict[str, Any] = field(default_factory=lambda: dict(CONFIGURATION))
    positions: dict[str, Position] = field(default_factory=dict)
    closes: list[Close] = field(default_factory=list)

    @property
    def suspended(self) -> bool:
        return bool(self.configuration["suspend_trade"])

    def held(self, symbol: str) -> Decimal:
        position = self.positions.get(symbol)
        return position.qty if position is not None else Decimal(0)

    def book(self, fill: Fill) -> None:
        """Move cash and shares for one execution."""
        amount = fill.qty * fill.price
        position = self.positions.setdefault(fill.symbol, Position(fill.symbol, Decimal(0), Decimal(0)))
        if fill.side == "buy":
            self.cash -= amount
            position.qty += fill.qty
            position.cost += amount
            return
        self.cash += amount
        position.cost -= position.avg_entry_price * fill.qty
        position.qty -= fill.qty
        if not position.qty:
            del self.positions[fill.symbol]
