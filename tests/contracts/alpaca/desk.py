"""One environment of the simulated venue as the unmodified alpaca-py meets it, and the levers of its site."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from tests.contracts.rig import Rig

FLAT_AFTER = timedelta(seconds=1)
REFUSED_WHILE_SUSPENDED = (403, {"code": 40310000, "message": "new orders are rejected by user request"})


class Desk:
    """An account, the client with its key, and the order log. The key is the one that the rig's doors use too."""

    def __init__(self, rig: Rig, environment: str = "paper") -> None:
        self.rig, self.environment, self.venue = rig, environment, rig.served.venue
        self.url = rig.served.endpoints[environment]
        pair = rig.keys(environment).bot
        assert pair is not None
        self.key_id, self.secret = pair.values()
        self.client = self.new_client()

    @property
    def before_start(self) -> str:
        """For `after`, which is exclusive: the fills of this case and no others."""
        return (self.rig.start + FLAT_AFTER - timedelta(microseconds=1)).isoformat()

    def new_client(self, key_id: str = "", secret: str = "") -> TradingClient:
        client = TradingClient(key_id or self.key_id, secret or self.secret, url_override=self.url)
        client._retry = 0
        return client

    # the venue's levers

    def fault(self, name: str, **parameters: Any) -> None:
        self.rig.fault(name, self.environment, **parameters)

    def no_fault(self, name: str) -> None:
        self.rig.fault(name, self.environment, on=False)

    def hours(self, hours: str) -> None:
        self.rig.served.do(lambda: self.venue.set_hours(hours))

    def price(self, factor: str, symbol: str = "AAPL") -> None:
        self.rig.served.do(lambda: self.venue.shock(symbol, Decimal(factor)))

    def at(self, moment: str) -> None:
        """Sets venue time."""
        self.rig.later((datetime.fromisoformat(moment) - self.rig.now).total_seconds())

    def flatten(self) -> None:
        """Sells whatever is held, from the venue's own site; what comes later is of this case."""

        def sell() -> None:
            for held in list(self.venue.desks[self.environment].account.positions.values()):
                order = {"symbol": held.symbol, "side": "sell", "qty": str(held.qty)}
                self.venue.place_by_hand(self.environment, order)

        self.rig.served.do(sell)
        self.rig.later(FLAT_AFTER.total_seconds())

    # requests

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """A request without alpaca-py around it."""
        headers = {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret}
        return requests.request(method, f"{self.url}/v2{path}", headers=headers, **{"timeout": 5, **more})

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

    def posts(self) -> int:
        """How many orders were posted so far, whatever became of them."""
        wanted = ("POST", f"alpaca-{self.environment}")
        return sum((row["method"], row["listener"]) == wanted for row in self.rig.requests)


def error(act: Callable[[], Any]) -> APIError:
    """The APIError that `act` must raise."""
    with pytest.raises(APIError) as caught:
        act()
    return caught.value


def refused(act: Callable[[], Any]) -> tuple[int, Mapping[str, Any]]:
    """Status and JSON body of the APIError that `act` must raise."""
    seen = error(act)
    return seen.status_code, json.loads(str(seen))
