"""Polymarket's CLOB (V2) through py-clob-client-v2; positions come from its data API.

An API key can read, place (with the wallet's signature) and cancel; it has no scopes and cannot move funds, the wallet
key can (venues 5.7). Without a wallet the door reads and cancels. There are no client ids: `polymarket_orders` says
how one is found again. An order that was not sent through this door has the client id `<owner's API key id>:<hash>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import partial
from typing import Any, TypeVar

from py_clob_client_v2.clob_types import BalanceAllowanceParams, OrderPayload, TradeParams

from ops.errors import VenueError
from ops.secrets import Credentials
from ops.venues.polymarket.orders import Drafts, wallet_signer
from ops.venues.polymarket.rows import (
    fill_view,
    finite,
    order_view,
    own_order,
    parts_of_trade,
    position_view,
    restarts,
    selling_price,
    typed,
)
from ops.venues.polymarket.wire import Beat, Client, Refused, data_api, has_wallet
from ops.venues.protocol import (
    AccountView,
    FillView,
    Keys,
    KeyView,
    OrderView,
    OrderWish,
    PositionView,
    StatusView,
    Window,
)

Answer = TypeVar("Answer")
ANSWER_MAX_SECONDS = 10.0
HEARTBEAT_SECONDS = 10
"""The timer's one length (venues 5.4)."""
LOOK_BACK_SECONDS = 2 * 24 * 3600
"""How old a trade may be whose order is still looked at for a client id."""
POSITIONS_PER_PAGE = 500
_LOT = Decimal("0.01")
_HASH = re.compile(r"0x[0-9a-f]{64}\Z")


