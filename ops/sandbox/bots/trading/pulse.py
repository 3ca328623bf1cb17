"""What the loop saw last."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ..venue import Account


@dataclass
class Pulse:
    """What the loop saw last, for the surfaces. Written by the loop only; None or absent is "not known"."""

    started_at: datetime
    last_loop_at: datetime | None = None
    last_error: str | None = None
    loops: int = 0
    loop_errors: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    markets: dict[str, bool] = field(default_factory=dict)
    pnl_usd: Decimal | None = None
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def market_open(self) -> bool | None:
        """Whether any of the venues is open; None if that was not seen in the last loop."""
        return any(self.markets.values()) if self.markets else None

    @property
    def account_numbers(self) -> dict[str, str]:
        """The account that each venue showed last."""
        return {name: account.number for name, account in self.accounts.items()}

    @property
    def equity_usd(self) -> Decimal | None:
        """Over all venues, as last seen."""
        return sum((account.equity for account in self.accounts.values()), Decimal(0)) if self.accounts else None
