"""The brake at Alpaca, over plain HTTP: no client library to import, none to hang in.

Facts (venues 2.3, 2.7): DELETE /v2/orders answers 207 with the ids it took on, and proves nothing; `suspend_trade` in
the account's configurations refuses new orders and outlives us; PATCH takes the whole object; a list has at most 500
rows, and its bounds on time are exclusive. One key per account, without scopes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from ops.errors import InputError
from ops.kill.brake import CALL_MAX_SECONDS, Seen, VenueSilent
from ops.secrets import Credentials
from ops.web import NoAnswer, ask

CLOSED = ("filled", "canceled", "expired", "replaced", "rejected")
PROTECTIVE = ("stop", "stop_limit", "trailing_stop")
PAGE_ROWS, PAGES_MAX = 500, 10
OVERLAP = timedelta(microseconds=1)


class AlpacaBrake:
    """One account."""

    halt_name = "suspend_trade"

    def __init__(self, endpoint: str, account: str, kill: Credentials | None, observer: Credentials | None) -> None:
        acting, reading = kill or observer, observer or kill
        if acting is None or reading is None:
            raise InputError(f"account {account} cannot be reached without credentials")
        self._base = endpoint.rstrip("/") + "/v2"
        self._acting, self._reading = _headers(acting), _headers(reading)

    def account(self) -> str:
        """The account number behind the key."""
        return str(self._read("/account", dict).get("account_number"))

    def halt(self) -> None:
        """Read, change, read back."""
        config = self._read("/account/configurations", dict)
        if config.get("suspend_trade") is True:
            return
        self._ask("PATCH", "/account/configurations", dict, self._acting, {**config, "suspend_trade": True})
        if self._read("/account/configurations", dict).get("suspend_trade") is not True:
            raise VenueSilent("suspend_trade does not read back as set")

    def cancel_all(self) -> Sequence[str]:
        """The ids that the venue took on: its answer knows orders that a list may hide."""
        rows = self._ask("DELETE", "/orders", list, self._acting)
        return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        """All pages; each overlaps the one before it, so that no order at its edge is lost."""
        found: dict[str, Seen] = {}
        bound = ""
        for _ in range(PAGES_MAX):
            rows = self._rows(f"status=open&direction={'desc' if newest_first else 'asc'}{bound}")
            fresh = [row for row in rows if row["id"] not in found]
            found.update({row["id"]: _seen(row) for row in fresh})
            if len(rows) < PAGE_ROWS:
                return [seen for seen in found.values() if seen.open]
            if not fresh:
                break
            bound = _bound(rows[-1], newest_first)
        raise VenueSilent("the list of open orders cannot be read to its end")

    def order(self, order_id: str) -> Seen:
        """By its id, in whatever state."""
        return _seen(_row(self._read(f"/orders/{quote(order_id, safe='')}", dict)))

    def ended(self, order_ids: Collection[str]) -> Collection[str]:
        """By the newest page of closed orders; one that was placed before those is not named."""
        rows = self._rows("status=closed&direction=desc")
        return [row["id"] for row in rows if row["id"] in order_ids and row["status"] in CLOSED]

    def positions(self) -> Sequence[str]:
        """Signed quantities: a short one is negative."""
        return [f"{row.get('symbol')} {row.get('qty')}" for row in self._read("/positions", list)]

    def _rows(self, query: str) -> list[Mapping[str, Any]]:
        return [_row(row) for row in self._read(f"/orders?limit={PAGE_ROWS}&{query}", list)]

    def _read(self, path: str, shape: type) -> Any:
        return self._ask("GET", path, shape, self._reading)

    def _ask(self, method: str, path: str, shape: type, headers: Mapping[str, str], body: Any = None) -> Any:
        what = f"{method} {path.split('?')[0]}"
        try:
            status, document = ask(method, self._base + path, headers, body, CALL_MAX_SECONDS)
        except NoAnswer as error:
            raise VenueSilent(f"no answer to {what} ({error})") from None
        if status not in (200, 207) or not isinstance(document, shape):
            raise VenueSilent(f"{what} answered HTTP {status}", refused=status in (401, 403))
        return document


def _headers(credentials: Credentials) -> Mapping[str, str]:
    key, secret = credentials.values()
    return {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}


def _row(row: Any) -> Mapping[str, Any]:
    if not (isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("status"), str)):
        raise VenueSilent("an order has an unknown shape")
    return row


def _seen(row: Mapping[str, Any]) -> Seen:
    name, symbol, side, qty = (str(row.get(key) or "") for key in ("client_order_id", "symbol", "side", "qty"))
    is_open, protective = row["status"] not in CLOSED, row.get("type") in PROTECTIVE
    return Seen(row["id"], name, symbol, side, qty, row["status"], is_open, protective)


def _bound(row: Mapping[str, Any], newest_first: bool) -> str:
    try:
        edge = datetime.fromisoformat(str(row["submitted_at"]).replace("Z", "+00:00"))
    except (KeyError, ValueError):
        raise VenueSilent("an order has an unknown shape") from None
    name, instant = ("until", edge + OVERLAP) if newest_first else ("after", edge - OVERLAP)
    return f"&{name}={quote(instant.isoformat())}"
