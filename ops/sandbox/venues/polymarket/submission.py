"""A posted order, from its JSON to a verified ticket: shape, version, owner, signer, signature, money."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.sandbox.venues.polymarket.api import MICRO, Call, transaction_of
from ops.sandbox.venues.polymarket.desk import Desk, Refusal, Ticket
from ops.sandbox.venues.polymarket.market import TICK
from ops.sandbox.venues.polymarket.records import MATCHED, Order
from ops.sandbox.venues.polymarket.signing import BadOrder, order_hash, recovered

KINDS = ("GTC", "GTD", "FOK", "FAK")
_OF_VERSION_1 = ("nonce", "feeRateBps", "taker")
_AGE_MAX, _AHEAD_MAX = timedelta(days=1), timedelta(minutes=1)
"""How old or how far ahead an order's own time may be; the venue's rule is not published, so this is a guess."""


def ticket(desk: Desk, call: Call, wall: datetime, document: Mapping[str, Any]) -> Ticket:
    """Raises Refusal with the venue's own words. `wall` is the machine's time, by which clients sign."""
    order = document.get("order")
    if not isinstance(order, dict) or document.get("orderType") not in KINDS:
        raise Refusal(400, "Invalid order payload")
    if "timestamp" not in order and any(name in order for name in _OF_VERSION_1):
        raise Refusal(400, "order_version_mismatch")
    digest = _verified(desk, order, document, call.key_id)
    _in_time(order, (call.at, wall))
    if order["tokenId"] not in desk.market.tokens:
        raise Refusal(400, "the market is not yet ready to process new orders")
    qty, price = _amounts(order, document["orderType"])
    return Ticket(
        id=digest,
        token=order["tokenId"],
        side=order["side"],
        qty=qty,
        price=price,
        kind=document["orderType"],
        owner=call.key_id,
        client_id=_text(order["metadata"]),
        post_only=document.get("postOnly") is True,
        expires_at=_expiry(order, document["orderType"], call.at),
    )


def claimed(document: Mapping[str, Any], key_id: str) -> Ticket:
    """What a refused order says of itself, as far as it can be read; nothing of it is verified."""
    order = document.get("order")
    said: Mapping[str, Any] = order if isinstance(order, dict) else {}
    try:
        qty, price, text = *_amounts(said), _text(str(said.get("metadata", "")))
    except (Refusal, KeyError, TypeError, ValueError):
        qty, price, text = Decimal(0), Decimal(0), ""
    token, side = str(said.get("tokenId", "")), str(said.get("side", ""))
    return Ticket("", token, side, qty, price, str(document.get("orderType")), key_id, text)


def accepted(desk: Desk, order: Order) -> dict[str, Any]:
    """The answer to a posted order."""
    trades = (
        [trade for trade in desk.trades[-len(order.trades) :] if trade.order_id == order.id] if order.trades else []
    )
    shares, money = order.matched, sum((trade.qty * trade.price for trade in trades), Decimal(0))
    making, taking = (money, shares) if order.side == "BUY" else (shares, money)
    return {
        "success": True,
        "errorMsg": "",
        "orderID": order.id,
        "makingAmount": str(making) if trades else "",
        "takingAmount": str(taking) if trades else "",
        "status": "matched" if order.status == MATCHED or trades else "live",
        "transactionsHashes": [transaction_of(trade.id) for trade in trades],
        "tradeIDs": [trade.id for trade in trades],
    }


def _verified(desk: Desk, order: Mapping[str, Any], document: Mapping[str, Any], key_id: str) -> str:
    """The order's id, once owner, maker, signer and signature are right."""
    if document.get("owner") != key_id:
        raise Refusal(400, "the order owner has to be the owner of the API KEY")
    try:
        digest = order_hash(order)
    except BadOrder as error:
        raise Refusal(400, str(error)) from None
    if order["signer"].lower() != desk.account.number.lower():
        raise Refusal(400, "the order signer address has to be the address of the API KEY")
    if order["maker"].lower() != desk.account.number.lower() or order["signatureType"] != 0:
        raise Refusal(400, "Invalid order payload")
    if recovered(digest, str(order.get("signature", ""))) != desk.account.number:
        raise Refusal(400, "invalid signature")
    return "0x" + digest.hex()


def _in_time(order: Mapping[str, Any], clocks: tuple[datetime, ...]) -> None:
    try:
        made = datetime.fromtimestamp(int(order["timestamp"]) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise Refusal(400, "Invalid order payload") from None
    if not any(clock - _AGE_MAX <= made <= clock + _AHEAD_MAX for clock in clocks):
        raise Refusal(400, "Invalid order payload")


def _amounts(order: Mapping[str, Any], kind: str = "") -> tuple[Decimal, Decimal]:
    """(shares, price) from what is given and what is asked for, both with six decimals.

    An immediate order of the public client names its money; its shares are rounded, so its price misses the tick a bit.
    """
    gives, takes = (Decimal(int(order[name])) / MICRO for name in ("makerAmount", "takerAmount"))
    shares, money = (takes, gives) if order["side"] == "BUY" else (gives, takes)
    if not shares or not money:
        raise Refusal(400, "Invalid order payload")
    price = (money / shares).normalize()
    near = price.quantize(TICK)
    return shares, near if kind in ("FOK", "FAK") and abs(price - near) < TICK / 100 else price


def _expiry(order: Mapping[str, Any], kind: str, at: datetime) -> datetime | None:
    try:
        expires = int(order.get("expiration", "0"))
    except (TypeError, ValueError):
        raise Refusal(400, "invalid expiration") from None
    if (kind == "GTD") != bool(expires):
        raise Refusal(400, "invalid expiration")
    if not expires:
        return None
    ends = datetime.fromtimestamp(expires, UTC)
    if ends < at + timedelta(minutes=1):
        raise Refusal(400, "invalid expiration")
    return ends


def _text(metadata: str) -> str:
    """The client's own id, if it wrote one: ASCII, filled up with zeros."""
    raw = bytes.fromhex(metadata.removeprefix("0x")).rstrip(b"\0")
    return raw.decode("ascii") if raw.isascii() and raw.decode("ascii").isprintable() else ""
