"""A cash account that holds shares (no margin, long only), and the desk that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, TypeVar

from ops.sandbox.venues import calendar
from ops.sandbox.venues.desk import AnyFill, AnyOrder, Desk
from ops.sandbox.venues.market import Market
from ops.sandbox.venues.venue import Record

_SET_BACK = timedelta(seconds=60)


class Trade(AnyFill, Protocol):
    """One execution: `qty` shares at `price` USD, `side` `buy` or `sell`."""

    @property
    def symbol(self) -> str: ...

    @property
    def side(self) -> str: ...

    @property
    def qty(self) -> Decimal: ...

    @property
    def price(self) -> Decimal: ...


class Reserving(AnyOrder, Protocol):
    """An order that while open reserves `remaining` shares, or that many times `hold_price` USD."""

    symbol: str
    side: str
    hold_price: Decimal

    @property
    def remaining(self) -> Decimal: ...


@dataclass(slots=True)
class Position:
    """Shares held long. `cost` is what they were bought for, in USD."""

    symbol: str
    qty: Decimal
    cost: Decimal

    @property
    def average_cost(self) -> Decimal:
        return self.cost / self.qty


@dataclass(slots=True, kw_only=True)
class CashAccount:
    """No commissions. `last_equity` in USD was taken at the session close `marked_close_at`."""

    environment: str
    number: str
    cash: Decimal
    last_equity: Decimal
    settled_at: datetime
    marked_close_at: datetime
    orders_count: int = 0
    fills_count: int = 0
    positions: dict[str, Position] = field(default_factory=dict)

    def held(self, symbol: str) -> Decimal:
        position = self.positions.get(symbol)
        return position.qty if position is not None else Decimal(0)

    def book(self, fill: Trade) -> None:
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

    def roll(self, at: datetime, equity: Callable[[datetime], Decimal]) -> bool:
        """Take last_equity at each session close; whether it was. A clock set back starts the day anew."""
        close_at = calendar.last_close(at)
        set_back = at < self.settled_at - _SET_BACK
        self.settled_at = at
        if not set_back and close_at <= self.marked_close_at:
            return False
        self.last_equity, self.marked_close_at = equity(at if set_back else close_at), close_at
        return True


Account = TypeVar("Account", bound=CashAccount)
Order = TypeVar("Order", bound=Reserving)
Fill = TypeVar("Fill", bound=Trade)


class CashDesk(Desk[Account, Order, Fill]):
    """What the account is worth, and what its open orders leave free of it."""

    def __init__(self, account: Account, market: Market, record: Record) -> None:
        super().__init__(account, record)
        self.market = market

    def equity(self, at: datetime) -> Decimal:
        return self.account.cash + self.position_value(at)

    def position_value(self, at: datetime) -> Decimal:
        held = self.account.positions.values()
        return sum((position.qty * self.market.mid(position.symbol, at) for position in held), Decimal(0))

    def free_cash(self) -> Decimal:
        """Cash that no open buy order has reserved."""
        buys = (order for order in self.open.values() if order.side == "buy")
        return self.account.cash - sum((order.remaining * order.hold_price for order in buys), Decimal(0))

    def reserved(self, symbol: str) -> Decimal:
        """Shares that open sell orders have reserved."""
        sells = (order for order in self.open.values() if order.side == "sell" and order.symbol == symbol)
        return sum((order.remaining for order in sells), Decimal(0))
