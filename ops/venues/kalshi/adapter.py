"""Kalshi through our own signed client (`ops.venues.kalshi.client`), on the V2 paths.

Prices are dollars of the YES leg, 0 to 1; selling YES that is not held is buying NO, a negative position. The venue has
no market orders, no last equity, no word for a blocked account, and no dead-man's switch. Its latched halt is the order
group: it binds the orders that name one, so every order placed here names the account's group if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from ops.errors import VenueError
from ops.model.canonical import utc_time
from ops.secrets import Credentials
from ops.venues.kalshi.calendar import maintenance, sessions
from ops.venues.kalshi.client import CLOSED, ORDERS, KalshiClient, Row, Unanswered
from ops.venues.protocol import (
    AccountView,
    FillView,
    Keys,
    KeyView,
    OrderView,
    OrderWish,
    PositionView,
    SessionState,
    StatusView,
    Window,
)

ANSWER_MAX_SECONDS = 8.0
SIDES = {"buy": "bid", "sell": "ask"}
TRADES = {"bid": "buy", "ask": "sell"}
LOWEST, HIGHEST = Decimal("0.01"), Decimal("0.99")
_STATES: dict[tuple[object, object], SessionState] = {
    (True, True): "open",
    (True, False): "cancel_only",
    (False, True): "maintenance",
    (False, False): "maintenance",
}
_SHAPE = (KeyError, TypeError, ValueError, InvalidOperation, AttributeError)


class Kalshi:
    """One Kalshi account at one endpoint. Satisfies VenueReader and VenueActor.

    Reads go through the observer's key, cancels and the trigger through the kill key, the rest through the bot's; one
    that is missing is stood in for by the next. `account` is the communications id.
    """

    latches = True
    timed = False

    def __init__(self, endpoint: str, account: str, keys: Keys, timeout_seconds: float = ANSWER_MAX_SECONDS) -> None:
        self._endpoint = endpoint
        given = [key for key in (keys.observer, keys.kill, keys.bot) if key is not None]
        if not given:
            raise VenueError("Kalshi needs credentials: the profile names none for this account")
        clients: dict[str, KalshiClient] = {}

        def client(*preferred: Credentials | None) -> KalshiClient:
            key = next((one for one in preferred if one is not None), given[0])
            return clients.setdefault(key.part("key"), KalshiClient(endpoint, key, timeout_seconds))

        self._reader = client(keys.observer, keys.bot)
        self._canceller = client(keys.kill, keys.bot)
        self._trader = client(keys.bot)
        self._clients = tuple(clients.values())

    # reading

    def account(self) -> AccountView:
        """Every key is asked whose it is: keys of different accounts are an error.

        Paper is told by the documented hosts alone, which share no credentials (venues.md 4.1): kalshi.co is the demo
        exchange, kalshi.com the live one; any other address says nothing. Suspended: all order groups are triggered.
        """
        with _understood():
            numbers = {client.number() for client in self._clients}
            if len(numbers) != 1:
                raise VenueError("the keys for Kalshi open different accounts")
            row = self._reader.ask("GET", "/portfolio/balance")
            cash = Decimal(row["balance_dollars"])
            groups = self._reader.groups()
            return AccountView(
                number=numbers.pop(),
                paper=_paper(self._endpoint),
                equity_usd=cash + Decimal(row["portfolio_value"]) / 100,
                cash_usd=cash,
                last_equity_usd=None,
                blocked=False,
                suspended=bool(groups) and all(groups.values()),
            )

    def key(self) -> KeyView:
        """The scopes of the bot's key, as the account's list of keys has them.

        A key restricted to a subaccount is refused that list: then the scopes are unknown. Plain `write` holds
        transfers too (venues.md 4.7). Raises VenueError if the list does not hold the key.
        """
        with _understood():
            rows = self._key_rows()
            if rows is None:
                return KeyView(None, None, None)
            mine = [row for row in rows if row["api_key_id"] == self._trader.key_id]
            if not mine:
                raise VenueError("the bot's key is not among the keys of this account")
            scopes = frozenset(str(scope) for scope in mine[0]["scopes"])
            full = "write" in scopes
            return KeyView(scopes, full or "write::trade" in scopes, full or "write::transfer" in scopes)

    def _key_rows(self) -> list[Row] | None:
        for client in dict.fromkeys((self._reader, self._trader)):
            try:
                rows: list[Row] = client.ask("GET", "/api_keys")["api_keys"]
                return rows
            except Unanswered as error:
                if error.status not in (401, 403):
                    raise
        return None

    def status(self) -> StatusView:
        """A trading pause still takes cancels, an exchange pause takes nothing (venues.md 4.6). 503 says which, too."""
        with _understood():
            status, row = self._reader.public("/exchange/status")
            if status not in (200, 500, 503, 504):
                raise VenueError(f"Kalshi's status answered HTTP {status}", status=status)
            exchange, trading = row["exchange_active"], row["trading_active"]
            said = f"exchange_active={exchange} trading_active={trading}"
            return StatusView(_STATES.get((exchange, trading), "unknown"), said)

    def windows(self, begins: datetime, ends: datetime) -> Sequence[Window]:
        """Standard hours, given in Eastern time per weekday, and the announced maintenance."""
        with _understood():
            status, row = self._reader.public("/exchange/schedule")
            if status != 200:
                raise VenueError(f"Kalshi's schedule answered HTTP {status}", status=status)
            schedule = row["schedule"]
            found = [*sessions(schedule, begins, ends), *maintenance(schedule)]
            inside = [window for window in found if window.begins < ends and window.ends > begins]
            return sorted(inside, key=lambda window: (window.begins, window.ends))

    def open_orders(self, newest_first: bool = True) -> Sequence[OrderView]:
        """All pages; from the oldest with a second look (`KalshiClient.resting`)."""
        with _understood():
            return [_order(row) for row in self._reader.resting(newest_first)]

    def order(self, order_id: str) -> OrderView:
        """Raises VenueError if the venue does not know it."""
        with _understood():
            return _order(self._reader.order(order_id))

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        """The venue has no such lookup: every order is read, open and closed, then the archive of older ones."""
        with _understood():
            for path in ("/portfolio/orders", "/historical/orders"):
                rows = self._reader.whole(path, "orders", "order_id")
                found = [row for row in rows if row["client_order_id"] == client_id]
                if found:
                    return _order(found[0])
            return None

    def positions(self) -> Sequence[PositionView]:
        """Contracts, negative for NO. The value is the exposure: what the held contracts were bought for."""
        with _understood():
            rows = self._reader.whole("/portfolio/positions", "market_positions", "ticker")
            held = [(row, Decimal(row["position_fp"])) for row in rows]
            return [
                PositionView(row["ticker"], qty, Decimal(row["market_exposure_dollars"])) for row, qty in held if qty
            ]

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        """Executions, and those from the archive if the instant lies before its cut-off."""
        query = {"min_ts": int(since.timestamp())}
        with _understood():
            rows = self._reader.whole("/portfolio/fills", "fills", "fill_id", query)
            if since < utc_time(self._reader.ask("GET", "/historical/cutoff")["trades_created_ts"]):
                rows += self._reader.whole("/historical/fills", "fills", "fill_id", query)
            fills = {fill.id: fill for fill in map(_fill, rows) if fill.at > since}
            return sorted(fills.values(), key=lambda fill: (fill.at, fill.id))

    # changing

    def place(self, wish: OrderWish) -> OrderView:
        """Good till cancelled. A client id is taken for ever (409): then the order that has it is the answer."""
        with _understood():
            found = self.order_by_client_id(wish.client_id)
            if found is not None:
                return found
            group = next(iter(self._reader.groups()), None)
            more = {} if group is None else {"order_group_id": group}
            body = _body(wish.client_id, wish.symbol, SIDES[wish.side], wish.qty, wish.limit_price)
            return self._sent({**body, "time_in_force": "good_till_canceled", **more}, wish)

    def _sent(self, body: Row, wish: OrderWish) -> OrderView:
        """The answer has no status: what rests is resting, what does not was executed or killed (venues.md 4.5)."""
        try:
            row = self._trader.ask("POST", ORDERS, body=body)
        except Unanswered as error:
            found = self.order_by_client_id(wish.client_id) if error.code == "order_already_exists" else None
            if found is None:
                raise
            return found
        rests, filled = Decimal(row["remaining_count"]) > 0, Decimal(row["fill_count"]) > 0
        status = "resting" if rests else "executed" if filled else "canceled"
        at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=row["ts_ms"])
        return OrderView(row["order_id"], wish.client_id, wish.symbol, wish.side, wish.qty, status, at, rests)

    def cancel(self, order_id: str) -> None:
        """Routed by the order's ticker. An order that is known and gone (404) is no failure."""
        with _understood():
            ticker = self._reader.order(order_id)["ticker"]
            try:
                self._canceller.ask("DELETE", f"{ORDERS}/{order_id}", {"market_ticker": ticker})
            except Unanswered as error:
                if error.status != 404 or not error.code.endswith("not_found"):
                    raise

    def cancel_all(self) -> int:
        """List, then cancel in batches: the count is what the venue took on."""
        with _understood():
            return len(self._canceller.cancel_each(self._reader.resting()))

    def set_suspended(self, suspended: bool) -> None:
        """Triggers every order group of the account, or resets it, read back. It binds orders that name a group."""
        with _understood():
            (self._canceller if suspended else self._trader).latch(suspended)

    def set_dead_man(self, seconds: int | None) -> datetime | None:
        """There is none at Kalshi."""
        raise VenueError("Kalshi has no dead-man's switch")

    def close_position(self, position: PositionView, client_id: str) -> None:
        """Immediate or cancel, reduce only, at the edge of the price range: it can close and never turn a position.

        It names no group: a triggered one would refuse it.
        """
        with _understood():
            if self.order_by_client_id(client_id) is not None:
                return
            side, price = ("ask", LOWEST) if position.qty > 0 else ("bid", HIGHEST)
            body = _body(client_id, position.symbol, side, abs(position.qty), price)
            body |= {"time_in_force": "immediate_or_cancel", "reduce_only": True}
            try:
                self._trader.ask("POST", ORDERS, body=body)
            except Unanswered as error:
                if error.code != "order_already_exists":
                    raise


