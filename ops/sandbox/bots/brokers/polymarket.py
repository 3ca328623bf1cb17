"""The door to Polymarket: py-clob-client-v2 behind the port of `venue`, with a deadline, without silent retries.

Polymarket keeps no client order ids; an order's id is the EIP-712 hash of what the wallet signed. So the three signed
fields that are free are made from the client order id: the salt, the order's time (a whole hour of venue time, less an
offset of its own), and the metadata, which are the id's own letters. Hence an order is found again

- by its hash, as long as the process lives that signed it, whatever became of it (`_SIGNED`, noted before it is sent);
- after a restart by recognition: the hash of what the venue shows of an open or traded order, computed with the client
  order id, equals the order's id, or it is another one's.

What a restarted process cannot find is an order that was cancelled untraded; that one has done nothing and never will.
The same order sent twice within the hour is refused by the venue itself (`Duplicated`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import requests
from eth_utils.exceptions import ValidationError
from py_clob_client_v2 import ApiCreds, ClobClient
from py_clob_client_v2.clob_types import BalanceAllowanceParams, BookParams, OrderPayload, TradeParams
from py_clob_client_v2.config import get_contract_config
from py_clob_client_v2.exceptions import PolyException
from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2, OrderDataV2, Side, SignedOrderV2

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

_CHAIN_ID = 137
_CONNECT_SECONDS = 3.05
_HOUR_MS = 3_600_000
_MICRO = 1_000_000
_CLIENT_ID_MAX = 32
_PAGES_MAX = 500
_LOOK_BACK_SECONDS = 2 * 24 * 3600
"""How old a trade may be whose order is looked at for a client order id."""
_OVERLAP = timedelta(seconds=60)
_NOT_AN_ANSWER = (408, 425, 429)
_SHAPES = (
    PolyException, requests.RequestException, KeyError, TypeError, ValueError, AttributeError, IndexError,
    OverflowError, InvalidOperation, ValidationError,
)  # fmt: skip
_STATUS = {"live": "new", "matched": "filled", "canceled_market_resolved": "canceled", "invalid": "rejected"}

_SIGNED: dict[str, str] = {}
"""Order hash -> client order id, of everything this process has signed: a broker opened for a stop must know it too."""


class _NotFound(VenueRefused):
    """The venue says that there is no such thing."""


class _Client(ClobClient):  # type: ignore[misc, unused-ignore]
    """The library's client on a connection of its own: no proxies, no redirects, JSON or an error, one post each."""

    def __init__(self, access: Access, timeout_seconds: float) -> None:
        creds = ApiCreds(access.key.reveal(), access.secret.reveal(), access.passphrase.reveal())
        super().__init__(access.endpoint, _CHAIN_ID, key=access.wallet.reveal(), creds=creds)
        self._timeout = min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False
        self._pages = 0

    def fetch(self, url: str, query: Mapping[str, str]) -> Any:
        return self._exchange("GET", url, None, None, query)

    def _get(self, endpoint: str, headers: Any = None, params: Any = None) -> Any:
        answer = self._exchange("GET", endpoint, headers, None, params)
        if params and "next_cursor" in params:
            self._pages = 1 if params["next_cursor"] == "MA==" else self._pages + 1
            if self._pages > _PAGES_MAX or answer["next_cursor"] == params["next_cursor"]:
                raise VenueUnknown("a list without an end")
        return answer

    def _post(self, endpoint: str, headers: Any = None, data: Any = None, params: Any = None) -> Any:
        return self._exchange("POST", endpoint, headers, data, params)

    def _delete(self, endpoint: str, headers: Any = None, data: Any = None, params: Any = None) -> Any:
        return self._exchange("DELETE", endpoint, headers, data, params)

    def _resolve_transactions_hashes(self, response: Any) -> Any:
        """The library would wait for them up to 30 s."""
        return response

    def _exchange(self, method: str, url: str, headers: Any, data: Any, query: Any) -> Any:
        body = data if data is None or isinstance(data, str) else json.dumps(data)
        sent = {**(headers or {}), "Content-Type": "application/json"}
        answer = self._session.request(method, url, query, body, sent, timeout=self._timeout, allow_redirects=False)
        status = answer.status_code
        if status >= 500 or status in _NOT_AN_ANSWER:
            raise VenueUnknown(f"HTTP {status}")
        if status == 200:
            return answer.json(parse_float=Decimal)
        said = answer.json().get("error")
        kind = _NotFound if status == 404 else VenueRefused
        raise kind(f"HTTP {status} {str(said)[:200]}")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """The one place where a library's exceptions become the port's."""
    try:
        yield
    except VenueError as error:
        raise type(error)(f"{what}: {error}") from None
    except _SHAPES as error:
        raise VenueUnknown(f"{what}: {type(error).__name__}") from None


