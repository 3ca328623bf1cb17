"""An order, its fills, a position and an order group as the exchange keeps them. Money in dollars."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from ops.sandbox.venues.marks import Mark, Marked

READ_LAG = timedelta(seconds=0.3)
"""How long the read side still shows a cancelled order as resting (venues.md 4.5: about 0.4 s)."""
GROUP_WINDOW = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A validated wish for an order. `side` is bid or ask, always of the YES leg; `count` in contracts."""

    ticker: str
    side: str
    count: Decimal
    price: Decimal
    time_in_force: str
    client_order_id: str
    post_only: bool = False
    reduce_only: bool = False
    order_group_id: str = ""
    expires_at: datetime | None = None
    prevention: str = "taker_at_cross"

    @property
    def unit_cost(self) -> Decimal:
        """What one contract costs to open: YES at the price, or NO at one dollar less the price."""
        return self.price if self.side == "bid" else 1 - self.price

    def crosses(self, bid: Decimal, ask: Decimal) -> bool:
        """Whether it would trade against these prices."""
        return ask <= self.price if self.side == "bid" else bid >= self.price


@dataclass(slots=True)
class Order(Marked):
    """`status` is what the exchange knows; `shown` is what the read side says."""

    id: str
    seq: int
    ticket: Ticket
    key_id: str
    created_at: datetime
    updated_at: datetime
    status: str = "resting"
    remaining: Decimal = Decimal(0)
    fill_count: Decimal = Decimal(0)
    taker_cost: Decimal = Decimal(0)
    maker_cost: Decimal = Decimal(0)
    taker_fees: Decimal = Decimal(0)
    filled_at: datetime | None = None
    hidden_until: datetime | None = None
    stuck: bool = False
    marks: list[Mark] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status == "resting"

    def become(self, status: str, at: datetime) -> None:
        self.status = status
        self.updated_at = at
        self.marks.append(Mark(at, status, self.fill_count))

    def shown(self, at: datetime) -> str:
        """The status on the read side: a cancel arrives there late."""
        return "resting" if self.hidden_until is not None and at < self.hidden_until else self.status


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution, at the YES price."""

    id: str
    seq: int
    order_id: str
    ticker: str
    side: str
    count: Decimal
    price: Decimal
    fee: Decimal
    is_taker: bool
    at: datetime


@dataclass(slots=True)
class Position:
    """Contracts of one market: positive YES, negative NO. `cost` is what the held ones were bought for."""

    ticker: str
    qty: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    realized: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    traded: Decimal = Decimal(0)
    updated_at: datetime | None = None

    def book(self, side: str, count: Decimal, price: Decimal) -> Decimal:
        """Take one execution in; returns the change of cash. A YES and a NO together are one dollar."""
        signed = count if side == "bid" else -count
        closing = min(count, abs(self.qty)) if signed * self.qty < 0 else Decimal(0)
        opening = count - closing
        worth, unit = (1 - price, price) if side == "bid" else (price, 1 - price)
        freed = self.cost * closing / abs(self.qty) if closing else Decimal(0)
        self.realized += closing * worth - freed
        self.cost += opening * unit - freed
        self.qty += signed
        self.traded += count * unit
        return closing * worth - opening * unit

    def value(self, mid: Decimal) -> Decimal:
        return self.qty * mid if self.qty > 0 else -self.qty * (1 - mid)


@dataclass(slots=True)
class Group:
    """An order group: triggered, it holds no order and takes none until it is reset."""

    id: str
    limit: Decimal
    triggered: bool = False
    recent: list[Mark] = field(default_factory=list)

    def count(self, at: datetime, contracts: Decimal) -> bool:
        """Count contracts filled now; True if the limit of the rolling 15 seconds is exceeded by them."""
        self.recent = [mark for mark in self.recent if at - mark.at < GROUP_WINDOW]
        self.recent.append(Mark(at, "filled", contracts))
        return sum((mark.filled for mark in self.recent), Decimal(0)) > self.limit


@dataclass(slots=True)
class Account:
    """One account. `number` is its communications id, `user_id` the name its orders carry."""

    environment: str
    number: str
    user_id: str
    cash: Decimal
    orders_count: int = 0
    fills_count: int = 0
    groups_count: int = 0
    positions: dict[str, Position] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def position(self, ticker: str) -> Position:
        return self.positions.setdefault(ticker, Position(ticker))
