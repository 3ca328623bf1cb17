"""The brake at Polymarket, over plain HTTP: L2 credentials sign with an HMAC, so no client library and no wallet.

Facts (venues 5.2, 5.4): five POLY headers; the signature covers time, verb, path without query, and body; DELETE
/cancel-all names the orders that it cancelled, which is no proof; lists are paged by cursor; positions are public, in
the data API. The venue has no halt of its own: an order may come after the cancel, from whoever holds the wallet.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from ops.kill.brake import CALL_MAX_SECONDS, Seen, VenueSilent
from ops.secrets import Credentials
from ops.web import NoAnswer, ask

CLOSED = ("MATCHED", "CANCELED", "CANCELED_MARKET_RESOLVED", "INVALID", "EXPIRED")
PAGES_MAX = 100
POSITIONS_PER_PAGE = 500
_FIRST, _END = "MA==", "LTE="


class PolymarketBrake:
    """One wallet; `account` is its address."""

    halt_name = ""

    def __init__(self, endpoint: str, account: str, kill: Credentials | None, observer: Credentials | None) -> None:
        self._base, self._account = endpoint.rstrip("/"), account
        self._kill, self._observer = kill or observer, observer or kill

    def account(self) -> str:
        """The venue lets a key in for its own wallet only, and lists that wallet's keys."""
        listed = self._ask("GET", "/auth/api-keys", self._kill, dict).get("apiKeys")
        ids = (
            [row.get("apiKey") if isinstance(row, dict) else row for row in listed] if isinstance(listed, list) else []
        )
        if self._kill is None or self._kill.part("key") not in ids:
            raise VenueSilent("the venue lists the keys of another wallet")
        return self._account

    def halt(self) -> None:
        """There is none."""
        raise VenueSilent("Polymarket has no halt of its own")

    def cancel_all(self) -> Sequence[str]:
        """The ids that the venue says it cancelled."""
        named = self._ask("DELETE", "/cancel-all", self._kill, dict).get("canceled")
        if not isinstance(named, list):
            raise VenueSilent("the answer to the cancel names no orders")
        return [str(order) for order in named]

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        """All pages. The venue lists in an order of its own; it is put in time's order here."""
        rows: dict[str, dict[str, Any]] = {}
        cursor = _FIRST
        for _ in range(PAGES_MAX):
            page = self._ask("GET", "/data/orders", self._observer, dict, f"?next_cursor={quote(cursor, safe='')}")
            following = page.get("next_cursor")
            if not isinstance(page.get("data"), list) or not isinstance(following, str) or following == cursor:
                raise VenueSilent("the list of orders has an unknown shape")
            rows.update({self._own(row)["id"]: row for row in page["data"]})
            if following == _END:
                seen = sorted(rows.values(), key=lambda row: str(row.get("created_at")), reverse=newest_first)
                return [order for order in map(_seen, seen) if order.open]
            cursor = following
        raise VenueSilent(f"the list of orders has more than {PAGES_MAX} pages")

    def order(self, order_id: str) -> Seen:
        """By its hash."""
        row = self._own(self._ask("GET", f"/data/order/{order_id}", self._observer, dict))
        if row["id"] != order_id:
            raise VenueSilent("the venue answered about another order")
        return _seen(row)

    def positions(self) -> Sequence[str]:
        """Of the pinned wallet, whatever the credentials: the data API asks for none."""
        found: list[str] = []
        for _ in range(PAGES_MAX):
            query = f"?user={self._account}&sizeThreshold=0&limit={POSITIONS_PER_PAGE}&offset={len(found)}"
            rows = self._answered("GET", _data_api(self._base) + "/positions" + query, {}, "/positions", list)
            if not all(isinstance(row, dict) and _same(row.get("proxyWallet"), self._account) for row in rows):
                raise VenueSilent("the list of positions is not this wallet's")
            found += [f"{row.get('asset')} {row.get('size')}" for row in rows]
            if len(rows) < POSITIONS_PER_PAGE:
                return found
        raise VenueSilent(f"the list of positions has more than {PAGES_MAX} pages")

    def _own(self, row: Any) -> dict[str, Any]:
        known = isinstance(row, dict) and {"id", "status"} <= row.keys()
        if not known or not _same(row.get("maker_address"), self._account):
            raise VenueSilent("the venue shows an order that is not of this wallet, or in an unknown shape")
        found: dict[str, Any] = row
        return found

    def _ask(self, method: str, path: str, credentials: Credentials | None, shape: type, query: str = "") -> Any:
        if credentials is None:
            raise VenueSilent("there are no credentials to ask with")
        headers = _signed(self._account, credentials, f"{method}{path}")
        return self._answered(method, self._base + path + query, headers, path, shape)

    def _answered(self, method: str, url: str, headers: dict[str, str], path: str, shape: type) -> Any:
        try:
            status, document = ask(method, url, headers, None, CALL_MAX_SECONDS)
        except NoAnswer as error:
            raise VenueSilent(f"no answer to {method} {path} ({error})") from None
        if status != 200 or not isinstance(document, shape):
            raise VenueSilent(f"{method} {path} answered HTTP {status}", refused=status in (401, 403))
        return document


def _signed(account: str, credentials: Credentials, request: str) -> dict[str, str]:
    """The five headers of a request without a body."""
    now = str(int(time.time()))
    try:
        secret = base64.urlsafe_b64decode(credentials.part("secret"))
    except ValueError:
        raise VenueSilent("the API secret is not base64") from None
    mac = hmac.new(secret, f"{now}{request}".encode(), hashlib.sha256).digest()
    return {
        "POLY_ADDRESS": account,
        "POLY_API_KEY": credentials.part("key"),
        "POLY_PASSPHRASE": credentials.part("passphrase"),
        "POLY_TIMESTAMP": now,
        "POLY_SIGNATURE": base64.urlsafe_b64encode(mac).decode(),
    }


def _seen(row: dict[str, Any]) -> Seen:
    status = str(row["status"]).upper().removeprefix("ORDER_STATUS_")
    name = f"{row.get('owner')}:{row['id']}"
    side, qty = str(row.get("side")).lower(), str(row.get("original_size"))
    return Seen(str(row["id"]), name, str(row.get("asset_id")), side, qty, status.lower(), status not in CLOSED)


def _same(address: object, account: str) -> bool:
    return isinstance(address, str) and address.lower() == account.lower()


def _data_api(endpoint: str) -> str:
    """The venue keeps it on a host of its own (venues 5.1); anywhere else it is on the same listener."""
    parts = urlsplit(endpoint)
    if not parts.netloc.startswith("clob."):
        return endpoint
    return urlunsplit(parts._replace(netloc="data-api" + parts.netloc.removeprefix("clob")))
