"""The door to Kraken spot: ccxt's raw methods behind the port of `venue`, with a deadline and without its waits.

ccxt 4.5 sleeps up to 3 s before a private call and loads all markets before a unified one; neither happens here. It
maps Kraken's own strings to classes that say too little, so the strings are read instead.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from threading import Lock
from typing import Any

import ccxt

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
_DEADLINE_SECONDS = 10
_ID_MAX = 18
_ID = re.compile(r"[a-z0-9]*")
_PAGES_MAX = 50
_NONCE_TRIES = 4
_OVERLAP_SECONDS = 60
_E_STRING = re.compile(r'"(E[A-Za-z]+:[^"]{1,200})"')
_NO_ANSWER = ("EService:Unavailable", "EService:Busy", "EService:Throttled", "EGeneral:Internal", "EGeneral:Too many",
              "EGeneral:Temporary", "EAPI:Rate", "EOrder:Rate")  # fmt: skip
"""Strings after which an order may exist or not, or nothing was looked at."""
_SHAPES = (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError)
_RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
_nonces: dict[str, int] = {}
_nonces_lock = Lock()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """The one place where ccxt's exceptions become the port's. Without an E-string it is no answer."""
    try:
        yield
    except VenueError:
        raise
    except ccxt.BaseError as error:
        said = _E_STRING.findall(str(error))
        if not said or said[0].startswith(_NO_ANSWER):
            raise VenueUnknown(f"{what}: {said[0] if said else type(error).__name__}") from None
        raise VenueRefused(f"{what}: {said[0]}") from None
    except _SHAPES as error:
        raise VenueUnknown(f"{what}: {type(error).__name__}") from None


class _Client(ccxt.kraken):  # type: ignore[misc]
    """ccxt's Kraken with a nonce that all connections of this process share: theirs is unique per instance only."""

    # It logs each request with key and signature. This logger belongs to nobody.
    logger = logging.Logger("ccxt", logging.CRITICAL)

    def incrementing_nonce(self) -> int:
        with _nonces_lock:
            _nonces[self.apiKey] = nonce = max(int(self.nonce()), _nonces.get(self.apiKey, 0) + 1)
        return nonce


