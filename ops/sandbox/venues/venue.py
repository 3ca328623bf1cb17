"""What the simulated world needs of every simulated venue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from starlette.types import ASGIApp

from ops.sandbox.clock import WorldClock
from ops.sandbox.faults import FaultBoard

ENVIRONMENTS = ("paper", "live")

Stream = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Record = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Opening:
    """How a venue starts. `accounts`: (number, cash in USD) per environment; `symbols`: base price in USD.

    `state` is the venue's own folder, which exists. `record` appends one line to the order log, the ground truth;
    `request` one line to the request log.
    """

    accounts: Mapping[str, tuple[str, Decimal]]
    symbols: Mapping[str, Decimal]
    seed: int
    state: Path
    clock: WorldClock
    entropy: random.Random
    record: Record
    request: Record
    requests_per_minute: int = 100_000


@dataclass(frozen=True)
class Listener:
    """One port of the venue: an HTTP application, or a raw TCP conversation."""

    app: ASGIApp | None = None
    stream: Stream | None = None


class SimulatedVenue(Protocol):
    """A venue in memory and on disk: strict, deterministic, with faults to switch. Built from an `Opening`."""

    faults: FaultBoard

    def listeners(self) -> Mapping[str, Listener]:
        """`paper` and `live`."""

    def issue_key(self, environment: str, purpose: str) -> Mapping[str, str]:
        """New credentials (parts key, secret, passphrase, wallet) for `bot`, `observer` or `kill`, as a person makes
        them on the venue's site. Where the venue allows one key only (Alpaca), the former one dies."""

    def settle(self) -> None:
        """Let time pass: matching, cancels that are due, timers."""

    def pin_clock(self, at: datetime | None) -> None:
        """Told that the world's clock was set; None is the machine's time again."""

    def set_hours(self, hours: str) -> None:
        """`always` or `regular` (the venue's own session hours). Raises ValueError for another word."""

    def shock(self, symbol: str, factor: Decimal) -> None:
        """Multiply a symbol's price from now on. Raises ValueError for an unknown symbol."""

    def switch_fault(self, environment: str, name: str, on: bool, parameters: dict[str, Any]) -> None:
        """Raises ValueError for an unknown fault, environment or parameter. Survives a restart of the world."""

    def place_by_hand(self, environment: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """An order typed into the venue's site (symbol, side, qty, limit_price ...). Raises ValueError if refused."""

    def close(self) -> None:
        """Close the files."""
