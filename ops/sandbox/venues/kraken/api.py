"""Kraken's REST API over one desk: parameters in, result out, no network. The table at the end is what it offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.sandbox.venues.kraken import lists, tickets
from ops.sandbox.venues.kraken.assets import CASH, Market
from ops.sandbox.venues.kraken.desk import Desk
from ops.sandbox.venues.kraken.keys import Key
from ops.sandbox.venues.kraken.lists import View
from ops.sandbox.venues.kraken.refusals import Refusal, invalid

DEAD_MAN_MAX_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted request. `at` is venue time, `wall` the machine's; `state` what SystemStatus says."""

    params: Mapping[str, str]
    key: Key
    at: datetime
    wall: datetime
    state: str = "online"
    view: View = field(default_factory=View)
    stranger: bool = False


Handler = Callable[[Desk, Call], Any]


# Public


def public(market: Market, method: str, params: Mapping[str, str], at: datetime, state: str) -> Any:
    """The result of a public method. Raises Refusal."""
    if method == "Time":
        return {"unixtime": int(at.timestamp()), "rfc1123": at.strftime("%a, %d %b %y %H:%M:%S +0000")}
    if method == "SystemStatus":
        return {"status": state, "timestamp": _iso(at)}
    if method == "Assets":
        return {asset.wire: asset.body() for asset in market.assets.values()}
    if method == "AssetPairs":
        return {pair.name: pair.body() for pair in _asked_pairs(market, params)}
    if method == "Ticker":
        return {pair.name: _ticker(market, pair.symbol, at) for pair in _asked_pairs(market, params)}
    raise Refusal("EGeneral:Unknown method")


def _asked_pairs(market: Market, params: Mapping[str, str]) -> list[Any]:
    if not params.get("pair"):
        return list(market.pairs.values())
    found = [market.named(name) for name in params["pair"].split(",")]
    if None in found:
        raise Refusal("EQuery:Unknown asset pair")
    return found


def _ticker(market: Market, symbol: str, at: datetime) -> dict[str, Any]:
    bid, ask = map(str, market.quote(symbol, at))
    flat, day = [bid, bid], ["1.00000000", "1.00000000"]
    best = {"a": [ask, "1", "1.000"], "b": [bid, "1", "1.000"], "c": [bid, "0.10000000"]}
    return {**best, "v": day, "p": flat, "t": [1, 1], "l": flat, "h": flat, "o": bid}


# Private: looking


def key_info(desk: Desk, call: Call) -> Any:
    """The only call that names the account: its iban. Numbers are text, "0" means unlimited (venues.md 3.3)."""
    number = desk.account.number
    other = number[:-2] + ("99" if not number.endswith("99") else "98")
    issued = str(int(call.key.issued_at.timestamp()))
    return {
        "apiKeyName": call.key.name,
        "apiKey": call.key.key_id,
        "nonce": str(call.key.nonce),
        "nonceWindow": str(call.key.nonce_window),
        "permissions": list(call.key.permissions),
        "iban": other if call.stranger else number,
        "validUntil": "0",
        "queryFrom": "0",
        "queryTo": "0",
        "createdTime": issued,
        "modifiedTime": issued,
        "ipAllowlist": [],
        "lastUsed": str(int(call.wall.timestamp())),
    }


def balance(desk: Desk, call: Call) -> Any:
    assets = desk.market.assets
    return {assets[code].wire: f"{qty:.10f}" for code, qty in desk.account.balances.items()}


def balance_extended(desk: Desk, call: Call) -> Any:
    assets, held = desk.market.assets, desk.account.balances.items()
    return {
        assets[code].wire: {"balance": f"{qty:.10f}", "hold_trade": f"{desk.held(code):.10f}"} for code, qty in held
    }


def trade_balance(desk: Desk, call: Call) -> Any:
    equity = f"{desk.equity(call.at):.4f}"
    none = dict.fromkeys(("m", "n", "c", "v"), "0.0000")
    return {"eb": equity, "tb": f"{desk.balance(CASH):.4f}", **none, "e": equity, "mf": equity}


def open_orders(desk: Desk, call: Call) -> Any:
    return lists.open_orders(desk, call.params, call.view)


def closed_orders(desk: Desk, call: Call) -> Any:
    return lists.closed_orders(desk, call.params, call.view)


def query_orders(desk: Desk, call: Call) -> Any:
    """Up to 50 by txid, open or closed; one that is not known makes the whole request fail."""
    names = [name for name in call.params.get("txid", "").split(",") if name]
    if not 1 <= len(names) <= lists.PAGE:
        raise invalid("txid")
    if any(name not in desk.orders for name in names):
        raise Refusal("EOrder:Unknown order")
    return {name: lists.order_body(desk, desk.orders[name]) for name in names}


def trades_history(desk: Desk, call: Call) -> Any:
    return lists.trades(desk, call.params, call.view)


