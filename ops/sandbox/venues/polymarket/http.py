"""One Polymarket listener: L1 and L2 authentication, request log and faults around the pure API."""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from ops.sandbox.journal import stamp
from ops.sandbox.venues.polymarket import api, submission
from ops.sandbox.venues.polymarket.api import Call
from ops.sandbox.venues.polymarket.desk import Refusal
from ops.sandbox.venues.polymarket.records import Key
from ops.sandbox.venues.polymarket.signing import login_signer, request_mac
from ops.sandbox.venues.transport import BAD_GATEWAY, SILENCE, Wire, as_json, deliver

if TYPE_CHECKING:
    from ops.sandbox.venues.polymarket.simulated import SimulatedPolymarket

STALE_LAG_SECONDS = 5
CLOCK_TOLERANCE = timedelta(seconds=60)
"""How far a signed request's time may be off; the venue's own figure is not published."""
_DISABLED = "Trading is currently disabled. Check polymarket.com for updates"
_CANCEL_ONLY = "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed."
_POST_ONLY = "Trading is currently in post-only mode. Orders must be post-only."
_PLACING = (("POST", "/order"), ("POST", "/orders"))
_ABOUT_ORDERS = ("/order", "/cancel", "/data/order")


def _no(status: int, text: str) -> Wire:
    return as_json(status, {"error": text})


_BAD_KEY = "Unauthorized/Invalid api key"
_BEFORE = {
    "hang_before": SILENCE,
    "html_error": Wire(502, BAD_GATEWAY, b"text/html"),
    "maintenance": _no(503, _DISABLED),
    "server_error": _no(500, "Internal Server Error"),
    "rate_limit": _no(429, "Too Many Requests"),
    "revoked_keys": _no(401, _BAD_KEY),
    "empty_body": Wire(200),
}
"""Faults that answer before the venue has looked at the request."""


