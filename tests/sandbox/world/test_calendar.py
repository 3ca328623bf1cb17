"""The equity calendar against known days, in both offsets of New York."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ops.sandbox.venues import calendar


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-20T14:29:59", False),
        ("2026-11-20T14:30:00", True),
        ("2026-11-20T20:59:59", True),
        ("2026-11-20T21:00:00", False),
        ("2026-07-10T13:30:00", True),
        ("2026-07-10T20:00:00", False),
        ("2026-11-21T15:00:00", False),
        ("2026-11-26T15:00:00", False),
        ("2026-11-27T17:59:59", True),
        ("2026-11-27T18:00:00", False),
        ("2027-03-26T15:00:00", False),
        ("2027-07-05T15:00:00", False),
        ("2027-07-02T15:00:00", True),
    ],
)
def test_is_open(at: str, is_open: bool) -> None:
    assert calendar.is_open(utc(at)) is is_open


@pytest.mark.parametrize(
    ("at", "next_open", "next_close", "last_close"),
    [
        ("2026-11-20T15:00:00", "2026-11-23T14:30:00", "2026-11-20T21:00:00", "2026-11-19T21:00:00"),
        ("2026-11-20T21:00:00", "2026-11-23T14:30:00", "2026-11-23T21:00:00", "2026-11-20T21:00:00"),
        ("2026-11-25T22:00:00", "2026-11-27T14:30:00", "2026-11-27T18:00:00", "2026-11-25T21:00:00"),
        ("2026-12-24T19:00:00", "2026-12-28T14:30:00", "2026-12-28T21:00:00", "2026-12-24T18:00:00"),
        ("2026-03-07T00:00:00", "2026-03-09T13:30:00", "2026-03-09T20:00:00", "2026-03-06T21:00:00"),
    ],
)
def test_neighbouring_sessions(at: str, next_open: str, next_close: str, last_close: str) -> None:
    moment = utc(at)
    assert calendar.next_open(moment) == utc(next_open)
    assert calendar.next_close(moment) == utc(next_close)
    assert calendar.last_close(moment) == utc(last_close)


@pytest.mark.parametrize(("year", "days"), [(2026, 251), (2027, 251)])
def test_sessions_of_a_year(year: int, days: int) -> None:
    assert len(calendar.sessions(date(year, 1, 1), date(year, 12, 31))) == days
