"""One Kraken listener: authentication, rate limit, request log and faults around the pure API.

Kraken refuses under HTTP 200: `{"error": ["E..."]}`. Plain ASGI, for speed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from ops.sandbox.journal import stamp
from ops.sandbox.venues import transport
from ops.sandbox.venues.kraken import api
from ops.sandbox.venues.kraken.api import Call
from ops.sandbox.venues.kraken.desk import Desk
from ops.sandbox.venues.kraken.lists import View
from ops.sandbox.venues.kraken.matching import settle
from ops.sandbox.venues.kraken.refusals import Refusal

if TYPE_CHECKING:
    from ops.sandbox.venues.kraken.simulated import SimulatedKraken

STALE_LAG_SECONDS = 5
STATES = ("maintenance", "cancel_only", "post_only")
_HTML = b"<html><head><title>520</title></head><body>Web server is returning an unknown error</body></html>"
_JSON, _TEXT = b"application/json; charset=utf-8", b"text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Wire(transport.Wire):
    """`good`: it holds a result, no error."""

    content_type: bytes = _JSON
    good: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    verb: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes

    @property
    def method(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def key_id(self) -> str:
        return self.headers.get(b"api-key", b"").decode("latin-1")

    def params(self) -> dict[str, str]:
        """Form or JSON, as the content type says. Raises Refusal."""
        if self.headers.get(b"content-type", b"").startswith(b"application/json"):
            return _json_params(self.body)
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        except ValueError:
            raise Refusal("EAPI:Bad request") from None


def _json_params(body: bytes) -> dict[str, str]:
    try:
        document = json.loads(body)
        return {name: str(value) for name, value in document.items()}
    except (ValueError, AttributeError):
        raise Refusal("EAPI:Bad request") from None


def _refused(error: str) -> Wire:
    return Wire(body=json.dumps({"error": [error]}, separators=(",", ":")).encode())


_BEFORE: dict[str, Wire] = {
    "hang_before": Wire(silent=True),
    "html_error": Wire(520, _HTML, _TEXT),
    "server_error": _refused("EGeneral:Internal error"),
    "rate_limit": _refused("EAPI:Rate limit exceeded"),
    "empty_body": Wire(),
}
_BEFORE_PRIVATE: dict[str, Wire] = {
    "maintenance": _refused("EService:Unavailable"),
    "revoked_keys": _refused("EAPI:Invalid key"),
    "invalid_nonce": _refused("EAPI:Invalid nonce"),
    "lockout": _refused("EGeneral:Temporary lockout"),
}
_AFTER_CHANGE: dict[str, Wire] = {
    "hang_after": Wire(silent=True),
    "gateway_timeout_after": Wire(504, _HTML, _TEXT),
    "unavailable_after": _refused("EService:Unavailable"),
}


class KrakenListener:
    """ASGI application for one environment."""

    def __init__(self, venue: SimulatedKraken, environment: str) -> None:
        self.venue, self.environment = venue, environment
        self.desk: Desk = venue.desks[environment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await _read(scope, receive)
        wire = self._answer(asked)
        self._log(asked, wire)
        await transport.deliver(wire, receive, send)

    def _answer(self, asked: Asked) -> Wire:
        private = asked.path.startswith("/0/private/")
        for name, wire in {**_BEFORE, **(_BEFORE_PRIVATE if private else {})}.items():
            if self._strikes(name, asked):
                return wire
        try:
            result = self._private(asked) if private else self._public(asked)
            wire = Wire(body=json.dumps({"error": [], "result": result}, separators=(",", ":")).encode(), good=True)
        except Refusal as refusal:
            wire = _refused(refusal.error)
        self.venue.store.save_desk(self.desk)
        return self._spoilt(asked, wire)

    def _public(self, asked: Asked) -> Any:
        if not asked.path.startswith("/0/public/") or asked.verb not in ("GET", "POST"):
            raise Refusal("EGeneral:Unknown method")
        state = self._state()
        if state == "maintenance" and asked.method != "SystemStatus":
            raise Refusal("EService:Unavailable")
        params = dict(parse_qsl(asked.query.decode("latin-1")))
        return api.public(self.venue.market, asked.method, params, self.venue.clock.now(), state)

    def _private(self, asked: Asked) -> Any:
        if asked.verb != "POST":
            raise Refusal("EGeneral:Unknown method")
        params = asked.params()
        signature = asked.headers.get(b"api-sign", b"").decode("latin-1")
        signed = (params.get("nonce", ""), asked.body)
        key = self.venue.keys.admitted(self.environment, asked.key_id, asked.path, signed, signature)
        now = self.venue.clock.now()
        if self.venue.limits[self.environment].take(now).exceeded:
            raise Refusal("EAPI:Rate limit exceeded")
        stranger = asked.method == "GetApiKeyInfo" and self._strikes("wrong_account", asked)
        call = Call(params, key, now, self.venue.clock.wall(), self._state(), self._view(asked), stranger)
        settle(self.desk, now)
        result = api.private(self.desk, asked.method, call)
        if asked.method in api.CHANGING:
            settle(self.desk, now)
        return result

    def _state(self) -> str:
        return next((name for name in STATES if self.venue.faults.is_on(name, self.environment)), "online")

    def _view(self, asked: Asked) -> View:
        if asked.method not in ("OpenOrders", "ClosedOrders", "TradesHistory"):
            return View()
        as_of = None
        if asked.method == "OpenOrders" and self._strikes("stale_orders", asked):
            parameters = self.venue.faults.active.get((self.environment, "stale_orders"), {})
            as_of = self.venue.clock.now() - timedelta(seconds=parameters.get("lag_seconds", STALE_LAG_SECONDS))
        return View(as_of, self._strikes("hidden_pages", asked))

    def _spoilt(self, asked: Asked, wire: Wire) -> Wire:
        """The faults that spoil the answer to a request the venue has carried out."""
        if wire.good and asked.method in api.CHANGING:
            for name, spoilt in _AFTER_CHANGE.items():
                if self._strikes(name, asked):
                    return spoilt
        if wire.good and self._strikes("truncated_json", asked):
            return replace(wire, body=wire.body[: len(wire.body) // 2])
        return wire

    def _strikes(self, name: str, asked: Asked) -> bool:
        return self.venue.faults.strikes(name, self.environment, asked.verb, asked.path)

    def _log(self, asked: Asked, wire: Wire) -> None:
        """One line per request. Only key ids that the venue issued: others may be misplaced secrets."""
        known = asked.key_id in self.venue.keys.issued
        line = {"time": stamp(self.venue.clock.wall()), "listener": f"kraken-{self.environment}", "method": asked.verb}
        key_id = asked.key_id if known else "unknown" if asked.key_id else ""
        self.venue.request({**line, "path": asked.path, "query": "", "key_id": key_id, "status": wire.status})


async def _read(scope: Scope, receive: Receive) -> Asked:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return Asked(scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]), body)
