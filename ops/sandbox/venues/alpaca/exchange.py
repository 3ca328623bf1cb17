"""The whole venue: a desk per environment, the keys, the faults, the clock, the store, and the rate limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from ops.sandbox.venues import calendar
from ops.sandbox.venues.alpaca import tickets, wire
from ops.sandbox.venues.alpaca.accounts import Account
from ops.sandbox.venues.alpaca.desk import Desk
from ops.sandbox.venues.alpaca.faults import FAULTS
from ops.sandbox.venues.alpaca.keys import Key, KeyRing
from ops.sandbox.venues.alpaca.matching import settle
from ops.sandbox.venues.alpaca.orders import Fill, Order
from ops.sandbox.venues.alpaca.refusals import Refusal
from ops.sandbox.venues.levers import LeveredVenue, Levers
from ops.sandbox.venues.limits import RequestLimit
from ops.sandbox.venues.market import Market, derived_uuid
from ops.sandbox.venues.prices import Prices
from ops.sandbox.venues.store import Store
from ops.sandbox.venues.venue import ENVIRONMENTS, Opening

DASHBOARD = "dashboard"
"""Key id in the order log of orders placed by hand."""


class Exchange(LeveredVenue):
    """What the HTTP listeners and the admin API share."""

    def __init__(self, opening: Opening) -> None:
        self.opening, self.clock = opening, opening.clock
        self.store = store = Store(opening.state / "venue.sqlite")
        self.market = Market(Prices(opening.symbols, opening.seed), store.setting("hours", "always"))
        self.levers = Levers(store, FAULTS, self.market.prices)
        self.faults = self.levers.faults
        self.keys = KeyRing(opening.entropy)
        self.keys.issued.update({key.key_id: key for key in store.load(Key)})
        self.desks = {environment: self._desk(environment) for environment in ENVIRONMENTS}
        self.limits = {name: RequestLimit(opening.requests_per_minute) for name in ENVIRONMENTS}

    def _desk(self, environment: str) -> Desk:
        account = self.store.account(Account, environment) or self._new_account(environment)
        desk = Desk(account, self.market, self.opening.record, lambda: self.levers.cancel_sticks(environment))
        self.store.fill_desk(desk, Order, Fill)
        return desk

    def _new_account(self, environment: str) -> Account:
        now, (number, cash) = self.clock.now(), self.opening.accounts[environment]
        return Account(
            environment=environment,
            id=derived_uuid(self.opening.seed, environment, "account"),
            number=number,
            cash=cash,
            created_at=now,
            last_equity=cash,
            settled_at=now,
            marked_close_at=calendar.last_close(now),
        )

    def settle(self) -> None:
        """Let time pass on every desk and store what it changed."""
        now = self.clock.now()
        for desk in self.desks.values():
            settle(desk, now)
            self.store.save_desk(desk)

    def issue_key(self, environment: str, purpose: str) -> Mapping[str, str]:
        """Alpaca knows no purposes: every key may do everything, and a new one ends the one before it."""
        key_id, secret = self.keys.issue(environment, self.clock.wall())
        self.store.save(self.keys.issued.items())
        return {"key": key_id, "secret": secret}

    def set_hours(self, hours: str) -> None:
        """Raises ValueError for hours the market does not know."""
        self.settle()
        self.levers.set_hours(self.market, hours)
        self.settle()

    def place_by_hand(self, environment: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """An order typed into the venue's dashboard: no key, no bot, no faults; market without limit_price."""
        limited = body.get("limit_price") is not None
        shape = {"type": "limit" if limited else "market", "time_in_force": "gtc" if limited else "day"}
        wish: dict[str, Any] = {name: body[name] for name in ("symbol", "side", "qty", "limit_price") if name in body}
        self.settle()
        try:
            ticket = tickets.ticket_of({**wish, **shape}, self.market, str(uuid4()))
            order = self.desks[environment].submit(ticket, DASHBOARD, self.clock.now())
        except Refusal as refusal:
            raise ValueError(refusal.message) from None
        self.settle()
        return wire.order_body(order, self.market.asset_ids[order.symbol])

    def close(self) -> None:
        """Close the store."""
        self.store.close()
