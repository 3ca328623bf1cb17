"""A public client that signs for Kalshi and speaks the V2 paths, unmodified, against the simulator: ccxt's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from ccxt.base.errors import AuthenticationError, ExchangeNotAvailable
from ccxt.prediction import kalshi

from ops.sandbox.venues.kalshi.keys import pem
from tests.contracts.kalshi.facts import KALSHI, TICKER, secret_of_nobody
from tests.contracts.rig import Rig, rigged


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(KALSHI, tmp_path_factory.mktemp("kalshi")) as rig:
        rig.begin()
        yield rig


def client(rig: Rig, secret: str) -> Any:
    url = rig.served.endpoints["paper"] + "/trade-api/v2"
    options = {"apiKey": rig.keys().bot.part("key"), "privateKey": pem(secret), "enableRateLimit": False}
    made = kalshi({**options, "timeout": 3000})
    made.urls["api"] = {"kalshi": url, "elections": url}
    return made


def test_it_authenticates_places_lists_and_cancels(rig: Rig) -> None:
    async def trade() -> None:
        ours = client(rig, rig.keys().bot.part("secret"))
        try:
            balance = await ours.fetch_balance()
            assert balance["USD"]["total"] == 1_000_000
            wish = {"ticker": TICKER, "side": "bid", "count": "2", "price": "0.2", "client_order_id": "ccxt-1",
                    "time_in_force": "good_till_canceled", "self_trade_prevention_type": "taker_at_cross"}  # fmt: skip
            made = await ours.kalshiPrivatePostPortfolioEventsOrders(wish)
            listed = await ours.kalshiPrivateGetPortfolioOrders({"status": "resting"})
            assert [row["order_id"] for row in listed["orders"]] == [made["order_id"]]
            with pytest.raises(ExchangeNotAvailable, match="order_already_exists"):
                await ours.kalshiPrivatePostPortfolioEventsOrders(wish)
            gone = await ours.kalshiPrivateDeletePortfolioEventsOrdersOrderId({"order_id": made["order_id"]})
            assert gone["reduced_by"] == "2.00"
        finally:
            await ours.close()

    asyncio.run(trade())
    assert rig.events("ccxt-1") == ["accepted", "rejected", "cancel_requested", "canceled"]


def test_a_wrong_signature_is_refused(rig: Rig) -> None:
    async def ask() -> None:
        stranger = client(rig, secret_of_nobody())
        try:
            await stranger.fetch_balance()
        finally:
            await stranger.close()

    with pytest.raises(AuthenticationError, match="INCORRECT_API_KEY_SIGNATURE"):
        asyncio.run(ask())
