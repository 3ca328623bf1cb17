"""The unmodified alpaca-py against the simulated venue: identity, keys, orders and their lists."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import StockLatestQuoteRequest
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus
from alpaca.trading.models import TradeAccount
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest, ReplaceOrderRequest

from tests.contracts.alpaca.desk import Desk, error, refused
from tests.contracts.rig import Rig

# Identity and keys


@pytest.mark.parametrize(("environment", "prefix"), [("paper", "PK"), ("live", "AK")])
def test_account_and_key_show_their_environment(rig: Rig, environment: str, prefix: str) -> None:
    desk = Desk(rig, environment)
    account = desk.client.get_account()
    assert isinstance(account, TradeAccount)
    assert (desk.key_id[:2], account.account_number) == (prefix, rig.facts.numbers[environment])
    assert Decimal(account.equity or "") == Decimal(account.cash or "") == Decimal(account.last_equity or "")
    assert account.currency == "USD"


def test_wrong_keys_get_401_without_a_code(desk: Desk) -> None:
    other = Desk(desk.rig, "live")
    for pair in (
        (other.key_id, other.secret),
        (desk.key_id, "x" * 40),
        ("PKUNKNOWN", desk.secret),
        ("-", "-"),
        (desk.secret, desk.key_id),
    ):
        client = desk.new_client(*pair)
        assert refused(client.get_account) == (401, {"message": "unauthorized."})
        with pytest.raises(KeyError):
            _ = error(client.get_account).code


def test_a_new_pair_invalidates_the_earlier_one_of_its_account_only(desk: Desk) -> None:
    live, pair = Desk(desk.rig, "live"), desk.rig.issue("paper", "bot")
    assert refused(desk.client.get_account)[0] == 401
    assert desk.new_client(pair["key"], pair["secret"]).get_account()
    assert live.client.get_account()


def test_no_secret_reaches_a_file_or_a_log(desk: Desk) -> None:
    swapped = desk.new_client(desk.secret, desk.key_id)
    assert refused(swapped.get_account)[0] == 401
    desk.rest()
    files = b"".join(path.read_bytes() for path in desk.venue.opening.state.rglob("*") if path.is_file())
    logs = json.dumps([desk.rig.lines, desk.rig.requests])
    assert desk.secret not in logs
    assert desk.secret.encode() not in files
    assert desk.key_id in logs
    assert desk.key_id.encode() in files


# Orders


def test_a_resting_order_is_new_then_open(desk: Desk) -> None:
    order = desk.rest(client_order_id="resting-1")
    assert isinstance(order.id, UUID)
    assert order.status is OrderStatus.PENDING_NEW
    seen = desk.client.get_order_by_client_id("resting-1")
    assert (seen.id, seen.status, seen.limit_price, seen.qty) == (order.id, OrderStatus.NEW, "150", "1")
    assert [known.id for known in desk.client.get_orders()] == [order.id]
    assert desk.rig.events("resting-1") == ["accepted"]


def test_a_marketable_order_fills_at_once_inside_its_limit(desk: Desk) -> None:
    quotes = StockHistoricalDataClient(desk.key_id, desk.secret, url_override=desk.url)
    quote = quotes.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["AAPL", "NOPE"]))["AAPL"]
    order = desk.submit("buy", 1.25, quote.ask_price + 1, "fills-1")
    assert order.status is OrderStatus.PENDING_NEW
    filled = desk.client.get_order_by_id(order.id)
    price = float(filled.filled_avg_price or 0)
    assert filled.status is OrderStatus.FILLED
    assert quote.bid_price < quote.ask_price <= price <= quote.ask_price * 1.0004
    assert desk.rig.events("fills-1") == ["accepted", "fill"]
    line = desk.rig.log(client_order_id="fills-1")[0]
    keys = ("environment", "account", "symbol", "side", "qty", "key_id", "reason")
    assert [line[key] for key in keys] == ["paper", "PA3SANDBOX01", "AAPL", "buy", "1.25", desk.key_id, ""]


def test_a_resting_order_fills_when_the_price_crosses(desk: Desk) -> None:
    order = desk.rest(limit_price=180)
    desk.price("0.9")
    filled = desk.client.get_order_by_id(order.id)
    assert filled.status is OrderStatus.FILLED
    assert float(filled.filled_avg_price or 0) <= 180


def test_a_large_order_fills_in_parts(desk: Desk) -> None:
    desk.client.submit_order(
        LimitOrderRequest(
            symbol="AAPL", qty=520, side="buy", time_in_force="gtc", limit_price=192, client_order_id="big-1"
        )
    )
    assert desk.client.get_order_by_client_id("big-1").status is OrderStatus.PARTIALLY_FILLED
    desk.rig.later(0.2)
    assert desk.client.get_order_by_client_id("big-1").status is OrderStatus.FILLED
    assert desk.rig.events("big-1") == ["accepted", "partial_fill", "fill"]
    rows = desk.client.get("/account/activities/FILL", {"after": desk.before_start, "page_size": 2})
    assert [(row["type"], row["qty"], row["leaves_qty"], row["cum_qty"]) for row in rows] == [
        ("fill", "20", "0", "520"),
        ("partial_fill", "500", "20", "500"),
    ]


def test_a_client_order_id_is_unique_for_ever(desk: Desk) -> None:
    order = desk.rest(client_order_id="once-1")
    desk.client.cancel_order_by_id(order.id)
    desk.rig.later(1)
    assert desk.client.get_order_by_id(order.id).status is OrderStatus.CANCELED
    body = {"code": 40010001, "message": "client_order_id must be unique"}
    assert refused(lambda: desk.rest(client_order_id="once-1")) == (422, body)
    assert desk.rig.events("once-1") == ["accepted", "cancel_requested", "canceled", "rejected"]
    assert desk.rig.lines[-1]["reason"] == "client_order_id must be unique"


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        ({"symbol": None}, 422, 40010001, "symbol is required"),
        ({"symbol": "NOPE"}, 422, 40010001, 'asset "NOPE" not found'),
        ({"qty": 0}, 422, 40010001, "qty must be > 0"),
        ({"qty": "1e400"}, 422, 40010001, "qty is out of range"),
        ({"qty": "0.0000000001"}, 422, 40010001, "qty is limited to 9 decimal places"),
        ({"qty": True}, 422, 40010001, "qty must be a number"),
        ({"qty": None}, 422, 40010001, "qty is required"),
        ({"qty": "NaN"}, 422, 40010001, "qty must be a number"),
        ({"side": "hold"}, 422, 40010001, "invalid side"),
        ({"type": "stop"}, 422, 40010001, "invalid type"),
        ({"time_in_force": "opg"}, 422, 40010001, "invalid time_in_force"),
        ({"limit_price": None}, 422, 40010001, "limit orders require a limit price"),
        ({"limit_price": -1}, 422, 40010001, "limit price must be > 0"),
        ({"limit_price": 150.123}, 422, 42210000, "sub-penny"),
        ({"type": "market"}, 422, 40010001, "market orders must not have a limit price"),
        ({"client_order_id": "x" * 49}, 422, 40010001, "at most 48"),
        ({"order_class": "bracket"}, 422, 40010001, "order_class"),
        ({"extended_hours": "yes"}, 422, 40010001, "extended_hours"),
        ({"qty": 1.5, "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
        ({"notional": 100}, 422, 40010001, "notional"),
        ({"stop_loss": {"stop_price": 5}}, 422, 40010001, "stop_loss"),
        ({"stop_price": 5}, 422, 40010001, "stop_price"),
        ({"qty": 100_000}, 403, 40310000, "insufficient buying power"),
        (
            {"side": "sell"},
            403,
            40310000,
            "insufficient qty available for order (requested: 1, available: 0)",
        ),
    ],
)
def test_wrong_orders_are_refused_and_logged(
    desk: Desk, change: dict[str, Any], status: int, code: int, message: str
) -> None:
    order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "limit", "time_in_force": "day"}
    seen, body = refused(lambda: desk.client.post("/orders", {**order, "limit_price": 150, **change}))
    assert (seen, body["code"]) == (status, code)
    assert message in body["message"]
    assert desk.client.get_orders() == []
    last = desk.rig.lines[-1]
    assert (last["event"], last["order_id"], last["reason"]) == ("rejected", "", body["message"])


def test_a_body_that_is_no_json_object_is_400(desk: Desk) -> None:
    for body in (b"", b"[]", b"{", b"\xff"):
        answer = desk.ask("POST", "/orders", data=body)
        assert (answer.status_code, answer.json()["code"]) == (400, 40010000)


def test_shares_held_by_a_sell_order_cannot_be_sold_again(desk: Desk) -> None:
    desk.buy(3)
    desk.submit("sell", 2, 250)
    status, body = refused(lambda: desk.submit("sell", 2, 250))
    assert (status, body["available"], body["existing_qty"], body["held_for_orders"]) == (403, "1", "3", "2")


def test_list_rules_default_open_fifty_newest_first(desk: Desk) -> None:
    ids = []
    for number in range(55):
        desk.rig.later(0.01)
        ids.append(UUID(desk.rig.by_hand(price=Decimal(100 + number))))
    assert [order.id for order in desk.client.get_orders()] == ids[:4:-1]
    everything = GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=500, nested=False)
    assert len(desk.client.get_orders(everything)) == 55
    oldest = GetOrdersRequest(limit=2, direction="asc", symbols=["AAPL", "MSFT"], side=OrderSide.BUY)
    assert [order.id for order in desk.client.get_orders(oldest)] == ids[:2]
    third = desk.client.get_order_by_id(ids[2]).submitted_at
    after = GetOrdersRequest(after=third, limit=500)
    assert [order.id for order in desk.client.get_orders(after)] == ids[:2:-1]
    assert [order.id for order in desk.client.get_orders(GetOrdersRequest(until=third))] == ids[1::-1]
    assert desk.client.get_orders(GetOrdersRequest(symbols=["MSFT"])) == []


def test_wrong_list_parameters_are_422_and_booleans_come_in_any_capitals(desk: Desk) -> None:
    wrong = ("status=opened", "limit=501", "limit=0", "direction=up", "nested=1", "after=now")
    for query in wrong:
        answer = desk.ask("GET", f"/orders?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, 40010001), query
    for word in ("True", "False", "true", "false"):
        assert desk.ask("GET", f"/orders?nested={word}").status_code == 200


def test_closed_and_all_lists(desk: Desk) -> None:
    first, second = desk.rest(), desk.rest()
    desk.client.cancel_order_by_id(first.id)
    desk.rig.later(1)
    closed = desk.client.get_orders(GetOrdersRequest(status="closed", limit=1, symbols=["AAPL"]))
    everything = desk.client.get_orders(GetOrdersRequest(status="all", limit=2))
    assert [order.id for order in closed] == [first.id]
    assert [order.id for order in everything] == [second.id, first.id]


def test_replacing_gives_a_new_order_and_ends_the_old(desk: Desk) -> None:
    old = desk.rest(client_order_id="old-1")
    new = desk.client.replace_order_by_id(old.id, ReplaceOrderRequest(limit_price=151, qty=2, client_order_id="new-1"))
    ended = desk.client.get_order_by_id(old.id)
    assert (ended.status, ended.replaced_by, new.replaces) == (OrderStatus.REPLACED, new.id, old.id)
    assert [(order.id, order.limit_price, order.qty) for order in desk.client.get_orders()] == [(new.id, "151", "2")]
    assert (desk.rig.events("old-1"), desk.rig.events("new-1")) == (["accepted", "replaced"], ["accepted"])
    assert refused(lambda: desk.client.replace_order_by_id(old.id, ReplaceOrderRequest(qty=1)))[0] == 422
    assert refused(lambda: desk.client.replace_order_by_id(new.id))[1]["message"] == "order parameters are not changed"
