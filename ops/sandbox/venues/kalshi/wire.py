"""The JSON bodies of the exchange in today's shapes: counts as `*_fp`, money as `*_dollars` (venues.md 4.3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ops.sandbox.venues.kalshi.desk import TRADES, Desk
from ops.sandbox.venues.kalshi.market import HIGHEST, TICK, Market
from ops.sandbox.venues.kalshi.orders import Fill, Group, Order, Position
from ops.sandbox.venues.marks import Mark

_CENT = Decimal("0.01")


def dollars(value: Decimal, places: int = 4) -> str:
    return f"{value:.{places}f}"


def counted(value: Decimal) -> str:
    return f"{value:.2f}"


def instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cents(value: Decimal) -> int:
    """Truncated, as the venue does."""
    return int(value / _CENT)


def order_body(desk: Desk, order: Order, status: str, seen: Mark | None = None) -> dict[str, Any]:
    """An order with that status; `seen` shows it as it was then."""
    ticket = order.ticket
    filled = order.fill_count if seen is None else seen.filled
    optional: dict[str, Any] = {}
    if ticket.order_group_id:
        optional["order_group_id"] = ticket.order_group_id
    if ticket.expires_at is not None:
        optional["expiration_time"] = instant(ticket.expires_at)
    return {
        "order_id": order.id,
        "user_id": desk.account.user_id,
        "client_order_id": ticket.client_order_id,
        "ticker": ticket.ticker,
        "side": "yes",
        "action": TRADES[ticket.side],
        "outcome_side": "yes",
        "book_side": ticket.side,
        "type": "limit",
        "status": status,
        "yes_price_dollars": dollars(ticket.price),
        "no_price_dollars": dollars(1 - ticket.price),
        "initial_count_fp": counted(ticket.count),
        "fill_count_fp": counted(filled),
        "remaining_count_fp": counted(ticket.count - filled if status == "resting" else Decimal(0)),
        "taker_fees_dollars": dollars(order.taker_fees, 6),
        "maker_fees_dollars": dollars(Decimal(0), 6),
        "taker_fill_cost_dollars": dollars(order.taker_cost, 6),
        "maker_fill_cost_dollars": dollars(order.maker_cost, 6),
        "created_time": instant(order.created_at),
        "last_update_time": instant(order.created_at if status == "resting" else order.updated_at),
        "self_trade_prevention_type": ticket.prevention,
        "subaccount_number": 0,
        "exchange_index": 0,
        **optional,
    }


def order_text(desk: Desk, order: Order, at: datetime) -> str:
    """The order as JSON text; kept until it changes, since lists are long."""
    known = desk.bodies.get(order.id)
    if known is None:
        known = desk.bodies[order.id] = json.dumps(order_body(desk, order, order.shown(at)), separators=(",", ":"))
    return known


def created_body(order: Order) -> dict[str, Any]:
    """The answer to a V2 create."""
    average: dict[str, str] = {}
    if order.fill_count:
        paid = order.taker_cost / order.fill_count
        average = {
            "average_fill_price": dollars(paid if order.ticket.side == "bid" else 1 - paid),
            "average_fee_paid": dollars(order.taker_fees / order.fill_count, 6),
        }
    return {
        "order_id": order.id,
        "client_order_id": order.ticket.client_order_id,
        "fill_count": counted(order.fill_count),
        "remaining_count": counted(order.remaining),
        "ts_ms": milliseconds(order.created_at),
        **average,
    }


def canceled_body(order: Order, at: datetime) -> dict[str, Any]:
    """The answer to a V2 cancel: whatever was left is taken away."""
    return {
        "order_id": order.id,
        "client_order_id": order.ticket.client_order_id,
        "reduced_by": counted(order.remaining),
        "ts_ms": milliseconds(at),
    }


def fill_body(fill: Fill) -> dict[str, Any]:
    """One execution. It has no client_order_id: users join it through order_id."""
    return {
        "fill_id": fill.id,
        "trade_id": fill.id,
        "order_id": fill.order_id,
        "ticker": fill.ticker,
        "market_ticker": fill.ticker,
        "side": "yes",
        "action": TRADES[fill.side],
        "outcome_side": "yes",
        "book_side": fill.side,
        "count_fp": counted(fill.count),
        "yes_price_dollars": dollars(fill.price),
        "no_price_dollars": dollars(1 - fill.price),
        "is_taker": fill.is_taker,
        "fee_cost": dollars(fill.fee, 6),
        "created_time": instant(fill.at),
        "ts": int(fill.at.timestamp()),
        "subaccount_number": 0,
    }


def position_body(desk: Desk, position: Position) -> dict[str, Any]:
    resting = sum(order.ticket.ticker == position.ticker for order in desk.open.values())
    return {
        "ticker": position.ticker,
        "position_fp": counted(position.qty),
        "market_exposure_dollars": dollars(position.cost),
        "total_traded_dollars": dollars(position.traded),
        "realized_pnl_dollars": dollars(position.realized),
        "fees_paid_dollars": dollars(position.fees),
        "resting_orders_count": resting,
        "last_updated_ts": instant(position.updated_at) if position.updated_at is not None else None,
    }


def balance_body(desk: Desk, at: datetime) -> dict[str, Any]:
    cash = desk.account.cash
    return {
        "balance": cents(cash),
        "balance_dollars": dollars(cash),
        "portfolio_value": cents(desk.portfolio_value(at)),
        "updated_ts": int(at.timestamp()),
        "balance_breakdown": [{"exchange_index": 0, "balance": dollars(cash)}],
    }


def group_body(group: Group) -> dict[str, Any]:
    """`is_auto_cancel_enabled` is true while the group is triggered (seen on the demo exchange by a public test)."""
    return {
        "id": group.id,
        "contracts_limit_fp": counted(group.limit),
        "is_auto_cancel_enabled": group.triggered,
        "exchange_index": 0,
    }


def market_body(market: Market, ticker: str, at: datetime) -> dict[str, Any]:
    quote = market.quote(ticker, at)
    return {
        "ticker": ticker,
        "event_ticker": ticker.rpartition("-")[0] or ticker,
        "market_type": "binary",
        "title": f"{ticker} (simulated)",
        "status": "active",
        "open_time": "2026-01-01T05:00:00Z",
        "close_time": "2028-01-01T05:00:00Z",
        "price_level_structure": "linear_cent",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": dollars(TICK)}],
        "notional_value_dollars": "1.0000",
        "yes_bid_dollars": dollars(quote.bid),
        "yes_ask_dollars": dollars(quote.ask),
        "no_bid_dollars": dollars(1 - quote.ask),
        "no_ask_dollars": dollars(1 - quote.bid),
        "last_price_dollars": dollars(quote.bid),
        "result": "",
    }


def book_body(market: Market, ticker: str, at: datetime) -> dict[str, Any]:
    """One level of bids on each side; asks are the other side's bids."""
    quote = market.quote(ticker, at)
    no_bid = [[dollars(1 - quote.ask), "5000.00"]] if quote.ask <= HIGHEST else []
    return {"orderbook_fp": {"yes_dollars": [[dollars(quote.bid), "5000.00"]], "no_dollars": no_bid}}


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
