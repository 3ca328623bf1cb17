"""What every venue must answer, in one shape. Money and quantities are Decimal, times are UTC.

`None` in an answer always means that this venue does not say: it is unknown, and never counts as good news.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from ops.secrets import Credentials

SessionState = Literal["open", "closed", "cancel_only", "post_only", "maintenance", "unknown"]


@dataclass(frozen=True)
class Keys:
    """The credentials of one account by purpose. Where a profile names only one pair, all three are that pair.

    `observer` reads, `kill` cancels, `bot` does what only a trading key may do. All None at a venue without keys.
    """

    bot: Credentials | None = None
    observer: Credentials | None = None
    kill: Credentials | None = None


@dataclass(frozen=True)
class AccountView:
    """The account that the venue says these credentials belong to.

    `paper` is None where no answer of the venue tells paper from live (Kraken spot, Polymarket): the pinned number and
    the endpoint must do. `suspended`: the venue's own latched halt is set.
    """

    number: str
    paper: bool | None
    equity_usd: Decimal
    cash_usd: Decimal
    last_equity_usd: Decimal | None
    blocked: bool
    suspended: bool


@dataclass(frozen=True)
class OrderView:
    """One order as the venue shows it. `status` is the venue's own word; `open` means that it could still trade.

    `protective`: a stop or reduce-only order, whose loss leaves a position without its protection.
    `client_id` is empty where the venue keeps none.
    """

    id: str
    client_id: str
    symbol: str
    side: str
    qty: Decimal
    status: str
    submitted_at: datetime
    open: bool
    protective: bool = False


@dataclass(frozen=True)
class FillView:
    """One execution as the venue shows it."""

    id: str
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: datetime


@dataclass(frozen=True)
class PositionView:
    """One position; `qty` is negative when short."""

    symbol: str
    qty: Decimal
    market_value_usd: Decimal


@dataclass(frozen=True)
class KeyView:
    """What the venue says of one key. None: it does not say."""

    permissions: frozenset[str] | None
    may_trade: bool | None
    may_withdraw: bool | None


@dataclass(frozen=True)
class StatusView:
    """The venue's own state now, in our word and in its own."""

    state: SessionState
    said: str


@dataclass(frozen=True)
class Window:
    """A span that matters to a transition: `session` (may trade), `closed`, `maintenance`, `restart`.

    `told`: by the venue's own answer; False where it is known from documents and experience only.
    """

    kind: Literal["session", "closed", "maintenance", "restart"]
    begins: datetime
    ends: datetime
    said: str
    told: bool = True


@dataclass(frozen=True)
class OrderWish:
    """A limit order to be placed, sent at most once per `client_id`."""

    client_id: str
    symbol: str
    side: Literal["buy", "sell"]
    qty: Decimal
    limit_price: Decimal


class VenueReader(Protocol):
    """Reads only. Every method raises VenueError when the venue's answer proves nothing."""

    def account(self) -> AccountView:
        """The account behind the credentials."""

    def key(self) -> KeyView:
        """What the bot's key may do, as far as the venue says."""

    def status(self) -> StatusView:
        """Whether the venue is trading now."""

    def windows(self, begins: datetime, ends: datetime) -> Sequence[Window]:
        """Sessions and danger windows between two instants, by the venue's own calendar, in order."""

    def open_orders(self, newest_first: bool = True) -> Sequence[OrderView]:
        """Every order that could still trade, `pending_cancel` included."""

    def order(self, order_id: str) -> OrderView:
        """One order, whatever its state."""

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        """The order with this client id, looked up among open and closed ones; None if the venue has never seen it."""

    def positions(self) -> Sequence[PositionView]:
        """Every open position."""

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        """Executions after an instant, oldest first."""


class VenueActor(VenueReader, Protocol):
    """Reads and changes. A lost answer raises VenueError and means unknown: look before acting again."""

    latches: bool
    """Whether the venue has a halt of its own that outlives us (Alpaca: suspend_trade; Kalshi: order groups)."""
    timed: bool
    """Whether it has a dead-man's switch: a timer that cancels everything unless it is renewed."""

    def place(self, wish: OrderWish) -> OrderView:
        """Sends one limit order, once."""

    def cancel(self, order_id: str) -> None:
        """Asks for one order's cancellation. Proves nothing."""

    def cancel_all(self) -> int:
        """Asks for the cancellation of every open order; returns how many the venue took on. Proves nothing."""

    def set_suspended(self, suspended: bool) -> None:
        """The venue's own halt, read back. Raises VenueError where it has none (`latches`)."""

    def set_dead_man(self, seconds: int | None) -> datetime | None:
        """Arms the timer, or disarms it with None; returns when it will fire. Raises VenueError where there is none."""

    def close_position(self, position: PositionView, client_id: str) -> None:
        """One reducing order against the whole position, at most once per `client_id`."""