def open_positions(desk: Desk, call: Call) -> Any:
    """Margin positions only; this is a spot account."""
    return {}


# Private: changing


def add_order(desk: Desk, call: Call) -> Any:
    """The answer does not echo cl_ord_id; with validate=true it has no txid (venues.md 3.1, 3.4)."""
    try:
        validate = tickets.flag(call.params, "validate")
        tickets.check_deadline(call.params, call.wall)
        ticket = tickets.ticket(call.params, desk.market, call.at)
        if call.state == "cancel_only" or (call.state == "post_only" and not ticket.post_only):
            raise Refusal(f"EService:Market in {call.state} mode")
    except Refusal as refusal:
        desk.log_refused(tickets.claimed(call.params), call.key.key_id, refusal.error, call.at)
        raise
    described = {"descr": {"order": lists.sentence(desk, ticket)}}
    if validate:
        desk.admit(ticket, call.at)
        return described
    return {**described, "txid": [desk.submit(ticket, call.key.key_id, call.at).txid]}


def cancel_order(desk: Desk, call: Call) -> Any:
    """By txid, userref or cl_ord_id; `pending`: the order is still open and will be cancelled."""
    names = {call.params[name] for name in ("txid", "cl_ord_id") if call.params.get(name)}
    if not names:
        raise invalid("txid")
    found = [o for o in desk.open.values() if names & {o.txid, o.cl_ord_id, str(o.userref)}]
    if not found:
        raise Refusal("EOrder:Unknown order")
    for order in found:
        desk.cancel(order, call.at)
    return {"count": len(found), "pending": True}


def cancel_all(desk: Desk, call: Call) -> Any:
    return {"count": desk.cancel_all(call.at)}


def cancel_all_after(desk: Desk, call: Call) -> Any:
    """Arms or re-arms the dead-man's switch; 0 disarms it, and triggerTime is then "0"."""
    seconds = call.params.get("timeout", "")
    if not seconds.isdigit() or int(seconds) > DEAD_MAN_MAX_SECONDS:
        raise invalid("timeout")
    due = call.at + timedelta(seconds=int(seconds)) if int(seconds) else None
    desk.account.dead_man_at, desk.account_changed = due, True
    return {"currentTime": _iso(call.at), "triggerTime": "0" if due is None else _iso(due)}


def not_offered(desk: Desk, call: Call) -> Any:
    """Money in and out, which no key that is issued here may touch; changes and batches of orders, not simulated."""
    raise Refusal("EAPI:Feature disabled")


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FUNDS, OPEN, CLOSED = "query-funds", "query-open-trades", "query-closed-trades"
MODIFY, CLOSE = "modify-trades", "close-trades"
_WITHDRAWING = ("WithdrawMethods", "WithdrawAddresses", "WithdrawInfo", "WithdrawStatus", "WithdrawCancel")
METHODS: dict[str, tuple[tuple[str, ...], Handler]] = {
    "GetApiKeyInfo": ((), key_info),
    "Balance": ((FUNDS,), balance),
    "BalanceEx": ((FUNDS,), balance_extended),
    "TradeBalance": ((FUNDS,), trade_balance),
    "OpenOrders": ((OPEN,), open_orders),
    "OpenPositions": ((OPEN,), open_positions),
    "ClosedOrders": ((CLOSED,), closed_orders),
    "QueryOrders": ((OPEN, CLOSED), query_orders),
    "TradesHistory": ((OPEN, CLOSED), trades_history),
    "AddOrder": ((MODIFY,), add_order),
    "CancelOrder": ((CLOSE,), cancel_order),
    "CancelAll": ((CLOSE,), cancel_all),
    "CancelAllOrdersAfter": ((MODIFY, CLOSE), cancel_all_after),
    **dict.fromkeys(("AddOrderBatch", "EditOrder", "AmendOrder"), ((MODIFY,), not_offered)),
    "CancelOrderBatch": ((CLOSE,), not_offered),
    "QueryTrades": ((OPEN, CLOSED), not_offered),
    **dict.fromkeys(("DepositMethods", "DepositAddresses", "DepositStatus"), (("add-funds",), not_offered)),
    **dict.fromkeys((*_WITHDRAWING, "Withdraw"), (("withdraw-funds",), not_offered)),
    "GetWebSocketsToken": (("create-ws-token",), not_offered),
}
"""Method -> the permissions of which one must be held (none: every key may), and who answers (venues.md 3.3)."""
CHANGING = frozenset({"AddOrder", "CancelOrder", "CancelAll", "CancelAllOrdersAfter"})


def private(desk: Desk, method: str, call: Call) -> Any:
    """The result of a private method. Raises Refusal."""
    if method not in METHODS:
        raise Refusal("EGeneral:Unknown method")
    one_of, handler = METHODS[method]
    if one_of and not set(one_of) & set(call.key.permissions):
        raise Refusal("EGeneral:Permission denied")
    return handler(desk, call)
