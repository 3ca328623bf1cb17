"""Alpaca through alpaca-py, with deadlines that the library lacks and without its silent re-posts.

alpaca-py 0.44 sets no HTTP timeout and re-sends every verb, POST included, on 429 and 504 (common/rest.py): both are
taken away here. Its `APIError` parses the body on access and fails on HTML, so the status is read first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient

from ops.errors import VenueError
from ops.model.canonical import utc_text, utc_time
from ops.secrets import Credentials
from ops.venues.protocol import CLOSED, AccountView, FillView, OrderView, PositionView

Answer = TypeVar("Answer")
CONNECT_MAX_SECONDS, READ_MAX_SECONDS = 3.05, 8.0
ANSWER_MAX_SECONDS = 10.0  # the whole exchange: a read's own limit starts anew with every byte
ORDERS_PER_PAGE, FILLS_PER_PAGE = 500, 100
OVERLAP = timedelta(microseconds=1)


class Alpaca:
    """One Alpaca account at one endpoint. Satisfies VenueReader and VenueActor."""

    def __init__(self, endpoint: str, credentials: Credentials) -> None:
        key, secret = credentials.values()
        self._client = TradingClient(key, secret, raw_data=True, url_override=endpoint)
        self._client._retry = 0
        session = self._client._session
        session.trust_env = False  # no proxy of the operator's shell may see credentials
        session.request = partial(session.request, timeout=(CONNECT_MAX_SECONDS, READ_MAX_SECONDS))  # type: ignore[method-assign]

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
                return [order for order in found.values() if order.status not in CLOSED]
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

    def close_position(self, position: PositionView, client_id: str) -> None:
        """Looks the client id up first, in open and closed orders: a second call sends nothing."""
        if self.order_by_client_id(client_id) is None:
            side = "sell" if position.qty > 0 else "buy"
            body = {
                "symbol": position.symbol, "qty": str(abs(position.qty)), "side": side, "type": "market",
                "time_in_force": "day", "client_order_id": client_id,
            }  # fmt: skip
            self._asked(lambda: self._client.post("/orders", body), dict)

    def _asked(self, call: Callable[[], Any], shape: type[Answer]) -> Answer:
        """The one place where alpaca-py's and requests' exceptions become ours."""
        try:
            answer = _within(ANSWER_MAX_SECONDS, call)
        except TimeoutError:
            raise VenueError(f"Alpaca did not end its answer within {ANSWER_MAX_SECONDS:.0f} s") from None
        except APIError as error:
            raise VenueError(f"Alpaca refused: HTTP {error.status_code}", status=error.status_code) from None
        except requests.RequestException as error:
            raise VenueError(f"Alpaca did not answer: {type(error).__name__}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise VenueError(f"Alpaca answered something else than JSON: {type(error).__name__}") from None
        if not isinstance(answer, shape):
            raise VenueError(f"Alpaca answered a {type(answer).__name__} where a {shape.__name__} was expected")
        return answer


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What `call` returns or raises. Raises TimeoutError when the time is up; the call is left to itself then."""
    ended: Future[Any] = Future()

    def work() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:
            ended.set_exception(error)

    Thread(target=work, daemon=True).start()
    return ended.result(timeout=seconds)


def _order(row: dict[str, Any]) -> OrderView:
    return OrderView(
        row["id"], row["client_order_id"], row["symbol"], row["side"], Decimal(row["qty"] or 0), row["status"],
        utc_time(row["submitted_at"]),
    )  # fmt: skip


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
