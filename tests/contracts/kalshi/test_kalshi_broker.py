"""The bot's own door to Kalshi: what it reads is true, what it sends is sent once, and each failure has its name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.sandbox.bots.brokers.kalshi import KalshiBroker
from ops.sandbox.bots.venue import Access, NewOrder, Secret, VenueRefused, VenueUnknown
from tests.contracts.kalshi.facts import KALSHI, OTHER, TICKER
from tests.contracts.rig import Rig

NUMBER = KALSHI.numbers["paper"]


@pytest.fixture
def broker(rig: Rig) -> KalshiBroker:
    return opened(rig)


def opened(rig: Rig, **changed: Any) -> KalshiBroker:
    bot, empty = rig.keys().bot, Secret("")
    assert bot is not None
    key, secret = (Secret(text) for text in bot.values())
    given = {"mode": "paper", "endpoint": rig.served.endpoints["paper"], "data_url": "", "account": NUMBER,
             "key": key, "secret": secret, "passphrase": empty, "wallet": empty}  # fmt: skip
    return KalshiBroker(Access(**{**given, **changed}), 0.5)


def wish(broker: KalshiBroker, rig: Rig, price: str = "0.20", side: str = "buy") -> NewOrder:
    client_id = broker.client_id("e1-p-", f"{rig.client_id()[-32:]}ffff")
    return NewOrder(client_id, TICKER, side, Decimal(2), Decimal(price), "day", Decimal("0.45"))


def test_readings_are_exact_and_of_the_right_account(broker: KalshiBroker) -> None:
    account = broker.account()
    assert (account.number, type(account.equity)) == (NUMBER, Decimal)
    assert broker.market_open()
    quotes = broker.quotes([TICKER, OTHER, "KXNONE"])
    assert set(quotes) == {TICKER, OTHER}
    assert all(0 < quote.bid < quote.ask < 1 for quote in quotes.values())
    grid = broker.grid(TICKER)
    assert (grid.tick, grid.lot, grid.price_max) == (Decimal("0.01"), 1, 1)


def test_only_the_number_that_the_bot_was_told_is_its_own(rig: Rig, broker: KalshiBroker) -> None:
    assert broker.belongs_to(NUMBER, "paper")
    assert not broker.belongs_to(NUMBER, "live")
    assert not broker.belongs_to(KALSHI.numbers["live"], "paper")
    assert not opened(rig, account="").belongs_to("", "paper")


def test_an_order_goes_from_submitted_to_cancelled(rig: Rig, broker: KalshiBroker) -> None:
    order = wish(broker, rig)
    sent = broker.submit(order)
    assert (sent.status, broker.order(sent.order_id)) == ("new", sent)
    assert broker.open_orders() == [sent] == [broker.find_order(order.client_order_id)]
    broker.cancel(sent.order_id)
    with pytest.raises(VenueRefused, match="404 not_found"):
        broker.cancel(sent.order_id)
    rig.later(1)
    assert broker.open_orders() == []
    assert broker.order(sent.order_id).status == "canceled"
    assert broker.find_order("never-seen") is None
    with pytest.raises(VenueRefused):
        broker.order("00000000-0000-4000-8000-000000000000")


def test_a_fill_is_seen_once_and_moves_the_equity(rig: Rig, broker: KalshiBroker) -> None:
    began, before = rig.now, broker.account()
    rig.later(120)
    bought = broker.submit(wish(broker, rig, "0.60"))
    rig.later(120)
    sold = broker.submit(wish(broker, rig, "0.30", "sell"))
    assert [bought.status, sold.status] == ["filled", "filled"]
    fills = broker.fills(began)
    assert [(fill.order_id, fill.side, fill.qty) for fill in fills] == [
        (bought.order_id, "buy", 2),
        (sold.order_id, "sell", 2),
    ]
    assert {fill.fill_id for fill in broker.fills(None)} >= {fill.fill_id for fill in fills}
    assert [fill.order_id for fill in broker.fills(rig.now)] == [sold.order_id]  # the overlap
    assert broker.account().equity < before.equity


def test_last_equity_is_that_of_the_day_before_by_the_venues_own_time(rig: Rig, broker: KalshiBroker) -> None:
    first = broker.account()
    assert first.last_equity == first.equity
    broker.submit(wish(broker, rig, "0.60"))
    lower = broker.account()
    assert (lower.last_equity, lower.equity < first.equity) == (first.equity, True)
    rig.later(86_400)
    assert broker.account().last_equity == lower.equity


def test_every_order_names_the_accounts_group_which_the_venue_can_latch(rig: Rig, broker: KalshiBroker) -> None:
    resting, door = broker.submit(wish(broker, rig)), rig.door()
    door.set_suspended(True)
    rig.later(1)
    assert broker.order(resting.order_id).status == "canceled"
    for one in (broker, opened(rig)):
        with pytest.raises(VenueRefused, match="order_group_triggered"):
            one.submit(wish(one, rig))
    door.set_suspended(False)
    assert broker.submit(wish(broker, rig)).status == "new"


def test_a_group_that_was_deleted_is_replaced_at_the_next_order(rig: Rig, broker: KalshiBroker) -> None:
    broker.submit(wish(broker, rig))
    rig.served.do(lambda: rig.served.venue.desks["paper"].account.groups.clear())
    with pytest.raises(VenueRefused, match="order_group_not_found"):
        broker.submit(wish(broker, rig))
    assert broker.submit(wish(broker, rig)).status == "new"


def test_a_second_submission_is_to_be_looked_up(rig: Rig, broker: KalshiBroker) -> None:
    order = wish(broker, rig)
    broker.submit(order)
    with pytest.raises(VenueUnknown, match="order_already_exists"):
        broker.submit(order)
    assert rig.events(order.client_order_id) == ["accepted", "rejected"]


@pytest.mark.parametrize("fault", ["hang_after", "gateway_timeout_after"])
def test_a_lost_answer_is_unknown_and_the_order_is_found(rig: Rig, broker: KalshiBroker, fault: str) -> None:
    broker.submit(wish(broker, rig))  # the group exists
    order = wish(broker, rig)
    rig.fault(fault)
    with pytest.raises(VenueUnknown):
        broker.submit(order)
    rig.no_faults()
    assert broker.find_order(order.client_order_id) is not None
    assert rig.events(order.client_order_id) == ["accepted"]


READS: dict[str, Callable[[KalshiBroker], Any]] = {
    "market": lambda b: b.market_open(),
    "account": lambda b: b.account(),
    "quotes": lambda b: b.quotes([TICKER]),
    "open orders": lambda b: b.open_orders(),
    "find": lambda b: b.find_order("x"),
    "fills": lambda b: b.fills(None),
}


@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "html_error", "empty_body", "truncated_json",
                                   "maintenance", "hang_before", "revoked_keys"])  # fmt: skip
def test_a_failure_has_one_of_two_names(rig: Rig, broker: KalshiBroker, fault: str) -> None:
    order = wish(broker, rig)
    rig.fault(fault)
    kind = VenueRefused if fault == "revoked_keys" else VenueUnknown
    for name, read in READS.items():
        if fault != "hang_before" or name == "account":
            with pytest.raises(kind):
                read(broker)
    with pytest.raises(kind):
        broker.submit(order)
    assert rig.events(order.client_order_id) == []


def test_another_account_is_seen_and_a_pause_closes_the_market(rig: Rig, broker: KalshiBroker) -> None:
    rig.fault("wrong_account")
    assert not broker.belongs_to(broker.account().number, "paper")
    for fault in ("cancel_only", "exchange_pause"):
        rig.fault(fault)
        assert broker.market_open() is False
        with pytest.raises(VenueRefused, match="is_paused"):
            broker.submit(wish(broker, rig))
        rig.fault(fault, on=False)


def test_a_signature_is_of_wall_time_whatever_the_venues_clock_says(rig: Rig, broker: KalshiBroker) -> None:
    rig.later(-timedelta(days=7).total_seconds())
    assert broker.account().number == NUMBER


@pytest.mark.parametrize("secret", ["", "AAAA", "no base64"])
def test_a_secret_that_is_no_key_is_refused_at_once_and_not_shown(rig: Rig, secret: str) -> None:
    with pytest.raises(VenueRefused) as caught:
        opened(rig, secret=Secret(secret))
    assert not secret or secret not in str(caught.value)
