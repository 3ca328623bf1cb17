"""What orders meet alike at every simulated venue: cancels that take a moment, a touch that refills, their own limit.

Each venue's own `matching` says when these apply and what becomes of the order.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from ops.sandbox.venues.prices import Prices

CANCEL_LATENCY = timedelta(seconds=0.3)
REFILL = timedelta(milliseconds=100)
"""How long the touch takes to refill: until then, an order that has just filled does not fill again."""
DEPTH_SHARES = Decimal(500)
"""Shares that trade at one touch of a stock; a larger order fills in several executions."""
MARKET_ORDER_MARGIN = Decimal("1.02")
"""What is reserved for an order without a limit, times today's ask: it may fill above that."""


class Cancelable(Protocol):
    """`cancel_due_at`: when the cancel that was asked for completes, unless it is `stuck`."""

    cancel_due_at: datetime | None
    stuck: bool


def cancel_done(order: Cancelable, at: datetime) -> datetime | None:
    """When the order's cancel was completed; None if it was not asked for, is still due, or is stuck."""
    if order.stuck or order.cancel_due_at is None:
        return None
    # A clock set back must not turn a third of a second into days of waiting.
    order.cancel_due_at = min(order.cancel_due_at, at + CANCEL_LATENCY)
    return order.cancel_due_at if at >= order.cancel_due_at else None


def refilling(filled_at: datetime | None, at: datetime) -> bool:
    """Whether the touch has not refilled since an order's latest fill. A clock set back is no long wait."""
    return filled_at is not None and timedelta(0) <= at - filled_at < REFILL


def marketable(side: str, limit: Decimal | None, touch: Decimal) -> bool:
    """Whether a `buy` or `sell` trades at the touch; without a limit always."""
    if limit is None:
        return True
    return touch <= limit if side == "buy" else touch >= limit


def fill_price(prices: Prices, side: str, limit: Decimal | None, touch: Decimal, fill_id: str) -> Decimal:
    """The touch worsened by the deterministic slippage, never through the order's own limit."""
    price = prices.worsened(touch, side, fill_id)
    if limit is None:
        return price
    return min(price, limit) if side == "buy" else max(price, limit)
