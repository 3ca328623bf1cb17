"""Alpaca's REST API over one desk: requests in, replies out, no network. Routes are the table at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues.alpaca import queries, tickets, wire
from ops.sandbox.venues.alpaca.accounts import CHOICES
from ops.sandbox.venues.alpaca.desk import Desk
from ops.sandbox.venues.alpaca.matching import settle
from ops.sandbox.venues.alpaca.orders import Order
from ops.sandbox.venues.alpaca.queries import View
from ops.sandbox.venues.alpaca.refusals import Refusal, invalid, missing
from ops.sandbox.venues.market import derived_uuid


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request at venue time `at`. `name` is the path's last part if the route has one."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    key_id: str
    at: datetime
    view: View = field(default_factory=View)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON payload; `payload` None is an empty body."""

    status: int
    payload: Any = None


Handler = Callable[[Desk, Call], Reply]


def answer(desk: Desk, call: Call) -> Reply:
    """Let time pass, route, and turn refusals into Alpaca's error bodies."""
    settle(desk, call.at)
    try:
        handler, named = _route(call)
        reply = handler(desk, named)
    except Refusal as refusal:
        return Reply(refusal.status, refusal.body())
    settle(desk, call.at)
    return reply


def _route(call: Call) -> tuple[Handler, Call]:
    known_path = False
    for method, pattern, handler in ROUTES:
        found = pattern.fullmatch(call.path)
        if found is None:
            continue
        known_path = True
        if method == call.method:
            return handler, _named(call, found)
    if known_path:
        raise Refusal(405, 40510000, f"method {call.method} is not allowed here")
    raise missing("endpoint not found")


def _named(call: Call, found: re.Match[str]) -> Call:
    if not found.re.groups:
        return call
    return Call(call.method, call.path, call.query, call.body, call.key_id, call.at, call.view, found[1])


def _own_id(desk: Desk, call: Call) -> str:
    return derived_uuid(desk.account.environment, "client", desk.account.orders_count)


def _order(desk: Desk, order: Order) -> dict[str, Any]:
    return wire.order_body(order, desk.market.asset_ids[order.symbol])


def account(desk: Desk, call: Call) -> Reply:
    return Reply(200, wire.account_body(desk, call.at))


def configuration(desk: Desk, call: Call) -> Reply:
    return Reply(200, dict(desk.account.configuration))


def configure(desk: Desk, call: Call) -> Reply:
    """PATCH: alpaca-py sends the whole object, nulls included; unknown fields and values are refused."""
    wish = tickets.json_object(call.body)
    changes: dict[str, Any] = {}
    for name, value in wish.items():
        if name not in CHOICES:
            raise invalid(f"unknown configuration {name}")
        plain = int(value) if isinstance(value, Decimal) else value
        if not any(plain is known or (plain == known and type(plain) is type(known)) for known in CHOICES[name]):
            raise invalid(f"invalid {name}")
        changes[name] = plain
    desk.account.configuration.update(changes)
    desk.account_changed = True
    return Reply(200, dict(desk.account.configuration))


def submit(desk: Desk, call: Call) -> Reply:
    """The answer is the order as accepted; its fill is seen by looking again, as on Alpaca."""
    try:
        ticket = tickets.ticket(call.body, desk.market, _own_id(desk, call))
    except Refusal as refusal:
        desk.log_refused(tickets.claimed(call.body), call.key_id, refusal.message, call.at)
        raise
    return Reply(200, _order(desk, desk.submit(ticket, call.key_id, call.at)))


def list_orders(desk: Desk, call: Call) -> Reply:
    return Reply(200, queries.orders(desk, call.query, call.view))


def one_order(desk: Desk, call: Call) -> Reply:
    return Reply(200, _order(desk, desk.order(call.name)))


def order_of_client(desk: Desk, call: Call) -> Reply:
    client_order_id = call.query.get("client_order_id")
    if not client_order_id:
        raise invalid("client_order_id is required")
    return Reply(200, _order(desk, desk.order_of_client(client_order_id)))


def replace(desk: Desk, call: Call) -> Reply:
    ticket = tickets.replacement(call.body, desk.order(call.name), _own_id(desk, call))
    return Reply(200, _order(desk, desk.replace(call.name, ticket, call.key_id, call.at)))


def cancel(desk: Desk, call: Call) -> Reply:
    desk.cancel(call.name, call.at)
    return Reply(204)


def cancel_all(desk: Desk, call: Call) -> Reply:
    """207 with one status per order; 200 there means asked, not cancelled."""
    return Reply(207, [{"id": order.id, "status": 200} for order in desk.cancel_all(call.at)])


def positions(desk: Desk, call: Call) -> Reply:
    held = desk.account.positions.values()
    return Reply(200, [wire.position_body(desk, position, call.at) for position in held])


def one_position(desk: Desk, call: Call) -> Reply:
    position = desk.account.positions.get(desk.market.resolve(call.name) or "")
    if position is None:
        raise missing("position does not exist")
    return Reply(200, wire.position_body(desk, position, call.at))


def close_position(desk: Desk, call: Call) -> Reply:
    symbol = desk.market.resolve(call.name) or ""
    order = desk.close_position(symbol, _share(desk, symbol, call), call.key_id, call.at)
    return Reply(200, _order(desk, order))


