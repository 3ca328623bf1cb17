"""One Kraken key through ccxt's raw methods: own deadline, no rate-limiter sleep, no market loading, no retries.

Every trap of venues.md section 3 that lies in the library is wrapped here: ccxt's classes hide Kraken's own strings
(an invalid signature is a plain ExchangeError), so the strings are read before ccxt maps them; its nonce is unique per
instance only, so the process has one per key; `set_sandbox_mode` raises and leaves the live address in place, so it is
never called, and the address is compared before every call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import ccxt

from ops.errors import VenueError
from ops.secrets import Credentials
from ops.venues.deadline import within

Answer = TypeVar("Answer")
NONCE_TRIES = 4
_STATUS: tuple[tuple[str, int], ...] = (
    ("EAPI:Invalid key", 401),
    ("EAPI:Invalid signature", 401),
    ("EGeneral:Permission denied", 403),
    ("ETrade:User Locked", 403),
    ("EOrder:Unknown order", 404),
    ("EAPI:Rate limit exceeded", 429),
    ("EOrder:Rate limit exceeded", 429),
    ("EGeneral:Too many requests", 429),
    ("EGeneral:Temporary lockout", 429),
    ("EService:Throttled", 429),
    ("EGeneral:Internal error", 500),
    ("EService:", 503),
    ("EAPI:Invalid nonce", 409),
)
"""Kraken refuses under HTTP 200; to our callers a refusal has the status that other venues give it."""
_REFUSED = 400
_nonces: dict[str, int] = {}
_nonces_lock = Lock()


class _Said(Exception):
    """Kraken's answer was not a result: its HTTP status, and its E-strings if it sent any."""

    def __init__(self, code: int, errors: tuple[str, ...]) -> None:
        super().__init__(code, errors)
        self.code, self.errors = code, errors

    def status(self) -> int | None:
        """Of the first string that is known; 400 for another refusal; the HTTP status where there is no string."""
        if not self.errors:
            return self.code if self.code != 200 else None
        return next((status for start, status in _STATUS if self.errors[0].startswith(start)), _REFUSED)


class _Kraken(ccxt.kraken):  # type: ignore[misc]
    """ccxt's Kraken with two of its own hooks taken: the reading of errors, and the nonce."""

    # It logs each request with key and signature, which `invoke -d` would show. This logger belongs to nobody.
    logger = logging.Logger("ccxt", logging.CRITICAL)

    def handle_errors(self, code: int, reason: str, *rest: Any) -> None:
        """Called by ccxt with every answer; `rest[4]` is its JSON, None if it has none."""
        document = rest[4]
        errors = document.get("error") if isinstance(document, dict) else None
        if code != 200 or errors != []:
            raise _Said(code, tuple(str(error)[:200] for error in errors or ()))

    def incrementing_nonce(self) -> int:
        """ms, as ccxt has them, but strictly increasing for all instances of this process that share the key."""
        with _nonces_lock:
            nonce = max(self.nonce(), _nonces.get(self.apiKey, 0) + 1)
            _nonces[self.apiKey] = nonce
        return int(nonce)


class KrakenClient:
    """Raises VenueError for everything that is not the result that was asked for; no secret is in it."""

    def __init__(self, endpoint: str, credentials: Credentials, timeout_seconds: float) -> None:
        key, secret = credentials.values()
        self._endpoint, self._timeout = endpoint.rstrip("/"), timeout_seconds
        self._ccxt = _Kraken(
            {
                "apiKey": key,
                "secret": secret,
                "timeout": int(timeout_seconds * 1000),
                "enableRateLimit": False,
                "urls": {"api": {"public": self._endpoint, "private": self._endpoint}},
            }
        )
        self._ccxt.session.trust_env = False  # no proxy of the operator's shell may see credentials
        self._ccxt.session.max_redirects = 0  # nor may another host

    def public(self, method: str, shape: type[Answer], params: Mapping[str, str] | None = None) -> Answer:
        """The result of `GET /0/public/<method>`."""
        return self._asked(f"publicGet{method}", method, shape, params)

    def read(self, method: str, shape: type[Answer], params: Mapping[str, str] | None = None) -> Answer:
        """The result of a private method that changes nothing, or only takes away: it may be repeated.

        Another process on the same key may have used a higher nonce meanwhile: then the next one is tried.
        """
        for _ in range(NONCE_TRIES - 1):
            try:
                return self._asked(f"privatePost{method}", method, shape, params)
            except VenueError as error:
                if "EAPI:Invalid nonce" not in str(error):
                    raise
        return self._asked(f"privatePost{method}", method, shape, params)

    def send(self, method: str, shape: type[Answer], params: Mapping[str, str]) -> Answer:
        """The result of a private method that may trade: sent once, whatever comes back."""
        return self._asked(f"privatePost{method}", method, shape, params)

    def in_seconds(self, seconds: int) -> str:
        """That far from now by this machine's clock, as Kraken's `deadline` takes it."""
        return str(self._ccxt.iso8601(self._ccxt.milliseconds() + seconds * 1000))

    def _asked(self, call: str, method: str, shape: type[Answer], params: Mapping[str, str] | None) -> Answer:
        """The one place where ccxt's exceptions become ours."""
        self._assert_address()
        try:
            answer = within(self._timeout + 0.2, partial(getattr(self._ccxt, call), dict(params or {})))
        except TimeoutError:
            raise VenueError(f"Kraken did not end its answer to {method} in time") from None
        except _Said as said:
            why = ", ".join(said.errors) or f"HTTP {said.code} without a result"
            raise VenueError(f"Kraken refused {method}: {why}", status=said.status()) from None
        except ccxt.BaseError as error:
            raise VenueError(f"Kraken did not answer {method}: {type(error).__name__}") from None
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise VenueError(f"Kraken could not be asked for {method}: {type(error).__name__}") from None
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, shape):
            raise VenueError(f"Kraken answered {method} with {type(result).__name__} instead of {shape.__name__}")
        return result

    def _assert_address(self) -> None:
        seen = self._ccxt.urls["api"]
        if not isinstance(seen, dict) or {seen.get("public"), seen.get("private")} != {self._endpoint}:
            raise VenueError("the Kraken client points elsewhere than to its endpoint; nothing was sent")
