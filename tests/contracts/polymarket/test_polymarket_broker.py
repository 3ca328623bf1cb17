"""The reference bot's broker at Polymarket: one order per signal, whatever answers are lost and whoever restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from ops.sandbox.bots.brokers import open_broker
from ops.sandbox.bots.venue import Access, Grid, NewOrder, Secret, Venue, VenueError, VenueRefused, VenueUnknown
from tests.contracts.polymarket.facts import POLYMARKET, TOKEN
from tests.contracts.rig import NOON, Parts, Rig

PREFIX = "e1-p-"
_SIGNALS = count()
# What a restarted bot knows: its credentials and the client order ids in its own table.
RESTARTED = """
import json, sys
from ops.sandbox.bots.brokers import open_broker
from ops.sandbox.bots.venue import Access, Secret
told = json.load(sys.stdin)
secrets = {name: Secret(value) for name, value in told["secrets"].items()}
broker = open_broker("polymarket", Access(data_url="", **told["plain"], **secrets))
found = [broker.find_order(name) for name in told["ids"]]
json.dump([order and [order.order_id, order.client_order_id, order.status] for order in found], sys.stdout)
"""


@pytest.fixture
def parts(rig: Rig) -> Parts:
    return rig.issue("paper", "bot")


@pytest.fixture
def broker(rig: Rig, parts: Parts) -> Venue:
    return opened(rig, parts)


def opened(rig: Rig, parts: Parts, timeout_seconds: float = 5) -> Venue:
    secrets = {name: Secret(parts.get(name, "")) for name in ("key", "secret", "passphrase", "wallet")}
    access = Access(data_url="", **_plain(rig), **secrets)
    return open_broker("polymarket", access, timeout_seconds)


def _plain(rig: Rig) -> dict[str, str]:
    return {"mode": "paper", "endpoint": rig.served.endpoints["paper"], "account": POLYMARKET.numbers["paper"]}


def order(broker: Venue, price: str = "0.20", qty: str = "7.25") -> NewOrder:
    """The order of a signal that no test has had."""
    name = broker.client_id(PREFIX, f"{next(_SIGNALS):064x}"[::-1])
    return NewOrder(name, TOKEN, "buy", Decimal(qty), Decimal(price), "gtc", Decimal(price))


def restarted(rig: Rig, parts: Parts, ids: list[str]) -> list[Any]:
    told = {"plain": _plain(rig), "secrets": dict(parts), "ids": ids}
    done = subprocess.run(
        [sys.executable, "-c", RESTARTED], input=json.dumps(told), capture_output=True, text=True, check=True
    )
    found: list[Any] = json.loads(done.stdout)
    return found


def test_what_the_loop_reads(rig: Rig, broker: Venue) -> None:
    assert broker.market_open()
    seen = broker.account()
    assert (seen.number, seen.equity, seen.last_equity) == (
        POLYMARKET.numbers["paper"],
        POLYMARKET.cash,
        POLYMARKET.cash,
    )
    assert broker.belongs_to(seen.number, "paper")
    assert not broker.belongs_to(POLYMARKET.numbers["live"], "live")
    quotes = broker.quotes([TOKEN, "1002", "404"])
    assert {name: quote.ask - quote.bid for name, quote in quotes.items()} == dict.fromkeys(
        [TOKEN, "1002"], Decimal("0.01")
    )
    assert broker.grid(TOKEN) == Grid(Decimal("0.01"), Decimal("0.01"), Decimal(1))


def test_an_order_lives_and_ends_under_its_client_id_and_the_order_log_shows_it(rig: Rig, broker: Venue) -> None:
    wish = order(broker)
    made = broker.submit(wish)
    assert (made.status, made.side, made.qty, made.client_order_id) == ("new", "buy", wish.qty, wish.client_order_id)
    assert broker.open_orders() == [made] == [broker.find_order(wish.client_order_id)]
    broker.cancel(made.order_id)
    assert broker.order(made.order_id).status == "canceled"
    with pytest.raises(VenueRefused, match="already canceled"):
        broker.cancel(made.order_id)
    assert wish.client_order_id.startswith(PREFIX)
    assert rig.events(wish.client_order_id) == ["accepted", "cancel_requested", "canceled"]


def test_fills_name_their_order(rig: Rig, broker: Venue) -> None:
    made = broker.submit(order(broker, price="0.55"))
    assert made.status == "filled"
    (fill,) = [fill for fill in broker.fills(NOON - timedelta(days=1)) if fill.order_id == made.order_id]
    assert (fill.symbol, fill.side, fill.qty) == (TOKEN, "buy", Decimal("7.25"))
    assert fill.at == rig.now
    assert broker.fills(rig.now + timedelta(hours=1)) == []


@pytest.mark.parametrize("price", ["0.20", "0.55"], ids=["resting", "filled"])
@pytest.mark.parametrize("fault", ["hang_after", "gateway_timeout_after", "truncated_after"])
def test_a_lost_answer_is_unknown_and_the_order_is_found(rig: Rig, parts: Parts, fault: str, price: str) -> None:
    broker = opened(rig, parts, 0.3)
    wish = order(broker, price)
    assert broker.find_order(wish.client_order_id) is None
    rig.fault(fault)
    with pytest.raises(VenueUnknown):
        broker.submit(wish)
    rig.fault(fault, on=False)
    for looking in (broker, opened(rig, parts)):  # and so does a broker opened for a stop
        found = looking.find_order(wish.client_order_id)
        assert found is not None
        assert found.client_order_id == wish.client_order_id
    assert rig.events(wish.client_order_id).count("accepted") == 1


def test_a_lost_order_is_found_after_a_restart_by_recognition(rig: Rig, parts: Parts) -> None:
    """Open, traded, and never sent; among orders of others. An order that was cancelled untraded shows to nobody."""
    broker = opened(rig, parts, 0.3)
    wishes = [order(broker), order(broker, "0.55"), order(broker), order(broker)]
    rig.by_hand()
    rig.fault("gateway_timeout_after")
    for wish in wishes[:3]:
        with pytest.raises(VenueUnknown):
            broker.submit(wish)
    rig.no_faults()
    canceled = broker.find_order(wishes[2].client_order_id)
    assert canceled is not None
    broker.cancel(canceled.order_id)
    rig.later(45 * 60)
    ids = [wish.client_order_id for wish in wishes]
    found = restarted(rig, parts, ids)
    numbers = [rig.log(client_order_id=name, event="accepted")[0]["order_id"] for name in ids[:2]]
    assert found == [[numbers[0], ids[0], "new"], [numbers[1], ids[1], "filled"], None, None]


def test_the_same_order_sent_again_within_the_hour_is_one_order(rig: Rig, parts: Parts) -> None:
    broker = opened(rig, parts)
    wish = order(broker)
    first = broker.submit(wish)
    assert broker.submit(wish) == first
    broker.cancel(first.order_id)
    assert broker.submit(wish).status == "canceled"
    assert rig.events(wish.client_order_id).count("accepted") == 1


@pytest.mark.parametrize("fault", [*POLYMARKET.refused, "engine_restart", "cancel_only", "closed_only"])
def test_a_venue_that_does_not_take_it_is_unknown_or_refuses(rig: Rig, broker: Venue, fault: str) -> None:
    wish, kind = order(broker), VenueRefused if fault in ("revoked_keys", "closed_only") else VenueUnknown
    broker.grid(TOKEN)
    rig.fault(fault)
    with pytest.raises(kind):
        broker.submit(wish)
    assert "accepted" not in rig.events(wish.client_order_id)
    if fault in POLYMARKET.refused:
        for read in (broker.account, broker.open_orders, lambda: broker.find_order(wish.client_order_id)):
            with pytest.raises(kind):
                read()


def test_a_simulated_week_trades_on_the_venues_clock(rig: Rig, broker: Venue) -> None:
    for day in range(1, 8):
        at = datetime(2026, 11, day, 23, 59, 58, tzinfo=UTC)
        rig.served.do(lambda at=at: rig.served.venue.pin_clock(at))
        wish = order(broker)
        made = broker.submit(wish)
        assert broker.account().last_equity > 0
        broker.cancel(made.order_id)
    assert rig.served.do(lambda: len(rig.served.venue.desks["paper"].open)) == 0


@pytest.mark.parametrize("wallet", ["0x" + "11" * 32, "0x1234", "0x" + "zz" * 32, "0x" + "ff" * 32, ""])
def test_another_wallet_is_refused_before_anything_is_sent(rig: Rig, parts: Parts, wallet: str) -> None:
    with pytest.raises(VenueError) as caught:
        opened(rig, {**parts, "wallet": wallet})
    assert not wallet or wallet[2:] not in str(caught.value)
