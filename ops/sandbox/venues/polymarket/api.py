"""The venue's answers to requests that were let in: order book, orders, trades, keys, balances, positions.

Shapes as in venues 5.3 and 5.4; positions are the data API's (GET /positions), served on the same listener.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues.polymarket.desk import Desk, Refusal
from ops.sandbox.venues.polymarket.market import SIZE_MIN, TICK
from ops.sandbox.venues.polymarket.records import Order, Trade

PAGE = 100
MICRO = 1_000_000
_END = "LTE="
_STRANGER = "0x000000000000000000000000000000000000dEaD"


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `as_of` and `hidden` come from faults: the order list of then, or the first third of it."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    at: datetime
    key_id: str = ""
    as_of: datetime | None = None
    hidden: bool = False
    disguised: bool = False

    def json(self, shape: type) -> Any:
        """The body. Raises Refusal if it is not JSON of that shape."""
        try:
            document = json.loads(self.body)
        except ValueError:
            raise Refusal(400, "Invalid payload") from None
        if not isinstance(document, shape):
            raise Refusal(400, "Invalid payload")
        return document


Answer = Callable[[Desk, Call], Any]


# public


def server_time(desk: Desk, call: Call) -> int:
    return int(call.at.timestamp())


def book(desk: Desk, call: Call) -> Any:
    return desk.market.book(_token(desk, call), call.at)


def books(desk: Desk, call: Call) -> Any:
    wanted = [str(row.get("token_id")) for row in call.json(list) if isinstance(row, dict)]
    return [desk.market.book(token, call.at) for token in wanted if token in desk.market.tokens]


def midpoint(desk: Desk, call: Call) -> Any:
    return {"mid": str(desk.market.mid(_token(desk, call), call.at))}


def price(desk: Desk, call: Call) -> Any:
    bid, ask = desk.market.quote(_token(desk, call), call.at)
    return {"price": str(bid if call.query.get("side") == "BUY" else ask)}


def market_of_token(desk: Desk, call: Call) -> Any:
    token = call.path.rpartition("/")[2]
    if token not in desk.market.tokens:
        raise Refusal(404, "market not found")
    return {"condition_id": desk.market.tokens[token], "primary_token_id": token}


def market(desk: Desk, call: Call) -> Any:
    condition = call.path.rpartition("/")[2]
    tokens = [token for token, known in desk.market.tokens.items() if known == condition]
    if not tokens:
        raise Refusal(404, "market not found")
    outcomes = [{"t": token, "o": "Yes"} for token in tokens]
    return {"c": condition, "t": outcomes, "mts": float(TICK), "mos": float(SIZE_MIN), "nr": False, "fd": {}}


def positions(desk: Desk, call: Call) -> Any:
    """The data API: public, by address; holdings below `sizeThreshold` (1 unless told otherwise) are left out."""
    user = call.query.get("user", "")
    if not user.startswith("0x"):
        raise Refusal(400, "required query param 'user' not provided")
    mine = user.lower() == desk.account.number.lower()
    least = _number(call.query.get("sizeThreshold", "1"))
    start, size = int(_number(call.query.get("offset", "0"))), int(_number(call.query.get("limit", "100")))
    held = [(token, qty) for token, qty in desk.account.held.items() if mine and qty >= least]
    return [_position(desk, call, token, qty) for token, qty in held[start : start + min(size, 500)]]


# with L2 credentials


def balance(desk: Desk, call: Call) -> Any:
    """Collateral or one token's shares, both with six decimals."""
    kind = call.query.get("asset_type")
    if kind not in ("COLLATERAL", "CONDITIONAL"):
        raise Refusal(400, "GetBalanceAndAllowance invalid params: assetType invalid")
    held = desk.account.cash if kind == "COLLATERAL" else desk.account.held.get(_token(desk, call), Decimal(0))
    return {"balance": str(int(held * MICRO)), "allowances": {}}


