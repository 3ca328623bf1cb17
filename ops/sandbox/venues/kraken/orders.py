"""An order, its executions and its account as the venue keeps them. Quantities in units of the base, money in USD."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

OPEN = frozenset({"pending", "open"})


@dataclass(frozen=True, slots=True)
class Ticket:
    """A validated wish for an order. `limit` is None for a market order, `stop` a stop-loss order's trigger."""

    symbol: str
    side: str
    qty: Decimal
    limit: Decimal | None
    stop: Decimal | None = None
    cl_ord_id: str = ""
    userref: int | None = None
    post_only: bool = False
    immediate: bool = False
    expires_at: datetime | None = None

    @property
    def type(self) -> str:
        if self.stop is not None:
            return "stop-loss"
        return "market" if self.limit is None else "limit"


@dataclass(slots=True)
class Order:
    """`status` is Kraken's: open, closed (filled), canceled, expired. A pending cancel leaves it open."""

    txid: str
    seq: int
    symbol: str
    side: str
    qty: Decimal
    limit: Decimal | None
    stop: Decimal | None
    hold_price: Decimal
    cl_ord_id: str
    userref: int | None
    post_only: bool
    immediate: bool
    submitted_at: datetime
    expires_at: datetime | None
    key_id: str
    status: str = "open"
    reason: str = ""
    filled_qty: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    filled_at: datetime | None = None
    closed_at: datetime | None = None
    cancel_due_at: datetime | None = None
    stuck: bool = False

    @property
    def id(self) -> str:
        return self.txid

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled_qty

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def type(self) -> str:
        if self.stop is not None:
            return "stop-loss"
        return "market" if self.limit is None else "limit"

    def was_open(self, at: datetime) -> bool:
        """Whether it was open at an earlier instant."""
        return self.submitted_at <= at and (self.closed_at is None or self.closed_at > at)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    id: str
    seq: int
    txid: str
    symbol: str
    side: str
    type: str
    qty: Decimal
    price: Decimal
    at: datetime


@dataclass(slots=True)
class Account:
    """`balances` by common asset code. `dead_man_at`: when everything will be cancelled unless that is put off."""

    environment: str
    number: str
    balances: dict[str, Decimal] = field(default_factory=dict)
    orders_count: int = 0
    fills_count: int = 0
    dead_man_at: datetime | None = None
