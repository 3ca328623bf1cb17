"""The reference bot's door to Alpaca: every way in which the venue can fail has one of two names, one order per id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.sandbox.bots.brokers import open_broker
from ops.sandbox.bots.brokers.alpaca import AlpacaBroker
from ops.sandbox.bots.venue import Access, NewOrder, Secret, VenueRefused, VenueUnknown
from tests.contracts.alpaca.desk import Desk
from tests.contracts.alpaca.facts import ALPACA
from tests.contracts.rig import Rig
from tests.peers import answering

NUMBER = ALPACA.numbers["paper"]
QUICK_SECONDS = 0.4


def access(rig: Rig, endpoint: str = "") -> Access:
    pair = rig.keys().bot
    assert pair is not None
    key, secret = (Secret(part) for part in pair.values())
    url, none = endpoint or rig.served.endpoints["paper"], Secret("")
    return Access("paper", url, "", NUMBER, key, secret, none, none)


@pytest.fixture
def broker(rig: Rig) -> AlpacaBroker:
    opened = open_broker("alpaca", access(rig), 5.0)
    assert isinstance(opened, AlpacaBroker)
    return opened


def wish(rig: Rig, price: str = "150", qty: str = "2") -> NewOrder:
    return NewOrder(rig.client_id(), "AAPL", "buy", Decimal(qty), Decimal(price), "day", Decimal(price))


def test_readings(rig: Rig, broker: AlpacaBroker) -> None:
    account = broker.account()
    assert account.number == NUMBER
    assert {type(account.equity), type(account.last_equity)} == {Decimal}
    quotes = broker.quotes(["AAPL", "MSFT", "NONE"])
    assert set(quotes) == {"AAPL", "MSFT"}
    assert all(0 < quote.bid <= quote.ask for quote in quotes.values())
    grid = broker.grid("AAPL")
    assert (grid.tick, grid.lot, grid.price_max) == (Decimal("0.01"), Decimal("0.01"), None)


def test_the_market_is_open_by_the_venues_clock(desk: Desk, broker: AlpacaBroker) -> None:
    assert broker.market_open()
    desk.hours("regular")
    desk.at("2026-11-27T18:00:00+00:00")
    assert not broker.market_open()


@pytest.mark.parametrize(
    ("number", "mode", "belongs"),
    [
        ("PA3X", "paper", True),
        ("PA3X", "live", False),
        ("912345678", "live", True),
        ("912345678", "paper", False),
        ("", "paper", False),
    ],
)
def test_which_account_numbers_belong_to_a_mode(broker: AlpacaBroker, number: str, mode: str, belongs: bool) -> None:
    assert broker.belongs_to(number, mode) is belongs


def test_client_ids_are_short_enough_and_keep_their_prefix(broker: AlpacaBroker) -> None:
    made = broker.client_id("alpaca-1-p-", "0123456789abcdef" * 4)
    assert made.startswith("alpaca-1-p-")
    assert len(made) <= 48


def test_an_order_lives_and_dies(rig: Rig, broker: AlpacaBroker) -> None:
    order = wish(rig)
    sent = broker.submit(order)
    assert broker.find_order(order.client_order_id) == broker.order(sent.order_id) == broker.open_orders()[0]
    broker.cancel(sent.order_id)
    assert [seen.status for seen in broker.open_orders()] == ["pending_cancel"]
    rig.later(1)
    assert (broker.open_orders(), broker.order(sent.order_id).status) == ([], "canceled")
    assert broker.find_order("never sent") is None
    with pytest.raises(VenueRefused, match="HTTP 422"):
        broker.cancel(sent.order_id)


def test_fills_come_on_every_page_and_from_a_moment(rig: Rig, broker: AlpacaBroker) -> None:
    sent = broker.submit(wish(rig, "250", "1.5"))
    rig.later(1)
    assert broker.order(sent.order_id).status == "filled"
    for _ in range(120):
        rig.by_hand(price=Decimal(250))
    fills = broker.fills(rig.now - timedelta(seconds=1))
    assert sum(fill.qty for fill in fills if fill.order_id == sent.order_id) == Decimal("1.5")
    assert len(fills) == 121
    assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)
    rig.later(120)
    assert broker.fills(rig.now) == []
    assert len(broker.fills(None)) >= 121


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"qty": Decimal(100_000)}, "HTTP 403.*insufficient buying power"),
        ({"limit_price": Decimal("150.123")}, "HTTP 422.*sub-penny"),
        ({"client_order_id": "x" * 49}, "HTTP 422.*at most 48"),
    ],
)
def test_a_venue_that_says_no_is_refused(rig: Rig, broker: AlpacaBroker, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(VenueRefused, match=said):
        broker.submit(replace(wish(rig), **changed))


def test_a_used_id_is_refused(rig: Rig, broker: AlpacaBroker) -> None:
    order = wish(rig)
    broker.submit(order)
    with pytest.raises(VenueRefused, match="client_order_id must be unique"):
        broker.submit(order)


def test_a_wrong_key_is_refused_without_showing_it(rig: Rig) -> None:
    other = "QUJD" * 10
    with pytest.raises(VenueRefused, match="HTTP 401") as caught:
        AlpacaBroker(replace(access(rig), secret=Secret(other))).account()
    assert other not in f"{caught.value!r} {caught.getrepr(chain=True)}"


QUESTIONS: dict[str, Callable[[AlpacaBroker], object]] = {
    "account": lambda broker: broker.account(),
    "clock": lambda broker: broker.market_open(),
    "open orders": lambda broker: broker.open_orders(),
    "fills": lambda broker: broker.fills(None),
    "quotes": lambda broker: broker.quotes(["AAPL"]),
    "order by client id": lambda broker: broker.find_order("any"),
}


@pytest.mark.parametrize(
    "name", ["rate_limit", "server_error", "html_error", "empty_body", "truncated_json", "maintenance"]
)
def test_no_answer_to_believe_is_unknown(rig: Rig, broker: AlpacaBroker, name: str) -> None:
    broker.submit(wish(rig, "250"))
    broker.submit(wish(rig))  # an empty list has nothing to cut off
    rig.fault(name)
    for question, ask in QUESTIONS.items():
        with pytest.raises(VenueUnknown, match=question):
            ask(broker)


@pytest.mark.parametrize("name", ["hang_after", "gateway_timeout_after", "truncated_json"])
def test_an_order_whose_answer_is_lost_was_sent_once(rig: Rig, broker: AlpacaBroker, name: str) -> None:
    order = wish(rig)
    rig.fault(name, methods=["POST"])
    with pytest.raises(VenueUnknown):
        AlpacaBroker(access(rig), QUICK_SECONDS).submit(order)
    assert broker.find_order(order.client_order_id) is not None
    assert rig.events(order.client_order_id) == ["accepted"]


def test_a_silent_venue_and_nobody_there_are_unknown(rig: Rig) -> None:
    rig.fault("hang_before")
    for opened in (AlpacaBroker(access(rig), QUICK_SECONDS), AlpacaBroker(access(rig, "http://127.0.0.1:9"))):
        with pytest.raises(VenueUnknown):
            opened.account()


def test_a_404_that_is_not_alpacas_proves_nothing(rig: Rig) -> None:
    with answering({}) as url, pytest.raises(VenueUnknown, match="without Alpaca's body"):
        AlpacaBroker(access(rig, url)).find_order("any")


def test_a_year_ago_is_a_day_like_any_other(rig: Rig, broker: AlpacaBroker) -> None:
    """The simulated week pins the venue's clock."""
    rig.later(-364 * 86_400)
    sent = broker.submit(wish(rig, "250"))
    rig.later(1)
    fills = broker.fills(rig.now - timedelta(seconds=5))
    assert [fill.order_id for fill in fills if fill.at <= rig.now] == [sent.order_id]
