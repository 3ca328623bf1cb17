"""Alpaca's JSON shapes: names of fields, and how numbers and times are written (alpaca-py models.py)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ops.sandbox.venues import calendar

if TYPE_CHECKING:
    from ops.sandbox.venues.alpaca.desk import Desk
    from ops.sandbox.venues.alpaca.orders import Fill, Order
    from ops.sandbox.venues.cash import Position
    from ops.sandbox.venues.market import Market
    from ops.sandbox.venues.marks import Mark
    from ops.sandbox.venues.prices import Quote

_TEN_DECIMALS = Decimal("1E-10")


def text(number: Decimal) -> str:
    """A plain decimal without exponent and trailing zeros; Alpaca sends money and quantities as strings."""
    plain = f"{number.quantize(_TEN_DECIMALS):f}".rstrip("0").rstrip(".")
    return "0" if plain in ("", "-0") else plain


def maybe(number: Decimal | None) -> str | None:
    return text(number) if number is not None else None


def instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at is not None else None


def eastern(at: datetime) -> str:
    """New York time with nanoseconds and offset, as /v2/clock writes it."""
    local = at.astimezone(calendar.NEW_YORK)
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%dT%H:%M:%S.%f}000{offset[:3]}:{offset[3:]}"


def order_body(order: Order, asset_id: str, seen: Mark | None = None) -> dict[str, Any]:
    """One order; with `seen`, as it looked at that earlier mark."""
    status = seen.status if seen is not None else order.status
    filled_qty = seen.filled if seen is not None else order.filled_qty
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": instant(order.submitted_at),
        "updated_at": instant(seen.at if seen is not None else order.updated_at),
        "submitted_at": instant(order.submitted_at),
        "filled_at": instant(order.filled_at) if status == "filled" else None,
        "expired_at": instant(order.expired_at) if status == "expired" else None,
        "expires_at": instant(order.expires_at),
        "canceled_at": instant(order.canceled_at) if status == "canceled" else None,
        "failed_at": None,
        "replaced_at": instant(order.replaced_at),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": asset_id,
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "notional": None,
        "qty": text(order.qty),
        "filled_qty": text(filled_qty),
        "filled_avg_price": maybe(order.filled_avg_price) if filled_qty else None,
        "order_class": "",
        "order_type": order.type,
        "type": order.type,
        "side": order.side,
        "time_in_force": order.time_in_force,
        "limit_price": maybe(order.limit_price),
        "stop_price": None,
        "status": status,
        "extended_hours": order.extended_hours,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def account_body(desk: Desk, at: datetime) -> dict[str, Any]:
    """The account without daytrade_count and its kin, which Alpaca dropped from answers in July 2026."""
    account = desk.account
    equity, held, power = text(desk.equity(at)), text(desk.position_value(at)), text(desk.free_cash())
    flags = dict.fromkeys(("trading_blocked", "transfers_blocked", "account_blocked", "shorting_enabled"), False)
    zero = dict.fromkeys(("short_market_value", "accrued_fees", "maintenance_margin", "last_maintenance_margin"), "0")
    return {
        "id": account.id,
        "account_number": account.number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "buying_power": power,
        "regt_buying_power": power,
        "non_marginable_buying_power": power,
        "options_buying_power": power,
        "cash": text(account.cash),
        "portfolio_value": equity,
        "equity": equity,
        "last_equity": text(account.last_equity),
        "long_market_value": held,
        "position_market_value": held,
        "initial_margin": held,
        "sma": "0",
        "multiplier": "1",
        "options_approved_level": 0,
        "options_trading_level": 0,
        "trade_suspended_by_user": account.suspended,
        "created_at": instant(account.created_at),
        "balance_asof": account.marked_close_at.astimezone(calendar.NEW_YORK).date().isoformat(),
        "admin_configurations": {},
        "user_configurations": None,
        **flags,
        **zero,
    }


def position_body(desk: Desk, position: Position, at: datetime) -> dict[str, Any]:
    current = desk.market.mid(position.symbol, at)
    last = desk.market.mid(position.symbol, calendar.last_close(at))
    value, gain, today = position.qty * current, position.qty * current - position.cost, current - last
    return {
        "asset_id": desk.market.asset_ids[position.symbol],
        "symbol": position.symbol,
        "exchange": "NASDAQ",
        "asset_class": "us_equity",
        "asset_marginable": False,
        "avg_entry_price": text(position.average_cost),
        "qty": text(position.qty),
        "qty_available": text(position.qty - desk.reserved(position.symbol)),
        "side": "long",
        "market_value": text(value),
        "cost_basis": text(position.cost),
        "unrealized_pl": text(gain),
        "unrealized_plpc": text(gain / position.cost),
        "unrealized_intraday_pl": text(today * position.qty),
        "unrealized_intraday_plpc": text(today / last),
        "current_price": text(current),
        "lastday_price": text(last),
        "change_today": text(today / last),
    }


def fill_body(fill: Fill) -> dict[str, Any]:
    """One FILL activity. It has no client_order_id: users join it through order_id (Alpaca docs)."""
    return {
        "id": fill.id,
        "activity_type": "FILL",
        "transaction_time": instant(fill.at),
        "type": "partial_fill" if fill.leaves_qty else "fill",
        "price": text(fill.price),
        "qty": text(fill.qty),
        "side": fill.side,
        "symbol": fill.symbol,
        "leaves_qty": text(fill.leaves_qty),
        "cum_qty": text(fill.cum_qty),
        "order_id": fill.order_id,
        "order_status": "partially_filled" if fill.leaves_qty else "filled",
    }


def asset_body(market: Market, symbol: str) -> dict[str, Any]:
    return {
        "id": market.asset_ids[symbol],
        "class": "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": f"{symbol} (simulated)",
        "status": "active",
        "tradable": True,
        "marginable": False,
        "maintenance_margin_requirement": 100,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": True,
        "attributes": [],
    }


def quote_body(quote: Quote) -> dict[str, Any]:
    """A quote in the data API's short keys. Prices are JSON numbers there, not strings."""
    return {
        "t": instant(quote.at),
        "ap": float(quote.ask),
        "as": 5,
        "ax": "V",
        "bp": float(quote.bid),
        "bs": 5,
        "bx": "V",
        "c": ["R"],
        "z": "C",
    }


def session_body(session: calendar.Session) -> dict[str, Any]:
    local_open = session.opens.astimezone(calendar.NEW_YORK)
    local_close = session.closes.astimezone(calendar.NEW_YORK)
    return {
        "date": session.day.isoformat(),
        "open": f"{local_open:%H:%M}",
        "close": f"{local_close:%H:%M}",
        "session_open": "0400",
        "session_close": "2000" if local_close.hour == 16 else "1700",
        "settlement_date": session.day.isoformat(),
    }
