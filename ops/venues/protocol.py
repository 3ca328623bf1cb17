"""What every venue must answer, in one shape. Money and quantities are Decimal, times are UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True)
class AccountView:
    """The account that the venue says these credentials belong to."""

    number: str
    paper: bool
    equity_usd: Decimal
    cash_usd: Decimal
    last_equity_usd: Decimal
    blocked: bool
    suspended: bool


@dataclass(frozen=True)
class OrderView:
    """One order as the venue shows it."""

    id: str
    client_id: str
    symbol: str
    side: str
    qty: Decimal
    status: str
    submitted_at: datetime


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


class VenueReader(Protocol):
    """Reads only. Every method raises VenueError when the venue's answer proves nothing."""

    def account(self) -> AccountView:
        """The account behind the credentials."""

    def open_orders(self, newest_first: bool = True) -> Sequence[OrderView]:
        """Every order that could still trade, `pending_cancel` included."""

    def order(self, order_id: str) -> OrderView:
        """One order, whatever its state."""

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        """The order with this client id, open or closed; None if the venue has never seen it."""

    def positions(self) -> Sequence[PositionView]:
        """Every open position."""

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        """Executions after an instant, oldest first."""


class VenueActor(VenueReader, Protocol):
    """Reads and changes. A lost answer raises VenueError and means unknown: look before acting again."""

    def cancel_all(self) -> int:
        """Asks for the cancellation of every open order; returns how many the venue took on. Proves nothing."""

    def set_suspended(self, suspended: bool) -> None:
        """The venue's own halt, where it has one."""

    def close_position(self, position: PositionView, client_id: str) -> None:
        """One market order against the whole position, at most once per `client_id`."""


# Statuses in which an Alpaca order can no longer trade (alpaca-py trading/enums.py, OrderStatus).
CLOSED = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
