"""An order, its executions and its states as the venue keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ops.sandbox.venues.cash import CashAccount
from ops.sandbox.venues.marks import Mark, Marked

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
class Order(Marked):
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
    def id(self) -> str:
        return str(self.perm_id)

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


@dataclass(slots=True, kw_only=True)
class Account(CashAccount):
    """A cash account. `next_ids`: client id -> the least order id that it may use next."""

    next_ids: dict[str, int] = field(default_factory=dict)
