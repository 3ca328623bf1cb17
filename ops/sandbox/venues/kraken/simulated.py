"""The whole venue: a desk per environment, the keys, the faults, the clock, the store, and the rate limit.

Kraken spot has no paper trading of its own: the `paper` environment is this same strict venue with another account.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.faults import FaultBoard
from ops.sandbox.venues.alpaca.prices import Prices
from ops.sandbox.venues.kraken import tickets
from ops.sandbox.venues.kraken.assets import CASH, Market
from ops.sandbox.venues.kraken.desk import Desk
from ops.sandbox.venues.kraken.faults import FAULTS
from ops.sandbox.venues.kraken.keys import PERMISSIONS, KeyRing
from ops.sandbox.venues.kraken.listener import KrakenListener
from ops.sandbox.venues.kraken.matching import settle
from ops.sandbox.venues.kraken.orders import Account
from ops.sandbox.venues.kraken.refusals import Refusal
from ops.sandbox.venues.kraken.store import Store
from ops.sandbox.venues.venue import ENVIRONMENTS, Listener, Opening

WEBSITE = "website"
"""Key id in the order log of orders placed by hand."""


class RequestLimit:
    """Counts the private requests of one account per minute of venue time."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute, self._minute, self._used = per_minute, 0, 0

    def take(self, at: datetime) -> bool:
        minute = int(at.timestamp()) // 60
        self._used = self._used + 1 if minute == self._minute else 1
        self._minute = minute
        return self._used <= self.per_minute


class SimulatedKraken:
    """The simulated venue (`SimulatedVenue`). Symbols are written BTC/USD; it trades around the clock."""

    def __init__(self, opening: Opening) -> None:
        self.clock, self.request = opening.clock, opening.request
        self.store = Store(opening.state / "kraken.sqlite")
        self.market = Market(Prices(opening.symbols, opening.seed))
        shocks = self.store.setting("shocks", {})
        self.market.prices.shocks.update({symbol: Decimal(factor) for symbol, factor in shocks.items()})
        self.faults = FaultBoard(FAULTS)
        self.faults.restore(self.store.setting("faults", []))
        self.keys = KeyRing(opening.entropy)
        self.keys.issued.update({key.key_id: key for key in self.store.issued_keys()})
        self._cancels = dict.fromkeys(ENVIRONMENTS, 0)
        self.desks = {environment: self._desk(environment, opening) for environment in ENVIRONMENTS}
        self.limits = {environment: RequestLimit(opening.requests_per_minute) for environment in ENVIRONMENTS}

    def _desk(self, environment: str, opening: Opening) -> Desk:
        number, cash = opening.accounts[environment]
        account = self.store.account(environment) or Account(environment, number, {CASH: cash})
        desk = Desk(account, self.market, opening.record, lambda: self._cancel_sticks(environment))
        self.store.load(desk)
        self.store.save(desk)
        return desk

    def _cancel_sticks(self, environment: str) -> bool:
        """Whether a cancel will never complete: all, or every second one since the fault was switched on."""
        if self.faults.is_on("stuck_cancel", environment):
            return True
        if not self.faults.is_on("half_cancel", environment):
            return False
        self._cancels[environment] += 1
        return self._cancels[environment] % 2 == 0

    def listeners(self) -> Mapping[str, Listener]:
        """The paper and the live API."""
        return {name: Listener(app=KrakenListener(self, name)) for name in ENVIRONMENTS}

    def issue_key(self, environment: str, purpose: str) -> Mapping[str, str]:
        """A key beside the others, with what the purpose needs and no more. Raises ValueError for another purpose."""
        if environment not in ENVIRONMENTS or purpose not in PERMISSIONS:
            raise ValueError(f"known are {', '.join(ENVIRONMENTS)} and {', '.join(PERMISSIONS)}")
        key = self.keys.issue(environment, purpose, PERMISSIONS[purpose], self.clock.wall())
        self.store.save_keys([key])
        return {"key": key.key_id, "secret": key.secret}

    def settle(self) -> None:
        """Let time pass on every desk and store what it changed."""
        now = self.clock.now()
        for desk in self.desks.values():
            settle(desk, now)
            self.store.save(desk)
        self.store.save_keys(self.keys.issued.values())

    def pin_clock(self, at: datetime | None) -> None:
        """What was due at the new time happens."""
        self.settle()

    def set_hours(self, hours: str) -> None:
        """Kraken trades around the clock: both words mean the same. Raises ValueError for another."""
        if hours not in ("always", "regular"):
            raise ValueError(f"hours must be always or regular, got {hours!r}")

    def shock(self, symbol: str, factor: Decimal) -> None:
        """Multiply a symbol's price from now on. Raises ValueError for an unknown symbol or a bad factor."""
        if symbol not in self.market.pairs:
            raise ValueError(f"unknown symbol {symbol!r}; listed: {', '.join(sorted(self.market.pairs))}")
        if not factor.is_finite() or factor <= 0:
            raise ValueError("factor must be a number above zero")
        self.settle()
        self.market.prices.shocks[symbol] = factor
        self.store.save_setting("shocks", {name: str(value) for name, value in self.market.prices.shocks.items()})
        self.settle()

    def switch_fault(self, environment: str, name: str, on: bool, parameters: dict[str, Any]) -> None:
        """Raises ValueError for an unknown fault, environment or parameter."""
        self.faults.switch(environment, name, on, parameters)
        if name == "half_cancel":
            self._cancels[environment] = 0
        self.store.save_setting("faults", self.faults.saved())

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
        self.store.save_keys(self.keys.issued.values())
        self.store.close()
