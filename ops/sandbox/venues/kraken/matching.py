"""Time passing at the venue: the dead-man's switch fires, cancels complete, orders expire, prices cross limits.

Lazy: nothing happens between two looks, and what happened meanwhile is worked out at the next one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from ops.sandbox.venues.kraken.desk import CANCEL_LATENCY, Desk, derived_id
from ops.sandbox.venues.kraken.orders import Fill, Order

DEPTH_USD = Decimal(500_000)
"""What trades at one touch; a larger order fills in several executions."""
REFILL = timedelta(milliseconds=100)


def settle(desk: Desk, at: datetime) -> None:
    """Bring one desk up to venue time `at`. Idempotent: a second call at the same instant changes nothing."""
    _dead_man(desk, at)
    if not desk.open:
        return
    for order in sorted(desk.open.values(), key=lambda order: order.seq):
        if not (_cancel_done(desk, order, at) or _expired(desk, order, at)):
            _execute(desk, order, at)


def _dead_man(desk: Desk, at: datetime) -> None:
    due = desk.account.dead_man_at
    if due is not None and at >= due:
        desk.account.dead_man_at, desk.account_changed = None, True
        desk.cancel_all(due)


def _cancel_done(desk: Desk, order: Order, at: datetime) -> bool:
    if order.cancel_due_at is None or order.stuck:
        return False
    # A clock set back must not turn a third of a second into days of waiting.
    order.cancel_due_at = min(order.cancel_due_at, at + CANCEL_LATENCY)
    if at < order.cancel_due_at:
        return False
    desk.end(order, "canceled", order.cancel_due_at, "User requested")
    return True


def _expired(desk: Desk, order: Order, at: datetime) -> bool:
    if order.expires_at is None or at < order.expires_at:
        return False
    desk.end(order, "expired", order.expires_at, "expired")
    return True


def _execute(desk: Desk, order: Order, at: datetime) -> None:
    if order.filled_at is not None and timedelta(0) <= at - order.filled_at < REFILL:
        return
    bid, ask = desk.market.quote(order.symbol, at)
    touch = ask if order.side == "buy" else bid
    if _marketable(order, touch):
        _fill(desk, order, touch, at)
    if order.immediate and order.is_open:
        desk.end(order, "canceled", at, "immediate or cancel")


def _marketable(order: Order, touch: Decimal) -> bool:
    buying = order.side == "buy"
    if order.stop is not None:
        return touch >= order.stop if buying else touch <= order.stop
    if order.limit is None:
        return True
    return touch <= order.limit if buying else touch >= order.limit


def _fill(desk: Desk, order: Order, touch: Decimal, at: datetime) -> None:
    account, seed = desk.account, desk.market.prices.seed
    fill_id = derived_id("T", seed, account.environment, "fill", account.fills_count)
    price = desk.market.prices.worsened(touch, order.side, fill_id)
    if order.limit is not None:  # never through the order's own limit
        price = min(price, order.limit) if order.side == "buy" else max(price, order.limit)
    depth = (DEPTH_USD / price).quantize(desk.market.pairs[order.symbol].lot, ROUND_DOWN)
    qty = min(order.remaining, depth)
    desk.book(
        order, Fill(fill_id, account.fills_count, order.txid, order.symbol, order.side, order.type, qty, price, at)
    )
