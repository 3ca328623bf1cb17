"""The lists of orders and fills: filters, pages with a cursor, and the archive that holds what is older."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ops.sandbox.venues.kalshi import wire
from ops.sandbox.venues.kalshi.desk import Desk
from ops.sandbox.venues.kalshi.orders import Fill, Order
from ops.sandbox.venues.kalshi.refusals import bare

LIMIT_DEFAULT, LIMIT_MAX = 100, 1000
ARCHIVE_AFTER = timedelta(days=90)
CUTOFFS = ("market_settled_ts", "trades_created_ts", "orders_updated_ts", "market_positions_last_updated_ts")
STATUSES = ("resting", "canceled", "executed")

Query = Mapping[str, str]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class View:
    """How faults bend what is shown: as of an earlier instant; the first third only; a latch that does not take."""

    as_of: datetime | None = None
    hides: bool = False
    stuck_latch: bool = False


def cutoff(at: datetime) -> datetime:
    """What is older stands in the archive only."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - ARCHIVE_AFTER


def orders(desk: Desk, query: Query, at: datetime, view: View) -> tuple[list[str], str]:
    """JSON texts of a page of orders, newest first, and the cursor of the next ("" on the last page)."""
    status = _one_of(query, "status", STATUSES)
    if view.as_of is not None:
        return _orders_as_of(desk, status, view.as_of), ""
    since = cutoff(at)
    known = desk.resting(at) if status == "resting" else desk.newest
    rows = [order for order in known if order.is_open or order.updated_at >= since]
    if status and status != "resting":
        rows = [order for order in rows if order.shown(at) == status]
    rows = _timed(query, rows, lambda order: order.created_at)
    if view.hides:
        return [wire.order_text(desk, order, at) for order in rows[: -(-len(rows) // 3)]], ""
    page, following = paged("GetOrders", query, rows, lambda order: order.seq)
    return [wire.order_text(desk, order, at) for order in page], following


def _orders_as_of(desk: Desk, status: str, as_of: datetime) -> list[str]:
    seen = [(order, mark) for order in desk.newest if (mark := order.seen_at(as_of)) is not None]
    shown = [wire.order_body(desk, order, mark.status, mark) for order, mark in seen if status in ("", mark.status)]
    return [json.dumps(body) for body in shown]


def old_orders(desk: Desk, query: Query, at: datetime) -> tuple[list[str], str]:
    """Ended orders that were last changed before the cut-off."""
    since = cutoff(at)
    rows = [order for order in desk.newest if not order.is_open and order.updated_at < since]
    page, following = paged("GetHistoricalOrders", query, rows, lambda order: order.seq)
    return [wire.order_text(desk, order, at) for order in page], following


def fills(desk: Desk, query: Query, at: datetime) -> dict[str, Any]:
    """A page of executions, newest first."""
    return _fill_page("GetFills", query, [fill for fill in reversed(desk.fills) if fill.at >= cutoff(at)])


def old_fills(desk: Desk, query: Query, at: datetime) -> dict[str, Any]:
    return _fill_page("GetHistoricalFills", query, [fill for fill in reversed(desk.fills) if fill.at < cutoff(at)])


def _fill_page(what: str, query: Query, rows: Sequence[Fill]) -> dict[str, Any]:
    rows = [fill for fill in rows if query.get("order_id", fill.order_id) == fill.order_id]
    rows = _timed(query, rows, lambda fill: fill.at)
    page, following = paged(what, query, rows, lambda fill: fill.seq)
    return {"cursor": following, "fills": [wire.fill_body(fill) for fill in page]}


def _timed(query: Query, rows: Sequence[Row], at: Callable[[Row], datetime]) -> list[Row]:
    ticker, since, until = query.get("ticker", ""), _whole(query, "min_ts", 0), _whole(query, "max_ts", 2**40)
    return [row for row in rows if since <= at(row).timestamp() < until + 1 and (not ticker or _ticker(row) == ticker)]


def _ticker(row: object) -> str:
    return row.ticket.ticker if isinstance(row, Order) else row.ticker if isinstance(row, Fill) else ""


def paged(what: str, query: Query, rows: Sequence[Row], seq: Callable[[Row], int]) -> tuple[Sequence[Row], str]:
    """(the page that is asked for, the cursor of the next).

    A cursor that is not one of ours is not an error: it finds nothing (venues.md 4.3)."""
    limit = _whole(query, "limit", LIMIT_DEFAULT)
    if not 1 <= limit <= LIMIT_MAX:
        raise bare(what, "Limit", "lte")
    if cursor := query.get("cursor", ""):
        places = [place for place, row in enumerate(rows) if _cursor(seq(row)) == cursor]
        rows = rows[places[0] + 1 :] if places else []
    return rows[:limit], _cursor(seq(rows[limit - 1])) if len(rows) > limit else ""


def _cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(b"\n\x0b\x08%d" % seq).decode().rstrip("=")


def _whole(query: Query, name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise bare("Query", name, "number") from None


def _one_of(query: Query, name: str, known: tuple[str, ...]) -> str:
    value = query.get(name, "")
    if value and value not in known:
        raise bare("GetOrders", name.capitalize(), "oneof")
    return value
