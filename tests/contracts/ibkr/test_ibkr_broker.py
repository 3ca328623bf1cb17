"""The reference bot's door to IBKR: two names for all that can fail, one order per id, any venue clock."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.sandbox.bots.brokers import open_broker
from ops.sandbox.bots.brokers.ibkr import IbkrBroker
from ops.sandbox.bots.venue import Access, NewOrder, Secret, VenueRefused, VenueUnknown
from tests.contracts.rig import Rig
from tests.field import awaited

NONE = Secret("")


def opened(rig: Rig, mode: str = "paper", told: str = "", timeout_seconds: float = 1.5) -> IbkrBroker:
    account = told or rig.facts.numbers[mode]
    broker = open_broker(
        "ibkr", Access(mode, rig.served.endpoints[mode], "", account, NONE, NONE, NONE, NONE), timeout_seconds
    )
    assert isinstance(broker, IbkrBroker)
    return broker


@pytest.fixture
def broker(rig: Rig) -> IbkrBroker:
    return opened(rig)


def wish(rig: Rig, price: str = "100", side: str = "buy") -> NewOrder:
    return NewOrder(rig.client_id(), "AAPL", side, Decimal(2), Decimal(price), "day", Decimal(price))


def test_readings(rig: Rig, broker: IbkrBroker) -> None:
    account = broker.account()
    assert account.number == "DU1234567"
    assert account.equity > 0
    quotes = broker.quotes(["AAPL", "MSFT"])
    assert set(quotes) == {"AAPL", "MSFT"}
    assert Decimal(150) < quotes["AAPL"].bid < quotes["AAPL"].ask < quotes["MSFT"].bid
    grid = broker.grid("AAPL")
    assert (grid.tick, grid.lot, grid.price_max) == (Decimal("0.01"), Decimal(1), None)
    assert broker.client_id("i1p-", "0123456789abcdef" * 4) == "i1p-0123456789abcdef01234567"
    with pytest.raises(VenueRefused, match="200"):
        broker.quotes(["NOPE"])
    assert opened(rig, "live").account().number == "U7654321"


def test_the_account_id_decides_whose_mode_it_is(rig: Rig, broker: IbkrBroker) -> None:
    assert broker.belongs_to("DU1234567", "paper")
    assert not broker.belongs_to("DU1234567", "live")
    assert not broker.belongs_to("U7654321", "paper")
    assert not broker.belongs_to("DU7777777", "paper"), "not the one that the bot was told"
    rig.fault("wrong_account")
    assert not broker.belongs_to(opened(rig).account().number, "paper")


def test_an_order_lives(rig: Rig, broker: IbkrBroker) -> None:
    order = wish(rig)
    assert broker.find_order(order.client_order_id) is None
    sent = broker.submit(order)
    assert (sent.client_order_id, sent.symbol, sent.side, sent.qty) == (order.client_order_id, "AAPL", "buy", 2)
    assert sent.status in ("new", "accepted")
    (listed,) = broker.open_orders()
    assert listed == broker.order(sent.order_id) == broker.find_order(order.client_order_id)
    assert listed.status == "new"
    broker.cancel(sent.order_id)
    assert broker.order(sent.order_id).status == "pending_cancel"
    rig.later(1)
    assert broker.order(sent.order_id).status == "canceled"
    assert broker.open_orders() == []
    with pytest.raises(VenueRefused):
        broker.cancel(sent.order_id)
    with pytest.raises(VenueRefused):
        broker.order("12345")


def test_fills_carry_the_orders_id_and_are_sorted(rig: Rig, broker: IbkrBroker) -> None:
    broker.submit(wish(rig, "200"))
    rig.later(300)
    late = broker.submit(wish(rig, "200"))
    rig.later(1)
    assert broker.order(late.order_id).status == "filled"
    fills = broker.fills(rig.start + timedelta(seconds=200))
    assert {fill.order_id for fill in fills} == {late.order_id}
    assert sum(fill.qty for fill in fills) == 2
    lines = [line for line in rig.log(event="fill") if line["order_id"] == late.order_id]
    assert [Decimal(line["price"]) for line in lines] == [fill.price for fill in fills]
    everything = broker.fills(None)
    assert everything == sorted(everything, key=lambda fill: fill.at)
    assert len(everything) > len(fills)


def test_a_partly_filled_order_says_so(rig: Rig, broker: IbkrBroker) -> None:
    sent = broker.submit(replace(wish(rig, "200"), qty=Decimal(700)))
    assert broker.order(sent.order_id).status == "partially_filled"
    rig.later(1)
    assert broker.order(sent.order_id).status == "filled"


def test_the_market_is_open_when_the_venues_clock_says_so(rig: Rig, broker: IbkrBroker) -> None:
    assert broker.market_open()
    rig.served.do(lambda: rig.served.venue.set_hours("regular"))
    friday = datetime.fromisoformat("2026-11-20T00:00+00:00")
    for hours, is_open in ((14.4, False), (14.6, True), (20.9, True), (21.1, False), (63, False), (86.6, True)):
        rig.served.do(lambda hours=hours: rig.served.venue.pin_clock(friday + timedelta(hours=hours)))
        assert broker.market_open() == is_open, hours
    rig.served.do(lambda: rig.served.venue.set_hours("always"))


def test_a_refusal_is_a_refusal_and_changes_nothing(rig: Rig, broker: IbkrBroker) -> None:
    tries = (wish(rig, "100.001"), replace(wish(rig), qty=Decimal(9_000_000)), replace(wish(rig), symbol="NOPE"))
    for order in tries:
        with pytest.raises(VenueRefused):
            broker.submit(order)
        assert "accepted" not in rig.events(order.client_order_id)
    for fault in ("read_only", "cancel_only"):
        rig.fault(fault)
        with pytest.raises(VenueRefused):
            broker.submit(wish(rig))
        rig.fault(fault, on=False)
    assert broker.open_orders() == []


ACTS: dict[str, Callable[[IbkrBroker], Any]] = {
    "account": lambda broker: broker.account(),
    "open": lambda broker: broker.open_orders(),
    "order": lambda broker: broker.order("1"),
    "find": lambda broker: broker.find_order("x"),
    "market": lambda broker: broker.market_open(),
    "fills": lambda broker: broker.fills(None),
}
FAULTS = ("rate_limit", "server_error", "html_error", "empty_body", "maintenance", "lost_link", "ids_in_use")


@pytest.mark.parametrize("fault", FAULTS)
def test_no_answer_to_believe_is_unknown(rig: Rig, broker: IbkrBroker, fault: str) -> None:
    rig.fault(fault)
    order = wish(rig)
    for act in (*ACTS.values(), lambda broker: broker.submit(order)):
        with pytest.raises(VenueUnknown):
            act(broker)
    rig.fault(fault, on=False)
    assert broker.find_order(order.client_order_id) is None
    assert broker.submit(order).client_order_id == order.client_order_id


def test_a_list_that_lacks_a_message_is_no_list(rig: Rig, broker: IbkrBroker) -> None:
    broker.submit(wish(rig))
    rig.fault("truncated_json")
    with pytest.raises(VenueUnknown):
        broker.open_orders()


@pytest.mark.parametrize("fault", ["hang_after", "gateway_timeout_after"])
def test_after_a_lost_answer_the_order_is_found(rig: Rig, fault: str) -> None:
    broker, order = opened(rig, timeout_seconds=0.4), wish(rig)
    rig.fault(fault)
    with pytest.raises(VenueUnknown):
        broker.submit(order)
    rig.fault(fault, on=False)
    found = opened(rig).find_order(order.client_order_id)
    assert found is not None
    assert rig.events(order.client_order_id) == ["accepted"]


def test_a_stop_cancels_through_the_loops_own_connection(rig: Rig) -> None:
    """An order belongs to the client id that sent it; the stop has another, and so has the next process."""
    broker = opened(rig)
    first, second = broker.submit(wish(rig)), broker.submit(wish(rig))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: opened(rig).cancel(first.order_id)).result()
    awaited(lambda: "cancel_requested" in [line["event"] for line in rig.log(order_id=first.order_id)])
    del broker
    gc.collect()
    asyncio.run(asyncio.sleep(0))
    awaited(lambda: not rig.served.do(lambda: dict(rig.served.venue.gateways["paper"].sessions)), what="an end")
    other, _ = opened(rig), rig.by_hand()
    other.cancel(second.order_id)
    rig.later(1)
    (left,) = other.open_orders()
    with pytest.raises(VenueRefused, match="by hand"):
        other.cancel(left.order_id)
