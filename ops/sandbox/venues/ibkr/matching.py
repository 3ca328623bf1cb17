"""Time passing at the venue: cancels complete, day orders end, prices cross limits and stops, sessions close.

Lazy: nothing happens between two looks, and what happened meanwhile is worked out at the next one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from ops.sandbox.venues.ibkr.book import Book, number_of
from ops.sandbox.venues.ibkr.orders import Fill, Order
from ops.sandbox.venues.matching import DEPTH_SHARES, cancel_done, fill_price, marketable, refilling


def settle(book: Book, at: datetime) -> None:
    """Bring one book up to venue time `at`. Idempotent: a second call at the same instant changes nothing."""
    book.account_changed |= book.account.roll(at, book.equity)
    for order in sorted(book.open.values(), key=lambda order: order.perm_id):
        if not _canceled(book, order, at) and not _ended_with_the_day(book, order, at):
            _execute(book, order, at)
            if order.tif == "IOC" and order.is_open:
                _end(book, order, at, "immediate or cancel")


def _canceled(book: Book, order: Order, at: datetime) -> bool:
    canceled_at = cancel_done(order, at)
    if canceled_at is None:
        return False
    _end(book, order, canceled_at)
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
    if refilling(order.filled_at, at):
        return
    quote = book.market.quote(order.symbol, at)
    touch = quote.ask if order.side == "buy" else quote.bid
    if not _triggered(order, touch):
        return
    if marketable(order.side, order.limit_price, touch):
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


def _fill(book: Book, order: Order, touch: Decimal, at: datetime) -> None:
    seq, seed = book.account.fills_count, book.market.prices.seed
    exec_id = f"{number_of(seed, book.account.environment):08x}.{seq:08x}.01.01"
    qty = min(order.remaining, DEPTH_SHARES)
    price = fill_price(book.market.prices, order.side, order.limit_price, touch, exec_id)
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


def _book(book: Book, order: Order, fill: Fill) -> None:
    book.account.book(fill)
    book.count(fill)
    if not order.remaining:
        order.become("Filled", fill.at)
    elif order.status == "PreSubmitted":
        order.become("Submitted", fill.at)
    book.log("partial_fill" if order.remaining else "fill", order, fill.at, fill=fill)
    book.touch(order)
    book.hooks.tell("fill", order, fill)
