"""The unmodified alpaca-py against the simulated venue: cancels, positions, suspension, hours, limits."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from alpaca.trading.enums import OrderSide, OrderStatus
from alpaca.trading.models import ClosePositionResponse
from alpaca.trading.requests import ClosePositionRequest, GetCalendarRequest, LimitOrderRequest

from tests.contracts.alpaca.desk import REFUSED_WHILE_SUSPENDED, Desk, refused

# Cancels


def test_a_cancel_is_accepted_first_and_done_later(desk: Desk) -> None:
    order = desk.rest(client_order_id="cancel-1")
    desk.client.cancel_order_by_id(order.id)
    assert [known.status for known in desk.client.get_orders()] == [OrderStatus.PENDING_CANCEL]
    desk.rig.later(0.29)
    assert len(desk.client.get_orders()) == 1
    desk.rig.later(0.02)
    assert desk.client.get_orders() == []
    assert desk.rig.events("cancel-1") == ["accepted", "cancel_requested", "canceled"]


def test_an_order_waiting_for_its_cancel_can_still_fill(desk: Desk) -> None:
    order = desk.rest(limit_price=180)
    desk.client.cancel_order_by_id(order.id)
    desk.price("0.9")
    desk.rig.later(1)
    assert desk.client.get_order_by_id(order.id).status is OrderStatus.FILLED


def test_cancel_answers_204_then_422_and_404_for_a_stranger(desk: Desk) -> None:
    order = desk.rest()
    answer = desk.ask("DELETE", f"/orders/{order.id}")
    assert (answer.status_code, answer.content) == (204, b"")
    desk.rig.later(1)
    status, body = refused(lambda: desk.client.cancel_order_by_id(order.id))
    assert (status, body) == (422, {"code": 42210000, "message": 'order is already in "canceled" state'})
    stranger = uuid4()
    status, body = refused(lambda: desk.client.cancel_order_by_id(stranger))
    assert (status, body["code"]) == (404, 40410000)
    assert refused(lambda: desk.client.get_order_by_client_id("never-sent"))[0] == 404


def test_cancel_all_answers_207_with_an_item_per_order(desk: Desk) -> None:
    orders = [desk.rest() for _ in range(3)]
    answer = desk.ask("DELETE", "/orders")
    assert answer.status_code == 207
    assert answer.json() == [{"id": str(order.id), "status": 200} for order in orders]
    assert len(desk.client.get_orders()) == 3
    desk.rig.later(1)
    assert desk.client.cancel_orders() == []


# Positions and money


def test_positions_follow_fills_and_close(desk: Desk) -> None:
    before = Decimal(desk.client.get_account().cash or "")
    desk.buy(2)
    position = desk.client.get_open_position("AAPL")
    by_id = desk.client.get_open_position(position.asset_id)
    assert (position.qty, position.side.value, by_id.symbol) == ("2", "long", "AAPL")
    assert [held.symbol for held in desk.client.get_all_positions()] == ["AAPL"]
    account = desk.client.get_account()
    assert Decimal(account.cash or "") == before - Decimal(position.cost_basis)
    assert Decimal(account.equity or "") == Decimal(account.cash or "") + Decimal(account.long_market_value or "")
    desk.client.close_position("AAPL", ClosePositionRequest(percentage="25"))
    assert desk.client.get_open_position("AAPL").qty == "1.5"
    desk.client.close_position("AAPL", ClosePositionRequest(qty="0.5"))
    desk.client.close_position("AAPL")
    status, body = refused(lambda: desk.client.get_open_position("AAPL"))
    assert (status, body) == (404, {"code": 40410000, "message": "position does not exist"})
    assert refused(lambda: desk.client.close_position("AAPL"))[0] == 404


def test_close_all_reports_an_order_or_a_failure_per_position(desk: Desk) -> None:
    desk.buy(2)
    desk.buy(1, "MSFT")
    desk.submit("sell", 1, 250)
    answers = desk.client.close_all_positions()
    assert all(isinstance(answer, ClosePositionResponse) for answer in answers)
    apple, microsoft = answers
    assert (apple.symbol, apple.status, apple.body.code, apple.body.available) == ("AAPL", 403, 40310000, 1.0)
    assert (microsoft.status, microsoft.body.symbol, microsoft.body.side) == (200, "MSFT", OrderSide.SELL)
    (rest,) = desk.client.close_all_positions(cancel_orders=True)
    assert (rest.symbol, rest.status) == ("AAPL", 200)
    assert (desk.client.get_all_positions(), desk.client.get_orders()) == ([], [])


def test_a_price_shock_is_a_loss_against_last_equity(desk: Desk) -> None:
    desk.buy(100)
    desk.price("0.95")
    account = desk.client.get_account()
    loss = Decimal(account.last_equity or "") - Decimal(account.equity or "")
    assert 900 < loss < 1100


def test_last_equity_is_taken_at_the_session_close(desk: Desk) -> None:
    desk.buy(10)
    desk.at("2026-11-20T20:59:00+00:00")
    before = desk.client.get_account().last_equity
    desk.at("2026-11-23T15:00:00+00:00")
    account = desk.client.get_account()
    assert account.last_equity != before
    assert account.last_equity != account.equity
    assert len(desk.client.get_portfolio_history().equity) >= 2


def test_fill_activities_page_by_token(desk: Desk) -> None:
    for _ in range(5):
        desk.rig.later(1)
        desk.buy(1)
    path, own = "/account/activities/FILL", {"after": desk.before_start, "page_size": 2}
    rows = desk.client.get(path, {**own, "direction": "asc"})
    rest = desk.client.get(path, {**own, "page_size": 100, "direction": "asc", "page_token": rows[-1]["id"]})
    assert (len(rows), len(rest), {row["id"] for row in rows} & {row["id"] for row in rest}) == (2, 3, set())
    latest = desk.client.get(path, own)[0]
    assert latest["id"] == rest[-1]["id"]
    local, _, fill_uuid = latest["id"].partition("::")
    assert local == f"{desk.rig.now.astimezone(ZoneInfo('America/New_York')):%Y%m%d%H%M%S%f}"[:17]
    assert str(UUID(fill_uuid)) == fill_uuid
    assert "client_order_id" not in latest
    assert desk.client.get("/account/activities", own)[0] == latest
    assert desk.client.get("/account/activities", {"activity_types": "DIV"}) == []
    assert desk.client.get_order_by_id(latest["order_id"]).filled_qty == "1"


def test_wrong_activity_parameters_are_422(desk: Desk) -> None:
    for query in ("page_size=101", "page_token=x", "date=2026-11-20&after=2026-11-20T00:00:00Z"):
        assert desk.ask("GET", f"/account/activities/FILL?{query}").status_code == 422


# Suspension: the halt that survives us


def test_a_suspended_account_refuses_new_orders_only(desk: Desk) -> None:
    desk.buy(1)
    resting = desk.rest()
    configuration = desk.client.get_account_configurations()
    configuration.suspend_trade = True
    assert desk.client.set_account_configurations(configuration).suspend_trade is True
    assert desk.client.get_account().trade_suspended_by_user is True
    assert refused(desk.rest) == REFUSED_WHILE_SUSPENDED
    assert refused(lambda: desk.client.close_position("AAPL")) == REFUSED_WHILE_SUSPENDED
    (failed,) = desk.client.close_all_positions()
    assert (failed.status, failed.body.message) == (403, "new orders are rejected by user request")
    desk.client.cancel_order_by_id(resting.id)
    desk.rig.later(1)
    assert desk.client.get_orders() == []
    configuration.suspend_trade = False
    desk.client.set_account_configurations(configuration)
    assert desk.rest().status is OrderStatus.PENDING_NEW


def test_a_wrong_configuration_is_refused(desk: Desk) -> None:
    for change in ({"suspend_trade": "yes"}, {"suspend_trade": 1}, {"colour": "red"}):
        assert refused(lambda change=change: desk.client.patch("/account/configurations", change))[0] == 422


# Hours


def test_clock_and_calendar_in_regular_hours(desk: Desk) -> None:
    desk.hours("regular")
    assert desk.client.get_clock().is_open is True
    desk.at("2026-11-27T18:00:00+00:00")
    clock = desk.client.get_clock()
    assert clock.is_open is False
    assert clock.timestamp == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    assert clock.next_open == datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
    assert clock.next_close == datetime(2026, 11, 30, 21, 0, tzinfo=UTC)
    days = desk.client.get_calendar(GetCalendarRequest(start="2026-11-25", end="2026-11-30"))
    assert [(day.date.isoformat(), f"{day.close:%H:%M}") for day in days] == [
        ("2026-11-25", "16:00"),
        ("2026-11-27", "13:00"),
        ("2026-11-30", "16:00"),
    ]


def test_orders_wait_for_the_open_and_day_orders_end_at_the_close(desk: Desk) -> None:
    desk.hours("regular")
    desk.at("2026-11-23T13:00:00+00:00")
    queued = desk.buy(1)
    day = desk.client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day", limit_price=150)
    )
    kept = desk.rest()
    assert desk.client.get_order_by_id(queued.id).status is OrderStatus.ACCEPTED
    desk.at("2026-11-23T14:30:00+00:00")
    assert desk.client.get_order_by_id(queued.id).status is OrderStatus.FILLED
    desk.at("2026-11-23T21:00:00+00:00")
    assert desk.client.get_order_by_id(day.id).status is OrderStatus.EXPIRED
    assert [order.id for order in desk.client.get_orders()] == [kept.id]


def test_assets(desk: Desk) -> None:
    assert {asset.symbol for asset in desk.client.get_all_assets()} == set(desk.rig.facts.symbols)
    asset = desk.client.get_asset("MSFT")
    assert (asset.tradable, desk.client.get_asset(asset.id).symbol) == (True, "MSFT")
    assert refused(lambda: desk.client.get_asset("NOPE"))[0] == 404


def test_unknown_paths_and_methods(desk: Desk) -> None:
    assert refused(lambda: desk.client.get("/nothing/here"))[:2] == (
        404,
        {"code": 40410000, "message": "endpoint not found"},
    )
    assert refused(lambda: desk.client.post("/clock", {}))[0] == 405


def test_rate_limit_headers_count_down(desk: Desk) -> None:
    first, second = (int(desk.ask("GET", "/clock").headers["X-RateLimit-Remaining"]) for _ in range(2))
    assert first - second == 1
    assert int(desk.ask("GET", "/clock").headers["X-RateLimit-Limit"]) == 100_000


def test_an_order_placed_by_hand_is_foreign(desk: Desk) -> None:
    placed = desk.rig.by_hand()
    (seen,) = desk.client.get_orders()
    assert (str(seen.id), bool(seen.client_order_id)) == (placed, True)
    assert desk.rig.lines[-1]["key_id"] == "dashboard"
