"""An order, its fills and its states as the venue keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ops.sandbox.venues.marks import Mark, Marked

CLOSED = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
"""States an order never leaves. All others, pending_cancel included, are open (alpaca-py OrderStatus)."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A validated wish for an order. `qty` in shares, `limit_price` in USD or None for a market order."""

    symbol: str
    qty: Decimal
    side: str
    type: str
    time_in_force: str
    client_order_id: str
    limit_price: Decimal | None = None
    extended_hours: bool = False


@dataclass(slots=True)
class Order(Marked):
    id: str
    seq: int
    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal
    limit_price: Decimal | None
    hold_price: Decimal
    extended_hours: bool
    submitted_at: datetime
    updated_at: datetime
    status: str
    key_id: str
    expires_at: datetime
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None
    filled_at: datetime | None = None
    canceled_at: datetime | None = None
    expired_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    cancel_due_at: datetime | None = None
    stuck: bool = False
    marks: list[Mark] = field(default_factory=list)

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled_qty

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED

    def become(self, status: str, at: datetime) -> None:
        self.status = status
        self.updated_at = at
        self.marks.append(Mark(at, status, self.filled_qty))


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. `id` is formed like Alpaca's activity ids: New York time to the ms, '::', a UUID."""

    id: str
    seq: int
    order_id: str
    client_order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: datetime
    cum_qty: Decimal
    leaves_qty: Decimal
