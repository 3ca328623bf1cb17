"""The brakes at Alpaca, over plain HTTP: no client library to import, none to hang in.

Facts: DELETE /v2/orders answers 207 and proves nothing (alpaca-py trading/client.py); `suspend_trade` in the account's
configurations refuses new orders and outlives us; it takes the whole object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ops.web import NoAnswer, ask

CALL_MAX_SECONDS = 4.0
CLOSED = ("filled", "canceled", "expired", "replaced", "rejected")


class VenueSilent(Exception):
    """The venue's answer proves nothing."""


class AlpacaBrake:
    """One account."""

    def __init__(self, endpoint: str, key: str, secret: str) -> None:
        self._base = endpoint.rstrip("/") + "/v2"
        self._headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}

    def suspend(self) -> None:
        """The venue itself refuses new orders from now on; read back."""
        config = self._ask("GET", "/account/configurations", dict)
        if config.get("suspend_trade") is not True:
            self._ask("PATCH", "/account/configurations", dict, {**config, "suspend_trade": True})
        if self._ask("GET", "/account/configurations", dict).get("suspend_trade") is not True:
            raise VenueSilent("suspend_trade does not read back as set")

    def cancel_all(self) -> list[str]:
        """Asks; the venue cancels when it does. The ids it took on: its answer knows orders that a list may hide."""
        rows = self._ask("DELETE", "/orders", list)
        return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]

    def account(self) -> str:
        """The account number behind the key."""
        return str(self._ask("GET", "/account", dict).get("account_number"))

    def open_orders(self, newest_first: bool) -> list[Mapping[str, Any]]:
        """One page of 500 from one end; more than that is never zero."""
        direction = "desc" if newest_first else "asc"
        rows = self._ask("GET", f"/orders?status=open&limit=500&direction={direction}", list)
        if not all(isinstance(row, dict) and "id" in row and "status" in row for row in rows):
            raise VenueSilent("the list of orders has an unknown shape")
        return [row for row in rows if row["status"] not in CLOSED]

    def order(self, order: str) -> Mapping[str, Any]:
        """One order, looked up by its id."""
        row: Mapping[str, Any] = self._ask("GET", f"/orders/{order}", dict)
        return row

    def positions(self) -> Sequence[str]:
        """Each position as `AAPL 1.5`."""
        return [f"{row.get('symbol')} {row.get('qty')}" for row in self._ask("GET", "/positions", list)]

    def _ask(self, method: str, path: str, shape: type, body: Any = None) -> Any:
        try:
            status, document = ask(method, self._base + path, self._headers, body, CALL_MAX_SECONDS)
        except NoAnswer as error:
            raise VenueSilent(f"no answer to {method} {path.split('?')[0]} ({error})") from None
        if status not in (200, 207) or not isinstance(document, shape):
            raise VenueSilent(f"{method} {path.split('?')[0]} answered HTTP {status}")
        return document
