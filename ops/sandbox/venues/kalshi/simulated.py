"""Kalshi as the world hosts it: a desk per environment, the keys, the faults, the clock, the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.sandbox.venues.kalshi import tickets
from ops.sandbox.venues.kalshi.desk import Desk
from ops.sandbox.venues.kalshi.faults import FAULTS
from ops.sandbox.venues.kalshi.http import KalshiListener
from ops.sandbox.venues.kalshi.keys import PURPOSES, Key, KeyRing
from ops.sandbox.venues.kalshi.market import HIGHEST, LOWEST, Market
from ops.sandbox.venues.kalshi.matching import settle, take
from ops.sandbox.venues.kalshi.orders import Account, Fill, Order
from ops.sandbox.venues.kalshi.refusals import Refusal
from ops.sandbox.venues.levers import LeveredVenue, Levers
from ops.sandbox.venues.limits import RequestLimit
from ops.sandbox.venues.market import derived_uuid
from ops.sandbox.venues.prices import Prices
from ops.sandbox.venues.store import Store
from ops.sandbox.venues.venue import ENVIRONMENTS, Listener, Opening

DASHBOARD = "dashboard"
"""Key id in the order log of orders placed by hand."""
_SIDES = {"buy": "bid", "sell": "ask"}


class SimulatedKalshi(LeveredVenue):
    """The simulated venue (`SimulatedVenue`). An account's number is its communications id."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.clock = opening.clock
        self.store = Store(opening.state / "kalshi.sqlite")
        self.market = Market(Prices(opening.symbols, opening.seed), self.store.setting("hours", "always"))
        self.levers = Levers(self.store, FAULTS, self.market.prices)
        self.faults = self.levers.faults
        self.keys = KeyRing(opening.entropy)
        self.keys.issued.update({key.key_id: key for key in self.store.load(Key)})
        self.desks = {environment: self._desk(environment) for environment in ENVIRONMENTS}
        self.limits = {environment: RequestLimit(opening.requests_per_minute) for environment in ENVIRONMENTS}

    def _desk(self, environment: str) -> Desk:
        number, cash = self.opening.accounts[environment]
        account = self.store.account(Account, environment) or Account(
            environment, number, derived_uuid(self.opening.seed, environment, "kalshi user"), cash
        )
        desk = Desk(account, self.market, self.opening.record, lambda: self.levers.cancel_sticks(environment))
        self.store.fill_desk(desk, Order, Fill)
        return desk

    def listeners(self) -> Mapping[str, Listener]:
        """The demo and the live exchange."""
        return {name: Listener(app=KalshiListener(self, name)) for name in ENVIRONMENTS}

    def issue_key(self, environment: str, purpose: str) -> Mapping[str, str]:
        """The key's id and its private half: PKCS#8 DER in base64, on one line. Earlier keys stay valid."""
        key, secret = self.keys.issue(environment, purpose, list(PURPOSES[purpose]))
        self.store.save([(key.key_id, key)])
        return {"key": key.key_id, "secret": secret}

    def remember(self, desk: Desk, keys: bool = False) -> None:
        """Store what a request has changed."""
        self.store.save_desk(desk)
        if keys:
            self.store.save(self.keys.issued.items())

    def settle(self) -> None:
        now = self.clock.now()
        for desk in self.desks.values():
            settle(desk, now)
            self.store.save_desk(desk)

    def set_hours(self, hours: str) -> None:
        """`regular` has the weekly pause, `always` has none. Raises ValueError."""
        self.settle()
        self.levers.set_hours(self.market, hours)
        self.settle()

    def place_by_hand(self, environment: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """An order typed into the venue's site: no key, no group. Without `limit_price` it takes the best price."""
        desk, now = self.desks[environment], self.clock.now()
        side = _SIDES.get(str(body.get("side")), "")
        market = HIGHEST if side == "bid" else LOWEST
        wish = {
            "ticker": str(body.get("symbol")),
            "side": side,
            "count": str(body.get("qty")),
            "price": str(body.get("limit_price") or market),
            "time_in_force": "good_till_canceled" if body.get("limit_price") else "immediate_or_cancel",
            "self_trade_prevention_type": "maker",
            "client_order_id": derived_uuid(self.opening.seed, environment, "by hand", desk.account.orders_count),
        }
        try:
            settle(desk, now)
            order = desk.submit(tickets.ticket(wish), DASHBOARD, now)
        except Refusal as refusal:
            raise ValueError(f"the venue refuses: {refusal.reason}") from None
        take(desk, order, now)
        self.store.save_desk(desk)
        return {"id": order.id, "client_order_id": order.ticket.client_order_id, "status": order.status}

    def close(self) -> None:
        self.store.close()
