"""One simulated venue per module, and what a test holds of it: a desk with the unmodified alpaca-py."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.venues.alpaca.faults import FAULTS
from ops.sandbox.world import World

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
"""A Friday at noon in New York: the market is open under either kind of hours."""
_TESTS = count()


class Desk:
    """What a test holds: the venue's admin API, one environment's client, and the order log."""

    def __init__(self, world: World, environment: str) -> None:
        self.world = world
        self.environment = environment
        self.url = f"http://127.0.0.1:{world.ports[f'alpaca_{environment}']}"
        pair = self.admin("keys", environment=environment)
        self.key_id, self.secret = pair["key_id"], pair["secret"]
        self.client = self.new_client()
        self.start = self.now = NOON + timedelta(minutes=2 * next(_TESTS))
        self.admin("clock", now=self.now.isoformat())

    @property
    def before_start(self) -> str:
        """For `after`, which is exclusive: the fills of this test and no others."""
        return (self.start - timedelta(microseconds=1)).isoformat()

    def new_client(self, key_id: str = "", secret: str = "") -> TradingClient:
        client = TradingClient(key_id or self.key_id, secret or self.secret, url_override=self.url)
        client._retry = 0
        return client

    def admin(self, path: str, **body: Any) -> Any:
        url = f"http://127.0.0.1:{self.world.ports['admin']}/admin/{path}"
        answer = requests.post(url, json=body, headers={"X-Sandbox-Token": "admin-token"}, timeout=5)
        answer.raise_for_status()
        return answer.json()

    def fault(self, name: str, **parameters: Any) -> None:
        self.admin("faults", environment=self.environment, fault=name, on=True, **parameters)

    def no_fault(self, name: str) -> None:
        self.admin("faults", environment=self.environment, fault=name, on=False)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.admin("clock", now=self.now.isoformat())

    def get(self, path: str, **query: Any) -> requests.Response:
        headers = {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret}
        return requests.get(self.url + path, params=query, headers=headers, timeout=5)

    def rest(self, limit_price: float = 150, qty: float = 1, client_order_id: str | None = None) -> Order:
        """A buy order far below the market."""
        return self.submit("buy", qty, limit_price, client_order_id)

    def buy(self, qty: float = 2, symbol: str = "AAPL") -> Order:
        wish = MarketOrderRequest(symbol=symbol, qty=qty, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
        return self.client.submit_order(wish)

    def submit(self, side: str, qty: float, limit_price: float, client_order_id: str | None = None) -> Order:
        wish = LimitOrderRequest(
            symbol="AAPL",
            qty=qty,
            side=OrderSide(side),
            time_in_force=TimeInForce.GTC if qty == int(qty) else TimeInForce.DAY,
            limit_price=limit_price,
            client_order_id=client_order_id,
        )
        return self.client.submit_order(wish)

    def log(self) -> list[dict[str, Any]]:
        lines = (self.world.config.state / "orders.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def events(self, client_order_id: str) -> list[str]:
        return [line["event"] for line in self.log() if line["client_order_id"] == client_order_id]

    @staticmethod
    def error(act: Callable[[], Any]) -> APIError:
        """The APIError that `act` must raise."""
        with pytest.raises(APIError) as caught:
            act()
        return caught.value

    @classmethod
    def refused(cls, act: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON body of the APIError that `act` must raise."""
        error = cls.error(act)
        return error.status_code, json.loads(str(error))

    @staticmethod
    def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    config = free_ports_config(tmp_path_factory.mktemp("world"))
    with embedded_world(config, random.Random(1), WorldClock()) as running:
        yield running


def _clean(desk: Desk) -> None:
    """Back to a quiet venue: no faults, no halt, no order, no position, clock and hours as at the start."""
    for fault in FAULTS:
        desk.no_fault(fault)
    desk.admin("hours", hours="always")
    desk.admin("price", symbol="AAPL", factor="1")
    desk.client = desk.new_client(*desk.admin("keys", environment=desk.environment).values())
    configuration = desk.client.get_account_configurations()
    configuration.suspend_trade = False
    desk.client.set_account_configurations(configuration)
    desk.client.cancel_orders()
    desk.later(1)
    desk.client.close_all_positions()
    desk.later(1)
    desk.admin("clock", now=None)


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    desk = Desk(world, "paper")
    yield desk
    _clean(desk)


@pytest.fixture
def live_desk(world: World) -> Desk:
    return Desk(world, "live")
