"""Request bodies read as strictly as the exchange reads them: every number is a string (venues.md 4.3)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues.kalshi.orders import Ticket
from ops.sandbox.venues.kalshi.refusals import bare, flat, order_refused

REQUIRED = ("ticker", "side", "count", "price", "time_in_force", "self_trade_prevention_type")
SIDES = ("bid", "ask")
TIMES_IN_FORCE = ("good_till_canceled", "immediate_or_cancel", "fill_or_kill")
PREVENTIONS = ("taker_at_cross", "maker")
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,4})?")
_CLIENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_LOT = Decimal("0.01")


def document(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises Refusal; the exchange wants one even where it takes nothing from it."""
    try:
        parsed = json.loads(body)
    except ValueError:
        raise flat(400, "bad_request", "invalid JSON") from None
    if not isinstance(parsed, dict):
        raise flat(400, "bad_request", "json: cannot unmarshal into an object")
    return parsed


def ticket(body: dict[str, Any]) -> Ticket:
    """A V2 create body. Raises Refusal."""
    for name in REQUIRED:
        if name not in body:
            raise bare("CreateOrderV2", name, "required")
    _one_of(body, "side", SIDES)
    _one_of(body, "time_in_force", TIMES_IN_FORCE)
    _one_of(body, "self_trade_prevention_type", PREVENTIONS)
    if body.get("subaccount", 0) != 0:
        raise order_refused(400, "invalid_order", "no such subaccount")
    count = _number(body, "count")
    if count <= 0 or count % _LOT:
        raise order_refused(400, "invalid_order", "count")
    return Ticket(
        ticker=_text(body, "ticker"),
        side=body["side"],
        count=count,
        price=_number(body, "price"),
        time_in_force=body["time_in_force"],
        client_order_id=_client_id(body),
        post_only=body.get("post_only") is True,
        reduce_only=body.get("reduce_only") is True,
        order_group_id=_text(body, "order_group_id"),
        expires_at=_expiration(body),
        prevention=body["self_trade_prevention_type"],
    )


def group_limit(body: dict[str, Any]) -> Decimal:
    """`contracts_limit` (a whole number) or `contracts_limit_fp` (text), at least 1."""
    whole, text = body.get("contracts_limit"), body.get("contracts_limit_fp")
    if isinstance(whole, int) and whole >= 1:
        return Decimal(whole)
    if isinstance(text, str) and _NUMBER.fullmatch(text) and Decimal(text) >= 1:
        return Decimal(text)
    raise bare("CreateOrderGroup", "ContractsLimit", "min")


def _client_id(body: dict[str, Any]) -> str:
    """Required by the current docs; how long it may be is not documented."""
    value = _text(body, "client_order_id")
    if not _CLIENT_ID.fullmatch(value):
        raise bare("CreateOrderV2", "ClientOrderId", "required")
    return value


def _expiration(body: dict[str, Any]) -> datetime | None:
    seconds = body.get("expiration_time")
    if seconds is None:
        return None
    if not isinstance(seconds, int) or not 0 < seconds < 2**34:
        raise flat(400, "bad_request", "expiration_time")
    return datetime.fromtimestamp(seconds, UTC)


def _number(body: dict[str, Any], name: str) -> Decimal:
    value = body[name]
    if not isinstance(value, str):
        raise flat(400, "bad_request", f"json: cannot unmarshal number into Go struct field .{name} of type string")
    if not _NUMBER.fullmatch(value):
        raise order_refused(400, "invalid_order", name)
    return Decimal(value)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise flat(400, "bad_request", f"json: cannot unmarshal into Go struct field .{name} of type string")
    return value


def _one_of(body: dict[str, Any], name: str, known: tuple[str, ...]) -> None:
    if body[name] not in known:
        raise bare("CreateOrderV2", name, "oneof")
