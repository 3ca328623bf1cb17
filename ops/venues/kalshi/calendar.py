"""Kalshi's own calendar, as GET /exchange/schedule gives it: weekly hours in Eastern time, announced maintenance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ops.model.canonical import utc_time
from ops.venues.kalshi.client import Row
from ops.venues.protocol import Window

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EASTERN = ZoneInfo("America/New_York")


def sessions(schedule: Row, begins: datetime, ends: datetime) -> Iterator[Window]:
    """One window per span of a weekday. Raises KeyError, TypeError or ValueError for a schedule of another shape."""
    day = begins.astimezone(_EASTERN).date() - timedelta(days=1)
    while datetime.combine(day, time(), _EASTERN) < ends:
        for period in schedule["standard_hours"]:
            for span in period[_DAYS[day.weekday()]]:
                opens, closes = _at(day, span)
                if utc_time(period["start_time"]) <= opens < utc_time(period["end_time"]):
                    yield Window("session", opens, closes, "standard hours")
        day += timedelta(days=1)


def maintenance(schedule: Row) -> Iterator[Window]:
    """Spans in which the exchange is down or takes cancels only."""
    for row in schedule["maintenance_windows"]:
        yield Window("maintenance", utc_time(row["start_datetime"]), utc_time(row["end_datetime"]), "maintenance")


def _at(day: date, span: Row) -> tuple[datetime, datetime]:
    """A close that is not after its opening is on the next day; 24:00 is midnight."""
    opens, closes = _clock(span["open_time"]), _clock(span["close_time"])
    last = day + timedelta(days=1) if closes <= opens else day
    first, second = datetime.combine(day, opens, _EASTERN), datetime.combine(last, closes, _EASTERN)
    return first.astimezone(UTC), second.astimezone(UTC)


def _clock(text: str) -> time:
    return time() if text.startswith("24") else time.fromisoformat(text)
