"""One Alpaca listener: authentication, rate limit, request log and faults around the pure API."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from ops.sandbox.journal import stamp
from ops.sandbox.venues import transport
from ops.sandbox.venues.alpaca import api
from ops.sandbox.venues.alpaca.api import Call, Reply
from ops.sandbox.venues.alpaca.exchange import Exchange
from ops.sandbox.venues.alpaca.queries import View
from ops.sandbox.venues.alpaca.refusals import Refusal, unauthorized
from ops.sandbox.venues.market import derived_uuid
from ops.sandbox.venues.venue import Record

STALE_LAG_SECONDS = 5
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Wire(transport.Wire):
    """As Alpaca labels it."""

    content_type: bytes = b"application/json; charset=UTF-8"


SILENCE = Wire(0, silent=True)


def _json(status: int, payload: Any) -> Wire:
    return Wire(status, b"" if payload is None else json.dumps(payload, separators=(",", ":")).encode())


def _refused(status: int, code: int, message: str) -> Wire:
    return _json(status, Refusal(status, code, message).body())


_RATE_LIMITED = _refused(429, 42910000, "rate limit exceeded")


class AlpacaListener:
    """ASGI application for one environment. Starlette reads the request; the reply is two plain messages."""

    def __init__(self, exchange: Exchange, environment: str, log: Record) -> None:
        self.exchange = exchange
        self.environment = environment
        self.log = log
        self.desk = exchange.desks[environment]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        allowance = self.exchange.limits[self.environment].take(self.exchange.clock.now())
        wire = _RATE_LIMITED if allowance.exceeded else self._serve(request, body)
        self._log(request, wire)
        if wire.status == 429:
            allowance = replace(allowance, remaining=0)
        headers = [(name.lower().encode(), value.encode()) for name, value in allowance.headers().items()]
        await transport.deliver(wire, receive, send, headers)

    def _serve(self, request: Request, body: bytes) -> Wire:
        before = self._fault_before(request)
        if before is not None:
            return before
        key_id = request.headers.get("apca-api-key-id", "")
        secret = request.headers.get("apca-api-secret-key", "")
        if not self.exchange.keys.admits(self.environment, key_id, secret):
            return _json(401, unauthorized().body())
        call = Call(
            method=request.method,
            path=request.url.path,
            query=dict(request.query_params),
            body=body,
            key_id=key_id,
            at=self.exchange.clock.now(),
            view=self._view(request),
        )
        reply = self._disguised(call, api.answer(self.desk, call))
        self.exchange.store.save_desk(self.desk)
        return self._fault_after(request, _json(reply.status, reply.payload))

    def _strikes(self, name: str, request: Request) -> bool:
        return self.exchange.faults.strikes(name, self.environment, request.method, request.url.path)

    def _fault_before(self, request: Request) -> Wire | None:
        """The faults that answer before the venue has looked at the request."""
        answers = {
            "hang_before": SILENCE,
            "html_error": Wire(502, transport.BAD_GATEWAY, b"text/html"),
            "maintenance": _refused(503, 50310000, "service is in maintenance"),
            "server_error": _refused(500, 50010000, "internal server error occurred"),
            "rate_limit": _RATE_LIMITED,
            "revoked_keys": _json(401, unauthorized().body()),
            "empty_body": Wire(200),
        }
        for name, wire in answers.items():
            if self._strikes(name, request):
                return wire
        return None

    def _fault_after(self, request: Request, wire: Wire) -> Wire:
        """The faults that spoil the answer to a request the venue has carried out."""
        accepted = wire.status < 300 and request.method not in _READING
        if accepted and self._strikes("hang_after", request):
            return SILENCE
        if accepted and self._strikes("gateway_timeout_after", request):
            return _refused(504, 50410000, "gateway timeout")
        if wire.body and self._strikes("truncated_json", request):
            return replace(wire, body=wire.body[: len(wire.body) // 2])
        return wire

    def _view(self, request: Request) -> View:
        if request.method != "GET" or request.url.path != "/v2/orders":
            return View()
        as_of = None
        if self._strikes("stale_orders", request):
            parameters = self.exchange.faults.active.get((self.environment, "stale_orders"), {})
            as_of = self.exchange.clock.now() - timedelta(seconds=parameters.get("lag_seconds", STALE_LAG_SECONDS))
        return View(as_of, self._strikes("hidden_pages", request))

    def _disguised(self, call: Call, reply: Reply) -> Reply:
        """The wrong_account fault: the same answer under another account's name."""
        if call.path != "/v2/account" or reply.status != 200 or not isinstance(reply.payload, dict):
            return reply
        if not self.exchange.faults.strikes("wrong_account", self.environment, call.method, call.path):
            return reply
        number = str(reply.payload["account_number"])
        other = number[:-2] + ("99" if not number.endswith("99") else "98")
        return Reply(200, {**reply.payload, "account_number": other, "id": derived_uuid("stranger", self.environment)})

    def _log(self, request: Request, wire: Wire) -> None:
        """One line per request. Only key ids the venue issued: others may be misplaced secrets."""
        sent = request.headers.get("apca-api-key-id", "")
        self.log(
            {
                "time": stamp(self.exchange.clock.wall()),
                "listener": f"alpaca-{self.environment}",
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "key_id": sent if sent in self.exchange.keys.issued else "unknown" if sent else "",
                "status": wire.status,
            }
        )