@contextmanager
def _understood() -> Iterator[None]:
    """The one place where the client's exceptions, and answers of an odd shape, become ours."""
    try:
        yield
    except Unanswered as error:
        raise VenueError(f"Kalshi: {error}", status=error.status) from None
    except _SHAPE as error:
        raise VenueError(f"Kalshi's answer lacks what it should hold: {type(error).__name__}") from None


def _paper(endpoint: str) -> bool | None:
    host = urlsplit(endpoint).hostname or ""
    return {"kalshi.co": True, "kalshi.com": False}.get(".".join(host.split(".")[-2:]))


def _body(client_id: str, ticker: str, side: str, count: Decimal, price: Decimal) -> dict[str, Any]:
    """Every number is text (venues.md 4.3)."""
    return {
        "ticker": ticker,
        "client_order_id": client_id,
        "side": side,
        "count": f"{count:.2f}",
        "price": f"{price:.4f}",
        "self_trade_prevention_type": "taker_at_cross",
    }


def _order(row: Row) -> OrderView:
    return OrderView(
        id=row["order_id"],
        client_id=row["client_order_id"],
        symbol=row["ticker"],
        side=TRADES[row["book_side"]],
        qty=Decimal(row["initial_count_fp"]),
        status=row["status"],
        submitted_at=utc_time(row["created_time"]),
        open=row["status"] not in CLOSED,
    )


def _fill(row: Row) -> FillView:
    return FillView(
        id=row["fill_id"],
        order_id=row["order_id"],
        symbol=row["ticker"],
        side=TRADES[row["book_side"]],
        qty=Decimal(row["count_fp"]),
        price=Decimal(row["yes_price_dollars"]),
        at=utc_time(row["created_time"]),
    )