class PolymarketListener:
    """ASGI application for one environment."""

    def __init__(self, venue: SimulatedPolymarket, environment: str) -> None:
        self.venue, self.environment = venue, environment
        self.desk, self.keys = venue.desks[environment], venue.keys[environment]
        self._minute, self._used = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        wire = self._before(request) or self._after(request, self._answered(request, body))
        self.venue.save(self.environment)
        self._log(request, wire)
        await deliver(wire, receive, send)

    # faults

    def _strikes(self, name: str, request: Request) -> bool:
        return self.venue.faults.strikes(name, self.environment, request.method, request.url.path)

    def _before(self, request: Request) -> Wire | None:
        if self._exceeded():
            return _BEFORE["rate_limit"]
        public = api.route(api.PUBLIC, request.method, request.url.path) is not None
        for name, wire in _BEFORE.items():
            if not (name == "revoked_keys" and public) and self._strikes(name, request):
                return wire
        if request.method != "GET" and self._strikes("truncated_json", request):
            return Wire(200, b'{"success":tr')
        about_orders = request.url.path.startswith(_ABOUT_ORDERS)
        return _no(425, "Too Early") if about_orders and self._strikes("engine_restart", request) else None

    def _after(self, request: Request, wire: Wire) -> Wire:
        """The faults that spoil the answer to a request the venue has carried out."""
        if wire.status != 200:
            return wire
        if request.method == "GET":
            return (
                replace(wire, body=wire.body[: len(wire.body) // 2])
                if self._strikes("truncated_json", request)
                else wire
            )
        if self._strikes("hang_after", request):
            return SILENCE
        if self._strikes("gateway_timeout_after", request):
            return _no(504, "Gateway Timeout")
        if self._strikes("truncated_after", request):
            return replace(wire, body=wire.body[: len(wire.body) // 2])
        return wire

    def _exceeded(self) -> bool:
        minute = int(self.venue.clock.now().timestamp()) // 60
        self._used = self._used + 1 if minute == self._minute else 1
        self._minute = minute
        return self._used > self.venue.opening.requests_per_minute

    # answers

    def _answered(self, request: Request, body: bytes) -> Wire:
        try:
            return as_json(200, self._answer(request, body))
        except Refusal as refusal:
            return as_json(refusal.status, refusal.body)

    def _answer(self, request: Request, body: bytes) -> Any:
        call = self._call(request, body)
        self.desk.settle(call.at)
        public = api.route(api.PUBLIC, call.method, call.path)
        if public is not None:
            return public(self.desk, call)
        if call.path in ("/auth/derive-api-key", "/auth/api-key") and call.method != "DELETE":
            return self._login(request, call)
        key = self._admitted(request, body)
        call = replace(call, key_id=key.id)
        if (call.method, call.path) in _PLACING:
            return self._place(request, call)
        own = self._own(key, call)
        private = api.route(api.PRIVATE, call.method, call.path)
        if own is None and private is None:
            raise Refusal(404, "Not Found")
        return own() if own is not None else private(self.desk, call)  # type: ignore[misc]

    def _call(self, request: Request, body: bytes) -> Call:
        now, as_of, hidden = self.venue.clock.now(), None, False
        if request.method == "GET" and request.url.path == "/data/orders":
            hidden = self._strikes("hidden_pages", request)
            if self._strikes("stale_orders", request):
                given = self.venue.faults.active.get((self.environment, "stale_orders"), {})
                as_of = now - timedelta(seconds=given.get("lag_seconds", STALE_LAG_SECONDS))
        disguised = self._strikes("wrong_account", request)
        query = dict(request.query_params)
        return Call(request.method, request.url.path, query, body, now, "", as_of, hidden, disguised)

    def _own(self, key: Key, call: Call) -> Callable[[], Any] | None:
        """What concerns the key itself."""
        answers: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/auth/api-keys"): lambda: api.keys_row(self.keys.valid(), call),
            ("DELETE", "/auth/api-key"): lambda: self.venue.revoke(key),
            ("GET", "/auth/ban-status/closed-only"): lambda: {
                "closed_only": self.venue.faults.is_on("closed_only", self.environment)
            },
        }
        return answers.get((call.method, call.path))

    def _place(self, request: Request, call: Call) -> Any:
        single = call.path == "/order"
        documents = [call.json(dict)] if single else [row for row in call.json(list) if isinstance(row, dict)]
        answers = []
        for document in documents:
            try:
                self._refuse_by_mode(request, document)
                order = self.desk.submit(submission.ticket(self.desk, call, self.venue.clock.wall(), document), call.at)
            except Refusal as refusal:
                self.desk.log_refused(submission.claimed(document, call.key_id), str(refusal), call.at)
                if single or refusal.status != 400:
                    raise
                answers.append({"success": False, "errorMsg": str(refusal), "orderID": "", "status": ""})
                continue
            answers.append(submission.accepted(self.desk, order))
        return answers[0] if single else answers

    def _refuse_by_mode(self, request: Request, document: dict[str, Any]) -> None:
        if self._strikes("cancel_only", request):
            raise Refusal(503, _CANCEL_ONLY)
        if document.get("postOnly") is not True and self._strikes("post_only", request):
            raise Refusal(503, _POST_ONLY)
        if self._strikes("eoa_refused", request):
            raise Refusal(400, "maker address not allowed, please use the deposit wallet flow")
        order = document.get("order")
        if isinstance(order, dict) and order.get("side") == "BUY" and self._strikes("closed_only", request):
            raise Refusal(400, "address in closed only mode")

    # who is asking

    def _login(self, request: Request, call: Call) -> Any:
        """L1: the wallet itself makes a key, or is told the one it has."""
        sent, timestamp = request.headers, request.headers.get("poly_timestamp", "")
        nonce = sent.get("poly_nonce", "")
        signer = login_signer_of(sent.get("poly_address", ""), timestamp, nonce, sent.get("poly_signature", ""))
        if signer != self.desk.account.number or not self._timely(timestamp):
            raise Refusal(401, "Invalid L1 Request headers")
        known = self.keys.of_nonce(int(nonce))
        if (call.method == "POST") == (known is not None):
            raise Refusal(400, "Could not create api key" if call.method == "POST" else "Could not derive api key!")
        key = known or self.venue.keep(self.keys.make("bot", int(nonce)))
        return {"apiKey": key.id, "secret": key.secret, "passphrase": key.passphrase}

    def _admitted(self, request: Request, body: bytes) -> Key:
        """L2: address, key, passphrase and signature all fit, and a read-only key only reads."""
        sent = request.headers
        key = self.keys.named(sent.get("poly_api_key", ""), sent.get("poly_passphrase", ""))
        timestamp = sent.get("poly_timestamp", "")
        if key is None or sent.get("poly_address", "").lower() != self.desk.account.number.lower():
            raise Refusal(401, _BAD_KEY)
        right = request_mac(key.secret, timestamp, request.method, request.url.path, body)
        signed = hmac.compare_digest(right.encode(), sent.get("poly_signature", "").encode())
        if not signed or not self._timely(timestamp) or (key.purpose == "observer" and request.method != "GET"):
            raise Refusal(401, _BAD_KEY)
        return key

    def _timely(self, timestamp: str) -> bool:
        """By the machine's time, which clients sign by, or by venue time, which `use_server_time` asks for."""
        clocks = (self.venue.clock.wall(), self.venue.clock.now())
        return timestamp.isdecimal() and any(_near(int(timestamp), clock) for clock in clocks)

    def _log(self, request: Request, wire: Wire) -> None:
        """One line per request. Only key ids the venue issued: others may be misplaced secrets."""
        sent = request.headers.get("poly_api_key", "")
        self.venue.opening.request(
            {
                "time": stamp(self.venue.clock.wall()),
                "listener": f"polymarket-{self.environment}",
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "key_id": sent if sent in self.keys.issued else "unknown" if sent else "",
                "status": wire.status,
            }
        )


def login_signer_of(address: str, timestamp: str, nonce: str, signature: str) -> str:
    """The wallet that signed a login; empty for headers that are none."""
    try:
        signer = login_signer(address, timestamp, int(nonce), signature)
    except (ValueError, OverflowError, binascii.Error):
        return ""
    return signer if signer.lower() == address.lower() else ""


def _near(timestamp: int, clock: datetime) -> bool:
    return abs(timestamp - clock.timestamp()) <= CLOCK_TOLERANCE.total_seconds()
