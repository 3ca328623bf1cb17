"""Lists out: orders and fills, filtered and paged by the venue's rules."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from ops.sandbox.venues import calendar
from ops.sandbox.venues.alpaca import wire
from ops.sandbox.venues.alpaca.desk import Desk
from ops.sandbox.venues.alpaca.orders import CLOSED, Fill, Order
from ops.sandbox.venues.alpaca.refusals import invalid
from ops.sandbox.venues.marks import Mark

ORDERS_DEFAULT, ORDERS_MAX = 50, 500
FILLS_MAX = 100
Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class View:
    """How a faulty venue distorts its order list: as it was at `as_of`, or cut to its first third."""

    as_of: datetime | None = None
    first_third: bool = False


def orders(desk: Desk, query: Query, view: View) -> list[dict[str, Any]]:
    """GET /v2/orders. Raises Refusal 422 for a value the venue does not take."""
    status = one_of(query, "status", ("open", "closed", "all"), "open")
    limit = count(query, "limit", ORDERS_DEFAULT, ORDERS_MAX)
    descending = one_of(query, "direction", ("asc", "desc"), "desc") == "desc"
    boolean(query, "nested")
    wanted = _filter(query, status)
    known = _candidates(desk, status, view)
    marked = ((order, _mark(order, view)) for order in (reversed(known) if descending else known))
    kept = list(islice(((order, mark) for order, mark in marked if mark and wanted(order, mark)), limit))
    if view.first_third:
        kept = kept[: -(-len(kept) // 3)]
    return [
        wire.order_body(order, desk.market.asset_ids[order.symbol], mark if view.as_of is not None else None)
        for order, mark in kept
    ]


def fills(desk: Desk, query: Query) -> list[dict[str, Any]]:
    """GET /v2/account/activities/FILL; the next page starts after the activity id given as page_token."""
    size = count(query, "page_size", FILLS_MAX, FILLS_MAX)
    descending = one_of(query, "direction", ("asc", "desc"), "desc") == "desc"
    if "date" in query and ("after" in query or "until" in query):
        raise invalid("date cannot be combined with after or until")
    kept = _in_window(desk.fills, query)
    if descending:
        kept.reverse()
    if token := query.get("page_token"):
        places = [place for place, fill in enumerate(kept) if fill.id == token]
        if not places:
            raise invalid("invalid page_token")
        kept = kept[places[0] + 1 :]
    return [wire.fill_body(fill) for fill in kept[:size]]


def sessions(query: Query) -> list[dict[str, Any]]:
    first = day(query, "start") or calendar.FIRST_DAY
    last = day(query, "end") or calendar.LAST_DAY
    bounded = calendar.sessions(max(first, calendar.FIRST_DAY), min(last, calendar.LAST_DAY))
    return [wire.session_body(session) for session in bounded]


def one_of(query: Query, name: str, known: tuple[str, ...], default: str) -> str:
    value = query.get(name, default)
    if value not in known:
        raise invalid(f"invalid {name}: {value!r} is not one of {', '.join(known)}")
    return value


def boolean(query: Query, name: str, default: bool = False) -> bool:
    """alpaca-py sends Python's True and False, other clients lower case; Alpaca takes both."""
    value = query.get(name)
    if value is None:
        return default
    if value not in ("True", "False", "true", "false"):
        raise invalid(f"invalid {name}: {value!r} is not a boolean")
    return value in ("True", "true")


def count(query: Query, name: str, default: int, most: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= most:
        raise invalid(f"{name} must be a whole number from 1 to {most}")
    return int(value)


def moment(query: Query, name: str) -> datetime | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value.replace(" ", "+"))
    except ValueError:
        raise invalid(f"{name} must be an RFC 3339 time") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=calendar.NEW_YORK)


def day(query: Query, name: str) -> date | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise invalid(f"{name} must be a date like 2026-11-20") from None


def _candidates(desk: Desk, status: str, view: View) -> Sequence[Order]:
    if status == "open" and view.as_of is None:
        return sorted(desk.open.values(), key=lambda order: (order.submitted_at, order.seq))
    return desk.by_time


def _mark(order: Order, view: View) -> Mark | None:
    return order.marks[-1] if view.as_of is None else order.seen_at(view.as_of)


def _filter(query: Query, status: str) -> Callable[[Order, Mark], bool]:
    """The query as one test of an order in a state; the parameters are read once."""
    after, until = moment(query, "after"), moment(query, "until")
    symbols = frozenset(query["symbols"].split(",")) if query.get("symbols") else None
    side = one_of(query, "side", ("", "buy", "sell"), "")

    def wanted(order: Order, mark: Mark) -> bool:
        if status != "all" and (mark.status in CLOSED) != (status == "closed"):
            return False
        if (after is not None and order.submitted_at <= after) or (until is not None and order.submitted_at >= until):
            return False
        return (symbols is None or order.symbol in symbols) and side in ("", order.side)

    return wanted


def _in_window(known: list[Fill], query: Query) -> list[Fill]:
    """The fills after `after` and before `until`, both exclusive, out of a list sorted by time."""
    after, until = moment(query, "after"), moment(query, "until")
    if (on := day(query, "date")) is not None:
        start = datetime.combine(on, datetime.min.time(), calendar.NEW_YORK)
        after, until = start - timedelta(microseconds=1), start + timedelta(days=1)
    first = bisect_right(known, after, key=lambda fill: fill.at) if after is not None else 0
    last = bisect_left(known, until, key=lambda fill: fill.at) if until is not None else len(known)
    return known[first:last]
