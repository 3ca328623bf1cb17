"""The reference bot's door to Kraken: two names for all that can fail, one order per id, any venue clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.sandbox.bots.brokers import open_broker
from ops.sandbox.bots.brokers.kraken import KrakenBroker
from ops.sandbox.bots.venue import Access, NewOrder, Secret, VenueRefused, VenueUnknown
from tests.contracts.kraken.facts import KRAKEN
from tests.contracts.rig import Rig
from tests.peers import answering

NUMBER = KRAKEN.numbers["paper"]


def access(rig: Rig, endpoint: str = "") -> Access:
    key, secret = rig.keys().bot.values()
    url, none = endpoint or rig.served.endpoints["paper"], Secret("")
    return Access("paper", url, "", NUMBER, Secret(key), Secret(secret), none, none)


@pytest.fixture
def broker(rig: Rig) -> KrakenBroker:
    opened = open_broker("kraken", access(rig), 5.0)
    assert isinstance(opened, KrakenBroker)
    return opened


def wish(rig: Rig, price: str = "30000", qty: str = "0.01") -> NewOrder:
    return NewOrder(rig.client_id(), "BTC/USD", "buy", Decimal(qty), Decimal(price), "gtc", Decimal(price))


def test_readings(rig: Rig, broker: KrakenBroker) -> None:
    account = broker.account()
    assert (account.number, account.equity) == (NUMBER, account.last_equity)
    assert broker.market_open()
    quote = broker.quotes(["BTC/USD", "NONE/USD"])["BTC/USD"]
    assert 0 < quote.bid < quote.ask
    assert set(broker.quotes(["NONE/USD"])) == set()
    grid = broker.grid("BTC/USD")
    assert (grid.tick, grid.lot, grid.price_max) == (Decimal("0.1"), Decimal("0.00000001"), None)
    rig.fault("cancel_only")
    assert not broker.market_open()


def test_only_the_account_that_the_bot_was_told_belongs_to_its_mode(rig: Rig, broker: KrakenBroker) -> None:
    assert broker.belongs_to(NUMBER, "paper")
    assert not broker.belongs_to(KRAKEN.numbers["live"], "paper")
    nobody = KrakenBroker(replace(access(rig), account=""))
    assert not nobody.belongs_to("", "paper")


def test_todays_loss_begins_at_midnight_utc(rig: Rig, broker: KrakenBroker) -> None:
    broker.submit(wish(rig, "63000"))
    rig.later(1)
    before = broker.account()
    rig.served.do(lambda: rig.served.venue.shock("BTC/USD", Decimal("0.5")))
    lost = broker.account()
    assert lost.last_equity == before.last_equity > lost.equity
    rig.later(86_400)
    assert broker.market_open()
    new_day = broker.account()
    assert new_day.last_equity == new_day.equity
    rig.served.do(lambda: rig.served.venue.shock("BTC/USD", Decimal(1)))


@pytest.mark.parametrize("prefix", ["k1p", "", "host12l"])
def test_client_ids_are_what_kraken_takes(broker: KrakenBroker, prefix: str) -> None:
    made = broker.client_id(prefix, "0123456789abcdef" * 4)
    assert made.startswith(prefix)
    assert (len(made), made.isalnum(), made.islower()) == (18, True, True)


@pytest.mark.parametrize("prefix", ["k1-p", "K1p", "0123456789"])
def test_a_prefix_that_kraken_does_not_take_is_said_so(broker: KrakenBroker, prefix: str) -> None:
    with pytest.raises(ValueError):
        broker.client_id(prefix, "0" * 64)


def test_an_order_lives_and_dies(rig: Rig, broker: KrakenBroker) -> None:
    order = wish(rig)
    sent = broker.submit(order)
    assert broker.find_order(order.client_order_id) == broker.order(sent.order_id) == sent
    assert broker.open_orders() == [sent]
    broker.cancel(sent.order_id)
    assert broker.open_orders() == [sent]
    rig.later(1)
    assert (broker.open_orders(), broker.order(sent.order_id).status) == ([], "canceled")
    found = broker.find_order(order.client_order_id)
    assert found is not None
    assert found.status == "canceled"
    assert broker.find_order("neversent") is None
    with pytest.raises(VenueRefused, match="Unknown order"):
        broker.cancel(sent.order_id)


def test_an_order_in_parts_and_its_fills_on_every_page(rig: Rig, broker: KrakenBroker) -> None:
    sent = broker.submit(wish(rig, "63000", "12"))
    assert broker.order(sent.order_id).status == "partially_filled"
    rig.later(1)
    assert broker.order(sent.order_id).status == "filled"
    for _ in range(60):
        rig.by_hand(price=Decimal(63_000))
    fills = broker.fills(rig.now - timedelta(seconds=30))
    assert sum(fill.qty for fill in fills if fill.order_id == sent.order_id) == 12
    assert len(fills) == 62
    assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)
    assert {(fill.symbol, fill.side) for fill in fills} == {("BTC/USD", "buy")}
    assert len(broker.fills(None)) >= 62


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"qty": Decimal(9_999)}, "Insufficient funds"),
        ({"limit_price": Decimal("0.05")}, "Invalid price"),
        ({"client_order_id": "K-1"}, "cl_ord_id"),
    ],
)
def test_a_venue_that_says_no_is_refused(rig: Rig, broker: KrakenBroker, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(VenueRefused, match=said):
        broker.submit(replace(wish(rig), **changed))


def test_an_id_that_is_open_already_is_refused(rig: Rig, broker: KrakenBroker) -> None:
    order = wish(rig)
    broker.submit(order)
    with pytest.raises(VenueRefused, match="not unique"):
        broker.submit(order)


def test_a_wrong_key_is_refused_without_showing_it(rig: Rig) -> None:
    other = "QUJD" * 22
    with pytest.raises(VenueRefused, match="Invalid signature") as caught:
        KrakenBroker(replace(access(rig), secret=Secret(other))).account()
    assert other not in f"{caught.value!r} {caught.getrepr(chain=True)}"


QUESTIONS: dict[str, Callable[[KrakenBroker], object]] = {
    "account": lambda broker: broker.account(),
    "status": lambda broker: broker.market_open(),
    "open orders": lambda broker: broker.open_orders(),
    "fills": lambda broker: broker.fills(None),
    "quotes": lambda broker: broker.quotes(["BTC/USD"]),
    "order by client id": lambda broker: broker.find_order("any"),
}


@pytest.mark.parametrize("name", ["rate_limit", "server_error", "html_error", "empty_body", "truncated_json"])
def test_no_answer_to_believe_is_unknown(rig: Rig, broker: KrakenBroker, name: str) -> None:
    broker.submit(wish(rig))
    rig.fault(name)
    for question, ask in QUESTIONS.items():
        with pytest.raises(VenueUnknown, match=question):
            ask(broker)


@pytest.mark.parametrize("name", ["hang_after", "gateway_timeout_after", "unavailable_after", "truncated_json"])
def test_an_order_whose_answer_is_lost_was_sent_once(rig: Rig, broker: KrakenBroker, name: str) -> None:
    order, hurried = wish(rig), KrakenBroker(access(rig), 0.5)
    hurried.grid("BTC/USD")
    rig.fault(name)
    with pytest.raises(VenueUnknown):
        hurried.submit(order)
    rig.fault(name, on=False)
    assert broker.find_order(order.client_order_id) is not None
    assert rig.events(order.client_order_id) == ["accepted"]


def test_a_silent_venue_and_nobody_there_are_unknown(rig: Rig) -> None:
    rig.fault("hang_before")
    for opened in (KrakenBroker(access(rig), 0.3), KrakenBroker(access(rig, "http://127.0.0.1:9"))):
        with pytest.raises(VenueUnknown):
            opened.account()


def test_a_lookup_that_shows_other_orders_proves_nothing(rig: Rig) -> None:
    row = b'{"status":"open","vol":"1","vol_exec":"0","cl_ord_id":"b","descr":{"pair":"XBTUSD","type":"buy"}}'
    pairs = b'{"error":[],"result":{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD"}}}'
    answers = {"POST /0/private/OpenOrders": (200, b'{"error":[],"result":{"open":{"O":' + row + b"}}}")}
    with (
        answering({**answers, "GET /0/public/AssetPairs": (200, pairs)}) as url,
        pytest.raises(VenueUnknown, match="other orders"),
    ):
        KrakenBroker(access(rig, url)).find_order("a")


def test_a_nonce_that_was_overtaken_is_tried_again_but_never_for_an_order(rig: Rig, broker: KrakenBroker) -> None:
    broker.grid("BTC/USD")
    rig.fault("invalid_nonce", times=2)
    assert broker.open_orders() == []
    rig.fault("invalid_nonce", times=1)
    with pytest.raises(VenueRefused, match="Invalid nonce"):
        broker.submit(wish(rig))


def test_a_year_ago_is_a_day_like_any_other(rig: Rig, broker: KrakenBroker) -> None:
    """The simulated week pins the venue's clock; nonces and deadlines stay wall time."""
    rig.later(-365 * 86_400)
    sent = broker.submit(wish(rig, "63000"))
    rig.later(1)
    assert [fill.order_id for fill in broker.fills(rig.now - timedelta(seconds=5)) if fill.at <= rig.now] == [
        sent.order_id
    ]
