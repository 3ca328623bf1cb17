"""Time passing at the venue: cancels complete, day orders expire, prices cross limits, sessions close.

Lazy: nothing happens between two looks, and what happened meanwhile is worked out at the next one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from ops.sandbox.venues import calendar
from ops.sandbox.venues.alpaca.accounts import Close
from ops.sandbox.venues.alpaca.desk import CANCEL_LATENCY, Desk
from ops.sandbox.venues.alpaca.orders import Fill, Order
from ops.sandbox.venues.market import derived_uuid

DEPTH_SHARES = Decimal(500)
"""Shares that trade at one touch; a larger order fills in several executions."""
REFILL = timedelta(milliseconds=100)


def settle(desk: Desk, at: datetime) -> None:
    """Bring one desk up to venue time `at`. Idempotent: a second call at the same instant changes nothing."""
    _roll(desk, at)
    for order in sorted(desk.open.values(), key=lambda order: order.seq):
        if _cancel_done(desk, order, at) or _expired(desk, order, at):
            continue
        _execute(desk, order, at)


def _roll(desk: Desk, at: datetime) -> None:
    """Take last_equity at each session close. A clock set back starts the day anew from what is held now."""
    account = desk.account
    close_at = calendar.last_close(at)
    if at < account.settled_at - timedelta(seconds=60):
        account.last_equity, account.marked_close_at = desk.equity(at), close_at
        account.closes = [close for close in account.closes if close.at <= at]
        desk.account_changed = True
    elif close_at > account.marked_close_at:
        account.last_equity, account.marked_close_at = desk.equity(close_at), close_at
        account.closes.append(Close(close_at, account.last_equity))
        desk.account_changed = True
    account.settled_at = at


def _cancel_done(desk: Desk, order: Order, at: datetime) -> bool:
    if order.status != "pending_cancel" or order.stuck or order.cancel_due_at is None:
        return False
    # A clock set back must not turn a third of a second into days of waiting.
    order.cancel_due_at = min(order.cancel_due_at, at + CANCEL_LATENCY)
    if at < order.cancel_due_at:
        return False
    order.canceled_at = order.cancel_due_at
    order.become("canceled", order.canceled_at)
    desk.log("canceled", order, order.canceled_at)
    desk.touch(order)
    return True


def _expired(desk: Desk, order: Order, at: datetime) -> bool:
    if order.time_in_force != "day" or not desk.market.expired(order.expires_at, at):
        return False
    order.expired_at = order.expires_at
    order.become("expired", order.expires_at)
    desk.log("canceled", order, order.expires_at, reason="expired at the session close")
    desk.touch(order)
    return True


def _execute(desk: Desk, order: Order, at: datetime) -> None:
    if not desk.market.is_open(at):
        if order.status == "pending_new":
            _rest(desk, order, "accepted", at)
        return
    if order.filled_at is not None and timedelta(0) <= at - order.filled_at < REFILL:
        return
    quote = desk.market.quote(order.symbol, at)
    touch = quote.ask if order.side == "buy" else quote.bid
    if not _marketable(order, touch):
        if order.status in ("pending_new", "accepted"):
            _rest(desk, order, "new", at)
        return
    _fill(desk, order, touch, at)


def _marketable(order: Order, touch: Decimal) -> bool:
    if order.limit_price is None:
        return True
    return touch <= order.limit_price if order.side == "buy" else touch >= order.limit_price


def _rest(desk: Desk, order: Order, status: str, at: datetime) -> None:
    order.become(status, at)
    desk.touch(order)


def _fill(desk: Desk, order: Order, touch: Decimal, at: datetime) -> None:
    seq = desk.account.fills_count
    fill_uuid = derived_uuid(desk.market.prices.seed, desk.account.environment, "fill", seq)
    price = _price(desk, order, touch, fill_uuid)
    qty = min(order.remaining, DEPTH_SHARES)
    total = order.filled_qty + qty
    paid = (order.filled_avg_price or Decimal(0)) * order.filled_qty + price * qty
    order.filled_avg_price, order.filled_qty, order.filled_at = paid / total, total, at
    fill = Fill(
        id=f"{at.astimezone(calendar.NEW_YORK):%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{fill_uuid}",
        seq=seq,
        order_id=order.id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        qty=qty,
        price=price,
        at=at,
        cum_qty=total,
        leaves_qty=order.remaining,
    )
    _book(desk, order, fill)


def _price(desk: Desk, order: Order, touch: Decimal, fill_uuid: str) -> Decimal:
    """The touch worsened by the deterministic slippage, never through the order's own limit."""
    price = desk.market.prices.worsened(touch, order.side, fill_uuid)
    if order.limit_price is None:
        return price
    return min(price, order.limit_price) if order.side == "buy" else max(price, order.limit_price)


def _book(desk: Desk, order: Order, fill: Fill) -> None:
    desk.account.book(fill)
    desk.account.fills_count += 1
    desk.account_changed = True
    desk.keep(fill)
    desk.new_fills.append(fill)
    if not fill.leaves_qty:
        order.become("filled", fill.at)
    elif order.status != "pending_cancel":
        order.become("partially_filled", fill.at)
    desk.log("fill" if not fill.leaves_qty else "partial_fill", order, fill.at, fill=fill)
    desk.touch(order)
