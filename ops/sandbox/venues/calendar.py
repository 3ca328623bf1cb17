"""The US equity calendar: sessions, holidays and half days of 2026 and 2027 (NYSE's published calendar)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FIRST_DAY = date(2026, 1, 1)
LAST_DAY = date(2027, 12, 31)

_HOLIDAYS = {
    2026: "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25",
    2027: "01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 12-24",
}
_HALF_DAYS = {2026: "11-27 12-24", 2027: "11-26"}


def _dates(by_year: dict[int, str]) -> frozenset[date]:
    return frozenset(date.fromisoformat(f"{year}-{day}") for year, days in by_year.items() for day in days.split())


HOLIDAYS = _dates(_HOLIDAYS)
HALF_DAYS = _dates(_HALF_DAYS)
_OPEN = time(9, 30)
_CLOSE = time(16, 0)
_EARLY_CLOSE = time(13, 0)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day; `opens` and `closes` are instants in UTC."""

    day: date
    opens: datetime
    closes: datetime


def _instant(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


@lru_cache(maxsize=2048)
def session_on(day: date) -> Session | None:
    """The session of a New York date, None on weekends and holidays (known for 2026 and 2027)."""
    if day.weekday() >= 5 or day in HOLIDAYS:
        return None
    return Session(day, _instant(day, _OPEN), _instant(day, _EARLY_CLOSE if day in HALF_DAYS else _CLOSE))


def sessions(first: date, last: date) -> list[Session]:
    """All sessions from `first` to `last`, both included."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [session for day in days if (session := session_on(day)) is not None]


def _around(at: datetime, step: int) -> list[Session]:
    """Sessions from a day next to `at` in direction `step`; twelve days span every holiday cluster."""
    start = at.astimezone(NEW_YORK).date() - timedelta(days=step)
    days = (start + timedelta(days=step * n) for n in range(12))
    return [session for day in days if (session := session_on(day)) is not None]


def is_open(at: datetime) -> bool:
    session = session_on(at.astimezone(NEW_YORK).date())
    return session is not None and session.opens <= at < session.closes


def next_open(at: datetime) -> datetime:
    return next(session.opens for session in _around(at, 1) if session.opens > at)


def next_close(at: datetime) -> datetime:
    return next(session.closes for session in _around(at, 1) if session.closes > at)


def last_close(at: datetime) -> datetime:
    """The latest session close at or before `at`: the moment last_equity is taken."""
    return next(session.closes for session in _around(at, -1) if session.closes <= at)
