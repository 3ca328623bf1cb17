"""Whether the exchange takes an order: the market, the id, the group, the price, the balance (venues.md 4.3 to 4.6)."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from ops.sandbox.venues.kalshi.market import HIGHEST, LOWEST, TICK
from ops.sandbox.venues.kalshi.orders import Ticket
from ops.sandbox.venues.kalshi.refusals import missing, order_refused

if TYPE_CHECKING:
    from ops.sandbox.venues.kalshi.desk import Desk

DEPTH_CONTRACTS = Decimal(5000)
"""Contracts that trade at one touch."""
_FEE_RATE = Decimal("0.07")
_FEE_STEP = Decimal("0.0001")


def taker_fee(count: Decimal, price: Decimal) -> Decimal:
    """Dollars: 7 % of count x price x (1 - price), rounded up."""
    return (_FEE_RATE * count * price * (1 - price)).quantize(_FEE_STEP, ROUND_CEILING)


def reducible(desk: Desk, ticket: Ticket) -> Decimal:
    """How many contracts of the other leg are held, which such an order would close."""
    held = desk.account.position(ticket.ticker).qty
    return max(-held, Decimal(0)) if ticket.side == "bid" else max(held, Decimal(0))


def admitted_count(desk: Desk, ticket: Ticket) -> Decimal:
    """A reduce-only order never trades more than what it closes."""
    return min(ticket.count, reducible(desk, ticket)) if ticket.reduce_only else ticket.count


def admit(desk: Desk, ticket: Ticket, at: datetime) -> None:
    """Raises Refusal. A client order id is taken once and for ever, also after a cancel."""
    if ticket.ticker not in desk.market.prices.base:
        raise missing("market_not_found")
    if ticket.client_order_id in desk.by_client_id:
        raise order_refused(409, "order_already_exists")
    if ticket.order_group_id and desk.group(ticket.order_group_id).triggered:
        raise order_refused(409, "order_group_triggered")
    if not LOWEST <= ticket.price <= HIGHEST or ticket.price % TICK:
        raise order_refused(400, "invalid_price")
    _require_sense(desk, ticket, at)
    _require_balance(desk, ticket)


def _require_sense(desk: Desk, ticket: Ticket, at: datetime) -> None:
    quote = desk.market.quote(ticket.ticker, at)
    crosses = ticket.crosses(quote.bid, quote.ask)
    if ticket.post_only and crosses:
        raise order_refused(400, "invalid_order", "post only cross")
    if ticket.reduce_only and (ticket.time_in_force == "good_till_canceled" or not reducible(desk, ticket)):
        raise order_refused(400, "invalid_order", "reduce only")
    if ticket.expires_at is not None and ticket.expires_at <= at:
        raise order_refused(400, "invalid_order", "expiration time in the past")
    if ticket.time_in_force == "fill_or_kill" and (not crosses or ticket.count > DEPTH_CONTRACTS):
        raise order_refused(409, "fill_or_kill_insufficient_resting_volume")


def _require_balance(desk: Desk, ticket: Ticket) -> None:
    opening = max(ticket.count - reducible(desk, ticket), Decimal(0))
    cost = opening * ticket.unit_cost + taker_fee(ticket.count, ticket.price)
    if opening and cost > desk.account.cash - desk.reserved():
        raise order_refused(400, "insufficient_balance")
