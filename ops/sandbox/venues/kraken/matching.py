"""Time passing at the venue: the dead-man's switch fires, cancels complete, orders expire, prices cross limits.

Lazy: nothing happens between two looks, and what happened meanwhile is worked out at the next one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from ops.sandbox.venues.kraken.desk import Desk, derived_id
from ops.sandbox.venues.kraken.orders import Fill, Order
from ops.sandbox.venues.matching import cancel_done, fill_price, marketable, refilling

DEPTH_USD = Decimal(500_000)
"""What trades at one touch; a larger order fills in several executions."""


def settle(desk: Desk, at: datetime) -> None:
    """Bring one desk up to venue time `at`. Idempotent: a second call at the same instant changes nothing."""
    _dead_man(desk, at)
    if not desk.open:
        return
    for order in sorted(desk.open.values(), key=lambda order: order.seq):
        if not (_canceled(desk, order, at) or _expired(desk, order, at)):
            _execute(desk, order, at)


def _dead_man(desk: Desk, at: datetime) -> None:
    due = desk.account.dead_man_at
    if due is not None and at >= due:
        desk.account.dead_man_at, desk.account_changed = None, True
        desk.cancel_all(due)


def _canceled(desk: Desk, order: Order, at: datetime) -> bool:
    canceled_at = cancel_done(order, at)
    if canceled_at is None:
        return False
    desk.end(order, "canceled", canceled_at, "User requested")
    return True


def _expired(desk: Desk, order: Order, at: datetime) -> bool:
    if order.expires_at is None or at < order.expires_at:
        return False
    desk.end(order, "expired", order.expires_at, "expired")
    return True


def _execute(desk: Desk, order: Order, at: datetime) -> None:
    if refilling(order.filled_at, at):
        return
    bid, ask = desk.market.quote(order.symbol, at)
    touch = ask if order.side == "buy" else bid
    if _marketable(order, touch):
        _fill(desk, order, touch, at)
    if order.immediate and order.is_open:
        desk.end(order, "canceled", at, "immediate or cancel")


def _marketable(order: Order, touch: Decimal) -> bool:
    if order.stop is not None:
        return touch >= order.stop if order.side == "buy" else touch <= order.stop
    return marketable(order.side, order.limit, touch)


def _fill(desk: Desk, order: Order, touch: Decimal, at: datetime) -> None:
    account, seed = desk.account, desk.market.prices.seed
    fill_id = derived_id("T", seed, account.environment, "fill", account.fills_count)
    price = fill_price(desk.market.prices, order.side, order.limit, touch, fill_id)
    depth = (DEPTH_USD / price).quantize(desk.market.pairs[order.symbol].lot, ROUND_DOWN)
    qty = min(order.remaining, depth)
    desk.book(
        order, Fill(fill_id, account.fills_count, order.txid, order.symbol, order.side, order.type, qty, price, at)
    )
