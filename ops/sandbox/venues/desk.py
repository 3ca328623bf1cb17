"""What every desk keeps of an account: its orders, its fills, and what changed since the store was last told."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from ops.sandbox.journal import stamp
from ops.sandbox.venues.venue import Record


class AnyAccount(Protocol):
    """A dataclass, for the store, with the name of its `environment`."""

    environment: str
    number: str
    fills_count: int


class AnyOrder(Protocol):
    """`id` is the venue's own, never given out twice."""

    @property
    def id(self) -> str: ...

    @property
    def is_open(self) -> bool: ...


class AnyFill(Protocol):
    """`seq` counts the account's fills."""

    @property
    def seq(self) -> int: ...

    @property
    def at(self) -> datetime: ...


Account = TypeVar("Account", bound=AnyAccount)
Order = TypeVar("Order", bound=AnyOrder)
Fill = TypeVar("Fill", bound=AnyFill)


class Desk(Generic[Account, Order, Fill]):
    """The books of one account; a venue's own desk adds what its orders may do. Methods take venue time."""

    VENUE: ClassVar[str]
    """The venue's name in the order log."""

    def __init__(self, account: Account, record: Record) -> None:
        self.account = account
        self.orders: dict[str, Order] = {}
        self.open: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.dirty: dict[str, Order] = {}
        self.new_fills: list[Fill] = []
        self.account_changed = True
        self._record = record

    def adopt(self, order: Order) -> None:
        """Index an order, new or read back from the store."""
        self.orders[order.id] = order
        if order.is_open:
            self.open[order.id] = order

    def keep(self, fill: Fill) -> None:
        """Add a fill to the list, which is sorted by time even when the clock is set back."""
        insort(self.fills, fill, key=lambda known: (known.at, known.seq))

    def count(self, fill: Fill) -> None:
        """Keep a fill that has just happened, for the store too."""
        self.account.fills_count += 1
        self.account_changed = True
        self.keep(fill)
        self.new_fills.append(fill)

    def touch(self, order: Order) -> None:
        """Remember that an order changed, for the store; a closed one leaves the open set."""
        self.dirty[order.id] = order
        if not order.is_open:
            self.open.pop(order.id, None)

    def line(self, event: str, at: datetime, order: Mapping[str, Any], key_id: str, reason: str) -> None:
        """One line of the order log; `order` is what is told of the order, in the log's words."""
        who = {"venue": self.VENUE, "environment": self.account.environment, "account": self.account.number}
        self._record({"time": stamp(at), **who, "event": event, **order, "key_id": key_id, "reason": reason})
