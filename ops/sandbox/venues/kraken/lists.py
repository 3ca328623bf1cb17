"""Orders and trades as JSON, and the lists of them: open orders whole, closed orders and trades in pages of 50."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from ops.sandbox.venues.kraken.desk import Desk
from ops.sandbox.venues.kraken.orders import Fill, Order, Ticket
from ops.sandbox.venues.kraken.refusals import invalid

PAGE = 50
Row = TypeVar("Row")
Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class View:
    """How a fault bends a list: shown as it was at `as_of`, and only its first third."""

    as_of: datetime | None = None
    hidden: bool = False

    def shown(self, rows: Sequence[Row]) -> Sequence[Row]:
        return rows[: -(-len(rows) // 3)] if self.hidden else rows


def open_orders(desk: Desk, params: Params, view: View) -> dict[str, Any]:
    """Newest first, all at once: OpenOrders has no pages. A lookup by client id is never stale."""
    if view.as_of is not None and "cl_ord_id" not in params:
        known = [order for order in desk.orders.values() if order.was_open(view.as_of)]
    else:
        known = list(desk.open.values())
    rows = [order for order in sorted(known, key=lambda order: -order.seq) if _wanted(order, params)]
    shown = {o.txid: {**order_body(desk, o), "status": "open"} for o in view.shown(rows)}
    return {"open": shown}


def closed_orders(desk: Desk, params: Params, view: View) -> dict[str, Any]:
    """By the time of their end, latest first; `count` counts all that match."""
    if "cl_ord_id" in params:
        ours = desk.by_client_id.get(params["cl_ord_id"], [])
        rows = [order for order in reversed(ours) if not order.is_open]
    else:
        rows = [order for order in reversed(desk.closed) if _wanted(order, params)]
    page = view.shown(_page(rows, params))
    return {"closed": {order.txid: order_body(desk, order) for order in page}, "count": len(rows)}


def trades(desk: Desk, params: Params, view: View) -> dict[str, Any]:
    """Latest first; `start` is exclusive and in Unix seconds."""
    start, end = _seconds(params, "start"), _seconds(params, "end")
    since = 0 if start is None else bisect_right(desk.fills, start, key=_at)
    until = len(desk.fills) if end is None else bisect_right(desk.fills, end, key=_at)
    rows = desk.fills[since:until][::-1]
    page = view.shown(_page(rows, params))
    return {"trades": {fill.id: fill_body(desk, fill) for fill in page}, "count": len(rows)}


def order_body(desk: Desk, order: Order) -> dict[str, Any]:
    """One order; times are Unix seconds with a fraction, money is text."""
    price = order.cost / order.filled_qty if order.filled_qty else Decimal(0)
    expires = 0 if order.expires_at is None else order.expires_at.timestamp()
    body: dict[str, Any] = {
        "refid": None,
        "userref": order.userref,
        "status": order.status,
        "opentm": order.submitted_at.timestamp(),
        "starttm": 0,
        "expiretm": expires,
        "descr": _description(desk, order, order.limit or order.stop),
        "vol": _fixed(order.qty, 8),
        "vol_exec": _fixed(order.filled_qty, 8),
        "cost": _fixed(order.cost, 5),
        "fee": "0.00000",
        "price": _fixed(price, 5),
        "stopprice": _fixed(order.stop or Decimal(0), 5),
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq,post" if order.post_only else "fciq",
    }
    if order.cl_ord_id:
        body["cl_ord_id"] = order.cl_ord_id
    if order.closed_at is not None:
        body |= {"closetm": order.closed_at.timestamp(), "reason": order.reason or None}
    return body


def fill_body(desk: Desk, fill: Fill) -> dict[str, Any]:
    """One trade. It names its order by txid only: no cl_ord_id."""
    return {
        "ordertxid": fill.txid,
        "postxid": fill.id,
        "pair": desk.market.pairs[fill.symbol].name,
        "time": fill.at.timestamp(),
        "type": fill.side,
        "ordertype": fill.type,
        "price": _fixed(fill.price, 5),
        "cost": _fixed(fill.price * fill.qty, 5),
        "fee": "0.00000",
        "vol": _fixed(fill.qty, 8),
        "margin": "0.00000",
        "misc": "",
        "trade_id": fill.seq + 1,
    }


def sentence(desk: Desk, ticket: Ticket) -> str:
    """`buy 0.00100000 XBTUSD @ limit 50000.0`: ccxt reads the order's side and type out of this text."""
    return str(_description(desk, ticket, ticket.limit or ticket.stop)["order"])


def _description(desk: Desk, order: Order | Ticket, price: Decimal | None) -> dict[str, Any]:
    pair = desk.market.pairs[order.symbol]
    shown = "0" if price is None else _fixed(price, pair.price_decimals)
    at = "market" if price is None else f"{order.type.replace('-', ' ')} {shown}"
    return {
        "pair": pair.altname,
        "type": order.side,
        "ordertype": order.type,
        "price": shown,
        "price2": "0",
        "leverage": "none",
        "order": f"{order.side} {_fixed(order.qty, 8)} {pair.altname} @ {at}",
        "close": "",
    }


def _at(fill: Fill) -> Decimal:
    return Decimal(str(fill.at.timestamp()))


def _wanted(order: Order, params: Params) -> bool:
    if "cl_ord_id" in params and order.cl_ord_id != params["cl_ord_id"]:
        return False
    return "userref" not in params or str(order.userref) == params["userref"]


def _page(rows: Sequence[Row], params: Params) -> Sequence[Row]:
    offset = params.get("ofs", "0")
    if not offset.isdigit():
        raise invalid("ofs")
    return rows[int(offset) : int(offset) + PAGE]


def _seconds(params: Params, name: str) -> Decimal | None:
    if name not in params:
        return None
    whole, _, rest = params[name].partition(".")
    if not whole.isdigit() or not (rest or "0").isdigit():
        raise invalid(name)
    return Decimal(params[name])


def _fixed(value: Decimal, decimals: int) -> str:
    return f"{value:.{decimals}f}"
