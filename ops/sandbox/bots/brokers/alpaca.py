"""The door to Alpaca: alpaca-py behind the port of `venue`, with a deadline, without silent retries.

alpaca-py 0.44 has no HTTP timeout and repeats a POST after a 429 or 504 by itself (common/rest.py); both are
switched off here. Floats exist only in this module, in the requests that alpaca-py builds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, cast

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import StockLatestQuoteRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.models import Clock, Order, TradeAccount
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest
from requests import RequestException

from ..clock import stamp
from ..venue import (
    Access,
    Account,
    Grid,
    NewOrder,
    Quote,
    VenueError,
    VenueFill,
    VenueOrder,
    VenueRefused,
    VenueUnknown,
)

TIMEOUT_SECONDS = 10.0
"""Between two bytes of an answer."""

_CONNECT_SECONDS = 3.05
_GRID = Grid(tick=Decimal("0.01"), lot=Decimal("0.01"))
"""Stocks above one dollar trade in cents; fractions of a share are taken for the day only (Alpaca docs)."""
_DIGEST = 24

_ORDERS_MAX = 500
_PAGE = 100
_PAGES_MAX = 50
_NOT_AN_ANSWER = (408, 429)
_OVERLAP = timedelta(seconds=60)
_SHAPES = (RequestException, ValueError, TypeError, KeyError, AttributeError, InvalidOperation)
"""How alpaca-py shows a lost or malformed answer: errors of requests, JSON, pydantic; None for a body."""


class _NotFound(VenueRefused):
    """The venue says that there is no such thing."""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """The one place where a library's exceptions become the port's.

    The status is read before the body: APIError.code raises on a body that is not Alpaca's JSON.
    """
    try:
        yield
    except VenueError:
        raise
    except APIError as error:
        status = error.status_code
        if not isinstance(status, int) or status >= 500 or status in _NOT_AN_ANSWER:
            raise VenueUnknown(f"{what}: HTTP {status}") from None
        if status == 404 and not _is_alpacas(str(error)):
            raise VenueUnknown(f"{what}: HTTP 404 without Alpaca's body") from None
        kind = _NotFound if status == 404 else VenueRefused
        raise kind(f"{what}: HTTP {status} {str(error)[:200]}") from None
    except _SHAPES as error:
        raise VenueUnknown(f"{what}: {type(error).__name__}") from None


def account_belongs(account_number: str, mode: str) -> bool:
    """Alpaca numbers paper accounts PA..., and only those."""
    return account_number.startswith("PA") == (mode == "paper")


class AlpacaBroker:
    """`venue.Venue` for one Alpaca account. Use an instance in one thread at a time."""

    def __init__(self, access: Access, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        key_id, secret = access.key.reveal(), access.secret.reveal()
        paper = access.mode == "paper"
        self._trading = TradingClient(key_id, secret, paper=paper, url_override=access.endpoint)
        self._data = StockHistoricalDataClient(key_id, secret, url_override=access.data_url or access.endpoint)
        for client in (self._trading, self._data):
            _bound(client, (min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds))

    def market_open(self) -> bool:
        with _translated("clock"):
            return cast(Clock, self._trading.get_clock()).is_open

    def account(self) -> Account:
        with _translated("account"):
            seen = cast(TradeAccount, self._trading.get_account())
            return Account(seen.account_number, _decimal(seen.equity), _decimal(seen.last_equity))

    def belongs_to(self, account_number: str, mode: str) -> bool:
        return account_belongs(account_number, mode)

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        request = StockLatestQuoteRequest(symbol_or_symbols=list(symbols))
        with _translated("quotes"):
            seen = cast("dict[str, Any]", self._data.get_stock_latest_quote(request))
            quotes = {name: Quote(_decimal(q.bid_price), _decimal(q.ask_price)) for name, q in seen.items()}
        return {name: quote for name, quote in quotes.items() if 0 < quote.bid <= quote.ask}

    def grid(self, symbol: str) -> Grid:
        """The same for every symbol."""
        return _GRID

    def client_id(self, prefix: str, digest: str) -> str:
        """At most 8 + 3 + 24 characters; the venue takes 48 (Alpaca docs of the stricter years)."""
        return f"{prefix}{digest[:_DIGEST]}"

    def open_orders(self) -> list[VenueOrder]:
        request = GetOrdersRequest(status=QueryOrderStatus.OPEN, limit=_ORDERS_MAX)
        with _translated("open orders"):
            return [_order(order) for order in cast("list[Order]", self._trading.get_orders(request))]

    def order(self, order_id: str) -> VenueOrder:
        with _translated("order"):
            return _order(cast(Order, self._trading.get_order_by_id(order_id)))

    def find_order(self, client_order_id: str) -> VenueOrder | None:
        try:
            with _translated("order by client id"):
                return _order(cast(Order, self._trading.get_order_by_client_id(client_order_id)))
        except _NotFound:
            return None

    def submit(self, order: NewOrder) -> VenueOrder:
        request = LimitOrderRequest(
            symbol=order.symbol,
            qty=float(order.qty),
            side=OrderSide(order.side),
            time_in_force=TimeInForce(order.time_in_force),
            limit_price=float(order.limit_price),
            client_order_id=order.client_order_id,
        )
        with _translated("submit"):
            return _order(cast(Order, self._trading.submit_order(request)))

    def cancel(self, order_id: str) -> None:
        with _translated("cancel"):
            self._trading.cancel_order_by_id(order_id)

    def fills(self, after: datetime | None) -> list[VenueFill]:
        """alpaca-py has no method for activities. The overlap is for rows that the venue books late."""
        query: dict[str, Any] = {"page_size": _PAGE, "direction": "asc"}
        if after is not None:
            query["after"] = stamp(after - _OVERLAP)
        found: list[VenueFill] = []
        with _translated("fills"):
            for _ in range(_PAGES_MAX):
                rows = cast("list[dict[str, str]]", self._trading.get("/account/activities/FILL", query))
                found += [_fill(row) for row in rows]
                if len(rows) < _PAGE:
                    return found
                query["page_token"] = rows[-1]["id"]
        raise VenueUnknown(f"fills: more than {_PAGES_MAX} pages")


def _bound(client: RESTClient, timeout_seconds: tuple[float, float]) -> None:
    """Give each request a deadline, switch the retries off, and keep proxies and netrc files out of it."""
    session = client._session
    session.trust_env = False
    request: Callable[..., Any] = partial(session.request, timeout=timeout_seconds)
    setattr(session, "request", request)  # noqa: B010  a method cannot be assigned under mypy
    client._retry = 0


def _is_alpacas(body: str) -> bool:
    """Whether an error body is Alpaca's own: a proxy's 404 says nothing about an order."""
    try:
        return "code" in json.loads(body)
    except (ValueError, TypeError):
        return False


def _decimal(value: object) -> Decimal:
    return Decimal(str(value))


def _order(order: Order) -> VenueOrder:
    side, status = order.side, order.status
    if side is None:
        raise ValueError("an order without a side")
    return VenueOrder(
        order_id=str(order.id),
        client_order_id=order.client_order_id,
        symbol=str(order.symbol),
        side=side.value,
        qty=_decimal(order.qty),
        status=status.value,
    )


def _fill(row: Mapping[str, str]) -> VenueFill:
    return VenueFill(
        fill_id=row["id"],
        order_id=row["order_id"],
        symbol=row["symbol"],
        side=row["side"],
        qty=Decimal(row["qty"]),
        price=Decimal(row["price"]),
        at=datetime.fromisoformat(row["transaction_time"]),
    )