def _share(desk: Desk, symbol: str, call: Call) -> Decimal | None:
    """The shares meant by ?qty= or ?percentage=, None for all of them."""
    if "qty" in call.query and "percentage" in call.query:
        raise invalid("qty and percentage cannot be combined")
    qty = tickets.decimal(call.query["qty"], "qty") if "qty" in call.query else None
    if "percentage" in call.query:
        percentage = tickets.decimal(call.query["percentage"], "percentage")
        if not 0 < percentage <= 100:
            raise invalid("percentage must be above 0 and at most 100")
        qty = (desk.account.held(symbol) * percentage / 100).quantize(Decimal("1E-9"))
    if qty is not None and qty <= 0:
        raise invalid("qty must be > 0")
    return qty


def close_all(desk: Desk, call: Call) -> Reply:
    """207 with an order or a failure per position; cancel_orders completes cancels first, unless stuck."""
    if queries.boolean(call.query, "cancel_orders"):
        for order in desk.cancel_all(call.at):
            order.cancel_due_at = call.at
        settle(desk, call.at)
    return Reply(207, [_closed(desk, symbol, call) for symbol in list(desk.account.positions)])


def _closed(desk: Desk, symbol: str, call: Call) -> dict[str, Any]:
    try:
        order = desk.close_position(symbol, None, call.key_id, call.at)
    except Refusal as refusal:
        return {"symbol": symbol, "status": refusal.status, "body": {**refusal.body(), "symbol": symbol}}
    return {"symbol": symbol, "status": 200, "body": _order(desk, order)}


def clock(desk: Desk, call: Call) -> Reply:
    market = desk.market
    return Reply(
        200,
        {
            "timestamp": wire.eastern(call.at),
            "is_open": market.is_open(call.at),
            "next_open": wire.eastern(market.next_open(call.at)),
            "next_close": wire.eastern(market.next_close(call.at)),
        },
    )


def calendar_days(desk: Desk, call: Call) -> Reply:
    return Reply(200, queries.sessions(call.query))


def assets(desk: Desk, call: Call) -> Reply:
    return Reply(200, [wire.asset_body(desk.market, symbol) for symbol in desk.market.asset_ids])


def one_asset(desk: Desk, call: Call) -> Reply:
    symbol = desk.market.resolve(call.name)
    if symbol is None:
        raise missing(f"asset not found for {call.name}")
    return Reply(200, wire.asset_body(desk.market, symbol))


def fill_activities(desk: Desk, call: Call) -> Reply:
    return Reply(200, queries.fills(desk, call.query))


def all_activities(desk: Desk, call: Call) -> Reply:
    """Fills are the only activities there are; asking for other types finds none."""
    kinds = call.query.get("activity_types", "FILL").split(",")
    return fill_activities(desk, call) if "FILL" in kinds else Reply(200, [])


def portfolio_history(desk: Desk, call: Call) -> Reply:
    """Daily equity at the session closes, and now. Numbers, not strings, as the venue sends them here."""
    points = [(close.at, close.equity) for close in desk.account.closes] + [(call.at, desk.equity(call.at))]
    base = points[0][1]
    return Reply(
        200,
        {
            "timestamp": [int(at.timestamp()) for at, _ in points],
            "equity": [float(equity) for _, equity in points],
            "profit_loss": [float(equity - base) for _, equity in points],
            "profit_loss_pct": [float((equity - base) / base) if base else 0.0 for _, equity in points],
            "base_value": float(base),
            "timeframe": "1D",
        },
    )


def latest_quotes(desk: Desk, call: Call) -> Reply:
    """The data API's GET /v2/stocks/quotes/latest; symbols it does not know are left out, as there."""
    symbols = [symbol for symbol in call.query.get("symbols", "").split(",") if symbol]
    if not symbols:
        raise Refusal(400, None, "symbols is required")
    known = [symbol for symbol in symbols if symbol in desk.market.asset_ids]
    return Reply(200, {"quotes": {symbol: wire.quote_body(desk.market.quote(symbol, call.at)) for symbol in known}})


_PLAIN: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v2/account", account),
    ("GET", "/v2/clock", clock),
    ("GET", "/v2/orders", list_orders),
    ("POST", "/v2/orders", submit),
    ("DELETE", "/v2/orders", cancel_all),
    ("GET", "/v2/orders:by_client_order_id", order_of_client),
    ("GET", "/v2/orders/([^/]+)", one_order),
    ("PATCH", "/v2/orders/([^/]+)", replace),
    ("DELETE", "/v2/orders/([^/]+)", cancel),
    ("GET", "/v2/positions", positions),
    ("DELETE", "/v2/positions", close_all),
    ("GET", "/v2/positions/([^/]+)", one_position),
    ("DELETE", "/v2/positions/([^/]+)", close_position),
    ("GET", "/v2/account/configurations", configuration),
    ("PATCH", "/v2/account/configurations", configure),
    ("GET", "/v2/account/activities/FILL", fill_activities),
    ("GET", "/v2/account/activities", all_activities),
    ("GET", "/v2/account/portfolio/history", portfolio_history),
    ("GET", "/v2/calendar", calendar_days),
    ("GET", "/v2/assets", assets),
    ("GET", "/v2/assets/([^/]+)", one_asset),
    ("GET", "/v2/stocks/quotes/latest", latest_quotes),
)
ROUTES = tuple((method, re.compile(path), handler) for method, path, handler in _PLAIN)
