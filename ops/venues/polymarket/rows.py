"""Polymarket's rows as our values, pure. Whatever is not the account's own, or lacks what it should hold, is an error.

Shapes: venues 5.3 and 5.4; the data API's GET /positions. Every function raises VenueError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from py_clob_client_v2.exceptions import PolyException

from ops.errors import VenueError
from ops.venues.protocol import FillView, OrderView, PositionView, Window

Answer = TypeVar("Answer")
CLOSED = frozenset({"matched", "canceled", "canceled_market_resolved", "invalid", "expired"})
NEW_YORK = ZoneInfo("America/New_York")
RESTARTS = ((0, 20), (1, 7))
"""Monday 20:00 and Tuesday 7:00 in New York: the venue's pages name both for the weekly restart (docs: matching
engine). About 90 s without an engine, then two minutes for post-only orders."""
RESTART = timedelta(minutes=4)
_COLLAR = Decimal("0.9")
_SHAPES = (PolyException, KeyError, TypeError, ValueError, AttributeError, IndexError, InvalidOperation, OverflowError)


def typed(build: Callable[[], Answer]) -> Answer:
    """What `build` returns; every error of the library or of an odd shape becomes VenueError."""
    try:
        return build()
    except _SHAPES as error:
        raise VenueError(f"Polymarket's answer cannot be used: {type(error).__name__}") from None


def same_address(one: object, other: str) -> bool:
    """Addresses are compared without their checksum's capitals."""
    return isinstance(one, str) and one.lower() == other.lower()


def finite(value: object) -> Decimal:
    """A finite number from text or JSON."""
    return typed(partial(_finite, value))


def _finite(value: object) -> Decimal:
    found = Decimal(str(value))
    if not found.is_finite():
        raise ValueError("not a number")
    return found


def own_order(row: Any, account: str) -> dict[str, Any]:
    """An order's row, if it is the account's."""
    if not isinstance(row, dict) or not same_address(row.get("maker_address"), account):
        raise VenueError("Polymarket shows an order that is not of this account")
    return row


def order_view(row: Mapping[str, Any], client_id: str | None) -> OrderView:
    """Without a client id of our own, the order goes by its owner's API key and its hash."""
    return typed(partial(_order, row, client_id))


def _order(row: Mapping[str, Any], client_id: str | None) -> OrderView:
    status = row["status"].upper().removeprefix("ORDER_STATUS_").lower()
    return OrderView(
        id=row["id"],
        client_id=client_id or f"{row['owner']}:{row['id']}",
        symbol=row["asset_id"],
        side=row["side"].lower(),
        qty=_finite(row["original_size"]),
        status=status,
        submitted_at=datetime.fromtimestamp(int(row["created_at"]), UTC),
        open=status not in CLOSED,
    )


def parts_of_trade(row: Any, account: str) -> list[dict[str, Any]]:
    """What of a trade is the account's, in one shape: the taker's side, or one or more of the makers'. A trade that
    failed on the chain was none."""
    return typed(partial(_parts, row, account))


def _parts(row: Any, account: str) -> list[dict[str, Any]]:
    if row["status"].upper().endswith("FAILED"):
        return []
    at, sides = datetime.fromtimestamp(int(row["match_time"]), UTC), row["maker_orders"]
    if row["trader_side"].upper() == "TAKER":
        sides = [{**row, "order_id": row["taker_order_id"], "matched_amount": row["size"]}]
    mine = [side for side in sides if same_address(side["maker_address"], account)]
    if not mine:
        raise VenueError("Polymarket shows a trade that is not of this account")
    return [{**side, "name": f"{row['id']}/{side['order_id']}", "at": at} for side in mine]


def fill_view(part: Mapping[str, Any]) -> FillView:
    """One part of a trade."""
    return typed(partial(_fill, part))


def _fill(part: Mapping[str, Any]) -> FillView:
    qty, price, side = _finite(part["matched_amount"]), _finite(part["price"]), part["side"].lower()
    return FillView(part["name"], part["order_id"], part["asset_id"], side, qty, price, part["at"])


def position_view(row: Any, account: str) -> PositionView:
    """A row of the data API."""
    return typed(partial(_position, row, account))


def _position(row: Any, account: str) -> PositionView:
    if not same_address(row["proxyWallet"], account):
        raise VenueError("Polymarket shows a position that is not of this account")
    return PositionView(row["asset"], _finite(row["size"]), _finite(row["currentValue"]))


def selling_price(book: Mapping[str, Any]) -> Decimal:
    """Up to 10 % below the best bid."""
    return typed(partial(_selling_price, book))


def _selling_price(book: Mapping[str, Any]) -> Decimal:
    tick, bids = _finite(book["tick_size"]), [_finite(level["price"]) for level in book["bids"]]
    if not bids:
        raise VenueError("nobody bids for it")
    return max((max(bids) * _COLLAR / tick).quantize(Decimal(1), ROUND_FLOOR) * tick, tick)


def restarts(begins: datetime, ends: datetime) -> Iterator[Window]:
    """The weekly restarts that touch a span, in order."""
    day = begins.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    while day.astimezone(UTC) < ends:
        for weekday, hour in RESTARTS:
            at = day.replace(hour=hour).astimezone(UTC)
            if day.weekday() == weekday and at < ends and at + RESTART > begins:
                said = "weekly restart of the matching engine (published times vary)"
                yield Window("restart", at, at + RESTART, said, told=False)
        day += timedelta(days=1)
