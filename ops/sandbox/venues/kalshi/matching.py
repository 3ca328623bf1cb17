"""Time passing at the exchange: prices cross limits, orders expire, the read side catches up."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from ops.sandbox.venues.kalshi.admission import DEPTH_CONTRACTS, taker_fee
from ops.sandbox.venues.kalshi.desk import Desk
from ops.sandbox.venues.kalshi.orders import READ_LAG, Fill, Order
from ops.sandbox.venues.market import derived_uuid
from ops.sandbox.venues.matching import refilling


def settle(desk: Desk, at: datetime) -> None:
    """Bring one desk up to venue time `at`. Idempotent: a second call at the same instant changes nothing."""
    for order in list(desk.fading.values()):
        # A clock set back must not turn a third of a second into days of waiting.
        order.hidden_until = min(order.hidden_until or at, at + READ_LAG)
        if at >= order.hidden_until:
            del desk.fading[order.id]
            desk.bodies.pop(order.id, None)
    trading = desk.market.trading(at)
    for order in list(desk.open.values()):
        if order.ticket.expires_at is not None and at >= order.ticket.expires_at:
            desk.end(order, order.ticket.expires_at, "expired")
        elif trading:
            _rests_or_fills(desk, order, at)


def _rests_or_fills(desk: Desk, order: Order, at: datetime) -> None:
    quote = desk.market.quote(order.ticket.ticker, at)
    if order.ticket.crosses(quote.bid, quote.ask) and not refilling(order.filled_at, at):
        _fill(desk, order, order.ticket.price, at, is_taker=False)


def take(desk: Desk, order: Order, at: datetime) -> None:
    """What a new order does at once: trade against the touch; what may not rest is cancelled.

    The touch is a whole tick away from the mid, some hundred basis points: no further slippage is added.
    """
    quote, ticket = desk.market.quote(order.ticket.ticker, at), order.ticket
    if _own_order_in_the_way(desk, order):
        desk.end(order, at, "canceled", "self trade prevented")
        order.remaining = Decimal(0)
        return
    if ticket.crosses(quote.bid, quote.ask):
        _fill(desk, order, quote.ask if ticket.side == "bid" else quote.bid, at, is_taker=True)
    if order.is_open and ticket.time_in_force != "good_till_canceled":
        desk.end(order, at, "canceled", "the rest of an immediate order")
        order.remaining = Decimal(0)


def _own_order_in_the_way(desk: Desk, order: Order) -> bool:
    ticket = order.ticket
    others = (o.ticket for o in desk.open.values() if o.ticket.side != ticket.side and o.ticket.ticker == ticket.ticker)
    return any(ticket.crosses(other.price, other.price) for other in others)


def _fill(desk: Desk, order: Order, price: Decimal, at: datetime, is_taker: bool) -> None:
    account, ticket = desk.account, order.ticket
    count = min(order.remaining, DEPTH_CONTRACTS)
    fee = taker_fee(count, price) if is_taker else Decimal(0)
    seq = account.fills_count
    made = derived_uuid(desk.market.prices.seed, account.environment, "kalshi fill", seq)
    fill = Fill(made, seq, order.id, ticket.ticker, ticket.side, count, price, fee, is_taker, at)
    position = account.position(ticket.ticker)
    account.cash += position.book(ticket.side, count, price) - fee
    position.fees += fee
    position.updated_at = at
    desk.count(fill)
    _note(order, fill)
    desk.log("partial_fill" if order.remaining else "fill", order, at, fill=fill)
    desk.touch(order)
    _count_in_group(desk, order, count, at)


def _note(order: Order, fill: Fill) -> None:
    unit = fill.price if fill.side == "bid" else 1 - fill.price
    order.remaining -= fill.count
    order.fill_count += fill.count
    order.filled_at = fill.at
    order.taker_fees += fill.fee
    if fill.is_taker:
        order.taker_cost += fill.count * unit
    else:
        order.maker_cost += fill.count * unit
    order.become("resting" if order.remaining else "executed", fill.at)


def _count_in_group(desk: Desk, order: Order, count: Decimal, at: datetime) -> None:
    group = desk.account.groups.get(order.ticket.order_group_id)
    if group is not None and group.count(at, count):
        desk.trigger(group, at)
