"""The door to Kalshi: a small signed client of its own on the V2 paths, with a deadline and without retries.

The published clients speak order paths that answer 410. Prices are dollars of the YES leg. The venue keeps no last
equity: it is the last one read on an earlier day of the venue's own time, or the first one read.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import requests
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ..venue import (
    Access,
    Account,
    Grid,
    NewOrder,
    Quote,
    Secret,
    VenueError,
    VenueFill,
    VenueOrder,
    VenueRefused,
    VenueUnknown,
)

TIMEOUT_SECONDS = 10.0
"""Between two bytes of an answer."""

_CONNECT_SECONDS = 3.05
_ROOT = "/trade-api/v2"
_ORDERS, _GROUPS = "/portfolio/events/orders", "/portfolio/order_groups"
_GRID = Grid(tick=Decimal("0.01"), lot=Decimal(1), price_max=Decimal(1))
_GROUP_CONTRACTS = 1000
"""Contracts of one group that may fill within 15 seconds before the venue latches it by itself."""
_PAGE, _PAGES_MAX = 1000, 100
_DIGEST = 32
_OVERLAP = timedelta(seconds=60)
_NOT_AN_ANSWER = (408, 429)
_SIDES = {"buy": "bid", "sell": "ask"}
_TRADES = {"bid": "buy", "ask": "sell"}
_STATUSES = {"executed": "filled", "canceled": "canceled"}
_WORD = re.compile(r"[a-zA-Z0-9_]{1,64}")
_SHAPES = (requests.RequestException, ValueError, TypeError, KeyError, AttributeError, InvalidOperation)

Row = Mapping[str, Any]


class _NotFound(VenueRefused):
    """The venue says that there is no such thing."""


class _GroupGone(VenueRefused):
    """The order group named in an order does not exist any more."""


class _Signed:
    """One key at one address; `clock` gives nanoseconds of wall time, whatever the venue's own clock says."""

    def __init__(self, access: Access, timeout_seconds: float, clock: Callable[[], int]) -> None:
        self._base = access.endpoint.rstrip("/").removesuffix(_ROOT)
        self._key_id, self._private, self._clock = access.key.reveal(), _private_key(access.secret), clock
        self._timeout = (min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, method: str, path: str, query: Row | None = None, body: Any = None) -> Row:
        """The document of a request that succeeded."""
        with _translated(f"{method} {path}"):
            answer = self._session.request(
                method,
                f"{self._base}{_ROOT}{path}",
                params=query,
                json=body,
                headers=self._headers(method, path),
                timeout=self._timeout,
                allow_redirects=False,
            )
            _raise_for(f"{method} {path}", answer)
            document = answer.json()
            if not isinstance(document, dict):
                raise TypeError
            return document

    def whole(self, path: str, field: str, query: Row) -> Iterator[Sequence[Row]]:
        """Page by page, to the end."""
        cursor = ""
        for _ in range(_PAGES_MAX):
            document = self.ask("GET", path, {**query, "limit": _PAGE, **({"cursor": cursor} if cursor else {})})
            with _translated(path):
                page, following = list(document[field]), str(document["cursor"])
            if cursor and not page:
                break
            yield page
            if not following:
                return
            cursor = following
        raise VenueUnknown(f"{path}: the list has no end")

    def _headers(self, method: str, path: str) -> dict[str, str]:
        stamp = str(self._clock() // 1_000_000)
        padding = PSS(mgf=MGF1(SHA256()), salt_length=32)
        signature = self._private.sign(f"{stamp}{method}{_ROOT}{path}".encode(), padding, SHA256())
        signed = base64.b64encode(signature).decode()
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": signed,
        }


