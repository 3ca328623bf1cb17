"""One account of the venue: number, cash, positions, configuration, and the marks behind last_equity."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues.cash import CashAccount

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


@dataclass(slots=True, kw_only=True)
class Account(CashAccount):
    """A cash account (multiplier 1)."""

    id: str
    created_at: datetime
    configuration: dict[str, Any] = field(default_factory=lambda: dict(CONFIGURATION))
    closes: list[Close] = field(default_factory=list)

    @property
    def suspended(self) -> bool:
        return bool(self.configuration["suspend_trade"])
