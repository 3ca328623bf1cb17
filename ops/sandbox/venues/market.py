"""The market as a desk sees it: what is listed, whether it trades now, and at which price."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from ops.sandbox.venues import calendar
from ops.sandbox.venues.prices import Prices, Quote


def derived_uuid(*key: str | int) -> str:
    """A version 4 UUID that depends on nothing but `key`: ids are the same in every run of one seed."""
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


class Market:
    """Prices and opening hours, shared by both environments."""

    def __init__(self, prices: Prices, hours: str = "always") -> None:
        self.prices = prices
        self.hours = hours
        self._latest: dict[str, tuple[tuple[datetime, Decimal | None], Quote]] = {}
        self.asset_ids = {symbol: derived_uuid("asset", symbol) for symbol in prices.base}

    def resolve(self, symbol_or_asset_id: str) -> str | None:
        """The listed symbol meant by a symbol or an asset id."""
        if symbol_or_asset_id in self.asset_ids:
            return symbol_or_asset_id
        return next((symbol for symbol, known in self.asset_ids.items() if known == symbol_or_asset_id), None)

    def quote(self, symbol: str, at: datetime) -> Quote:
        """The quote at `at`. The latest per symbol is kept: many orders ask at the same instant."""
        key = (at, self.prices.shocks.get(symbol))
        known = self._latest.get(symbol)
        if known is None or known[0] != key:
            known = self._latest[symbol] = (key, self.prices.quote(symbol, at))
        return known[1]

    def mid(self, symbol: str, at: datetime) -> Decimal:
        return self.prices.mid(symbol, at)

    def is_open(self, at: datetime) -> bool:
        return self.hours == "always" or calendar.is_open(at)

    def next_open(self, at: datetime) -> datetime:
        return at + timedelta(days=1) if self.hours == "always" else calendar.next_open(at)

    def next_close(self, at: datetime) -> datetime:
        return at + timedelta(days=1) if self.hours == "always" else calendar.next_close(at)

    def expired(self, expires_at: datetime, at: datetime) -> bool:
        """Whether a day order's session is over; a market that never closes expires nothing."""
        return self.hours == "regular" and at >= expires_at
