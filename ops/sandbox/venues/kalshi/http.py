"""One Kalshi listener: signatures, the clock's window, rate limit, request log and faults around the pure API.

The window of the timestamp is judged by wall time: signatures are real also while venue time is pinned.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from ops.sandbox.journal import stamp
from ops.sandbox.venues.kalshi import api
from ops.sandbox.venues.kalshi.calls import Call, Reply, reply
from ops.sandbox.venues.kalshi.keys import Key
from ops.sandbox.venues.kalshi.lists import View
from ops.sandbox.venues.kalshi.refusals import Refusal, missing, nested, unauthorized
from ops.sandbox.venues.transport import BAD_GATEWAY, SILENCE, Wire, as_json, deliver

if TYPE_CHECKING:
    from ops.sandbox.venues.kalshi.simulated import SimulatedKalshi

ROOT = "/trade-api/v2"
TIMESTAMP_WINDOW_MS = 10_000
STALE_LAG_SECONDS = 5
_HEADERS = ("kalshi-access-key", "kalshi-access-timestamp", "kalshi-access-signature")
_PAUSED = {"cancel_only": ("POST",), "exchange_pause": ("POST", "DELETE")}
"""Which methods on orders a pause refuses."""


def _refused(refusal: Refusal) -> Wire:
    return as_json(refusal.status, refusal.body)


_RATE_LIMITED = _refused(nested(429, "too_many_requests"))
_ANSWERS = {
    "hang_before": SILENCE,
    "html_error": Wire(502, BAD_GATEWAY, b"text/html"),
    "server_error": _refused(nested(500, "internal_server_error")),
    "rate_limit": _RATE_LIMITED,
    "revoked_keys": _refused(unauthorized("NOT_FOUND")),
    "empty_body": Wire(200),
}
"""The faults that answer before the venue has looked at the request."""


class KalshiListener:
    """ASGI application for one environment."""

    def __init__(self, venue: SimulatedKalshi, environment: str) -> None:
        self.venue = venue
        self.environment = environment
        self.desk = venue.desks[environment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        exceeded = self.venue.limits[self.environment].take(self.venue.clock.now()).exceeded
        wire = _RATE_LIMITED if exceeded else self._serve(request, body)
        self._log(request, wire)
        await deliver(wire, receive, send)

    def _serve(self, request: Request, body: bytes) -> Wire:
        path = request.url.path.removeprefix(ROOT)
        early = self._early(request, path)
        if early is not None:
            return early
        try:
            key = None if api.public(request.method, path) else self._authenticated(request)
            self._require_no_pause(request, path)
        except Refusal as refusal:
            return _refused(refusal)
        call = Call(
            method=request.method,
            path=path,
            query=dict(request.query_params),
            body=body,
            key=key,
            keys=self.venue.keys,
            at=self.venue.clock.now(),
            view=self._view(request, path),
        )
        answer = self._disguised(path, api.answer(self.desk, call), request)
        self.venue.remember(self.desk, keys=path.startswith("/api_keys"))
        return self._spoilt(request, Wire(answer.status, answer.text.encode()))

    def _strikes(self, name: str, request: Request) -> bool:
        return self.venue.faults.strikes(name, self.environment, request.method, request.url.path)

    def _early(self, request: Request, path: str) -> Wire | None:
        for name, wire in _ANSWERS.items():
            if self._strikes(name, request):
                return wire
        if self._strikes("maintenance", request):
            flags = {"exchange_active": False, "trading_active": False}
            return as_json(503, flags) if path == "/exchange/status" else _refused(nested(503, "service_unavailable"))
        if not request.url.path.startswith(ROOT):
            return _refused(missing())
        if path == "/exchange/status" and (paused := self._paused(request)):
            return as_json(200, {"exchange_active": paused == "cancel_only", "trading_active": False})
        return None

    def _paused(self, request: Request) -> str:
        return next((name for name in _PAUSED if self._strikes(name, request)), "")

    def _require_no_pause(self, request: Request, path: str) -> None:
        if not path.startswith("/portfolio/events/orders"):
            return
        if path.endswith("/orders") and request.method == "DELETE" and self._strikes("no_bulk_cancel", request):
            raise missing()
        paused = self._paused(request)
        if paused and request.method in _PAUSED[paused]:
            code = "trading_is_paused" if paused == "cancel_only" else "exchange_is_paused"
            raise nested(409, code, service="exchange")

    def _authenticated(self, request: Request) -> Key:
        """Raises Refusal 401 unless the signature is this key's over timestamp, method and path, made just now."""
        key_id, timestamp, signature = (request.headers.get(name, "") for name in _HEADERS)
        if not signature:
            raise nested(401, "signature_is_missing_from_headers")
        wall_ms = int(self.venue.clock.wall().timestamp() * 1000)
        if not timestamp.isdecimal() or abs(int(timestamp) - wall_ms) > TIMESTAMP_WINDOW_MS:
            raise nested(401, "header_timestamp_expired")
        key = self.venue.keys.known(self.environment, key_id)
        if key is None:
            raise unauthorized("NOT_FOUND")
        if not self.venue.keys.verifies(key, signature, f"{timestamp}{request.method}{request.url.path}"):
            raise unauthorized("INCORRECT_API_KEY_SIGNATURE")
        return key

    def _spoilt(self, request: Request, wire: Wire) -> Wire:
        """The faults that spoil the answer to a request the venue has carried out."""
        accepted = wire.status < 300 and request.method != "GET"
        if accepted and self._strikes("hang_after", request):
            return SILENCE
        if accepted and self._strikes("gateway_timeout_after", request):
            return _refused(nested(504, "gateway_timeout"))
        if wire.status < 300 and wire.body and self._strikes("truncated_json", request):
            return replace(wire, body=wire.body[: len(wire.body) // 2])
        return wire

    def _view(self, request: Request, path: str) -> View:
        if path.endswith("/trigger"):
            return View(stuck_latch=self._strikes("stuck_latch", request))
        if request.method != "GET" or path != "/portfolio/orders":
            return View()
        as_of = None
        if self._strikes("stale_orders", request):
            parameters = self.venue.faults.active.get((self.environment, "stale_orders"), {})
            as_of = self.venue.clock.now() - timedelta(seconds=parameters.get("lag_seconds", STALE_LAG_SECONDS))
        return View(as_of, self._strikes("hidden_pages", request))

    def _disguised(self, path: str, answer: Reply, request: Request) -> Reply:
        """The wrong_account fault: the same answer under another account's name."""
        if path != "/communications/id" or answer.status != 200 or not self._strikes("wrong_account", request):
            return answer
        return reply(200, {"communications_id": f"{self.desk.account.number[:-2]}zz"})

    def _log(self, request: Request, wire: Wire) -> None:
        """One line per request. Only key ids the venue issued: others may be misplaced secrets."""
        sent = request.headers.get(_HEADERS[0], "")
        self.venue.opening.request(
            {
                "time": stamp(self.venue.clock.wall()),
                "listener": f"kalshi-{self.environment}",
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "key_id": sent if sent in self.venue.keys.issued else "unknown" if sent else "",
                "status": wire.status,
            }
        )
