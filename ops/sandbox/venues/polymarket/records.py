"""What the venue keeps: accounts, orders, trades, API keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

LIVE, MATCHED, CANCELED = "LIVE", "MATCHED", "CANCELED"


@dataclass(slots=True)
class Account:
    """One wallet's money: `cash` in pUSD, `held` token id -> shares. `beat` is the running heartbeat, empty if none."""

    environment: str
    number: str
    cash: Decimal
    held: dict[str, Decimal] = field(default_factory=dict)
    beat: str = ""
    beat_due_at: datetime | None = None
    orders_count: int = 0
    trades_count: int = 0
    beats_count: int = 0


@dataclass(slots=True)
class Order:
    """An order on the book, or one that was. `qty` in shares, `price` in pUSD per share, `id` its EIP-712 hash.

    `client_id`: what the sender wrote into `metadata`, if that is text. The venue's answers never show it.
    """

    id: str
    seq: int
    token: str
    side: str
    qty: Decimal
    price: Decimal
    kind: str
    owner: str
    client_id: str
    at: datetime
    expires_at: datetime | None = None
    status: str = LIVE
    matched: Decimal = Decimal(0)
    ended_at: datetime | None = None
    trades: list[str] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.status == LIVE

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.matched


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution of one of the account's orders."""

    id: str
    seq: int
    order_id: str
    owner: str
    token: str
    side: str
    qty: Decimal
    price: Decimal
    maker: bool
    at: datetime


@dataclass(slots=True)
class Key:
    """L2 credentials. The venue must know the secret: it signs requests. `purpose` `observer` may only read."""

    id: str
    environment: str
    secret: str
    passphrase: str
    purpose: str
    nonce: int
    valid: bool = True