class KrakenBroker:
    """`venue.Venue` for one Kraken account. Use an instance in one thread at a time.

    Kraken keeps no equity of yesterday: `last_equity` is what this instance saw first on the venue's UTC day (by its
    latest `market_open`), so after a restart today's profit and loss begin at the restart.
    """

    def __init__(self, access: Access, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        base = access.endpoint.rstrip("/")
        self._number = access.account
        self._today = ""
        self._day: tuple[str, Decimal] | None = None
        self._client = _Client(
            {
                "apiKey": access.key.reveal(),
                "secret": access.secret.reveal(),
                "timeout": int(timeout_seconds * 1000),
                "enableRateLimit": False,
                "urls": {"api": {"public": base, "private": base}},
            }
        )
        self._client.session.trust_env = False
        self._client.session.max_redirects = 0

    def market_open(self) -> bool:
        """Around the clock, unless the venue is in maintenance or takes no new orders."""
        with _translated("status"):
            seen = self._public("SystemStatus", {})
            self._today = str(seen["timestamp"])[:10]
            return bool(seen["status"] == "online")

    def account(self) -> Account:
        """The number is the key's `iban`; equity is all balances in USD, as the venue values them."""
        with _translated("account"):
            number = self._private("GetApiKeyInfo")["iban"]
            equity = Decimal(self._private("TradeBalance", {"asset": "ZUSD"})["eb"])
            if not self._today:
                self.market_open()
            if self._day is None or self._day[0] != self._today:
                self._day = (self._today, equity)
            return Account(str(number).replace(" ", ""), equity, self._day[1])

    def belongs_to(self, account_number: str, mode: str) -> bool:
        """Nothing in a number tells paper from live: only the account that the bot was told belongs to its mode."""
        return bool(account_number) and account_number == self._number

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        with _translated("quotes"):
            wanted = {name: self._pairs[name] for name in symbols if name in self._pairs}
            rows = self._public("Ticker", {"pair": ",".join(row["name"] for row in wanted.values())}) if wanted else {}
            found = {name: rows[row["name"]] for name, row in wanted.items()}
            quotes = {name: Quote(Decimal(row["b"][0]), Decimal(row["a"][0])) for name, row in found.items()}
        return {name: quote for name, quote in quotes.items() if 0 < quote.bid <= quote.ask}

    def grid(self, symbol: str) -> Grid:
        with _translated("grid"):
            row = self._pairs[symbol]
            return Grid(Decimal(row["tick_size"]), Decimal(1).scaleb(-int(row["lot_decimals"])))

    def client_id(self, prefix: str, digest: str) -> str:
        """At most 18 lowercase letters and digits. Raises ValueError for a prefix with anything else in it."""
        if _ID.fullmatch(prefix) is None or len(prefix) > _ID_MAX // 2:
            raise ValueError(
                f"Kraken takes lowercase letters and digits only, at most {_ID_MAX // 2} before the digest"
            )
        return f"{prefix}{digest}"[:_ID_MAX]

    def open_orders(self) -> list[VenueOrder]:
        with _translated("open orders"):
            return [self._order(txid, row) for txid, row in self._private("OpenOrders")["open"].items()]

    def order(self, order_id: str) -> VenueOrder:
        with _translated("order"):
            return self._order(order_id, self._private("QueryOrders", {"txid": order_id})[order_id])

    def find_order(self, client_order_id: str) -> VenueOrder | None:
        """Open first, then closed: the venue's ids are unique among open orders only."""
        wanted = {"cl_ord_id": client_order_id}
        with _translated("order by client id"):
            rows = self._private("OpenOrders", wanted)["open"] or self._private("ClosedOrders", wanted)["closed"]
            found = [self._order(txid, row) for txid, row in rows.items()]
        if any(order.client_order_id != client_order_id for order in found):
            raise VenueUnknown("order by client id: other orders than those that were asked for")
        return found[0] if found else None

    def submit(self, order: NewOrder) -> VenueOrder:
        """Sent once; a refused duplicate means that it is there already, so it must be looked up."""
        deadline = self._client.iso8601(self._client.milliseconds() + _DEADLINE_SECONDS * 1000)
        with _translated("submit"):
            params = {
                "pair": self._pairs[order.symbol]["name"],
                "type": order.side,
                "ordertype": "limit",
                "volume": f"{order.qty:f}",
                "price": f"{order.limit_price:f}",
                "cl_ord_id": order.client_order_id,
                "deadline": deadline,
            }
            txid = str(self._client.privatePostAddOrder(params)["result"]["txid"][0])
        return VenueOrder(txid, order.client_order_id, order.symbol, order.side, order.qty, "new")

    def cancel(self, order_id: str) -> None:
        with _translated("cancel"):
            self._private("CancelOrder", {"txid": order_id})

    def fills(self, after: datetime | None) -> list[VenueFill]:
        """Pages of 50 from the latest back; `count` says when all are read. The overlap is for late bookings."""
        since = {} if after is None else {"start": str(int(after.timestamp()) - _OVERLAP_SECONDS)}
        found: dict[str, VenueFill] = {}
        with _translated("fills"):
            for _ in range(_PAGES_MAX):
                page = self._private("TradesHistory", {**since, "ofs": str(len(found))})
                found.update({trade: self._fill(trade, row) for trade, row in page["trades"].items()})
                if len(found) >= int(page["count"]):
                    return sorted(found.values(), key=lambda fill: (fill.at, fill.fill_id))
        raise VenueUnknown(f"fills: more than {_PAGES_MAX} pages")

    @cached_property
    def _pairs(self) -> dict[str, dict[str, Any]]:
        """BTC/USD -> the venue's row about it, read once; `name` is the pair's."""
        rows = self._public("AssetPairs", {})
        named = {name: row for name, row in rows.items() if row.get("wsname")}  # dark pools have no such name
        return {_symbol(row["wsname"]): {**row, "name": name} for name, row in named.items()}

    @cached_property
    def _symbols(self) -> Mapping[str, str]:
        return {alias: symbol for symbol, row in self._pairs.items() for alias in (row["name"], row["altname"])}

    def _public(self, method: str, params: Mapping[str, str]) -> dict[str, Any]:
        return _result(lambda: getattr(self._client, f"publicGet{method}")(dict(params)))

    def _private(self, method: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Reads and cancels: a nonce that was overtaken is tried again. Never for an order."""
        call = getattr(self._client, f"privatePost{method}")
        for _ in range(_NONCE_TRIES - 1):
            try:
                return _result(lambda: call(dict(params or {})))
            except ccxt.InvalidNonce:
                continue
        return _result(lambda: call(dict(params or {})))

    def _order(self, txid: str, row: Mapping[str, Any]) -> VenueOrder:
        told = row["descr"]
        symbol = self._symbols.get(told["pair"], told["pair"])
        return VenueOrder(txid, row.get("cl_ord_id") or "", symbol, told["type"], Decimal(row["vol"]), _status(row))

    def _fill(self, trade: str, row: Mapping[str, Any]) -> VenueFill:
        symbol = self._symbols.get(row["pair"], row["pair"])
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(row["time"] * 1_000_000))
        return VenueFill(trade, row["ordertxid"], symbol, row["type"], Decimal(row["vol"]), Decimal(row["price"]), at)


def _result(call: Callable[[], Any]) -> dict[str, Any]:
    """The `result` of an answer. Raises TypeError or KeyError for another shape: ccxt hands on what is not JSON."""
    result = call()["result"]
    if not isinstance(result, dict):
        raise TypeError
    return result


def _symbol(name: str) -> str:
    return "/".join(_RENAMED.get(code, code) for code in name.split("/"))


def _status(row: Mapping[str, Any]) -> str:
    """In the loop's words: Kraken's `closed` is a filled order."""
    words = {"pending": "new", "open": "partially_filled" if Decimal(row["vol_exec"]) else "new", "closed": "filled"}
    return words.get(row["status"], str(row["status"]))
