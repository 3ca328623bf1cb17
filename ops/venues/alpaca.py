"""Alpaca through alpaca-py, with deadlines that the library lacks and without its silent re-posts.

alpaca-py 0.44 sets no HTTP timeout and re-sends every verb, POST included, on 429 and 504 (common/rest.py): both are
taken away here. Its `APIError` parses the body on access and fails on HTML, so the status is read first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient

from ops.errors import VenueError
from ops.model.canonical import utc_text, utc_time
from ops.venues.deadline import within
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
CONNECT_MAX_SECONDS, READ_MAX_SECONDS = 3.05, 8.0
ANSWER_MAX_SECONDS = 10.0  # the whole exchange: a read's own limit starts anew with every byte
ORDERS_PER_PAGE, FILLS_PER_PAGE = 500, 100
OVERLAP = timedelta(microseconds=1)
# Statuses in which an order can no longer trade (alpaca-py trading/enums.py, OrderStatus).
CLOSED = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
PROTECTIVE = ("stop", "stop_limit", "trailing_stop")
NEW_YORK = ZoneInfo("America/New_York")  # the calendar's times are local ones (venues 2.3)


class Alpaca:
    """One Alpaca account at one endpoint. Satisfies VenueReader and VenueActor.

    Alpaca has one key per account and no scopes: all three purposes are that one.
    """

    latches = True
    timed = False

    def __init__(self, endpoint: str, account: str, keys: Keys, timeout_seconds: float = ANSWER_MAX_SECONDS) -> None:
        self._seconds = timeout_seconds
        if keys.bot is None:
            raise VenueError(f"Alpaca cannot be asked about account {account} without a key")
        key, secret = keys.bot.values()
        if not (key and secret):
            raise VenueError(f"Alpaca cannot be asked about account {account} with half a key")
        self._client = TradingClient(key, secret, raw_data=True, url_override=endpoint)
        self._client._retry = 0
        session = self._client._session
        session.trust_env = False  # no proxy of the operator's shell may see credentials
        limits = (min(CONNECT_MAX_SECONDS, timeout_seconds), min(READ_MAX_SECONDS, timeout_seconds))
        session.request = partial(session.request, timeout=limits)  # type: ignore[method-assign]

    def account(self) -> AccountView:
        """Paper accounts have numbers that begin with PA; live ones are digits (venues: third-party evidence)."""
        row = self._asked(lambda: self._client.get("/account"), dict)
        return _typed(
            lambda: AccountView(
                row["account_number"],
                row["account_number"].startswith("PA"),
                Decimal(row["equity"]),
                Decimal(row["cash"]),
                Decimal(row["last_equity"]),
                bool(row["trading_blocked"] or row["account_blocked"]),
                bool(row["trade_suspended_by_user"]),
            )
        )

    def key(self) -> KeyView:
        """A key has no scopes: it trades if the account may, and the Trading API cannot withdraw (venues 0.1)."""
        return KeyView(permissions=None, may_trade=not self.account().blocked, may_withdraw=False)

    def status(self) -> StatusView:
        """By the venue's clock: the regular session is open or closed."""
        row = self._asked(lambda: self._client.get("/clock"), dict)
        return _typed(lambda: StatusView("open" if _flag(row["is_open"]) else "closed", f"is_open {row['is_open']}"))

    def windows(self, begins: datetime, ends: datetime) -> Sequence[Window]:
        """One session per trading day of the venue's calendar, half days included."""
        first, last = (at.astimezone(NEW_YORK).date().isoformat() for at in (begins, ends))
        rows = self._asked(lambda: self._client.get("/calendar", {"start": first, "end": last}), list)
        found = [_typed(partial(_session, row)) for row in rows]
        return [window for window in found if window.ends > begins and window.begins < ends]

    def open_orders(self, newest_first: bool = True) -> Sequence[OrderView]:
        """All pages; an order is open until it is in a final state.

        The venue's bounds on time are exclusive and its times finer than ours: each page overlaps the one before it, so
        that no order at its edge is lost. Raises VenueError if the list cannot be read to its end.
        """
        found: dict[str, OrderView] = {}
        bound: dict[str, str] = {}
        while True:
            page = self._orders_page(newest_first, bound)
            fresh = [order for order in page if order.id not in found]
            found.update({order.id: order for order in fresh})
            if len(page) < ORDERS_PER_PAGE:
                return [order for order in found.values() if order.open]
            if not fresh:
                raise VenueError("Alpaca's list of open orders cannot be read to its end: too many at one instant")
            edge = page[-1].submitted_at
            bound = {"until": utc_text(edge + OVERLAP)} if newest_first else {"after": utc_text(edge - OVERLAP)}

    def _orders_page(self, newest_first: bool, bound: dict[str, str]) -> list[OrderView]:
        query = {
            "status": "open",
            "limit": ORDERS_PER_PAGE,
            "direction": "desc" if newest_first else "asc",
            **bound,
        }
        rows = self._asked(lambda: self._client.get("/orders", query), list)
        return [_typed(partial(_order, row)) for row in rows]

    def order(self, order_id: str) -> OrderView:
        """Raises VenueError if the venue does not know it."""
        return _typed(partial(_order, self._asked(lambda: self._client.get(f"/orders/{order_id}"), dict)))

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        """Open and closed orders alike."""
        try:
            row = self._asked(
                lambda: self._client.get("/orders:by_client_order_id", {"client_order_id": client_id}), dict
            )
        except VenueError as error:
            if error.status == 404:
                return None
            raise
        return _typed(partial(_order, row))

    def positions(self) -> Sequence[PositionView]:
        """Signed quantities."""
        rows = self._asked(lambda: self._client.get("/positions"), list)
        return [
            _typed(lambda row=row: PositionView(row["symbol"], Decimal(row["qty"]), Decimal(row["market_value"])))  # type: ignore[misc]
            for row in rows
        ]

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        """Account activities of type FILL, paged by the id of the last row."""
        found: dict[str, FillView] = {}
        token = None
        while True:
            query = {"page_size": FILLS_PER_PAGE, "direction": "asc", "after": utc_text(since)}
            query |= {"page_token": token} if token else {}
            rows = self._asked(lambda query=query: self._client.get("/account/activities/FILL", query), list)  # type: ignore[misc]
            for row in rows:
                found[row["id"]] = _typed(partial(_fill, row))
            if len(rows) < FILLS_PER_PAGE or token == rows[-1]["id"]:
                return list(found.values())
            token = rows[-1]["id"]

    def place(self, wish: OrderWish) -> OrderView:
        """A day order. Looks the client id up first; the venue itself refuses a second one (422)."""
        known = self.order_by_client_id(wish.client_id)
        return known or self._post(
            wish.client_id, wish.symbol, wish.side, wish.qty, type="limit", limit_price=str(wish.limit_price)
        )

    def _post(self, client_id: str, symbol: str, side: str, qty: Decimal, **more: str) -> OrderView:
        body = {"symbol": symbol, "qty": str(qty), "side": side, "time_in_force": "day", "client_order_id": client_id}
        try:
            row = self._asked(lambda: self._client.post("/orders", {**body, **more}), dict)
        except VenueError as error:
            # An id that exists already is refused with 422 (venues 2.6): then the order is there, and no refusal.
            known = self.order_by_client_id(client_id) if error.status == 422 else None
            if known is None:
                raise
            return known
        return _typed(partial(_order, row))

    def cancel(self, order_id: str) -> None:
        """DELETE /v2/orders/{id} answers without a body (204; 422 when it is too late), so the order itself is read."""
        try:
            self._asked(lambda: self._client.delete(f"/orders/{order_id}"), object)
        except VenueError as error:
            if error.status != 422:
                raise
        seen = self.order(order_id)
        if seen.open and seen.status != "pending_cancel":
            raise VenueError(f"Alpaca did not take the cancellation on: the order is {seen.status}")

    def cancel_all(self) -> int:
        """DELETE /v2/orders answers 207 with one status per order: accepted for cancellation, not cancelled."""
        return len(self._asked(lambda: self._client.delete("/orders"), list))

    def set_suspended(self, suspended: bool) -> None:
        """Read-modify-write of the whole configuration, since PATCH takes the whole object; read back."""
        config = self._asked(lambda: self._client.get("/account/configurations"), dict)
        config["suspend_trade"] = suspended
        self._asked(lambda: self._client.patch("/account/configurations", config), dict)
        if self.account().suspended != suspended:
            raise VenueError(f"suspend_trade was set to {suspended} but does not read back so")

    def set_dead_man(self, seconds: int | None) -> datetime | None:
        """Alpaca has none."""
        raise VenueError("Alpaca has no dead-man's switch")

    def close_position(self, position: PositionView, client_id: str) -> None:
        """Looks the client id up first, in open and closed orders: a second call sends nothing."""
        if self.order_by_client_id(client_id) is None:
            side = "sell" if position.qty > 0 else "buy"
            self._post(client_id, position.symbol, side, abs(position.qty), type="market")

    def _asked(self, call: Callable[[], Any], shape: type[Answer]) -> Answer:
        """The one place where alpaca-py's and requests' exceptions become ours."""
        try:
            answer = within(self._seconds, call)
        except TimeoutError:
            raise VenueError(f"Alpaca did not end its answer within {self._seconds:g} s") from None
        except APIError as error:
            raise _refusal(error.status_code, str(error)) from None
        except requests.RequestException as error:
            raise VenueError(f"Alpaca did not answer: {type(error).__name__}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise VenueError(f"Alpaca answered something else than JSON: {type(error).__name__}") from None
        if not isinstance(answer, shape):
            raise VenueError(f"Alpaca answered a {type(answer).__name__} where a {shape.__name__} was expected")
        return answer


def _refusal(status: int | None, body: str) -> VenueError:
    """A 404 is the venue's own only with its code (venues 2.5): a proxy's says nothing about an order."""
    try:
        own = status != 404 or "code" in json.loads(body)
    except (ValueError, TypeError):
        own = False
    if own:
        return VenueError(f"Alpaca refused: HTTP {status}", status=status)
    return VenueError("Alpaca did not answer: HTTP 404 without Alpaca's own body")


def _order(row: dict[str, Any]) -> OrderView:
    return OrderView(
        row["id"], row["client_order_id"], row["symbol"], row["side"], Decimal(row["qty"] or 0), row["status"],
        utc_time(row["submitted_at"]), row["status"] not in CLOSED, row.get("type") in PROTECTIVE,
    )  # fmt: skip


def _flag(value: object) -> bool:
    """A boolean and nothing that merely looks like one."""
    if not isinstance(value, bool):
        raise TypeError(type(value).__name__)
    return value


def _session(row: dict[str, Any]) -> Window:
    opens, closes = (
        datetime.fromisoformat(f"{row['date']}T{row[name]}").replace(tzinfo=NEW_YORK).astimezone(UTC)
        for name in ("open", "close")
    )
    return Window("session", opens, closes, f"{row['date']} {row['open']} to {row['close']} New York")


def _fill(row: dict[str, Any]) -> FillView:
    return FillView(
        row["id"], row["order_id"], row["symbol"], row["side"], Decimal(row["qty"]), Decimal(row["price"]),
        utc_time(row["transaction_time"]),
    )  # fmt: skip


def _typed(build: Callable[[], Answer]) -> Answer:
    try:
        return build()
    except (KeyError, TypeError, ValueError, InvalidOperation, AttributeError) as error:
        raise VenueError(f"Alpaca's answer lacks what it should hold: {type(error).__name__}") from None
