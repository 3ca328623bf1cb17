"""The venue's books balance, whatever orders come: a random walk of submissions, cancels, shocks and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ops.sandbox.venues import calendar
from ops.sandbox.venues.alpaca.accounts import Account
from ops.sandbox.venues.alpaca.desk import Desk
from ops.sandbox.venues.alpaca.matching import settle
from ops.sandbox.venues.alpaca.orders import Ticket
from ops.sandbox.venues.alpaca.refusals import Refusal
from ops.sandbox.venues.market import Market
from ops.sandbox.venues.prices import Prices

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
CASH = Decimal(20_000)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["buy", "sell"]),
            st.integers(1, 12_000),
            st.sampled_from([None, 80, 97, 100, 103]),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.none()),
        st.tuples(st.just("shock"), st.integers(60, 150), st.none()),
        st.tuples(st.just("wait"), st.integers(0, 100_000), st.none()),
    ),
    max_size=40,
)


def make_desk(record: list[dict[str, Any]], hours: str = "regular") -> Desk:
    market = Market(Prices({"AAPL": Decimal(100)}, 3), hours)
    account = Account(
        environment="paper",
        id="a",
        number="PA1",
        cash=CASH,
        created_at=START,
        last_equity=CASH,
        settled_at=START,
        marked_close_at=calendar.last_close(START),
    )
    return Desk(account, market, record.append, lambda: False)


def take(desk: Desk, step: tuple[str, int, int | None], number: int, at: datetime) -> None:
    verb, size, limit = step
    try:
        if verb in ("buy", "sell"):
            price = Decimal(limit) if limit is not None else None
            kind = "limit" if limit is not None else "market"
            desk.submit(Ticket("AAPL", Decimal(size) / 10, verb, kind, "day", f"c{number}", price), "PK1", at)
        elif verb == "cancel" and desk.by_time:
            desk.cancel(desk.by_time[size % len(desk.by_time)].id, at)
        elif verb == "shock":
            desk.market.prices.shocks["AAPL"] = Decimal(size) / 100
    except Refusal:
        return


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_books_balance(steps: list[tuple[str, int, int | None]]) -> None:
    log: list[dict[str, Any]] = []
    desk, at = make_desk(log), START
    for number, step in enumerate(steps):
        if step[0] == "wait":
            at += timedelta(seconds=step[1])
        settle(desk, at)
        take(desk, step, number, at)
        settle(desk, at)
        before = len(log)
        settle(desk, at)
        assert len(log) == before, "settling twice at one instant must change nothing"
    signed = [(fill.qty if fill.side == "buy" else -fill.qty, fill.price) for fill in desk.fills]
    assert desk.account.held("AAPL") == sum((qty for qty, _ in signed), Decimal(0)) >= 0
    assert desk.account.cash == CASH - sum((qty * price for qty, price in signed), Decimal(0))
    for order in desk.orders.values():
        filled = sum((fill.qty for fill in desk.fills if fill.order_id == order.id), Decimal(0))
        assert order.filled_qty == filled <= order.qty
        assert (order.status == "filled") == (filled == order.qty)
        assert order.is_open == (order.id in desk.open)
        prices = [fill.price for fill in desk.fills if fill.order_id == order.id]
        if order.limit_price is not None:
            assert all(
                (price <= order.limit_price) == (order.side == "buy") or price == order.limit_price for price in prices
            )
    fills = [line for line in log if line["event"] in ("fill", "partial_fill")]
    assert [(line["qty"], line["price"]) for line in fills] == [
        (plain(fill.qty), plain(fill.price)) for fill in desk.fills
    ]


def plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def test_a_clock_set_back_leaves_no_cancel_behind() -> None:
    desk = make_desk([], "always")
    settle(desk, START)
    order = desk.submit(Ticket("AAPL", Decimal(1), "buy", "limit", "gtc", "c1", Decimal(50)), "PK1", START)
    settle(desk, START)
    desk.cancel(order.id, START)
    earlier = START - timedelta(days=7)
    settle(desk, earlier)
    assert order.status == "pending_cancel"
    settle(desk, earlier + timedelta(seconds=0.3))
    assert order.status == "canceled"


def test_a_clock_set_back_starts_the_day_anew() -> None:
    desk = make_desk([], "always")
    desk.submit(Ticket("AAPL", Decimal(10), "buy", "market", "day", "c1"), "PK1", START)
    settle(desk, START)
    desk.market.prices.shocks["AAPL"] = Decimal("0.5")
    assert desk.account.last_equity - desk.equity(START) > 400
    earlier = START - timedelta(days=7)
    settle(desk, earlier)
    assert desk.account.last_equity == desk.equity(earlier)
