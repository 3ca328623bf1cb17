"""What kill needs of a venue: the smallest door that can stop an account and see that it stands still.

A brake imports nothing but the standard library, and at Kalshi and IBKR the one library that signs or speaks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, runtime_checkable

from ops.secrets import Credentials

CALL_MAX_SECONDS = 4.0


class VenueSilent(Exception):
    """The venue's answer proves nothing. `refused`: it understood the credentials and said no."""

    def __init__(self, text: str, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True)
class Seen:
    """One order as a brake sees it; `open` means that it could still trade."""

    id: str
    client_id: str
    symbol: str
    side: str
    qty: str
    status: str
    open: bool
    protective: bool = False

    def __str__(self) -> str:
        """By its client id; by its own where it has none, or where that would show a key's id too (Polymarket)."""
        name = self.id if self.client_id.endswith(self.id) else self.client_id
        return f"{name or self.id} {self.symbol} {self.side} {self.qty}"


class Brake(Protocol):
    """One account. Every method raises VenueSilent when the answer proves nothing.

    Used by one thread, except `halt`: another thread may call that one meanwhile.
    """

    halt_name: str
    """The venue's own latched halt, in its own words; empty where it has none."""

    def account(self) -> str:
        """The account number behind the credentials."""

    def halt(self) -> None:
        """The venue itself refuses new orders from now on; read back. Not called where `halt_name` is empty."""

    def cancel_all(self) -> Sequence[str]:
        """Asks; the venue cancels when it does. The ids it names, if it names any."""

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        """Every open order of the account, all pages; raises rather than show a part."""

    def order(self, order_id: str) -> Seen:
        """One order, looked up by its id, whatever its state."""

    def positions(self) -> Sequence[str]:
        """Each position as `AAPL 1.5`."""


@runtime_checkable
class ManyAtOnce(Protocol):
    """A brake that can look up many orders in few requests has this too; without it each is looked up by its id."""

    def ended(self, order_ids: Collection[str]) -> Collection[str]:
        """Those of these orders that the venue shows in a final state. What it does not show is not named.

        A final state is for ever, so that even an answer which is old, or a part, proves what it shows.
        """


BRAKES = {
    "alpaca": ("ops.kill.alpaca", "AlpacaBrake"),
    "kraken": ("ops.kill.kraken", "KrakenBrake"),
    "kalshi": ("ops.kill.kalshi", "KalshiBrake"),
    "polymarket": ("ops.kill.polymarket", "PolymarketBrake"),
    "ibkr": ("ops.kill.ibkr", "IbkrBrake"),
}


def open_brake(kind: str, endpoint: str, account: str, kill: Credentials | None, observer: Credentials | None) -> Brake:
    """The brake of one account: it acts with `kill` and reads with `observer`. Raises KeyError for an unknown kind."""
    module, name = BRAKES[kind]
    brake: Brake = getattr(import_module(module), name)(endpoint, account, kill, observer)
    return brake
