"""The port through which a bot trades: values and one Protocol; the loop knows no client library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

TERMINAL = ("filled", "canceled", "expired", "replaced", "rejected", "not_accepted", "not_sent")
"""States that never change again; the last two are the bot's own, for an order that never existed."""

UNRESOLVED = ("intent", "unknown")
"""The bot's own words for an order whose fate must be looked up before anything else is done with its id."""


class VenueError(Exception):
    """The venue did not do what was asked."""


class VenueRefused(VenueError):
    """The venue understood and said no: nothing was changed there."""


class VenueUnknown(VenueError):
    """No answer to believe (timeout, 5xx, rate limit, malformed body): it may have been done or not."""


class Secret:
    """A text that shows itself only when asked to."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(****)"


@dataclass(frozen=True)
class Access:
    """What a broker is opened with, read from the environment once. Parts that a venue has not are empty.

    `data_url` is where quotes come from, if not from `endpoint`. `account` is the number that the bot was told.
    """

    mode: str
    endpoint: str
    data_url: str
    account: str
    key: Secret
    secret: Secret
    passphrase: Secret
    wallet: Secret


@dataclass(frozen=True)
class Grid:
    """The steps in which a venue takes prices and quantities of one symbol; `price_max` is 1 for event contracts."""

    tick: Decimal
    lot: Decimal
    price_max: Decimal | None = None


@dataclass(frozen=True)
class Account:
    """One reading of the account; `equity - last_equity` is today's profit and loss."""

    number: str
    equity: Decimal
    last_equity: Decimal


@dataclass(frozen=True)
class Quote:
    """Best bid and offer."""

    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True)
class NewOrder:
    """A limit order to be sent. `reference_price` is for slippage; the venue never sees it."""

    client_order_id: str
    symbol: str
    side: str
    qty: Decimal
    limit_price: Decimal
    time_in_force: str
    reference_price: Decimal


@dataclass(frozen=True)
class VenueOrder:
    """An order as the venue shows it."""

    order_id: str
    client_order_id: str
    symbol: str
    side: str
    qty: Decimal
    status: str


@dataclass(frozen=True)
class VenueFill:
    """An execution as the venue reports it; it names the venue's order id only."""

    fill_id: str
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: datetime


class Venue(Protocol):
    """All that the loop needs of a venue. Every method may raise VenueRefused or VenueUnknown."""

    def market_open(self) -> bool:
        """Whether the venue's own clock says that the market is open."""

    def account(self) -> Account: ...

    def belongs_to(self, account_number: str, mode: str) -> bool:
        """Whether an account of that number can be the one of that mode."""

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]: ...

    def grid(self, symbol: str) -> Grid:
        """In which steps the venue takes orders for it."""

    def client_id(self, prefix: str, digest: str) -> str:
        """The client order id in a form that this venue takes, from the bot's prefix and a hex digest of the signal."""

    def open_orders(self) -> list[VenueOrder]:
        """Every open order of the account, whoever placed it."""

    def order(self, order_id: str) -> VenueOrder: ...

    def find_order(self, client_order_id: str) -> VenueOrder | None:
        """The order with that client id in any state; None only if the venue says that there is none."""

    def submit(self, order: NewOrder) -> VenueOrder: ...

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel. The venue cancels later: the order counts as open until it shows otherwise."""

    def fills(self, after: datetime | None) -> list[VenueFill]:
        """Executions of the whole account after a moment (exclusive), oldest first."""
