"""An order, its executions and its states as the venue keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

CLOSED = frozenset({"Filled", "Cancelled"})
"""States that an order never leaves; all others, PendingCancel included, are open."""
BY_HAND = -1
"""Client id, in here only, of an order typed into the gateway's own window."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A well-formed wish for an order. Prices in USD, None where the type has none; `side` is `buy` or `sell`."""

    symbol: str
    side: str
    qty: Decimal
    type: str
    tif: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    order_ref: str


@dataclass(slots=True)
class Mark:
    """One change of state; the list of marks answers what the order looked like at an earlier instant."""

    at: datetime
    status: str
    filled: Decimal


@dataclass(slots=True)
class Order:
    """`perm_id` is the venue's, for the account and for ever; `order_id` counts per client."""

    perm_id: int
    client_id: int
    order_id: int
    symbol: str
    side: str
    qty: Decimal
    type: str
    tif: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    hold_price: Decimal
    order_ref: str
    submitted_at: datetime
    expires_at: datetime
    status: str
    filled: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    last_price: Decimal | None = None
    filled_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_due_at: datetime | None = None
    stuck: bool = False
    triggered: bool = False
    marks: list[Mark] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled

    @property
    def average_price(self) -> Decimal:
        return self.paid / self.filled if self.filled else Decimal(0)

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED

    @property
    def by_hand(self) -> bool:
        return self.client_id == BY_HAND

    def become(self, status: str, at: datetime) -> None:
        self.status = status
        if not self.is_open:
            self.ended_at = at
        self.marks.append(Mark(at, status, self.filled))

    def seen_at(self, at: datetime) -> Mark | None:
        """The order's state at an earlier instant, None when it did not exist yet."""
        return next((mark for mark in reversed(self.marks) if mark.at <= at), None)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    exec_id: str
    seq: int
    perm_id: int
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: datetime
    cum_qty: Decimal
    average_price: Decimal


@dataclass(slots=True)
class Position:
    """Shares held long. `cost` is what they were bought for, in USD."""

    symbol: str
    qty: Decimal
    cost: Decimal

    @property
    def average_cost(self) -> Decimal:
        return self.cost / self.qty


@dataclass(slots=True)
class Account:
    """A cash account (long only) without commissions; `last_equity` was taken at the latest session close."""

    environment: str
    number: str
    cash: Decimal
    last_equity: Decimal
    settled_at: datetime
    marked_close_at: datetime
    orders_count: int = 0
    fills_count: int = 0
    next_ids: dict[str, int] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)

    def held(self, symbol: str) -> Decimal:
        position = self.positions.get(symbol)
        return position.qty if position is not None else Decimal(0)

    def book(self, fill: Fill) -> None:
        """Move cash and shares for one execution."""
        amount = fill.qty * fill.price
        position = self.positions.setdefault(fill.symbol, Position(fill.symbol, Decimal(0), Decimal(0)))
        if fill.side == "buy":
            self.cash -= amount
            position.qty += fill.qty
            position.cost += amount
            return
        self.cash += amount
        position.cost -= position.average_cost * fill.qty
        position.qty -= fill.qty
        if not position.qty:
            del self.positions[fill.symbol]
