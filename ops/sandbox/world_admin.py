"""The world's admin API: keys, clock, hours, faults, price shocks, and orders placed by hand."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.sandbox.faults import ENVIRONMENTS
from ops.sandbox.journal import stamp
from ops.sandbox.venues.alpaca import tickets, wire
from ops.sandbox.venues.alpaca.exchange import Exchange
from ops.sandbox.venues.alpaca.refusals import Refusal

Endpoint = Callable[[Request], Awaitable[Response]]
HEADER = "X-Sandbox-Token"


class AdminApi:
    """Every route needs the token in X-Sandbox-Token; a wrong request gets 422 and one sentence."""

    def __init__(self, exchange: Exchange, token: str, ports: dict[str, int]) -> None:
        self.exchange = exchange
        self.ports = ports
        self._token = token

    def app(self) -> Starlette:
        routes = (
            ("/admin/health", "GET", self.health),
            ("/admin/keys", "POST", self.keys),
            ("/admin/clock", "POST", self.clock),
            ("/admin/hours", "POST", self.hours),
            ("/admin/faults", "POST", self.switch_fault),
            ("/admin/faults", "GET", self.list_faults),
            ("/admin/price", "POST", self.price),
            ("/admin/orders", "POST", self.orders),
        )
        return Starlette(routes=[Route(path, self._guarded(call), methods=[verb]) for path, verb, call in routes])

    def _guarded(self, endpoint: Callable[[dict[str, Any]], dict[str, Any]]) -> Endpoint:
        async def guarded(request: Request) -> Response:
            given = request.headers.get(HEADER, "")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return JSONResponse({"error": f"the header {HEADER} is missing or wrong"}, 401)
            try:
                body = tickets.json_object(await request.body()) if request.method == "POST" else {}
                return JSONResponse(endpoint(body))
            except Refusal as refusal:
                return JSONResponse({"error": refusal.message, **refusal.body()}, refusal.status)
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 422)

        return guarded

    def health(self, body: dict[str, Any]) -> dict[str, Any]:
        clock = self.exchange.clock
        state = {"now": stamp(clock.now()), "pinned": clock.pinned, "hours": self.exchange.market.hours}
        return {"status": "ok", **state, "ports": self.ports}

    def keys(self, body: dict[str, Any]) -> dict[str, Any]:
        key_id, secret = self.exchange.issue_key(_environment(body))
        return {"key_id": key_id, "secret": secret}

    def clock(self, body: dict[str, Any]) -> dict[str, Any]:
        now = body.get("now")
        if now is not None and not isinstance(now, str):
            raise ValueError("now must be an ISO-8601 time with a zone, or null")
        self.exchange.pin_clock(datetime.fromisoformat(now) if now is not None else None)
        return {"now": stamp(self.exchange.clock.now()), "pinned": self.exchange.clock.pinned}

    def hours(self, body: dict[str, Any]) -> dict[str, Any]:
        self.exchange.set_hours(str(body.get("hours")))
        return {"hours": self.exchange.market.hours}

    def switch_fault(self, body: dict[str, Any]) -> dict[str, Any]:
        known = ("environment", "fault", "on")
        parameters = {name: _plain(value) for name, value in body.items() if name not in known}
        if not isinstance(body.get("on"), bool):
            raise ValueError("on must be true or false")
        environment, name = str(body.get("environment") or ""), str(body.get("fault"))
        self.exchange.switch_fault(environment, name, body["on"], parameters)
        return {"fault": name, "environment": environment, "on": body["on"]}

    def list_faults(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"faults": self.exchange.faults.catalogue()}

    def price(self, body: dict[str, Any]) -> dict[str, Any]:
        symbol, factor = str(body.get("symbol")), tickets.decimal(body.get("factor"), "factor")
        self.exchange.shock(symbol, factor)
        return {"symbol": symbol, "factor": str(factor)}

    def orders(self, body: dict[str, Any]) -> dict[str, Any]:
        """An order nobody's bot knows: market without limit_price, its own random client order id."""
        limited = body.get("limit_price") is not None
        shape = {"type": "limit" if limited else "market", "time_in_force": "gtc" if limited else "day"}
        wish: dict[str, Any] = {name: body[name] for name in ("symbol", "side", "qty", "limit_price") if name in body}
        ticket = tickets.ticket_of({**wish, **shape}, self.exchange.market, str(uuid4()))
        order = self.exchange.place_by_hand(_environment(body), ticket)
        return wire.order_body(order, self.exchange.market.asset_ids[order.symbol])


def _environment(body: dict[str, Any]) -> str:
    environment = body.get("environment")
    if environment not in ENVIRONMENTS:
        raise ValueError(f"environment must be one of {', '.join(ENVIRONMENTS)}")
    return str(environment)


def _plain(value: Any) -> Any:
    """Numbers arrive as Decimal; fault parameters are counts and seconds."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
