"""The routes that change something, and those of the API keys."""

from __future__ import annotations

from typing import Any

from ops.sandbox.venues.kalshi import tickets, wire
from ops.sandbox.venues.kalshi.calls import Call, Reply, reply
from ops.sandbox.venues.kalshi.desk import Desk
from ops.sandbox.venues.kalshi.keys import SCOPES, Key, pem
from ops.sandbox.venues.kalshi.matching import take
from ops.sandbox.venues.kalshi.refusals import Refusal, bare, missing, nested, unauthorized

# orders


def create(desk: Desk, call: Call) -> Reply:
    ticket = tickets.ticket(call.document())
    _require_trading(desk, call)
    order = desk.submit(ticket, call.key_id, call.at)
    take(desk, order, call.at)
    return reply(201, wire.created_body(order))


def _require_trading(desk: Desk, call: Call) -> None:
    if not desk.market.trading(call.at):
        raise nested(409, "trading_is_paused", service="exchange")


def cancel(desk: Desk, call: Call) -> Reply:
    return reply(200, _canceled(desk, call, call.name, call.query.get("market_ticker", "")))


def _canceled(desk: Desk, call: Call, order_id: str, ticker: str) -> dict[str, Any]:
    if ticker and desk.order(order_id).ticket.ticker != ticker:
        raise missing()
    return wire.canceled_body(desk.cancel(order_id, call.at), call.at)


def cancel_batch(desk: Desk, call: Call) -> Reply:
    wanted = call.document().get("orders")
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise bare("BatchCancelOrders", "Orders", "required")
    rows: list[dict[str, Any]] = []
    for one in wanted:
        order_id = str(one.get("order_id", ""))
        try:
            rows.append(_canceled(desk, call, order_id, str(one.get("market_ticker", ""))))
        except Refusal as refusal:
            rows.append({"order_id": order_id, "reduced_by": "0.00", "error": refusal.body["error"]})
    return reply(200, {"orders": rows})


def cancel_everything(desk: Desk, call: Call) -> Reply:
    """Since 27 August 2026: no body, no count; the real one works asynchronously."""
    desk.cancel_many(desk.open.values(), call.at)
    return Reply(204)


def gone(desk: Desk, call: Call) -> Reply:
    body = {"code": "deprecated_v1_order_endpoint", "message": "Please switch to the V2 endpoints"}
    return reply(410, {"error": body})


# order groups


def groups(desk: Desk, call: Call) -> Reply:
    return reply(200, {"order_groups": [wire.group_body(group) for group in desk.account.groups.values()]})


def create_group(desk: Desk, call: Call) -> Reply:
    group = desk.create_group(tickets.group_limit(call.document()))
    return reply(201, {"order_group_id": group.id, "subaccount": 0, "exchange_index": 0})


def group(desk: Desk, call: Call) -> Reply:
    group = desk.group(call.name)
    return reply(200, {**wire.group_body(group), "orders": [order.id for order in desk.members(group)]})


def delete_group(desk: Desk, call: Call) -> Reply:
    desk.cancel_many(desk.members(desk.group(call.name)), call.at)
    del desk.account.groups[call.name]
    desk.account_changed = True
    return reply(200, {})


def trigger_group(desk: Desk, call: Call) -> Reply:
    group, _ = desk.group(call.name), call.document()
    if not call.view.stuck_latch:
        desk.trigger(group, call.at)
    return reply(200, {})


def reset_group(desk: Desk, call: Call) -> Reply:
    group, _ = desk.group(call.name), call.document()
    group.triggered, group.recent, desk.account_changed = False, [], True
    return reply(200, {})


def limit_group(desk: Desk, call: Call) -> Reply:
    desk.group(call.name).limit = tickets.group_limit(call.document())
    desk.account_changed = True
    return reply(200, {})


# keys and transfers


def keys(desk: Desk, call: Call) -> Reply:
    """A key restricted to a subaccount may not ask, not even for itself (seen on the live exchange by a public bot)."""
    if call.key is None or call.key.subaccount is not None:
        raise unauthorized("NOT_FOUND")
    here = [k for k in call.keys.issued.values() if k.valid and k.environment == call.key.environment]
    return reply(200, {"api_keys": [_key_body(key) for key in here]})


def _key_body(key: Key) -> dict[str, Any]:
    body: dict[str, Any] = {"api_key_id": key.key_id, "name": key.name, "scopes": key.scopes}
    return body if key.subaccount is None else {**body, "subaccount": key.subaccount}


def generate_key(desk: Desk, call: Call) -> Reply:
    wanted = call.document()
    scopes = wanted.get("scopes", ["read", "write"])
    if not isinstance(scopes, list) or not set(scopes) <= set(SCOPES) or ("write" in scopes and "read" not in scopes):
        raise bare("GenerateApiKey", "Scopes", "oneof")
    if not wanted.get("name"):
        raise bare("GenerateApiKey", "Name", "required")
    key, secret = call.keys.issue(desk.account.environment, str(wanted["name"]), scopes, wanted.get("subaccount"))
    return reply(201, {"api_key_id": key.key_id, "private_key": pem(secret)})


def create_key(desk: Desk, call: Call) -> Reply:
    raise nested(403, "forbidden", "insufficient API usage level")


def delete_key(desk: Desk, call: Call) -> Reply:
    if (key := call.keys.known(desk.account.environment, call.name)) is None:
        raise missing()
    key.valid = False
    return Reply(204)


def transfer(desk: Desk, call: Call) -> Reply:
    raise bare("SubaccountTransfer", "ToSubaccount", "required")
