"""Interactive Brokers as the world hosts it: two gateways (paper and live) that speak the TWS protocol on raw TCP.

There are no credentials on the socket: whoever connects may trade, and the account id is the only proof of which
account it is (venues.md 6.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ops.sandbox.venues import calendar
from ops.sandbox.venues.ibkr.book import Book, Hooks
from ops.sandbox.venues.ibkr.faults import FAULTS
from ops.sandbox.venues.ibkr.frames import text
from ops.sandbox.venues.ibkr.gateway import IbkrGateway
from ops.sandbox.venues.ibkr.matching import settle
from ops.sandbox.venues.ibkr.orders import BY_HAND, Account, Fill, Order, Ticket
from ops.sandbox.venues.ibkr.refusals import Refusal
from ops.sandbox.venues.ibkr.session import Session
from ops.sandbox.venues.levers import LeveredVenue, Levers
from ops.sandbox.venues.limits import RequestLimit
from ops.sandbox.venues.market import Market
from ops.sandbox.venues.prices import Prices
from ops.sandbox.venues.store import Store
from ops.sandbox.venues.venue import ENVIRONMENTS, Listener, Opening, Stream

_REFERENCE = ("SPY", Decimal("580.00"))
"""Always listed: its trading hours stand for those of US stocks."""


class SimulatedIbkr(LeveredVenue):
    """The simulated venue (`SimulatedVenue`)."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.clock = opening.clock
        opening.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store = Store(opening.state / "ibkr.sqlite")
        symbols = {_REFERENCE[0]: _REFERENCE[1], **opening.symbols}
        self.market = Market(Prices(symbols, opening.seed), self.store.setting("hours", "always"))
        self.levers = Levers(self.store, FAULTS, self.market.prices)
        self.faults = self.levers.faults
        self.gateways = {environment: self._gateway(environment) for environment in ENVIRONMENTS}

    def _gateway(self, environment: str) -> IbkrGateway:
        number, cash = self.opening.accounts[environment]
        account = self.store.account(Account, environment) or self._new_account(environment, number, cash)
        hooks = Hooks(
            self.opening.record,
            lambda event, order, fill: self.gateways[environment].tell(event, order, fill),
            lambda: self.levers.cancel_sticks(environment),
        )
        book = Book(account, self.market, hooks)
        self.store.fill_desk(book, Order, Fill)
        gateway = IbkrGateway(book, self.faults, self.clock, self.settle)
        gateway.limit = RequestLimit(self.opening.requests_per_minute)
        gateway.log_request = self.opening.request
        return gateway

    def _new_account(self, environment: str, number: str, cash: Decimal) -> Account:
        now = self.clock.now()
        return Account(
            environment=environment,
            number=number,
            cash=cash,
            last_equity=cash,
            settled_at=now,
            marked_close_at=calendar.last_close(now),
        )

    def listeners(self) -> Mapping[str, Listener]:
        """The paper and the live gateway's API port."""
        return {environment: Listener(stream=self._stream(environment)) for environment in ENVIRONMENTS}

    def _stream(self, environment: str) -> Stream:
        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await Session(self.gateways[environment], reader, writer).converse()

        return converse

    def issue_key(self, environment: str, purpose: str) -> Mapping[str, str]:
        """Nothing: there are no credentials on the socket."""
        return {}

    def settle(self) -> None:
        """Let time pass in both environments, tell the clients, and store what changed."""
        now = self.clock.now()
        for gateway in self.gateways.values():
            settle(gateway.book, now)
            gateway.push_ticks(now)
            self.store.save_desk(gateway.book)

    def set_hours(self, hours: str) -> None:
        """Raises ValueError for hours the market does not know."""
        self.settle()
        self.levers.set_hours(self.market, hours)
        self.settle()

    def switch_fault(self, environment: str, name: str, on: bool, parameters: dict[str, Any]) -> None:
        was_lost = self.faults.is_on("lost_link", environment)
        self.levers.switch_fault(environment, name, on, parameters)
        if name == "lost_link" and on != was_lost:
            self.gateways[environment].link_changed(on)
        if name == "maintenance" and on:
            for session in list(self.gateways[environment].sessions.values()):
                session.drop()

    def place_by_hand(self, environment: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """An order typed into the gateway's own window: no client, no faults. Raises ValueError if refused."""
        gateway, price, stop = self.gateways[environment], body.get("limit_price"), body.get("stop_price")
        kind = {(True, False): "LMT", (False, False): "MKT", (False, True): "STP", (True, True): "STP LMT"}
        if body["symbol"] not in self.market.asset_ids:
            raise ValueError(f"unknown symbol {body['symbol']!r}; listed: {', '.join(sorted(self.market.asset_ids))}")
        ticket = Ticket(
            symbol=body["symbol"],
            side=body["side"],
            qty=Decimal(str(body["qty"])),
            type=kind[price is not None, stop is not None],
            tif=str(body.get("time_in_force", "day")).upper(),
            limit_price=None if price is None else Decimal(str(price)),
            stop_price=None if stop is None else Decimal(str(stop)),
            order_ref=str(body.get("client_order_id", "")),
        )
        self.settle()
        try:
            order = gateway.book.submit(ticket, BY_HAND, 0, self.clock.now())
        except Refusal as refusal:
            raise ValueError(refusal.message) from None
        self.settle()
        return {"id": str(order.perm_id), "status": order.status, "symbol": order.symbol, "qty": text(order.qty)}

    def close(self) -> None:
        for gateway in self.gateways.values():
            for session in list(gateway.sessions.values()):
                session.drop()
        self.store.close()
