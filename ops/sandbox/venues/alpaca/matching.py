"""Time passing at the venue: cancels complete, day orders expire, prices cross limits, sessions close.

Lazy: nothing happens between two looks, and what happened meanwhile is worked out at the next one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from ops.sandbox.venues import calendar
from ops.sandbox.venues.alpaca.accounts import Close
from ops.sandbox.venues.alpaca.desk import Desk
from ops.sandbox.venues.alpaca.orders import Fill, Order
from ops.sandbox.venues.market import derived_uuid
from ops.sandbox.venues.matching import DEPTH_SHARES, cancel_done, fill_price, marketable, refilling


def settle(desk: Desk, at: datetime) -> None:
    """Bring one desk up to venue time `at`. Idempotent: a second call at the same instant changes nothing."""
    _roll(desk, at)
    for order in sorted(desk.open.values(), key=lambda order: order.seq):
        if _canceled(desk, order, at) or _expired(desk, order, at):
            continue
        _execute(desk, order, at)


def _roll(desk: Desk, at: datetime) -> None:
    """last_equity, and the history of closes; a clock set back forgets those that have not been yet."""
    account, before = desk.account, desk.account.marked_close_at
    if not account.roll(at, desk.equity):
        return
    desk.account_changed = True
    account.closes = [close for close in account.closes if close.at <= at]
    if account.marked_close_at > before:
        account.closes.append(Close(account.marked_close_at, account.last_equity))


def _canceled(desk: Desk, order: Order, at: datetime) -> bool:
    order.canceled_at = cancel_done(order, at)
    if order.canceled_at is None:
        return False
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
    if refilling(order.filled_at, at):
        return
    quote = desk.market.quote(order.symbol, at)
    touch = quote.ask if order.side == "buy" else quote.bid
    if not marketable(order.side, order.limit_price, touch):
        if order.status in ("pending_new", "accepted"):
            _rest(desk, order, "new", at)
        return
    _fill(desk, order, touch, at)


def _rest(desk: Desk, order: Order, status: str, at: datetime) -> None:
    order.become(status, at)
    desk.touch(order)


def _fill(desk: Desk, order: Order, touch: Decimal, at: datetime) -> None:
    seq = desk.account.fills_count
    fill_uuid = derived_uuid(desk.market.prices.seed, desk.account.environment, "fill", seq)
    price = fill_price(desk.market.prices, order.side, order.limit_price, touch, fill_uuid)
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


def _book(desk: Desk, order: Order, fill: Fill) -> None:
    desk.account.book(fill)
    desk.count(fill)
    if not fill.leaves_qty:
        order.become("filled", fill.at)
    elif order.status != "pending_cancel":
        order.become("partially_filled", fill.at)
    desk.log("fill" if not fill.leaves_qty else "partial_fill", order, fill.at, fill=fill)
    desk.touch(order)
