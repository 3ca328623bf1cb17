"""The whole venue: a desk per environment, the keys, the faults, the clock, the store, and the rate limit.

Kraken spot has no paper trading of its own: the `paper` environment is this same strict venue with another account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.sandbox.venues.kraken import tickets
from ops.sandbox.venues.kraken.assets import CASH, Market
from ops.sandbox.venues.kraken.desk import Desk
from ops.sandbox.venues.kraken.faults import FAULTS
from ops.sandbox.venues.kraken.keys import PERMISSIONS, Key, KeyRing
from ops.sandbox.venues.kraken.listener import KrakenListener
from ops.sandbox.venues.kraken.matching import settle
from ops.sandbox.venues.kraken.orders import Account, Fill, Order
from ops.sandbox.venues.kraken.refusals import Refusal
from ops.sandbox.venues.levers import LeveredVenue, Levers, known_hours
from ops.sandbox.venues.limits import RequestLimit
from ops.sandbox.venues.prices import Prices
from ops.sandbox.venues.store import Store
from ops.sandbox.venues.venue import ENVIRONMENTS, Listener, Opening

WEBSITE = "website"
"""Key id in the order log of orders placed by hand."""


class SimulatedKraken(LeveredVenue):
    """The simulated venue (`SimulatedVenue`). Symbols are written BTC/USD; it trades around the clock."""

    def __init__(self, opening: Opening) -> None:
        self.clock, self.request = opening.clock, opening.request
        self.store = Store(opening.state / "kraken.sqlite")
        self.market = Market(Prices(opening.symbols, opening.seed))
        self.levers = Levers(self.store, FAULTS, self.market.prices)
        self.faults = self.levers.faults
        self.keys = KeyRing(opening.entropy)
        self.keys.restore(self.store.load(Key))
        self.desks = {environment: self._desk(environment, opening) for environment in ENVIRONMENTS}
        self.limits = {environment: RequestLimit(opening.requests_per_minute) for environment in ENVIRONMENTS}

    def _desk(self, environment: str, opening: Opening) -> Desk:
        number, cash = opening.accounts[environment]
        account = self.store.account(Account, environment) or Account(environment, number, {CASH: cash})
        desk = Desk(account, self.market, opening.record, lambda: self.levers.cancel_sticks(environment))
        self.store.fill_desk(desk, Order, Fill)
        return desk

    def listeners(self) -> Mapping[str, Listener]:
        """The paper and the live API."""
        return {name: Listener(app=KrakenListener(self, name)) for name in ENVIRONMENTS}

    def issue_key(self, environment: str, purpose: str) -> Mapping[str, str]:
        """A key beside the others, with what the purpose needs and no more. Raises ValueError for another purpose."""
        if environment not in ENVIRONMENTS or purpose not in PERMISSIONS:
            raise ValueError(f"known are {', '.join(ENVIRONMENTS)} and {', '.join(PERMISSIONS)}")
        key = self.keys.issue(environment, purpose, PERMISSIONS[purpose], self.clock.wall())
        self.store.save(self.keys.moved())
        return {"key": key.key_id, "secret": key.secret}

    def settle(self) -> None:
        """Let time pass on every desk and store what it changed."""
        now = self.clock.now()
        for desk in self.desks.values():
            settle(desk, now)
            self.store.save_desk(desk)
        self.store.save(self.keys.moved())

    def set_hours(self, hours: str) -> None:
        """Kraken trades around the clock: both words mean the same. Raises ValueError for another."""
        known_hours(hours)

    def place_by_hand(self, environment: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """symbol, side, qty, and limit_price or stop_price or neither. No key, no bot, no faults."""
        self.settle()
        now = self.clock.now()
        try:
            order = self.desks[environment].submit(
                tickets.ticket(tickets.by_hand(body), self.market, now), WEBSITE, now
            )
        except (Refusal, KeyError) as refusal:
            raise ValueError(str(refusal)) from None
        self.settle()
        return {"id": order.txid, "symbol": order.symbol, "side": order.side, "qty": str(order.qty)}

    def close(self) -> None:
        """Close the files."""
        self.store.save(self.keys.moved())
        self.store.close()
