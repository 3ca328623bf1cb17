"""The markets as the exchange sees them: what is listed, at which prices in dollars 0 to 1, and whether it trades.

The walk of `Prices` moves a price by less than one percent, which is less than a tick here: it is taken eight-fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ops.sandbox.venues.prices import Prices

TICK = Decimal("0.01")
LOWEST, HIGHEST = Decimal("0.01"), Decimal("0.99")
_SWING = 8
_EASTERN = ZoneInfo("America/New_York")
_THURSDAY = 3
_PAUSE = (time(3), time(5))
"""The weekly maintenance in Eastern time: Thursday, 03:00 to 05:00 (venues.md 4.6)."""
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices of the YES leg in dollars, a tick apart at least."""

    bid: Decimal
    ask: Decimal
    mid: Decimal


class Market:
    """Prices and trading hours, shared by both exchanges."""

    def __init__(self, prices: Prices, hours: str) -> None:
        self.prices = prices
        self.hours = hours
        self._latest: dict[str, tuple[datetime, Decimal | None, Quote]] = {}

    def quote(self, ticker: str, at: datetime) -> Quote:
        """The quote at `at`; the latest is kept, since many orders ask at one instant. KeyError if not listed."""
        shock = self.prices.shocks.get(ticker)
        known = self._latest.get(ticker)
        if known is not None and known[:2] == (at, shock):
            return known[2]
        mid = self._mid(ticker, at, shock or Decimal(1))
        bid = max(mid.quantize(TICK, ROUND_FLOOR), LOWEST)
        quote = Quote(bid, min(max(mid.quantize(TICK, ROUND_CEILING), bid + TICK), HIGHEST + TICK), mid)
        self._latest[ticker] = (at, shock, quote)
        return quote

    def _mid(self, ticker: str, at: datetime, shock: Decimal) -> Decimal:
        base = self.prices.base[ticker]
        walk = self.prices.mid(ticker, at) / (base * shock) - 1
        return min(max(base * (1 + _SWING * walk) * shock, LOWEST), HIGHEST)

    def trading(self, at: datetime) -> bool:
        """Whether new orders are taken; the weekly pause counts only in regular hours."""
        local = at.astimezone(_EASTERN)
        pause = local.weekday() == _THURSDAY and _PAUSE[0] <= local.time() < _PAUSE[1]
        return self.hours == "always" or not pause

    def schedule(self, at: datetime) -> dict[str, Any]:
        """The answer to GET /exchange/schedule: hours in Eastern time, the next four pauses."""
        whole = [{"open_time": "00:00", "close_time": "00:00"}]
        days: dict[str, Any] = dict.fromkeys(_DAYS, whole)
        pauses: list[dict[str, str]] = []
        if self.hours == "regular":
            days["thursday"] = [
                {"open_time": "00:00", "close_time": "03:00"},
                {"open_time": "05:00", "close_time": "00:00"},
            ]
            pauses = [{"start_datetime": _text(one), "end_datetime": _text(other)} for one, other in self._pauses(at)]
        hours = {"start_time": "2026-01-01T05:00:00Z", "end_time": "2028-01-01T05:00:00Z", **days}
        return {"schedule": {"standard_hours": [hours], "maintenance_windows": pauses}}

    def _pauses(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        day = at.astimezone(_EASTERN).date()
        for ahead in range(28):
            if (day + timedelta(ahead)).weekday() == _THURSDAY:
                one, other = (datetime.combine(day + timedelta(ahead), edge, _EASTERN) for edge in _PAUSE)
                yield one, other


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