class KalshiBroker:
    """`venue.Venue` for one Kalshi account. Use an instance in one thread at a time.

    Every order names the account's order group, which the venue can latch; a bot that finds none makes one. Groups have
    no names of their own, so all instances on one account share the first.
    """

    def __init__(
        self, access: Access, timeout_seconds: float = TIMEOUT_SECONDS, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._mode, self._told = access.mode, access.account
        self._venue = _Signed(access, timeout_seconds, clock)
        self._group = ""
        self._tickers: dict[str, str] = {}
        self._latest: tuple[date, Decimal] | None = None
        self._last_equity: Decimal | None = None

    def market_open(self) -> bool:
        with _translated("status"):
            status = self._venue.ask("GET", "/exchange/status")
            return status["exchange_active"] is True and status["trading_active"] is True

    def account(self) -> Account:
        """The number is the communications id; equity is cash and the value of what is held, in dollars."""
        with _translated("account"):
            number = str(self._venue.ask("GET", "/communications/id")["communications_id"])
            row = self._venue.ask("GET", "/portfolio/balance")
            equity = Decimal(row["balance_dollars"]) + Decimal(row["portfolio_value"]) / 100
            today = datetime.fromtimestamp(row["updated_ts"], UTC).date()
        if self._latest is not None and self._latest[0] < today:
            self._last_equity = self._latest[1]
        self._latest = (today, equity)
        self._last_equity = equity if self._last_equity is None else self._last_equity
        return Account(number, equity, self._last_equity)

    def belongs_to(self, account_number: str, mode: str) -> bool:
        """The venue's ids say nothing of the mode: only the number that the bot was told can match."""
        return mode == self._mode and bool(account_number) and account_number == self._told

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        with _translated("quotes"):
            rows = self._venue.ask("GET", "/markets", {"tickers": ",".join(symbols)})["markets"]
            quotes = {
                row["ticker"]: Quote(Decimal(row["yes_bid_dollars"]), Decimal(row["yes_ask_dollars"])) for row in rows
            }
        return {name: quote for name, quote in quotes.items() if 0 < quote.bid < quote.ask < 1}

    def grid(self, symbol: str) -> Grid:
        """Whole contracts in cents; markets with finer ticks take cents too."""
        return _GRID

    def client_id(self, prefix: str, digest: str) -> str:
        return f"{prefix}{digest[:_DIGEST]}"

    def open_orders(self) -> list[VenueOrder]:
        return [order for page in self._order_pages({"status": "resting"}) for order in page]

    def order(self, order_id: str) -> VenueOrder:
        with _translated("order"):
            return self._seen(self._venue.ask("GET", f"/portfolio/orders/{order_id}")["order"])

    def find_order(self, client_order_id: str) -> VenueOrder | None:
        """There is no such lookup: the list of all orders of the last months is read until it is found."""
        for page in self._order_pages({}):
            for order in page:
                if order.client_order_id == client_order_id:
                    return order
        return None

    def _order_pages(self, query: Row) -> Iterator[list[VenueOrder]]:
        for page in self._venue.whole("/portfolio/orders", "orders", query):
            with _translated("orders"):
                orders = [self._seen(row) for row in page]
            yield orders

    def submit(self, order: NewOrder) -> VenueOrder:
        """Good till cancelled, whatever the time in force: the market has no session whose end a day could be."""
        body = {
            "ticker": order.symbol,
            "client_order_id": order.client_order_id,
            "side": _SIDES[order.side],
            "count": f"{order.qty:.2f}",
            "price": f"{order.limit_price:.4f}",
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
            "order_group_id": self._group_to_use(),
        }
        try:
            row = self._venue.ask("POST", _ORDERS, body=body)
        except _GroupGone:
            self._group = ""
            raise
        with _translated("submit"):
            rests, filled = Decimal(row["remaining_count"]) > 0, Decimal(row["fill_count"]) > 0
            status = ("partially_filled" if filled else "new") if rests else "filled" if filled else "canceled"
            self._tickers[row["order_id"]] = order.symbol
            return VenueOrder(row["order_id"], order.client_order_id, order.symbol, order.side, order.qty, status)

    def _group_to_use(self) -> str:
        if not self._group:
            with _translated("order groups"):
                rows = self._venue.ask("GET", _GROUPS)["order_groups"]
                if not rows:
                    self._venue.ask("POST", f"{_GROUPS}/create", body={"contracts_limit": _GROUP_CONTRACTS})
                    rows = self._venue.ask("GET", _GROUPS)["order_groups"]
                self._group = str(rows[0]["id"])
        return self._group

    def cancel(self, order_id: str) -> None:
        """The read side may show the order as resting for another half a second."""
        ticker = self._tickers.get(order_id)
        self._venue.ask("DELETE", f"{_ORDERS}/{order_id}", {"market_ticker": ticker} if ticker else None)

    def fills(self, after: datetime | None) -> list[VenueFill]:
        """The overlap is for rows that the venue shows late."""
        query = {} if after is None else {"min_ts": int((after - _OVERLAP).timestamp())}
        found: dict[str, VenueFill] = {}
        for page in self._venue.whole("/portfolio/fills", "fills", query):
            with _translated("fills"):
                found.update({row["fill_id"]: _fill(row) for row in page})
        return sorted(found.values(), key=lambda fill: (fill.at, fill.fill_id))

    def _seen(self, row: Row) -> VenueOrder:
        self._tickers[row["order_id"]] = row["ticker"]
        partly = "partially_filled" if Decimal(row["fill_count_fp"]) else "new"
        return VenueOrder(
            order_id=row["order_id"],
            client_order_id=row["client_order_id"],
            symbol=row["ticker"],
            side=_TRADES[row["book_side"]],
            qty=Decimal(row["initial_count_fp"]),
            status=_STATUSES.get(row["status"], partly),
        )


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """The one place where a library's exceptions, and odd shapes, become the port's."""
    try:
        yield
    except VenueError:
        raise
    except _SHAPES as error:
        raise VenueUnknown(f"{what}: {type(error).__name__}") from None


def _raise_for(what: str, answer: requests.Response) -> None:
    """A refusal is one only in the venue's own words; an id that exists already is looked up, not refused."""
    status = answer.status_code
    if 200 <= status < 300:
        return
    code = _code(answer)
    told = f"{what}: HTTP {status} {code}".rstrip()
    if status >= 500 or status < 400 or status in _NOT_AN_ANSWER or not code or code == "order_already_exists":
        raise VenueUnknown(told)
    if code == "order_group_not_found":
        raise _GroupGone(told)
    raise (_NotFound if status == 404 else VenueRefused)(told)


def _code(answer: requests.Response) -> str:
    """The venue's word from any of its three error shapes; `invalid` where it has a text only."""
    try:
        document = answer.json()
    except ValueError:
        return ""
    error = document.get("error", document) if isinstance(document, dict) else {}
    word = error.get("code", "invalid" if "msg" in error else "") if isinstance(error, dict) else ""
    return word if isinstance(word, str) and _WORD.fullmatch(word) else ""


def _fill(row: Row) -> VenueFill:
    return VenueFill(
        fill_id=row["fill_id"],
        order_id=row["order_id"],
        symbol=row["ticker"],
        side=_TRADES[row["book_side"]],
        qty=Decimal(row["count_fp"]),
        price=Decimal(row["yes_price_dollars"]),
        at=datetime.fromisoformat(row["created_time"]),
    )


def _private_key(secret: Secret) -> RSAPrivateKey:
    """From base64 of PKCS#8 DER on one line. Raises VenueRefused; the text holds nothing of it."""
    try:
        loaded = load_der_private_key(base64.b64decode(secret.reveal(), validate=True), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        loaded = None
    if not isinstance(loaded, RSAPrivateKey):
        raise VenueRefused("the secret is not an RSA private key: base64 of PKCS#8 DER on one line")
    return loaded