class Polymarket:
    """One wallet at one endpoint; `account` is its address. Satisfies VenueReader and VenueActor."""

    latches = False
    timed = True

    def __init__(self, endpoint: str, account: str, keys: Keys, timeout_seconds: float = ANSWER_MAX_SECONDS) -> None:
        self._endpoint, self._account, self._seconds = endpoint.rstrip("/"), account, timeout_seconds
        self._data_api = data_api(self._endpoint)
        self._bot = keys.bot
        reading, cancelling = keys.observer or keys.bot or keys.kill, keys.kill or keys.bot
        if reading is None:
            raise VenueError(f"Polymarket cannot be asked about account {account} without a key")
        self._reader, self._reading = self._client(reading), reading
        self._killer = self._client(cancelling) if cancelling is not None else None
        self._trader = self._client(keys.bot) if keys.bot is not None else None
        self._sent: dict[str, str] = {}
        self._seen: dict[str, dict[str, Any]] = {}
        self._beat, self._fires_at = Beat(), datetime.min.replace(tzinfo=UTC)

    def _client(self, credentials: Credentials) -> Client:
        return Client(self._endpoint, self._account, credentials, self._seconds)

    def close(self) -> None:
        """Hang up."""
        for client in filter(None, (self._reader, self._killer, self._trader)):
            client.close()

    # who, what, when

    def account(self) -> AccountView:
        """The venue names no account: it lets a key in for its own wallet only, and lists the wallet's keys.

        `blocked`: the address may only close positions. Nothing tells paper from live, or yesterday's equity.
        """
        listed = self._asked(self._reader.get_api_keys, dict)
        ids = typed(lambda: {row if isinstance(row, str) else row["apiKey"] for row in listed["apiKeys"]})
        if self._reading.part("key") not in ids:
            raise VenueError("Polymarket lists the keys of another wallet than the account's")
        cash, held = self._cash(), self.positions()
        equity = cash + sum((position.market_value_usd for position in held), Decimal(0))
        return AccountView(self._account, None, equity, cash, None, self._closed_only(self._reader), suspended=False)

    def key(self) -> KeyView:
        """Without scopes to ask for, a key is worth what comes with it: with the wallet it trades, and the wallet can
        also move the funds."""
        if self._trader is None or self._bot is None:
            raise VenueError("there is no key of the bot to ask about")
        signs = has_wallet(self._bot)
        return KeyView(None, may_trade=signs and not self._closed_only(self._trader), may_withdraw=signs)

    def status(self) -> StatusView:
        """Whether the service and what is about orders answer. Cancel-only and post-only modes show in refused orders
        only, so `open` does not rule them out."""
        try:
            self._now()
            self._asked(lambda: self._reader.get_open_orders(only_first_page=True), list)
        except Refused as error:
            if error.status == 425 or (error.status == 503 and "disabled" in str(error)):
                return StatusView("maintenance", str(error))
            raise
        return StatusView("open", "answers about orders")

    def windows(self, begins: datetime, ends: datetime) -> Sequence[Window]:
        """It trades around the clock but for the weekly restart of the matching engine."""
        session = Window("session", begins, ends, "around the clock")
        return [session, *sorted(restarts(begins, ends), key=lambda window: window.begins)]

    # orders

    def open_orders(self, newest_first: bool = True) -> Sequence[OrderView]:
        """All pages; the venue has no order of its own for them. Raises VenueError if one is another wallet's."""
        found = {row["id"]: self._view(row) for row in self._open_rows()}
        orders = [order for order in found.values() if order.open]
        return sorted(orders, key=lambda order: order.submitted_at, reverse=newest_first)

    def order(self, order_id: str) -> OrderView:
        """Raises VenueError, with status 404, if the venue does not know it."""
        return self._view(self._row(order_id))

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        """By hash where it is known; else among the open orders and those that have traded in the last two days.

        None also stands for an order of another process that was cancelled untraded: nobody can find that one.
        """
        known = self._sent.get(client_id) or client_id.partition(":")[2]
        if _HASH.match(known):
            return self._known(known)
        drafts = Drafts(self._account, self._reader.signer)
        for row in self._candidates():
            if typed(partial(self._is_of, drafts, client_id, row)):
                self._sent[client_id] = row["id"]
                return self._view(row)
        return None

    def place(self, wish: OrderWish) -> OrderView:
        """Good till cancelled."""
        return self.order_by_client_id(wish.client_id) or self._post(wish, "GTC")

    def cancel(self, order_id: str) -> None:
        """An order that is gone already is named as not cancelled, which is all the same here."""
        answer = self._asked(lambda: self._kills().cancel_order(OrderPayload(orderID=order_id)), dict)
        if order_id not in (*typed(lambda: list(answer["canceled"])), *typed(lambda: dict(answer["not_canceled"]))):
            raise VenueError("Polymarket's answer to the cancel does not name the order")

    def cancel_all(self) -> int:
        """DELETE /cancel-all names what it cancelled."""
        answer = self._asked(self._kills().cancel_all, dict)
        return len(typed(lambda: list(answer["canceled"])))

    # what is held and was done

    def positions(self) -> Sequence[PositionView]:
        """From the public data API, so the key is proven first: a refused one must not look like an empty account."""
        self._closed_only(self._reader)
        found: dict[str, PositionView] = {}
        while True:
            query = {"user": self._account, "sizeThreshold": "0", "limit": str(POSITIONS_PER_PAGE)}
            url, query = f"{self._data_api}/positions", query | {"offset": str(len(found))}
            rows = self._asked(partial(self._reader.fetch, url, query), list)
            before = len(found)
            found.update(
                {position.symbol: position for position in (position_view(row, self._account) for row in rows)}
            )
            if len(rows) < POSITIONS_PER_PAGE:
                return list(found.values())
            if len(found) - before < len(rows):
                raise VenueError("Polymarket's list of positions cannot be read to its end")

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        """The venue tells whole seconds, so fills of the second of `since` are among them."""
        second = int(since.timestamp())
        fills = {fill.id: fill for fill in map(fill_view, self._parts(second - 1))}
        return sorted(fills.values(), key=lambda fill: fill.at)

    # brakes and the way out

    def set_suspended(self, suspended: bool) -> None:
        """Polymarket has none."""
        raise VenueError("Polymarket has no halt of its own")

    def set_dead_man(self, seconds: int | None) -> datetime | None:
        """The heartbeat: fires 10 s after the last beat, whatever was asked for, and is then off until begun again.

        It cannot be disarmed: None raises VenueError while a beat of this door is running. Raises it too for less
        than 10 s.
        """
        now = self._now()
        if seconds is None:
            if now < self._fires_at:
                raise VenueError(f"Polymarket's heartbeat cannot be disarmed; it fires at {self._fires_at:%H:%M:%S}Z")
            return None
        if seconds < HEARTBEAT_SECONDS:
            raise VenueError(f"Polymarket's heartbeat fires after {HEARTBEAT_SECONDS} s, not sooner")
        typed(lambda: self._beat.send(self._kills()))
        self._fires_at = now + timedelta(seconds=HEARTBEAT_SECONDS)
        return self._fires_at

    def close_position(self, position: PositionView, client_id: str) -> None:
        """Sells what the best bid and up to 10 % below it will take, and kills the rest: never a resting order."""
        if position.qty <= 0:
            raise VenueError(f"there is nothing to sell of {position.symbol}")
        if self.order_by_client_id(client_id) is None:
            book = self._asked(lambda: self._reader.get_order_book(position.symbol), dict)
            price = selling_price(book)
            qty = position.qty.quantize(_LOT, ROUND_DOWN)
            self._post(OrderWish(client_id, position.symbol, "sell", qty, price), "FAK")

    # inside

    def _post(self, wish: OrderWish, kind: str) -> OrderView:
        """Sends once. What the venue calls a duplicate is there already."""
        if self._trader is None or self._bot is None or not has_wallet(self._bot):
            raise VenueError(f"these credentials cannot sign an order of account {self._account}: no wallet key")
        drafts = Drafts(self._account, wallet_signer(self._bot.part("wallet"), self._account))
        made = int(self._now().timestamp()), self._neg_risk(wish.symbol)
        size = wish.qty, wish.limit_price
        signed, number = typed(lambda: drafts.signed(wish.client_id, wish.symbol, wish.side, size, made))
        self._sent[wish.client_id] = number
        try:
            answer = self._asked(partial(self._trader.post_order, signed, kind), dict)
        except Refused as error:
            if "Duplicated" in str(error):
                return self.order(number)
            raise
        if answer.get("success") is not True or answer.get("orderID") != number:
            raise VenueError("Polymarket did not confirm the order that was sent")
        return self.order(number)

    def _candidates(self) -> Iterator[dict[str, Any]]:
        """Orders that may be of the bot's key: open ones, then traded ones, each asked for once."""
        owner = self._bot.part("key") if self._bot is not None else None
        yield from (row for row in self._open_rows() if owner in (None, row.get("owner")))
        for part in self._parts(int(self._now().timestamp()) - LOOK_BACK_SECONDS):
            traded = part["order_id"]
            if traded not in self._seen and owner in (None, part.get("owner")):
                self._seen[traded] = self._row(traded)
        yield from list(self._seen.values())

    def _is_of(self, drafts: Drafts, client_id: str, row: Mapping[str, Any]) -> bool:
        return drafts.is_of(client_id, row, self._neg_risk(row["asset_id"]))

    def _known(self, number: str) -> OrderView | None:
        try:
            return self.order(number)
        except VenueError as error:
            if error.status == 404:
                return None
            raise

    def _row(self, order_id: str) -> dict[str, Any]:
        row = self._asked(lambda: self._reader.get_order(order_id), object)
        if row is None:
            raise VenueError("Polymarket knows no such order", status=404)
        if not isinstance(row, dict) or row.get("id") != order_id:
            raise VenueError("Polymarket answered about another order than the one asked for")
        return own_order(row, self._account)

    def _open_rows(self) -> list[dict[str, Any]]:
        return [own_order(row, self._account) for row in self._asked(self._reader.get_open_orders, list)]

    def _view(self, row: dict[str, Any]) -> OrderView:
        return order_view(row, next((name for name, known in self._sent.items() if known == row["id"]), None))

    def _parts(self, after: int) -> list[dict[str, Any]]:
        rows = self._asked(lambda: self._reader.get_trades(TradeParams(after=after)), list)
        return [part for row in rows for part in parts_of_trade(row, self._account)]

    def _kills(self) -> Client:
        if self._killer is None:
            raise VenueError(f"there is no key that may cancel on account {self._account}")
        return self._killer

    def _cash(self) -> Decimal:
        wanted = BalanceAllowanceParams(asset_type="COLLATERAL")
        answer = self._asked(lambda: self._reader.get_balance_allowance(wanted), dict)
        return finite(answer.get("balance")) / 1_000_000

    def _closed_only(self, client: Client) -> bool:
        said = self._asked(client.get_closed_only_mode, dict).get("closed_only")
        if not isinstance(said, bool):
            raise VenueError("Polymarket does not say whether the address may trade")
        return said

    def _neg_risk(self, token: str) -> bool:
        return bool(self._asked(lambda: self._reader.get_neg_risk(token), bool))

    def _now(self) -> datetime:
        """The venue's own time, in whole seconds."""
        said = self._asked(self._reader.get_server_time, object)
        return typed(lambda: datetime.fromtimestamp(int(str(said)), UTC))

    def _asked(self, call: Callable[[], Any], shape: type[Answer]) -> Answer:
        """The one place where the library's exceptions become ours."""
        answer = typed(call)
        if not isinstance(answer, shape):
            raise VenueError(f"Polymarket answered a {type(answer).__name__} where a {shape.__name__} was expected")
        return answer
