"""When IBKR trades: the sessions that a contract lists, and the hours of IBKR's own restarts (venues 6.6, 6.12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ops.errors import VenueError
from ops.venues.protocol import Window

NEW_YORK = ZoneInfo("America/New_York")
# From operating experience and not from an answer of the venue (venues 6.12, unverified): every night but Friday's
# the gateway is disconnected for up to an hour, and on Friday night the servers are maintained.
NIGHT_BEGINS, NIGHT_LASTS = time(23, 45), timedelta(hours=1)
FRIDAY_BEGINS, FRIDAY_LASTS = time(23, 0), timedelta(hours=4)
_FRIDAY = 4


def listed(hours: str, zone: str) -> list[Window]:
    """`20261120:0930-20261120:1600;20261121:CLOSED` as sessions and closed days. Raises VenueError."""
    try:
        home = ZoneInfo(zone)
        return sorted(_entries(hours, home), key=lambda window: window.begins)
    except (ValueError, ZoneInfoNotFoundError):
        raise VenueError("IBKR's trading hours have an unknown shape") from None


def _entries(hours: str, home: ZoneInfo) -> Iterator[Window]:
    for entry in filter(None, hours.split(";")):
        day, _, span = entry.partition(":")
        if span == "CLOSED":
            yield Window("closed", _instant(day, "0000", home), _next_day(day, home), f"{day} closed")
            continue
        for part in span.split(","):
            opens, _, until = part.partition("-")
            last_day, _, closes = until.rpartition(":")
            yield Window("session", _instant(day, opens, home), _instant(last_day or day, closes, home), part)


def _instant(day: str, clock: str, home: ZoneInfo) -> datetime:
    return datetime.strptime(f"{day} {clock}", "%Y%m%d %H%M").replace(tzinfo=home).astimezone(UTC)


def _next_day(day: str, home: ZoneInfo) -> datetime:
    return (datetime.strptime(day, "%Y%m%d").replace(tzinfo=home) + timedelta(days=1)).astimezone(UTC)


def merged(windows: Sequence[Window]) -> list[Window]:
    """Closed days that follow each other as one window: a weekend, a weekend with a holiday."""
    found: list[Window] = []
    for window in windows:
        last = found[-1] if found else None
        if last and window.kind == last.kind == "closed" and last.ends == window.begins:
            found[-1] = Window("closed", last.begins, window.ends, f"{last.said}, {window.said}")
        else:
            found.append(window)
    return found


def restarts(begins: datetime, ends: datetime) -> list[Window]:
    """The nights between two instants."""
    day, found = begins.astimezone(NEW_YORK).date() - timedelta(days=1), []
    while (night := datetime.combine(day, NIGHT_BEGINS, NEW_YORK)) < ends + timedelta(days=1):
        if day.weekday() == _FRIDAY:
            start = datetime.combine(day, FRIDAY_BEGINS, NEW_YORK).astimezone(UTC)
            found.append(Window("maintenance", start, start + FRIDAY_LASTS, "IBKR's weekend maintenance", told=False))
        else:
            start = night.astimezone(UTC)
            found.append(Window("restart", start, start + NIGHT_LASTS, "the gateway's nightly restart", told=False))
        day += timedelta(days=1)
    return [window for window in found if window.ends > begins and window.begins < ends]
