"""Kraken spot through ccxt. Facts: venues.md section 3; the library's traps are wrapped in `client`.

Kraken has no paper trading and no latched halt; nothing in a key or an answer tells paper from live. The account's
number is the `iban` of GetApiKeyInfo, without spaces: that this field names the account is our reading of it, no page
says so.
A position is a balance in anything but USD, valued in USD.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial
from threading import Lock
from typing import Any

from ops.errors import VenueError
from ops.secrets import Credentials
from ops.venues.kraken.client import KrakenClient
from ops.venues.kraken.reading import (
    EPOCH,
    Names,
    fill_view,
    listed,
    middle,
    order_view,
    read_names,
    reserves,
    rows_of,
    typed,
    venue_client_id,
)
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

TIMEOUT_SECONDS = 8.0
DEADLINE_SECONDS = 10
"""How long an order may be under way: the venue refuses it later (AddOrder's `deadline`, 2 to 60 s)."""
SKEW_SECONDS = 2
"""How far the venue's clock may be behind ours."""
NEVER_TAKEN = ("EService:Deadline elapsed", "EService:Market in")
"""Of the service's own errors those after which an order is certainly not there."""
DEAD_MAN_MIN_SECONDS = 5
"""ccxt's wrapper turns less than one second into 0, which disarms; anything this short is a slip in the units."""
WITHDRAWING = frozenset({"withdraw-funds", "add-withdraw-address", "update-withdraw-address"})
KNOWN_PERMISSIONS = WITHDRAWING | {
    *("query-funds", "add-funds", "earn-funds", "query-open-trades", "query-closed-trades", "modify-trades"),
    *("close-trades", "query-ledger", "export-data", "create-ws-token"),
}
STATES: dict[str, Any] = {"online": "open", **{word: word for word in ("maintenance", "cancel_only", "post_only")}}
_HELD_TOLERANCE = Decimal("1.02")  # what an open order reserves may include its fee


class Kraken:
    """One Kraken account at one endpoint. Satisfies VenueReader and VenueActor; cancels never load markets."""

    latches = False
    timed = True

    def __init__(self, endpoint: str, account: str, keys: Keys, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._endpoint, self._account, self._keys, self._timeout = endpoint, account, keys, timeout_seconds
        self._under_way: dict[str, float] = {}
        self._sending = Lock()

    # Who is asking

    def account(self) -> AccountView:
        """Number (`iban`), and funds in USD at the middle of the market. `last_equity_usd`: Kraken keeps none."""
        number = self._observer.read("GetApiKeyInfo", dict).get("iban")
        if not isinstance(number, str) or not number:
            raise VenueError("Kraken's answer to GetApiKeyInfo names no account (iban)")
        worth = self._worth(self._balances())
        cash = worth.get("USD", (Decimal(0), Decimal(0)))[1]
        equity = sum((value for _, value in worth.values()), Decimal(0))
        return AccountView(number.replace(" ", ""), None, equity, cash, None, blocked=False, suspended=False)

    def key(self) -> KeyView:
        """By GetApiKeyInfo, which any key may ask. A permission of an unknown name may be a way to withdraw: None."""
        info = self._bot.read("GetApiKeyInfo", dict)
        held = typed(lambda: frozenset(str(name) for name in listed(info["permissions"])))
        may_withdraw = True if held & WITHDRAWING else None if held - KNOWN_PERMISSIONS else False
        return KeyView(held, "modify-trades" in held, may_withdraw)

    def status(self) -> StatusView:
        """SystemStatus: online, maintenance, cancel_only or post_only."""
        said = str(self._observer.public("SystemStatus", dict).get("status"))
        return StatusView(STATES.get(said, "unknown"), said)

    def windows(self, begins: datetime, ends: datetime) -> Sequence[Window]:
        """Kraken trades around the clock and has no calendar; maintenance shows in `status` only."""
        return [Window("session", begins, ends, "around the clock; maintenance is not in any calendar")]

    # Orders

    def open_orders(self, newest_first: bool = True) -> Sequence[OrderView]:
        """OpenOrders has no pages and no ends. Read as from the oldest, it is held against what orders have reserved.

        So the two reads of a zero proof ask two different books. Raises VenueError if they contradict each other.
        """
        rows = self._open_rows({})
        if not newest_first:
            self._held_against(rows)
        orders = [typed(partial(order_view, self._names, txid, row)) for txid, row in rows.items()]
        return sorted(orders, key=lambda order: (order.submitted_at, order.id), reverse=newest_first)

    def order(self, order_id: str) -> OrderView:
        """QueryOrders by txid. Raises VenueError (404) if the venue does not know it."""
        rows, names = self._observer.read("QueryOrders", dict, {"txid": order_id}), self._names
        return typed(lambda: order_view(names, order_id, rows[order_id]))

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        """OpenOrders first, then ClosedOrders, so that an order which closes meanwhile is not missed.

        The venue keeps ids unique among open orders only: of several the open one counts, else the latest.
        """
        wanted = {"cl_ord_id": venue_client_id(client_id)}
        rows = self._open_rows(wanted) or rows_of(self._observer.read("ClosedOrders", dict, wanted), "closed")
        if any(row.get("cl_ord_id") != wanted["cl_ord_id"] for row in rows.values()):
            raise VenueError("Kraken answered with other orders than those of the client id that was asked for")
        found = [typed(partial(order_view, self._names, txid, row)) for txid, row in rows.items()]
        return max(found, key=lambda order: order.submitted_at, default=None)

    def place(self, wish: OrderWish) -> OrderView:
        """Looks the id up in open and closed orders first: a filled order's id is free again at the venue.

        One whose answer was lost and that no list shows is not sent again while the venue may still take it.
        """
        price = {"ordertype": "limit", "price": f"{wish.limit_price:f}"}
        return self._once(wish.symbol, wish.side, wish.qty, wish.client_id, price)

    def cancel(self, order_id: str) -> None:
        """Proves nothing: the answer may be `pending`."""
        self._kill.read("CancelOrder", dict, {"txid": order_id})

    def cancel_all(self) -> int:
        """CancelAll: every order of the account, also other bots' and those placed by hand."""
        count = self._kill.read("CancelAll", dict).get("count")
        return typed(lambda: int(str(count)))

    def set_suspended(self, suspended: bool) -> None:
        """Kraken has no halt of its own that stays."""
        raise VenueError("Kraken has no latched halt; the dead-man's switch cancels but does not refuse new orders")

    def set_dead_man(self, seconds: int | None) -> datetime | None:
        """CancelAllOrdersAfter: cancels everything when it fires, closes nothing, and may fire after maintenance.

        Returns when, by the venue's own clock. Raises VenueError below 5 s or if the answer does not confirm it.
        """
        if seconds is not None and seconds < DEAD_MAN_MIN_SECONDS:
            raise VenueError(f"a dead-man's switch of {seconds} s would fire at once; at least {DEAD_MAN_MIN_SECONDS}")
        answer = self._kill.read("CancelAllOrdersAfter", dict, {"timeout": str(seconds or 0)})
        due = str(answer.get("triggerTime"))
        if seconds is None:
            if due != "0":
                raise VenueError("the dead-man's switch was disarmed but still says when it fires")
            return None
        now, fires = typed(lambda: (datetime.fromisoformat(answer["currentTime"]), datetime.fromisoformat(due)))
        if fires <= now:
            raise VenueError("the dead-man's switch was armed but does not say that it will fire")
        return fires

    # Positions and fills

    def positions(self) -> Sequence[PositionView]:
        """Every balance that is not USD, as BASE/USD; one that Kraken has no USD market for is worth 0 USD here."""
        worth = self._worth(self._balances())
        return [PositionView(f"{code}/USD", qty, usd) for code, (qty, usd) in worth.items() if code != "USD"]

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        """TradesHistory, in pages of 50 from the latest back; `count` says when all are read.

        Trades that come in meanwhile move the others to later pages: seen twice, never missed.
        """
        found: dict[str, FillView] = {}
        start = {"start": str(max(0, (since - EPOCH) // timedelta(seconds=1) - 1))}
        offset, count = 0, 1
        while len(found) < count:
            page = self._observer.read("TradesHistory", dict, {**start, "ofs": str(offset)})
            rows = rows_of(page, "trades")
            count = typed(lambda page=page: int(page["count"]))  # type: ignore[misc]
            known = len(found)
            found.update({trade: typed(partial(fill_view, self._names, trade, row)) for trade, row in rows.items()})
            offset += len(rows)
            if len(found) == known and known < count:
                raise VenueError(f"Kraken's trades cannot be read to their end: {known} of {count}")
        return sorted((fill for fill in found.values() if fill.at > since), key=lambda fill: (fill.at, fill.id))

    def close_position(self, position: PositionView, client_id: str) -> None:
        """One market order against the whole balance, unless the id is known already."""
        side = "sell" if position.qty > 0 else "buy"
        self._once(position.symbol, side, abs(position.qty), client_id, {"ordertype": "market"})

    # Inside

    @cached_property
    def _bot(self) -> KrakenClient:
        return self._client("bot", self._keys.bot)

    @cached_property
    def _observer(self) -> KrakenClient:
        return self._client("observer", self._keys.observer)

    @cached_property
    def _kill(self) -> KrakenClient:
        return self._client("kill", self._keys.kill)

    def _client(self, purpose: str, credentials: Credentials | None) -> KrakenClient:
        if credentials is None:
            raise VenueError(f"there is no {purpose} key for the Kraken account {self._account}")
        return KrakenClient(self._endpoint, credentials, self._timeout)

    @cached_property
    def _names(self) -> Names:
        rows = self._observer.public("AssetPairs", dict)
        return typed(partial(read_names, rows))

    def _once(self, symbol: str, side: str, qty: Decimal, client_id: str, price: Mapping[str, str]) -> OrderView:
        """Looked up and sent by one caller at a time: between the two, an order could fill and free its id."""
        if not self._sending.acquire(timeout=self._timeout):
            raise VenueError(f"{client_id} was not sent: another order was on its way for {self._timeout:g} s")
        try:
            known = self.order_by_client_id(client_id)
            return known or self.order(self._add(symbol, side, qty, client_id, price))
        except VenueError as error:
            known = self.order_by_client_id(client_id) if "cl_ord_id not unique" in str(error) else None
            if known is None:
                raise
            return known
        finally:
            self._sending.release()

    def _add(self, symbol: str, side: str, qty: Decimal, client_id: str, price: Mapping[str, str]) -> str:
        """Sends one order; returns its txid. Raises VenueError, too, if one of that id may still be on its way."""
        left = self._under_way.get(client_id, 0.0) - time.monotonic()
        if left > 0:
            raise VenueError(f"order {client_id} was sent before and may still reach Kraken within {left:.0f} s")
        pair = self._names.pairs.get(symbol)
        if pair is None:
            raise VenueError(f"Kraken lists no pair {symbol}", status=404)
        order = {"pair": pair, "type": side, "volume": f"{qty:f}", "cl_ord_id": venue_client_id(client_id), **price}
        order["deadline"] = self._bot.in_seconds(DEADLINE_SECONDS)
        self._under_way[client_id] = time.monotonic() + DEADLINE_SECONDS + SKEW_SECONDS
        try:
            answer = self._bot.send("AddOrder", dict, order)
        except VenueError as error:
            refused = error.status is not None and error.status < 500
            if refused or any(said in str(error) for said in NEVER_TAKEN):
                del self._under_way[client_id]
            raise
        txid = typed(lambda: str(answer["txid"][0]))
        del self._under_way[client_id]
        return txid

    def _open_rows(self, wanted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        return rows_of(self._observer.read("OpenOrders", dict, wanted), "open")

    def _held_against(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Raises VenueError if the account has reserved more than the listed orders explain."""
        needed: dict[str, Decimal] = {}
        exact = typed(lambda: all(row["descr"]["ordertype"] == "limit" for row in rows.values()))
        for row in rows.values():
            code, amount = typed(partial(reserves, self._names, row))
            needed[code] = needed.get(code, Decimal(0)) + amount
        for code, (_, held) in self._balances().items():
            explained = code in needed and (held <= needed[code] * _HELD_TOLERANCE or not exact)
            if held > 0 and not explained:
                raise VenueError(f"Kraken holds {held} {code} for orders that its list of open orders does not show")

    def _balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """(balance, reserved by orders) per asset that the account has any of."""
        rows = self._observer.read("BalanceEx", dict)
        found = {
            self._names.code(asset): typed(lambda row=row: (Decimal(row["balance"]), Decimal(row["hold_trade"])))  # type: ignore[misc]
            for asset, row in rows.items()
        }
        return {code: amounts for code, amounts in found.items() if any(amounts)}

    def _worth(self, balances: Mapping[str, tuple[Decimal, Decimal]]) -> dict[str, tuple[Decimal, Decimal]]:
        """(quantity, USD) per asset. A staked or earning form is worth what its asset is.

        Fee credits and delisted assets have no market: they count as nothing, so that funds are never overstated and
        one of them does not hide all the others.
        """
        bases = {code: code.partition(".")[0] for code in balances}
        priced = sorted({base for base in bases.values() if base != "USD"})
        prices = {"USD": Decimal(1), **self._prices(priced)}
        return {code: (qty, qty * prices.get(bases[code], Decimal(0))) for code, (qty, _) in balances.items() if qty}

    def _prices(self, codes: Sequence[str]) -> dict[str, Decimal]:
        """USD per unit, the middle of bid and ask, of those that have a market against USD."""
        wanted = {code: pair for code in codes if (pair := self._names.pairs.get(f"{code}/USD"))}
        if not wanted:
            return {}
        rows = self._observer.public("Ticker", dict, {"pair": ",".join(wanted.values())})
        named = {self._names.symbol(pair): row for pair, row in rows.items()}
        return {code: typed(partial(middle, named, f"{code}/USD")) for code in wanted}
