"""From the parameters of AddOrder to a ticket, with Kraken's own refusals for what is malformed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any

from ops.sandbox.venues.kraken.assets import Market, Pair
from ops.sandbox.venues.kraken.orders import Ticket
from ops.sandbox.venues.kraken.refusals import Refusal, invalid

CLIENT_ID = re.compile(r"[a-z0-9]{1,18}|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Free text of at most 18 lowercase letters and digits, or a UUID with or without dashes (venues.md 3.5)."""
DEADLINE_MIN, DEADLINE_MAX = timedelta(seconds=2), timedelta(seconds=60)
_TYPES = ("market", "limit", "stop-loss")
_FLAGS = frozenset({"", "post", "fciq", "fcib", "nompp"})
_KNOWN = frozenset(
    {"nonce", "otp", "pair", "type", "ordertype", "price", "volume", "cl_ord_id", "userref", "timeinforce", "expiretm"}
    | {"oflags", "validate", "deadline"}
)
"""What else changes what an order does (leverage, starttm, reduce_only, close, viqc ...) is refused, not ignored."""

Params = Mapping[str, str]


def ticket(params: Params, market: Market, now: datetime) -> Ticket:
    """Raises Refusal. `now` is venue time, for the expiry."""
    for name in sorted(params.keys() - _KNOWN) + sorted({"oflags"} if _flags(params) - _FLAGS else ()):
        raise invalid(name)
    pair = market.named(params.get("pair", ""))
    if pair is None:
        raise Refusal("EQuery:Unknown asset pair")
    kind, side = params.get("ordertype", ""), params.get("type", "")
    if side not in ("buy", "sell"):
        raise invalid("type")
    if kind not in _TYPES:
        raise invalid("ordertype")
    price = None if kind == "market" else _price(params, pair)
    qty = _volume(params, pair)
    client_id, userref = _client_id(params), _userref(params)
    if client_id and userref is not None:
        raise invalid("cl_ord_id and userref are mutually exclusive")
    tif = params.get("timeinforce", "GTC")
    if tif not in ("GTC", "IOC", "GTD"):
        raise invalid("timeinforce")
    made = Ticket(
        symbol=pair.symbol,
        side=side,
        qty=qty,
        limit=price if kind == "limit" else None,
        stop=price if kind == "stop-loss" else None,
        cl_ord_id=client_id,
        userref=userref,
        post_only="post" in _flags(params),
        immediate=tif == "IOC",
        expires_at=_expiry(params.get("expiretm", "0"), now) if tif == "GTD" else None,
    )
    _large_enough(made, pair, market, now)
    return made


def _flags(params: Params) -> set[str]:
    return set(params.get("oflags", "").split(","))


def check_deadline(params: Params, wall: datetime) -> None:
    """The deadline is wall time even if venue time is pinned, as a signature's nonce is. Raises Refusal."""
    if "deadline" not in params:
        return
    try:
        ahead = datetime.fromisoformat(params["deadline"]) - wall
    except (ValueError, TypeError):
        raise invalid("deadline") from None
    if ahead <= timedelta(0):
        raise Refusal("EService:Deadline elapsed")
    if not DEADLINE_MIN - timedelta(seconds=2) <= ahead <= DEADLINE_MAX:
        raise invalid("deadline")


def flag(params: Params, name: str) -> bool:
    """`true` or `false`, lowercase as documented. Raises Refusal for another word, such as Python's True."""
    word = params.get(name, "false")
    if word not in ("true", "false"):
        raise invalid(name)
    return word == "true"


def by_hand(body: Mapping[str, Any]) -> dict[str, str]:
    """What a person types into the site, as AddOrder's parameters: symbol, side, qty, limit_price or stop_price."""
    params = {"pair": body.get("symbol"), "type": body.get("side"), "volume": body.get("qty"), "ordertype": "market"}
    for kind, name in (("limit", "limit_price"), ("stop-loss", "stop_price")):
        if body.get(name) is not None:
            params |= {"ordertype": kind, "price": body[name]}
    return {name: str(value) for name, value in params.items()}


def claimed(params: Params) -> dict[str, Any]:
    """For the order log: what the sender of a refused order asked for."""
    return {
        "client_order_id": params.get("cl_ord_id", "")[:40],
        "symbol": params.get("pair", "")[:40],
        "side": params.get("type", "")[:40],
        "qty": params.get("volume", "")[:40],
        "price": params.get("price", "")[:40] or None,
    }


def _number(params: Params, name: str) -> Decimal:
    try:
        value = Decimal(params.get(name, ""))
    except InvalidOperation:
        raise invalid(name) from None
    if not value.is_finite() or value <= 0:
        raise invalid(name)
    return value


def _price(params: Params, pair: Pair) -> Decimal:
    price = _number(params, "price")
    if price % pair.tick:
        decimals = f"{pair.altname} price can only be specified up to {pair.price_decimals} decimals."
        raise Refusal(f"EOrder:Invalid price:{decimals}")
    return price


def _volume(params: Params, pair: Pair) -> Decimal:
    qty = _number(params, "volume").quantize(pair.lot, ROUND_DOWN)
    if qty < pair.ordermin:
        raise Refusal("EOrder:Order minimum not met")
    return qty


def _large_enough(made: Ticket, pair: Pair, market: Market, now: datetime) -> None:
    price = made.limit or made.stop or market.quote(pair.symbol, now)[0]
    if made.qty * price < pair.costmin:
        raise Refusal("EOrder:Cost minimum not met")


def _client_id(params: Params) -> str:
    client_id = params.get("cl_ord_id", "")
    if "cl_ord_id" in params and CLIENT_ID.fullmatch(client_id) is None:
        raise invalid("cl_ord_id")
    return client_id


def _userref(params: Params) -> int | None:
    if "userref" not in params:
        return None
    if re.fullmatch(r"-?\d{1,10}", params["userref"]) is None or not -(2**31) <= int(params["userref"]) < 2**31:
        raise invalid("userref")
    return int(params["userref"])


def _expiry(text: str, now: datetime) -> datetime:
    """`+60` from now, or a Unix time."""
    if re.fullmatch(r"\+?\d{1,10}", text) is None:
        raise invalid("expiretm")
    if text.startswith("+"):
        return now + timedelta(seconds=int(text))
    return datetime.fromtimestamp(int(text), now.tzinfo)
