"""Kalshi as adapter and brake both ask it: one signed exchange, whole lists, cancels, order groups.

No client library: the published ones speak the order paths that answer 410 since June 2026 (venues.md 4.4). A request
is signed with RSA-PSS over timestamp, method and path (4.2), its body is not: beyond loopback use https only.

The private key travels as one line: base64 of its PKCS#8 DER, which is the PEM of the venue's site without its first
and last line and its line breaks (for a PKCS#1 PEM: `openssl pkcs8 -topk8 -nocrypt -outform DER | base64 -w0`).

Seen by several public clients, not in venues.md: `DELETE /portfolio/events/orders` cancels everything (since 27 August
2026, answers 204; 404 on the demo exchange once); cancels route by `market_ticker`; a group's `is_auto_cancel_enabled`
is true while it is triggered; `GET /communications/id` names the user behind a key.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ops.secrets import Credentials
from ops.web import NoAnswer, ask

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ROOT = "/trade-api/v2"
ORDERS, GROUPS = "/portfolio/events/orders", "/portfolio/order_groups"
CLOSED = frozenset({"canceled", "executed"})
"""States an order never leaves; any other word counts as open."""
PAGE, PAGES_MAX = 500, 200
BATCH = 20
"""Cancels in one request: two tokens each of the 100 that the basic tier writes in a second (venues.md 4.8)."""
GROUP_CONTRACTS = 1000
"""Contracts that a group made by us may fill within 15 seconds before the venue triggers it by itself."""
_WORD = re.compile(r"[a-zA-Z0-9_]{1,64}")

Row = Mapping[str, Any]


class Unanswered(Exception):
    """What came back proves nothing, or is a refusal: `status` if there was one, `code` in the venue's own word."""

    def __init__(self, text: str, status: int | None = None, code: str = "") -> None:
        super().__init__(text)
        self.status, self.code = status, code


