"""Order bodies in: parsed and checked as strictly as the venue does it, so that lax clients are found out."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from ops.sandbox.venues.alpaca.orders import Order, Ticket
from ops.sandbox.venues.alpaca.refusals import Refusal, invalid, malformed, unprocessable
from ops.sandbox.venues.market import Market

CLIENT_ORDER_ID_MAX_CHARS = 48
"""The strictest limit Alpaca ever documented; newer pages allow 128."""
_SIDES = ("buy", "sell")
_TYPES = ("market", "limit")
_TIMES_IN_FORCE = ("day", "gtc")
_CENT = Decimal("0.01")
_CLAIMS = {
    "client_order_id": "client_order_id",
    "symbol": "symbol",
    "side": "side",
    "qty": "qty",
    "price": "limit_price",
}
_LARGEST = Decimal(10) ** 8
_NOT_SIMULATED = ("stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss", "legs", "position_intent")
"""Fields that would make another order of it: refused, lest a protection that was asked for is silently missing."""
_SMALLEST_QTY = Decimal("1E-9")


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON object with its numbers as Decimal. Raises Refusal 400."""
    try:
        parsed = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        raise malformed("request body format is invalid") from None
    if not isinstance(parsed, dict):
        raise malformed("request body format is invalid")
    return parsed


def ticket(body: bytes, market: Market, own_id: str) -> Ticket:
    """The ticket of POST /v2/orders. `own_id` names an order whose sender gave it no client_order_id."""
    return ticket_of(json_object(body), market, own_id)


def ticket_of(wish: dict[str, Any], market: Market, own_id: str) -> Ticket:
    """The same from a parsed body."""
    for name in _NOT_SIMULATED:
        if wish.get(name) is not None:
            raise invalid(f"{name}: the sandbox takes market and limit orders only")
    order_type = _choice(wish, "type", _TYPES)
    return _admissible(
        Ticket(
            symbol=_symbol(wish, market),
            qty=_qty(wish),
            side=_choice(wish, "side", _SIDES),
            type=order_type,
            time_in_force=_choice(wish, "time_in_force", _TIMES_IN_FORCE),
            client_order_id=_client_order_id(wish, own_id),
            limit_price=_limit_price(wish, order_type),
            extended_hours=_extended_hours(wish, order_type),
        )
    )


def claimed(body: bytes) -> dict[str, str]:
    """What an unreadable submission asked for, cut to 64 characters: for the log of rejected orders."""
    try:
        wish = json_object(body)
    except Refusal:
        wish = {}
    return {name: str(wish.get(sent) or "")[:64] for name, sent in _CLAIMS.items()}


def replacement(body: bytes, old: Order, own_id: str) -> Ticket:
    """The ticket of PATCH /v2/orders/{id}: the old order with the named fields changed."""
    wish = json_object(body)
    if not any(wish.get(name) is not None for name in ("qty", "limit_price", "time_in_force")):
        raise unprocessable("order parameters are not changed")
    limit_price = old.limit_price
    if wish.get("limit_price") is not None:
        limit_price = _limit_price(wish, old.type)
    times = _TIMES_IN_FORCE if wish.get("time_in_force") is not None else (old.time_in_force,)
    qty = _qty(wish) - old.filled_qty if wish.get("qty") is not None else old.remaining
    if qty <= 0:
        raise unprocessable("qty must be more than the filled qty")
    return _admissible(
        Ticket(
            symbol=old.symbol,
            qty=qty,
            side=old.side,
            type=old.type,
            time_in_force=_choice({"time_in_force": old.time_in_force, **wish}, "time_in_force", times),
            client_order_id=_client_order_id(wish, own_id),
            limit_price=limit_price,
            extended_hours=old.extended_hours,
        )
    )


def _admissible(ticket: Ticket) -> Ticket:
    """Rules that join two fields. Fractions are taken for the day only (alpaca-java issue 140)."""
    if ticket.time_in_force != "day" and ticket.qty != ticket.qty.to_integral_value():
        raise unprocessable("fractional orders must be DAY orders")
    return ticket


def decimal(value: Any, name: str) -> Decimal:
    """A finite number sent as JSON number or string. Raises Refusal 422 naming the field."""
    try:
        number = value if isinstance(value, Decimal) else Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise invalid(f"{name} must be a number")
    if abs(number) > _LARGEST:
        raise invalid(f"{name} is out of range")
    return number


def _symbol(wish: dict[str, Any], market: Market) -> str:
    symbol = wish.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise invalid("symbol is required")
    if symbol not in market.asset_ids:
        raise invalid(f'asset "{symbol}" not found')
    return symbol


def _choice(wish: dict[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = wish.get(name)
    if value is None:
        raise invalid(f"{name} is required")
    if value not in known:
        raise invalid(f"invalid {name}: the sandbox takes {' or '.join(known)}")
    return str(value)


def _qty(wish: dict[str, Any]) -> Decimal:
    if wish.get("notional") is not None:
        raise invalid("notional orders are not simulated; send qty")
    if wish.get("qty") is None:
        raise invalid("qty is required")
    qty = decimal(wish["qty"], "qty")
    if qty <= 0:
        raise invalid("qty must be > 0")
    if qty != qty.quantize(_SMALLEST_QTY):
        raise invalid("qty is limited to 9 decimal places")
    return qty


def _limit_price(wish: dict[str, Any], order_type: str) -> Decimal | None:
    sent = wish.get("limit_price")
    if order_type == "market":
        if sent is not None:
            raise invalid("market orders must not have a limit price")
        return None
    if sent is None:
        raise invalid("limit orders require a limit price")
    price = decimal(sent, "limit_price")
    if price <= 0:
        raise invalid("limit price must be > 0")
    if price >= 1 and price != price.quantize(_CENT):
        raise unprocessable(
            f"invalid limit_price {price}. sub-penny increment does not fulfill minimum pricing criteria"
        )
    return price


def _client_order_id(wish: dict[str, Any], own_id: str) -> str:
    sent = wish.get("client_order_id")
    if sent is None or sent == "":
        return own_id
    if not isinstance(sent, str) or len(sent) > CLIENT_ORDER_ID_MAX_CHARS:
        raise invalid(f"client_order_id must be text of at most {CLIENT_ORDER_ID_MAX_CHARS} characters")
    return sent


def _extended_hours(wish: dict[str, Any], order_type: str) -> bool:
    value = wish.get("extended_hours")
    if wish.get("order_class") not in (None, "", "simple"):
        raise invalid("order_class: the sandbox takes simple")
    if value is None:
        return False
    if not isinstance(value, bool):
        raise invalid("extended_hours must be a boolean")
    if value and (order_type != "limit" or wish.get("time_in_force") != "day"):
        raise unprocessable("extended hours order must be DAY limit orders")
    return value