class PolymarketBroker:
    """`venue.Venue` for one wallet. Symbols are token ids. Use an instance in one thread at a time."""

    def __init__(self, access: Access, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._number, self._key_id = access.account, access.key.reveal()
        self._data_url = (access.data_url or access.endpoint).rstrip("/")
        with _translated("credentials"):
            self._client = _Client(access, timeout_seconds)
            self._wallet: str = self._client.get_address()
        if self._wallet.lower() != access.account.lower():
            raise VenueRefused(f"credentials: the wallet is {self._wallet}, not {access.account}")
        self._day: tuple[str, Decimal] | None = None
        self._looked_at: dict[str, dict[str, Any]] = {}
        self._looked_until = 0

    def market_open(self) -> bool:
        """It trades around the clock; whether the service answers at all."""
        return self._seconds() > 0

    def account(self) -> Account:
        """A key is let in for its own wallet only. The venue tells no equity of yesterday: the first reading of a UTC
        day (by venue time) stands for it, so that a restart begins the day's loss anew."""
        with _translated("account"):
            wanted = BalanceAllowanceParams(asset_type="COLLATERAL")
            cash = Decimal(self._client.get_balance_allowance(wanted)["balance"]) / _MICRO
            query = {"user": self._number, "sizeThreshold": "0", "limit": "500"}
            held = self._client.fetch(f"{self._data_url}/positions", query)
            equity = sum((Decimal(str(row["currentValue"])) for row in held), cash)
        today = datetime.fromtimestamp(self._seconds(), UTC).date().isoformat()
        if self._day is None or self._day[0] != today:
            self._day = today, equity
        return Account(self._number, equity, self._day[1])

    def belongs_to(self, account_number: str, mode: str) -> bool:
        """An address does not tell paper from live: it is the one that the bot was told, or not."""
        return account_number.lower() == self._number.lower()

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        with _translated("quotes"):
            books = self._client.get_order_books([BookParams(token_id=symbol) for symbol in symbols])
            sides = {
                b["asset_id"]: [[Decimal(level["price"]) for level in b[s]] for s in ("bids", "asks")] for b in books
            }
        quotes = {token: Quote(max(bids), min(asks)) for token, (bids, asks) in sides.items() if bids and asks}
        return {token: quote for token, quote in quotes.items() if 0 < quote.bid <= quote.ask}

    def grid(self, symbol: str) -> Grid:
        """The market's tick, asked for once; shares go by hundredths (the library's rounding), prices end below 1."""
        with _translated("tick size"):
            return Grid(Decimal(self._client.get_tick_size(symbol)), Decimal("0.01"), Decimal(1))

    def client_id(self, prefix: str, digest: str) -> str:
        """As much of the digest as the metadata holds: 32 bytes in all."""
        return f"{prefix}{digest}"[:_CLIENT_ID_MAX]

    def open_orders(self) -> list[VenueOrder]:
        with _translated("open orders"):
            return [_order(row) for row in self._client.get_open_orders()]

    def order(self, order_id: str) -> VenueOrder:
        with _translated("order"):
            return _order(self._row(order_id))

    def find_order(self, client_order_id: str) -> VenueOrder | None:
        """None: the venue has never seen it, or this process did not send it and it was cancelled untraded."""
        known = [number for number, name in _SIGNED.items() if name == client_order_id]
        with _translated("order by client id"):
            for number in reversed(known):
                try:
                    return _order(self._row(number))
                except _NotFound:
                    continue
            if known:
                return None
            for row in self._unclaimed():
                if self._is_of(client_order_id, row):
                    _SIGNED[row["id"]] = client_order_id
                    return _order(row)
        return None

    def submit(self, order: NewOrder) -> VenueOrder:
        """Its hash is noted before it is sent."""
        with _translated("submit"):
            builder = self._builder(order.client_order_id, order.symbol)
            data = self._draft(order.client_order_id, order.symbol, order.side, (order.qty, order.limit_price))
            data.timestamp = str(_stamp_ms(order.client_order_id, self._seconds()))
            unsigned = builder.build_order(data)
            typed = builder.build_order_typed_data(unsigned)
            number = builder.build_order_hash(typed)
            signed = SignedOrderV2(**vars(unsigned), signature=builder.build_order_signature(typed))
            _SIGNED[number] = order.client_order_id
            return self._sent(signed, number)

    def _sent(self, signed: SignedOrderV2, number: str) -> VenueOrder:
        try:
            answer = self._client.post_order(signed, "GTC")
        except VenueRefused as error:
            if "Duplicated" not in str(error):
                raise
        else:
            if answer["success"] is not True:
                raise VenueRefused(str(answer.get("errorMsg"))[:200])
            if answer["orderID"] != number:
                raise VenueUnknown("the answer names another order")
        try:
            return _order(self._row(number))
        except VenueError as error:
            raise VenueUnknown(f"accepted, but it cannot be read: {error}") from None

    def cancel(self, order_id: str) -> None:
        with _translated("cancel"):
            answer = self._client.cancel_order(OrderPayload(orderID=order_id))
            if order_id in answer["not_canceled"]:
                raise VenueRefused(str(answer["not_canceled"][order_id])[:200])
            if order_id not in answer["canceled"]:
                raise VenueUnknown("the answer does not name the order")

    def fills(self, after: datetime | None) -> list[VenueFill]:
        """The overlap is for trades that the venue books late; it tells whole seconds only."""
        since = 0 if after is None else max(0, int((after - _OVERLAP).timestamp()))
        with _translated("fills"):
            return sorted((_fill(part) for part in self._parts(since)), key=lambda fill: fill.at)

    # inside

    def _seconds(self) -> int:
        with _translated("time"):
            return int(str(self._client.get_server_time()))

    def _row(self, order_id: str) -> dict[str, Any]:
        row = self._client.get_order(order_id)
        if row is None:
            raise _NotFound("no such order")
        if row["id"] != order_id:
            raise VenueUnknown("the answer is about another order")
        found: dict[str, Any] = row
        return found

    def _parts(self, since: int) -> list[dict[str, Any]]:
        """What of each trade is the wallet's: as its taker, or as one of its makers."""
        found = []
        for row in self._client.get_trades(TradeParams(after=since)):
            taker = {**row, "order_id": row["taker_order_id"], "matched_amount": row["size"]}
            sides = [taker] if row["trader_side"] == "TAKER" else row["maker_orders"]
            mine = [side for side in sides if side["maker_address"].lower() == self._wallet.lower()]
            failed = row["status"].upper().endswith("FAILED")
            found += [] if failed else [{**side, "trade": row["id"], "at": row["match_time"]} for side in mine]
        return found

    def _unclaimed(self) -> Iterator[dict[str, Any]]:
        """Orders of this key that no client order id of this process names: open ones, then traded ones."""
        rows = self._client.get_open_orders()
        yield from (row for row in rows if row["id"] not in _SIGNED and row["owner"] == self._key_id)
        now = self._seconds()
        known_until = self._looked_until if self._looked_until <= now else 0
        for part in self._parts(max(now - _LOOK_BACK_SECONDS, known_until - int(_OVERLAP.total_seconds()))):
            number = part["order_id"]
            if number not in _SIGNED and number not in self._looked_at and part["owner"] == self._key_id:
                self._looked_at[number] = self._row(number)
        self._looked_until = now
        yield from (row for number, row in list(self._looked_at.items()) if number not in _SIGNED)

    def _is_of(self, client_order_id: str, row: Mapping[str, Any]) -> bool:
        """Venue time may have passed into the next hour on the way."""
        builder = self._builder(client_order_id, row["asset_id"])
        size = Decimal(row["original_size"]), Decimal(row["price"])
        data = self._draft(client_order_id, row["asset_id"], row["side"].lower(), size)
        for back in (0, 3600):
            data.timestamp = str(_stamp_ms(client_order_id, int(row["created_at"]) - back))
            if builder.build_order_hash(builder.build_order_typed_data(builder.build_order(data))) == row["id"]:
                return True
        return False

    def _builder(self, client_order_id: str, token: str) -> ExchangeOrderBuilderV2:
        contracts, salt = get_contract_config(_CHAIN_ID), str(_digits("salt", client_order_id) % 2**52)
        exchange = contracts.neg_risk_exchange_v2 if self._client.get_neg_risk(token) else contracts.exchange_v2
        return ExchangeOrderBuilderV2(exchange, _CHAIN_ID, self._client.signer, generate_salt=lambda: salt)

    def _draft(self, client_order_id: str, token: str, side: str, size: tuple[Decimal, Decimal]) -> OrderDataV2:
        shares, money = (str(int(amount * _MICRO)) for amount in (size[0], size[0] * size[1]))
        buys = side == "buy"
        return OrderDataV2(
            maker=self._wallet,
            tokenId=token,
            makerAmount=money if buys else shares,
            takerAmount=shares if buys else money,
            side=Side.BUY if buys else Side.SELL,
            metadata="0x" + client_order_id.encode("ascii").ljust(_CLIENT_ID_MAX, b"\0").hex(),
        )


def _stamp_ms(client_order_id: str, seconds: int) -> int:
    return seconds * 1000 // _HOUR_MS * _HOUR_MS - _digits("time", client_order_id) % _HOUR_MS


def _digits(use: str, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{use} {text}".encode()).digest()[:8], "big")


def _order(row: Mapping[str, Any]) -> VenueOrder:
    status = row["status"].upper().removeprefix("ORDER_STATUS_").lower()
    word = "partially_filled" if status == "live" and Decimal(row["size_matched"]) > 0 else _STATUS.get(status, status)
    name = _SIGNED.get(row["id"]) or f"{row['owner']}:{row['id']}"
    return VenueOrder(row["id"], name, row["asset_id"], row["side"].lower(), Decimal(row["original_size"]), word)


def _fill(part: Mapping[str, Any]) -> VenueFill:
    at = datetime.fromtimestamp(int(part["at"]), UTC)
    qty, price, name = Decimal(part["matched_amount"]), Decimal(part["price"]), f"{part['trade']}/{part['order_id']}"
    return VenueFill(name, part["order_id"], part["asset_id"], part["side"].lower(), qty, price, at)