class KalshiClient:
    """One key at one address. Each exchange ends within `seconds`; nothing is asked twice.

    `clock` gives nanoseconds of wall time: the venue takes a signature for a few seconds only.
    """

    def __init__(
        self, endpoint: str, credentials: Credentials, seconds: float, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._base = endpoint.rstrip("/").removesuffix(ROOT)
        self._credentials = credentials
        self._seconds = seconds
        self._clock = clock

    @property
    def key_id(self) -> str:
        return self._credentials.part("key")

    # one exchange

    def public(self, path: str) -> tuple[int, Row]:
        """Status and document of an unsigned GET, whatever the status. Raises Unanswered without a document."""
        status, document = self._exchanged("GET", path, "", {}, None)
        if not isinstance(document, dict):
            raise Unanswered(f"GET {path} answered HTTP {status} without a document", status)
        return status, document

    def ask(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Row:
        """The document of a signed request that succeeded, {} for HTTP 204. Raises Unanswered."""
        text = f"?{urlencode(query)}" if query else ""
        status, document = self._exchanged(method, path, text, self._signed(method, path), body)
        if status == 204 and document is None:
            return {}
        if not 200 <= status < 300:
            code = _code(document)
            raise Unanswered(f"{method} {path} answered HTTP {status} {code}".rstrip(), status, code)
        if not isinstance(document, dict):
            raise Unanswered(f"{method} {path} answered HTTP {status} without a document")
        return document

    def _exchanged(self, method: str, path: str, query: str, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
        try:
            return ask(method, f"{self._base}{ROOT}{path}{query}", headers, body, self._seconds)
        except NoAnswer as error:
            raise Unanswered(f"no answer to {method} {path} ({error})") from None

    def _signed(self, method: str, path: str) -> dict[str, str]:
        """The three headers; the query is not part of what is signed."""
        from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
        from cryptography.hazmat.primitives.hashes import SHA256

        private = _private_key(self._credentials.part("secret"))
        timestamp = str(self._clock() // 1_000_000)
        text = f"{timestamp}{method}{ROOT}{path}".encode()
        signature = private.sign(text, PSS(mgf=MGF1(SHA256()), salt_length=32), SHA256())
        return {
            "KALSHI-ACCESS-KEY": self.key_id,
            "KALSHI-ACCESS-TIMESTAMP": timestamp,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }

    def whole(self, path: str, field: str, identity: str, query: Mapping[str, Any] | None = None) -> list[Row]:
        """Every row of a list, all pages. Raises Unanswered rather than show a part.

        A cursor that the venue no longer knows is answered with 200 and nothing (venues.md 4.3): an empty page where
        more was promised is no end.
        """
        rows: dict[str, Row] = {}
        cursor = ""
        for _ in range(PAGES_MAX):
            page, following = self._page(path, field, {**(query or {}), **({"cursor": cursor} if cursor else {})})
            if (cursor and not page) or not all(row.get(identity) for row in page):
                break
            rows.update({str(row[identity]): row for row in page})
            if not following:
                return list(rows.values())
            cursor = following
        raise Unanswered(f"the list {path} cannot be read to its end")

    def _page(self, path: str, field: str, query: Mapping[str, Any]) -> tuple[Sequence[Row], str]:
        document = self.ask("GET", path, {**query, "limit": PAGE})
        page, cursor = document.get(field), document.get("cursor")
        if not isinstance(page, list) or not isinstance(cursor, str) or not all(isinstance(row, dict) for row in page):
            raise Unanswered(f"the list {path} has an unknown shape")
        return page, cursor

    # what both ask

    def number(self) -> str:
        """What stands for an account number: the communications id, one per user (Kalshi docs)."""
        number = self.ask("GET", "/communications/id").get("communications_id")
        if not isinstance(number, str) or not number:
            raise Unanswered("the account has no communications id")
        return number

    def resting(self, newest_first: bool = True) -> list[Row]:
        """Every order that could still trade.

        The list has no direction. From the oldest, a second look is taken without the venue's own filter on the
        status: one page of the latest orders, whatever they are. If the two disagree, the list is not to be trusted.
        """
        rows = {str(row["order_id"]): row for row in self.whole("/portfolio/orders", "orders", "order_id", _RESTING)}
        if not newest_first:
            latest, _ = self._page("/portfolio/orders", "orders", {})
            rows.update({str(row.get("order_id")): row for row in latest})
        found = [row for row in rows.values() if row.get("status") not in CLOSED]
        return sorted(found, key=lambda row: str(row.get("created_time")), reverse=newest_first)

    def order(self, order_id: str) -> Row:
        """One order by the venue's id. Raises Unanswered, with status 404 if the venue does not know it."""
        row = self.ask("GET", f"/portfolio/orders/{order_id}").get("order")
        if not isinstance(row, dict):
            raise Unanswered("an order without its document")
        return row

    def cancel_each(self, rows: Sequence[Row]) -> list[str]:
        """Asks for the cancellation of each; the ids that the venue took on. Gone already is no failure (404).

        Raises Unanswered if one of them was refused, after the rest was asked for too.
        """
        taken, refused = [], ""
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            wanted = [{"order_id": row["order_id"], "market_ticker": row.get("ticker")} for row in some]
            answer = self.ask("DELETE", f"{ORDERS}/batched", body={"orders": wanted}).get("orders")
            for item in answer if isinstance(answer, list) else [{}]:
                error = item.get("error") if isinstance(item, dict) else None
                if error is None and isinstance(item, dict) and "order_id" in item:
                    taken.append(str(item["order_id"]))
                elif not _code({"error": error}).endswith("not_found"):
                    refused = _code({"error": error}) or "an unknown shape"
        if refused:
            raise Unanswered(f"not every cancel was taken: {refused}")
        return taken

    def groups(self) -> dict[str, bool]:
        """Every order group of the account, and whether it is triggered."""
        rows = self.ask("GET", GROUPS).get("order_groups")
        if not isinstance(rows, list):
            raise Unanswered("the list of order groups has an unknown shape")
        try:
            return {str(row["id"]): _flag(row["is_auto_cancel_enabled"]) for row in rows}
        except (KeyError, TypeError):
            raise Unanswered("the list of order groups has an unknown shape") from None

    def latch(self, triggered: bool) -> None:
        """Triggers or resets every group, and reads it back. Raises Unanswered if it does not read so.

        An account without a group gets one to trigger: whoever trades there takes the group that exists. A group binds
        only the orders that name it.
        """
        groups = self.groups()
        if triggered and not groups:
            self.ask("POST", f"{GROUPS}/create", body={"contracts_limit": GROUP_CONTRACTS})
            groups = self.groups()
        for group, is_triggered in groups.items():
            if is_triggered != triggered:
                # The venue wants a JSON body even though it takes nothing from it.
                self.ask("PUT", f"{GROUPS}/{group}/{'trigger' if triggered else 'reset'}", body={})
        seen = self.groups()
        if set(seen.values()) - {triggered} or (triggered and not seen):
            raise Unanswered(f"order groups do not read back as {'triggered' if triggered else 'reset'}")


_RESTING = {"status": "resting"}


@lru_cache(maxsize=8)
def _private_key(secret: str) -> RSAPrivateKey:
    """The RSA key behind a secret; kept, since checking it takes longer than all else. Raises Unanswered if it is none;
    the text holds nothing of it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        loaded = load_der_private_key(base64.b64decode(secret, validate=True), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        loaded = None
    if not isinstance(loaded, RSAPrivateKey):
        raise Unanswered("the secret is not an RSA private key: expected base64 of PKCS#8 DER on one line")
    return loaded


def _code(document: Any) -> str:
    """The venue's own word for an error, from any of its three shapes (venues.md 4.5); nothing but a word."""
    error = document.get("error", document) if isinstance(document, dict) else None
    word = error.get("code") if isinstance(error, dict) else None
    return word if isinstance(word, str) and _WORD.fullmatch(word) else ""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
