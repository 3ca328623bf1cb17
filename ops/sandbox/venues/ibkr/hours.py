"""Trading hours as a contract's details list them: `20261120:0930-20261120:1600;20261121:CLOSED` (venues.md 6.6)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ops.sandbox.venues import calendar
from ops.sandbox.venues.market import Market

ZONE = "US/Eastern"
DAYS_LISTED = 28
"""TWS lists the coming days, and by its API settings up to a month of them."""
_EXTENDED = ("0400", "2000")


def liquid(market: Market, at: datetime) -> str:
    """The regular sessions, or every day as a whole when the market never closes."""
    return ";".join(_day(market, day, extended=False) for day in _days(at))


def trading(market: Market, at: datetime) -> str:
    """With the hours before and after."""
    return ";".join(_day(market, day, extended=True) for day in _days(at))


def _days(at: datetime) -> list[date]:
    today = at.astimezone(calendar.NEW_YORK).date()
    return [today + timedelta(days=n) for n in range(DAYS_LISTED)]


def _day(market: Market, day: date, extended: bool) -> str:
    if market.hours == "always":
        return f"{day:%Y%m%d}:0000-{day + timedelta(days=1):%Y%m%d}:0000"
    session = calendar.session_on(day)
    if session is None:
        return f"{day:%Y%m%d}:CLOSED"
    if extended:
        opens, closes = _EXTENDED
    else:
        opens, closes = (f"{at.astimezone(calendar.NEW_YORK):%H%M}" for at in (session.opens, session.closes))
    return f"{day:%Y%m%d}:{opens}-{day:%Y%m%d}:{closes}"
