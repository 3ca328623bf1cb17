"""py-clob-client-v2 over our own transport: a deadline for each whole exchange, JSON or an error, pages that end.

The library (1.2.1) shares one HTTP client among all instances, honours proxies, returns a body that is not JSON as
text, follows a cursor for ever, and after a fill polls up to 30 s for transaction hashes. It sends every request
through `_get`, `_post` and `_delete`; here those are ours.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from py_clob_client_v2 import ApiCreds, ClobClient

from ops.errors import InputError, VenueError
from ops.secrets import Credentials
from ops.venues.deadline import within

CHAIN_ID = 137
CONNECT_MAX_SECONDS = 3.05
PAGES_MAX = 500
_FIRST = "MA=="
# What the venue's refusals say that matters to us (docs: error codes); nothing else of a body is ever repeated.
_SAYINGS = (
    "order_version_mismatch", "Duplicated", "not enough balance", "tick size", "lower than the minimum",
    "cancel-only", "post-only", "currently disabled", "closed only mode", "deposit wallet", "invalid signature",
    "API KEY", "no orders found to match", "fully filled", "Invalid Heartbeat", "Invalid api key",
)  # fmt: skip


class Refused(VenueError):
    """The venue answered with another status than 200; `body` is its JSON, for the one answer that has a use for it."""

    def __init__(self, status: int, body: Any, text: str) -> None:
        said = next((f" ({saying})" for saying in _SAYINGS if saying in text), "")
        super().__init__(f"Polymarket refused: HTTP {status}{said}", status=status)
        self.body = body


class Watcher:
    """Stands where the library wants a signer when only an address is known: L2 requests need no wallet."""

    def __init__(self, address: str) -> None:
        self._address = address

    def address(self) -> str:
        return self._address

    def get_chain_id(self) -> int:
        return CHAIN_ID


class Client(ClobClient):  # type: ignore[misc, unused-ignore]
    """The library's client for one set of credentials. Raises VenueError for every answer that proves nothing."""

    def __init__(self, endpoint: str, account: str, credentials: Credentials, timeout_seconds: float) -> None:
        parts = (credentials.part(name) for name in ("key", "secret", "passphrase"))
        super().__init__(endpoint, CHAIN_ID, creds=ApiCreds(*parts))
        self.signer = Watcher(account)
        self._seconds = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy of the operator's shell may see credentials
        self._pages = 0

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def fetch(self, url: str, query: dict[str, str]) -> Any:
        """A public GET at another address: the data API."""
        return self._exchange("GET", url, None, None, query)

    def _get(self, endpoint: str, headers: Any = None, params: dict[str, Any] | None = None) -> Any:
        answer = self._exchange("GET", endpoint, headers, None, params)
        if params and "next_cursor" in params:
            self._mind_the_page(params["next_cursor"], answer)
        return answer

    def _post(self, endpoint: str, headers: Any = None, data: Any = None, params: Any = None) -> Any:
        return self._exchange("POST", endpoint, headers, data, params)

    def _delete(self, endpoint: str, headers: Any = None, data: Any = None, params: Any = None) -> Any:
        return self._exchange("DELETE", endpoint, headers, data, params)

    def _resolve_transactions_hashes(self, response: Any) -> Any:
        """Not waited for: what an order did is asked of the order itself."""
        return response

    def _mind_the_page(self, cursor: str, answer: Any) -> None:
        """A page without rows and cursor, or a cursor that leads nowhere, must not end or prolong a list."""
        self._pages = 1 if cursor == _FIRST else self._pages + 1
        sound = isinstance(answer, dict) and isinstance(answer.get("data"), list)
        following = answer.get("next_cursor") if sound else None
        if not isinstance(following, str) or following == cursor or self._pages > PAGES_MAX:
            raise VenueError("Polymarket's list cannot be read to its end")

    def _exchange(self, method: str, url: str, headers: Any, data: Any, query: Any) -> Any:
        """One request, sent once."""
        body = data if data is None or isinstance(data, str) else json.dumps(data)
        sent = {**(headers or {}), "Content-Type": "application/json"}
        bounds = (min(CONNECT_MAX_SECONDS, self._seconds), self._seconds)
        request = partial(self._session.request, method, url, query, body, sent, timeout=bounds, allow_redirects=False)
        try:
            return _read(within(self._seconds, request))
        except TimeoutError:
            raise VenueError(f"Polymarket did not end its answer within {self._seconds:g} s") from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise VenueError(f"Polymarket did not answer: {type(error).__name__}") from None


class Beat:
    """The heartbeat as one door sends it: each answer names the id that the next one must bring."""

    def __init__(self) -> None:
        self._id = ""

    def send(self, client: Client) -> None:
        """Begin or renew it; a timer that somebody else began is taken over, since the refusal names its id."""
        try:
            answer = client.post_heartbeat(self._id)
        except Refused as error:
            if error.status != 400 or not isinstance(error.body, dict) or "heartbeat_id" not in error.body:
                raise
            answer = client.post_heartbeat(str(error.body["heartbeat_id"]))
        if not isinstance(answer, dict) or not isinstance(answer.get("heartbeat_id"), str):
            raise VenueError("Polymarket did not confirm the heartbeat")
        self._id = answer["heartbeat_id"]


def _read(response: requests.Response) -> Any:
    try:
        document = response.json(parse_float=Decimal)
    except ValueError:
        if response.status_code == 200:
            raise VenueError("Polymarket answered something else than JSON") from None
        document = None
    if response.status_code != 200:
        raise Refused(response.status_code, document, response.text if document is not None else "")
    return document


def data_api(endpoint: str) -> str:
    """The data API's address: a host of its own at the venue (venues 5.1), the same listener anywhere else."""
    parts = urlsplit(endpoint)
    if not parts.netloc.startswith("clob."):
        return endpoint
    return urlunsplit(parts._replace(netloc="data-api" + parts.netloc.removeprefix("clob")))


def has_wallet(credentials: Credentials | None) -> bool:
    """Whether they can sign orders."""
    try:
        return credentials is not None and bool(credentials.part("wallet"))
    except InputError:
        return False
