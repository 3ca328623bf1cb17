"""The world's admin API: keys, clock, hours, faults, price shocks, and orders placed by hand.

A body names its place as `environment` (`live`, or `kalshi/live`) and `venue`; the venue may be left out where only one
of the world's venues can be meant.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.sandbox.clock import WorldClock
from ops.sandbox.faults import ENVIRONMENTS, WORLD_FAULTS
from ops.sandbox.journal import stamp
from ops.sandbox.venues.venue import SimulatedVenue
from ops.sandbox.world.config import WorldConfig
from ops.sandbox.world.faults import WorldFaults

Endpoint = Callable[[Request], Awaitable[Response]]
HEADER = "X-Sandbox-Token"
PURPOSES = ("bot", "observer", "kill")


class AdminApi:
    """Every route needs the token in X-Sandbox-Token; a wrong request gets 422 and one sentence."""

    def __init__(
        self,
        config: WorldConfig,
        venues: Mapping[str, SimulatedVenue],
        faults: WorldFaults,
        clock: WorldClock,
        ports: Mapping[str, int],
    ) -> None:
        self.config, self.venues, self.faults = config, venues, faults
        self.world_clock, self.ports = clock, ports

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
            if not hmac.compare_digest(given.encode(), self.config.admin.token.get_secret_value().encode()):
                return JSONResponse({"error": f"the header {HEADER} is missing or wrong"}, 401)
            try:
                return JSONResponse(endpoint(_body(await request.body()) if request.method == "POST" else {}))
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 422)

        return guarded

    def _place(
        self, body: dict[str, Any], knows: Callable[[str], bool] = lambda name: True
    ) -> tuple[SimulatedVenue, str]:
        """The venue and the environment meant. Raises ValueError if it cannot be told which venue."""
        before, _, environment = str(body.get("environment") or "").rpartition("/")
        named = str(body.get("venue") or before)
        if named and named not in self.venues:
            raise ValueError(f"unknown venue {named!r}; known: {', '.join(self.venues)}")
        fitting = [named] if named else [name for name in self.venues if knows(name)]
        if len(fitting) > 1:
            raise ValueError(f"several venues can be meant: add venue, one of {', '.join(fitting)}")
        return self.venues[fitting[0] if fitting else next(iter(self.venues))], environment

    def _account(self, body: dict[str, Any]) -> tuple[SimulatedVenue, str]:
        venue, environment = self._place(body)
        if environment not in ENVIRONMENTS:
            raise ValueError(f"environment must be one of {', '.join(ENVIRONMENTS)}")
        return venue, environment

    def health(self, body: dict[str, Any]) -> dict[str, Any]:
        clock = self.world_clock
        return {"status": "ok", "now": stamp(clock.now()), "pinned": clock.pinned, "ports": self.ports}

    def keys(self, body: dict[str, Any]) -> dict[str, Any]:
        """New credentials: an object of their parts (key, secret, ...) and nothing else."""
        purpose = body.get("purpose", "bot")
        if purpose not in PURPOSES:
            raise ValueError(f"purpose must be one of {', '.join(PURPOSES)}")
        venue, environment = self._account(body)
        return dict(venue.issue_key(environment, purpose))

    def clock(self, body: dict[str, Any]) -> dict[str, Any]:
        now = body.get("now")
        if now is not None and not isinstance(now, str):
            raise ValueError("now must be an ISO-8601 time with a zone, or null")
        at = datetime.fromisoformat(now) if now is not None else None
        self.world_clock.pin(at)
        for venue in self.venues.values():
            venue.pin_clock(at)
        return {"now": stamp(self.world_clock.now()), "pinned": self.world_clock.pinned}

    def hours(self, body: dict[str, Any]) -> dict[str, Any]:
        for venue in self.venues.values():
            venue.set_hours(str(body.get("hours")))
        return {"hours": body["hours"]}

    def switch_fault(self, body: dict[str, Any]) -> dict[str, Any]:
        known = ("environment", "venue", "fault", "on")
        parameters = {name: _plain(value) for name, value in body.items() if name not in known}
        if not isinstance(body.get("on"), bool):
            raise ValueError("on must be true or false")
        name, environment = str(body.get("fault")), ""
        if name in WORLD_FAULTS:
            self.faults.switch(name, body["on"], parameters)
        else:
            venue, environment = self._place(body, lambda venue: name in self.venues[venue].faults.known)
            venue.switch_fault(environment, name, body["on"], parameters)
        return {"fault": name, "environment": environment, "on": body["on"]}

    def list_faults(self, body: dict[str, Any]) -> dict[str, Any]:
        """Every fault there is; its scope is the venue's name, or `world` for channels and monitoring."""
        boards = {**{name: venue.faults for name, venue in self.venues.items()}, "world": self.faults.board}
        return {"faults": [{**row, "scope": name} for name, board in boards.items() for row in board.catalogue()]}

    def price(self, body: dict[str, Any]) -> dict[str, Any]:
        symbol, factor = str(body.get("symbol")), _decimal(body, "factor")
        venue, _ = self._place(body, lambda venue: symbol in self.config.venues[venue].symbols)
        venue.shock(symbol, factor)
        return {"symbol": symbol, "factor": str(factor)}

    def orders(self, body: dict[str, Any]) -> dict[str, Any]:
        """An order nobody's bot knows, as a person at the venue's site would type it."""
        venue, environment = self._account(body)
        return dict(venue.place_by_hand(environment, body))


def _body(sent: bytes) -> dict[str, Any]:
    """A JSON object with its numbers as Decimal. Raises ValueError."""
    parsed = json.loads(sent, parse_float=Decimal, parse_int=Decimal)
    if not isinstance(parsed, dict):
        raise ValueError("the body must be a JSON object")
    return parsed


def _decimal(body: dict[str, Any], name: str) -> Decimal:
    try:
        number = Decimal(body[name])
    except (KeyError, TypeError, InvalidOperation):
        raise ValueError(f"{name} must be a number") from None
    if not number.is_finite():
        raise ValueError(f"{name} must be a number")
    return number


def _plain(value: Any) -> Any:
    """Numbers arrive as Decimal; fault parameters are counts and seconds."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
