"""The routes that only read: the exchange, its markets, the account and its lists."""

from __future__ import annotations

import json

from ops.sandbox.venues.kalshi import lists, wire
from ops.sandbox.venues.kalshi.calls import Call, Reply, reply
from ops.sandbox.venues.kalshi.desk import Desk
from ops.sandbox.venues.kalshi.refusals import missing

# the exchange


def status(desk: Desk, call: Call) -> Reply:
    return reply(200, {"exchange_active": True, "trading_active": desk.market.trading(call.at)})


def schedule(desk: Desk, call: Call) -> Reply:
    return reply(200, desk.market.schedule(call.at))


def markets(desk: Desk, call: Call) -> Reply:
    wanted = call.query.get("tickers", "").split(",") if call.query.get("tickers") else list(desk.market.prices.base)
    listed = [ticker for ticker in wanted if ticker in desk.market.prices.base]
    return reply(200, {"cursor": "", "markets": [wire.market_body(desk.market, name, call.at) for name in listed]})


def market(desk: Desk, call: Call) -> Reply:
    return reply(200, {"market": wire.market_body(desk.market, _listed(desk, call.name), call.at)})


def book(desk: Desk, call: Call) -> Reply:
    return reply(200, wire.book_body(desk.market, _listed(desk, call.name), call.at))


def _listed(desk: Desk, ticker: str) -> str:
    if ticker not in desk.market.prices.base:
        raise missing("market_not_found")
    return ticker


# the account


def communications(desk: Desk, call: Call) -> Reply:
    return reply(200, {"communications_id": desk.account.number})


def balance(desk: Desk, call: Call) -> Reply:
    return reply(200, wire.balance_body(desk, call.at))


def positions(desk: Desk, call: Call) -> Reply:
    known = [position for position in desk.account.positions.values() if position.traded]
    rows = [wire.position_body(desk, position) for position in known]
    if call.query.get("count_filter") == "position":
        rows = [row for row, position in zip(rows, known, strict=True) if position.qty]
    page, following = lists.paged("GetPositions", call.query, list(enumerate(rows)), lambda row: row[0])
    return reply(200, {"cursor": following, "event_positions": [], "market_positions": [row for _, row in page]})


def orders(desk: Desk, call: Call) -> Reply:
    texts, cursor = lists.orders(desk, call.query, call.at, call.view)
    return Reply(200, f'{{"cursor":{json.dumps(cursor)},"orders":[{",".join(texts)}]}}')


def old_orders(desk: Desk, call: Call) -> Reply:
    texts, cursor = lists.old_orders(desk, call.query, call.at)
    return Reply(200, f'{{"cursor":{json.dumps(cursor)},"orders":[{",".join(texts)}]}}')


def order(desk: Desk, call: Call) -> Reply:
    return Reply(200, f'{{"order":{wire.order_text(desk, desk.order(call.name), call.at)}}}')


def fills(desk: Desk, call: Call) -> Reply:
    return reply(200, lists.fills(desk, call.query, call.at))


def old_fills(desk: Desk, call: Call) -> Reply:
    return reply(200, lists.old_fills(desk, call.query, call.at))


def cutoff(desk: Desk, call: Call) -> Reply:
    return reply(200, dict.fromkeys(lists.CUTOFFS, wire.instant(lists.cutoff(call.at))))


def limits(desk: Desk, call: Call) -> Reply:
    read, write = ({"bucket_capacity": n, "refill_rate": n} for n in (200, 100))
    return reply(200, {"usage_tier": "basic", "read": read, "write": write, "grants": []})
