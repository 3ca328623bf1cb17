"""Time passing at the venue: cancels complete, day orders end, prices cross limits and stops, sessions close.

Lazy: nothing happens between two looks, and what happened meanwhile is worked out at the next one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from ops.sandbox.venues import calendar
from ops.sandbox.venues.ibkr.book import CANCEL_LATENCY, Book, number_of
from ops.sandbox.venues.ibkr.orders import Fill, Order

DEPTH_SHARES = Decimal(500)
"""Shares that trade at one touch; a larger order fills in several executions."""
REFILL = timedelta(milliseconds=100)


def settle(book: Book, at: datetime) -> None:
    """Bring one book up to venue time `at`. Idempotent: a second call at the same instant changes nothing."""
    _roll(book, at)
    for order in sorted(book.open.values(), key=lambda order: order.perm_id):
        if not _cancel_done(book, order, at) and not _ended_with_the_day(book, order, at):
            _execute(book, order, at)
            if order.tif == "IOC" and order.is_open:
                _end(book, order, at, "immediate or cancel")


def _roll(book: Book, at: datetime) -> None:
    """Take last_equity at each session close. A clock set back starts the day anew from what is held now."""
    account, close_at = book.account, calendar.last_close(at)
    if at < account.settled_at - timedelta(seconds=60):
        account.last_equity, account.marked_close_at = book.equity(at), close_at
        book.account_changed = True
    elif close_at > account.marked_close_at:
        account.last_equity, account.marked_close_at = book.equity(close_at), close_at
        book.account_changed = True
    account.settled_at = at


def _cancel_done(book: Book, order: Order, at: datetime) -> bool:
    if order.status != "PendingCancel" or order.stuck or order.cancel_due_at is None:
        return False
    # A clock set back must not turn a third of a second into days of waiting.
    order.cancel_due_at = min(order.cancel_due_at, at + CANCEL_LATENCY)
    if at < order.cancel_due_at:
        return False
    _end(book, order, order.cancel_due_at)
    return True


def _ended_with_the_day(book: Book, order: Order, at: datetime) -> bool:
    if order.tif != "DAY" or not book.market.expired(order.expires_at, at):
        return False
    _end(book, order, order.expires_at, "expired at the session close")
    return True


def _end(book: Book, order: Order, at: datetime, reason: str = "") -> None:
    order.become("Cancelled", at)
    book.log("canceled", order, at, reason)
    book.touch(order)
    book.hooks.tell("canceled", order, None)


def _execute(book: Book, order: Order, at: datetime) -> None:
    if not book.market.is_open(at):
        return
    if order.filled_at is not None and timedelta(0) <= at - order.filled_at < REFILL:
        return
    quote = book.market.quote(order.symbol, at)
    touch = quote.ask if order.side == "buy" else quote.bid
    if not _triggered(order, touch):
        return
    if _marketable(order, touch):
        _fill(book, order, touch, at)
    elif order.status == "PreSubmitted":
        order.become("Submitted", at)
        book.touch(order)
        book.hooks.tell("status", order, None)


def _triggered(order: Order, touch: Decimal) -> bool:
    """A stop sleeps until the price has come to it."""
    if order.stop_price is None or order.triggered:
        return True
    order.triggered = touch >= order.stop_price if order.side == "buy" else touch <= order.stop_price
    return order.triggered


def _marketable(order: Order, touch: Decimal) -> bool:
    if order.limit_price is None:
        return True
    return touch <= order.limit_price if order.side == "buy" else touch >= order.limit_price


def _fill(book: Book, order: Order, touch: Decimal, at: datetime) -> None:
    seq, seed = book.account.fills_count, book.market.prices.seed
    exec_id = f"{number_of(seed, book.account.environment):08x}.{seq:08x}.01.01"
    qty, price = min(order.remaining, DEPTH_SHARES), _price(book, order, touch, exec_id)
    order.filled, order.paid = order.filled + qty, order.paid + qty * price
    order.last_price, order.filled_at = price, at
    fill = Fill(
        exec_id=exec_id,
        seq=seq,
        perm_id=order.perm_id,
        symbol=order.symbol,
        side=order.side,
        qty=qty,
        price=price,
        at=at,
        cum_qty=order.filled,
        average_price=order.average_price,
    )
    _book(book, order, fill)


def _price(book: Book, order: Order, touch: Decimal, exec_id: str) -> Decimal:
    """The touch worsened by the deterministic slippage, never through the order's own limit."""
    price = book.market.prices.worsened(touch, order.side, exec_id)
    if order.limit_price is None:
        return price
    return min(price, order.limit_price) if order.side == "buy" else max(price, order.limit_price)


def _book(book: Book, order: Order, fill: Fill) -> None:
    book.account.book(fill)
    book.account.fills_count += 1
    book.account_changed = True
    book.keep(fill)
    book.new_fills.append(fill)
    if not order.remaining:
        order.become("Filled", fill.at)
    elif order.status == "PreSubmitted":
        order.become("Submitted", fill.at)
    book.log("partial_fill" if order.remaining else "fill", order, fill.at, fill=fill)
    book.touch(order)
    book.hooks.tell("fill", order, fill)
