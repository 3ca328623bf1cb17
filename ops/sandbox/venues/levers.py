"""What a person pulls at a simulated venue: faults, hours, shocks of price; remembered over a restart of the world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from ops.sandbox.clock import WorldClock
from ops.sandbox.faults import ENVIRONMENTS, FaultBoard
from ops.sandbox.venues.prices import Prices
from ops.sandbox.venues.store import Store

HOURS = ("regular", "always")


class Trading(Protocol):
    """A market with opening hours."""

    hours: str


def known_hours(hours: str) -> str:
    """The word itself. Raises ValueError for hours that no market knows."""
    if hours not in HOURS:
        raise ValueError(f"hours must be one of {', '.join(HOURS)}, got {hours!r}")
    return hours


class Levers:
    """Begins with what the store remembers. `catalogue`: the venue's faults, name -> one line."""

    def __init__(self, store: Store, catalogue: Mapping[str, str], prices: Prices) -> None:
        self._store, self._prices = store, prices
        self.faults = FaultBoard(catalogue)
        self.faults.restore(store.setting("faults", []))
        prices.shocks.update({symbol: Decimal(factor) for symbol, factor in store.setting("shocks", {}).items()})
        self._cancels = dict.fromkeys(ENVIRONMENTS, 0)

    def switch_fault(self, environment: str, name: str, on: bool, parameters: dict[str, Any]) -> None:
        """Raises ValueError for an unknown fault, environment or parameter."""
        self.faults.switch(environment, name, on, parameters)
        if name == "half_cancel":
            self._cancels[environment] = 0
        self._store.save_setting("faults", self.faults.saved())

    def set_hours(self, market: Trading, hours: str) -> None:
        """Raises ValueError for another word than `always` or `regular`."""
        market.hours = known_hours(hours)
        self._store.save_setting("hours", hours)

    def shock(self, symbol: str, factor: Decimal) -> None:
        """Multiply a symbol's price from now on. Raises ValueError for an unknown symbol or a bad factor."""
        if symbol not in self._prices.base:
            raise ValueError(f"unknown symbol {symbol!r}; listed: {', '.join(sorted(self._prices.base))}")
        if not factor.is_finite() or factor <= 0:
            raise ValueError("factor must be a number above zero")
        self._prices.shocks[symbol] = factor
        self._store.save_setting("shocks", {name: str(value) for name, value in self._prices.shocks.items()})

    def cancel_sticks(self, environment: str) -> bool:
        """Whether a cancel will never complete: all, or every second one since the fault was switched on."""
        if self.faults.is_on("stuck_cancel", environment):
            return True
        if not self.faults.is_on("half_cancel", environment):
            return False
        self._cancels[environment] += 1
        return self._cancels[environment] % 2 == 0


class LeveredVenue(ABC):
    """What every simulated venue makes of its levers: what was due before one is pulled still happens as it was."""

    clock: WorldClock
    levers: Levers

    @abstractmethod
    def settle(self) -> None:
        """Let time pass, and store what changed."""

    def pin_clock(self, at: datetime | None) -> None:
        """What is due at the new time happens at once; None is the machine's time again."""
        self.clock.pin(at)
        self.settle()

    def shock(self, symbol: str, factor: Decimal) -> None:
        """Multiply a symbol's price from now on. Raises ValueError for an unknown symbol or a bad factor."""
        self.settle()
        self.levers.shock(symbol, factor)
        self.settle()

    def switch_fault(self, environment: str, name: str, on: bool, parameters: dict[str, Any]) -> None:
        """Raises ValueError for an unknown fault, environment or parameter."""
        self.levers.switch_fault(environment, name, on, parameters)