def open_orders(desk: Desk, call: Call) -> Any:
    wanted = {name: call.query[name] for name in ("id", "asset_id", "market") if name in call.query}
    rows = [order_row(desk, call, order) for order in desk.shown(call.as_of)]
    rows = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return _page(rows[: -(-len(rows) // 3)] if call.hidden else rows, call)


def order(desk: Desk, call: Call) -> Any:
    found = desk.orders.get(call.path.rpartition("/")[2])
    if found is None:
        raise Refusal(404, "order not found")
    return order_row(desk, call, found)


def trades(desk: Desk, call: Call) -> Any:
    """Newest first; `after` and `before` are Unix seconds, exclusive."""
    after, before = (_number(call.query.get(name, default)) for name, default in (("after", "0"), ("before", "Inf")))
    found = [trade for trade in reversed(desk.trades) if after < int(trade.at.timestamp()) < before]
    rows = [_trade(desk, call, trade) for trade in found]
    wanted = {name: call.query[name] for name in ("id", "asset_id", "market") if name in call.query}
    return _page([row for row in rows if all(row[name] == value for name, value in wanted.items())], call)


def cancel_one(desk: Desk, call: Call) -> Any:
    return desk.cancel([str(call.json(dict).get("orderID"))], call.at)


def cancel_some(desk: Desk, call: Call) -> Any:
    return desk.cancel([str(name) for name in call.json(list)], call.at)


def cancel_all(desk: Desk, call: Call) -> Any:
    return desk.cancel(list(desk.open), call.at)


def cancel_market(desk: Desk, call: Call) -> Any:
    wanted = call.json(dict)
    token, condition = wanted.get("asset_id"), wanted.get("market")
    found = [o.id for o in desk.open.values() if o.token == token or desk.market.tokens[o.token] == condition]
    return desk.cancel(found, call.at)


def heartbeat(desk: Desk, call: Call) -> Any:
    return desk.beat(str(call.json(dict).get("heartbeat_id", "")), call.at)


PUBLIC: Mapping[tuple[str, str], Answer] = {
    ("GET", "/ok"): lambda desk, call: "OK",
    ("GET", "/time"): server_time,
    ("GET", "/version"): lambda desk, call: {"version": 2},
    ("GET", "/tick-size"): lambda desk, call: {"minimum_tick_size": float(TICK)} if _token(desk, call) else None,
    ("GET", "/neg-risk"): lambda desk, call: {"neg_risk": False} if _token(desk, call) else None,
    ("GET", "/fee-rate"): lambda desk, call: {"base_fee": 0} if _token(desk, call) else None,
    ("GET", "/book"): book,
    ("POST", "/books"): books,
    ("GET", "/midpoint"): midpoint,
    ("GET", "/price"): price,
    ("GET", "/markets-by-token/*"): market_of_token,
    ("GET", "/clob-markets/*"): market,
    ("GET", "/positions"): positions,
}
PRIVATE: Mapping[tuple[str, str], Answer] = {
    ("GET", "/balance-allowance"): balance,
    ("GET", "/balance-allowance/update"): balance,
    ("GET", "/data/orders"): open_orders,
    ("GET", "/data/order/*"): order,
    ("GET", "/data/trades"): trades,
    ("DELETE", "/order"): cancel_one,
    ("DELETE", "/orders"): cancel_some,
    ("DELETE", "/cancel-all"): cancel_all,
    ("DELETE", "/cancel-market-orders"): cancel_market,
    ("POST", "/v1/heartbeats"): heartbeat,
}


def route(table: Mapping[tuple[str, str], Answer], method: str, path: str) -> Answer | None:
    """The answer to a path, or to all paths of its folder (`/data/order/*`)."""
    return table.get((method, path)) or table.get((method, f"{path.rpartition('/')[0]}/*"))


def order_row(desk: Desk, call: Call, order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "status": order.status,
        "owner": order.owner,
        "maker_address": _STRANGER if call.disguised else desk.account.number,
        "market": desk.market.tokens[order.token],
        "asset_id": order.token,
        "side": order.side,
        "original_size": str(order.qty),
        "size_matched": str(order.matched),
        "price": str(order.price),
        "outcome": "Yes",
        "expiration": str(int(order.expires_at.timestamp())) if order.expires_at else "0",
        "order_type": order.kind,
        "created_at": int(order.at.timestamp()),
        "associate_trades": order.trades,
    }


def keys_row(valid: Sequence[str], call: Call) -> dict[str, Any]:
    return {"apiKeys": ["00000000-0000-4000-8000-000000000000"] if call.disguised else list(valid)}


def _trade(desk: Desk, call: Call, trade: Trade) -> dict[str, Any]:
    """A taker's trade names our order at the top; a maker's among the maker orders, below a stranger's."""
    ours = _STRANGER if call.disguised else desk.account.number
    amount = {"price": str(trade.price), "asset_id": trade.token, "outcome": "Yes", "fee_rate_bps": "0"}
    maker = {
        "order_id": trade.order_id if trade.maker else "0x" + "0" * 64,
        "owner": trade.owner if trade.maker else "",
        "maker_address": ours if trade.maker else _STRANGER,
        "matched_amount": str(trade.qty),
        "side": trade.side if trade.maker else _other(trade.side),
        **amount,
    }
    return {
        "id": trade.id,
        "taker_order_id": "0x" + "0" * 64 if trade.maker else trade.order_id,
        "market": desk.market.tokens[trade.token],
        "side": _other(trade.side) if trade.maker else trade.side,
        "size": str(trade.qty),
        "status": "CONFIRMED",
        "match_time": str(int(trade.at.timestamp())),
        "last_update": str(int(trade.at.timestamp())),
        "owner": trade.owner,
        "maker_address": ours,
        "trader_side": "MAKER" if trade.maker else "TAKER",
        "transaction_hash": transaction_of(trade.id),
        "maker_orders": [maker],
        **amount,
    }


def transaction_of(trade_id: str) -> str:
    """A transaction hash for a trade, as the chain would give one."""
    return "0x" + trade_id.replace("-", "") * 2


def _position(desk: Desk, call: Call, token: str, qty: Decimal) -> dict[str, Any]:
    mid = desk.market.mid(token, call.at)
    return {
        "proxyWallet": (_STRANGER if call.disguised else desk.account.number).lower(),
        "asset": token,
        "conditionId": desk.market.tokens[token],
        "size": float(qty),
        "curPrice": float(mid),
        "currentValue": float(qty * mid),
        "outcome": "Yes",
        "redeemable": False,
        "negativeRisk": False,
    }


def _page(rows: list[dict[str, Any]], call: Call) -> dict[str, Any]:
    try:
        start = int(base64.b64decode(call.query.get("next_cursor", "MA==")))
    except (ValueError, binascii.Error):
        raise Refusal(400, "Next item should be greater than or equal to 0") from None
    page, following = rows[start : start + PAGE], start + PAGE
    more = base64.b64encode(str(following).encode()).decode() if following < len(rows) else _END
    return {"data": page, "next_cursor": more, "limit": PAGE, "count": len(page)}


def _token(desk: Desk, call: Call) -> str:
    token = call.query.get("token_id", "")
    if token not in desk.market.tokens:
        raise Refusal(404, "No orderbook exists for the requested token id")
    return token


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise Refusal(400, "invalid number") from None


def _other(side: str) -> str:
    return "SELL" if side == "BUY" else "BUY"
