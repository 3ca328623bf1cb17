"""Grafana, simulated: dashboards from files, and data queries answered from the scraped samples."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.sandbox.clock import WorldClock
from ops.sandbox.faults import FaultBoard
from ops.sandbox.monitoring.promql import BadQuery, Query, Row, evaluate, parse
from ops.sandbox.monitoring.samples import SampleStore
from ops.sandbox.world.config import ConfigError, Grafana

DEFAULT_RANGE_SECONDS = 300.0
MOST_STEPS = 100
_UNITS_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
Endpoint = Callable[[Request], Awaitable[Response]]


class GrafanaApi:
    """Bearer token on everything but /api/health, as Grafana has it."""

    def __init__(self, config: Grafana, samples: SampleStore, clock: WorldClock, faults: FaultBoard) -> None:
        self._token = config.token.get_secret_value()
        self._samples = samples
        self._clock = clock
        self._faults = faults
        self._dashboards = {str(board["uid"]): board for board in map(_dashboard, config.dashboards)}

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/health", self.health),
                Route("/api/search", self._guarded(self.search)),
                Route("/api/dashboards/uid/{uid}", self._guarded(self.dashboard)),
                Route("/api/ds/query", self._guarded(self.query), methods=["POST"]),
            ]
        )

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            expected = f"Bearer {self._token}".encode()
            if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
                return JSONResponse({"message": "Invalid API key"}, 401)
            return await endpoint(request)

        return guarded

    def _boards(self) -> dict[str, dict[str, Any]]:
        return {} if self._faults.is_on("dashboard_missing") else self._dashboards

    async def health(self, request: Request) -> Response:
        return JSONResponse({"commit": "sandbox", "database": "ok", "version": "12.0.0"})

    async def search(self, request: Request) -> Response:
        wanted = request.query_params.get("query", "").lower()
        found = [
            {
                "uid": uid,
                "title": board["title"],
                "type": "dash-db",
                "url": f"/d/{uid}",
                "tags": board.get("tags", []),
            }
            for uid, board in self._boards().items()
            if wanted in board["title"].lower()
        ]
        return JSONResponse(found)

    async def dashboard(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        board = self._boards().get(uid)
        if board is None:
            return JSONResponse({"message": "Dashboard not found"}, 404)
        return JSONResponse({"meta": {"type": "db", "slug": uid, "url": f"/d/{uid}", "version": 1}, "dashboard": board})

    async def query(self, request: Request) -> Response:
        """Every query gets its own result; a bad one makes the whole answer 400."""
        try:
            body = json.loads(await request.body())
            queries = [(str(query["refId"]), str(query["expr"]), query) for query in body["queries"]]
            start_s, end_s = (self._moment(body.get(name), name) for name in ("from", "to"))
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"message": "bad request data"}, 400)
        results = {ref: self._result(ref, expr, query, (start_s, end_s)) for ref, expr, query in queries}
        failed = any("error" in result for result in results.values())
        return JSONResponse({"results": results}, 400 if failed else 200)

    def _moment(self, given: object, name: str) -> float:
        """Unix seconds of `from` or `to`: epoch milliseconds, `now`, or `now-5m`. Raises ValueError."""
        now_s = self._clock.wall().timestamp()
        if given is None:
            return now_s if name == "to" else now_s - DEFAULT_RANGE_SECONDS
        text = str(given)
        if not text.startswith("now"):
            return float(text) / 1000
        back = text.removeprefix("now").removeprefix("-")
        return now_s - (float(back[:-1]) * _UNITS_SECONDS[back[-1]] if back else 0.0)

    def _result(self, ref: str, expr: str, query: dict[str, Any], span: tuple[float, float]) -> dict[str, Any]:
        try:
            parsed = parse(expr)
        except BadQuery as error:
            return {"error": str(error), "status": 400, "frames": []}
        moments = [span[1]] if query.get("instant") else _steps(span, float(query.get("intervalMs", 1000)) / 1000)
        return {
            "status": 200,
            "frames": [_frame(ref, row, at) for row, at in self._series(parsed, moments).items()],
        }

    def _series(self, query: Query, moments: list[float]) -> dict[Row, list[tuple[float, float]]]:
        """Points (Unix seconds, value) per series; the key is a row without value."""
        series: dict[Row, list[tuple[float, float]]] = {}
        for at_s in moments:
            for row in evaluate(query, self._samples, at_s):
                series.setdefault(Row(row.name, row.labels, 0.0), []).append((at_s, row.value))
        return series


def _steps(span: tuple[float, float], interval_seconds: float) -> list[float]:
    """Evenly spaced instants that end at the end of the span, so that the newest sample is always seen."""
    start_s, end_s = span
    step = max(interval_seconds, (end_s - start_s) / MOST_STEPS, 0.001)
    many = max(int((end_s - start_s) / step), 0)
    return [end_s - step * back for back in range(many, -1, -1)]


def _frame(ref: str, row: Row, points: list[tuple[float, float]]) -> dict[str, Any]:
    labels = {**({"__name__": row.name} if row.name else {}), **dict(sorted(row.labels))}
    fields = [
        {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}},
        {"name": "Value", "type": "number", "typeInfo": {"frame": "float64"}, "labels": labels},
    ]
    values = [[int(at_s * 1000) for at_s, _ in points], [_finite(value) for _, value in points]]
    return {
        "schema": {"refId": ref, "name": row.name or "Value", "fields": fields},
        "data": {"values": values},
    }


def _finite(value: float) -> float | None:
    """JSON has no NaN and no infinity; Grafana sends null for them."""
    return value if value - value == 0 else None


def _dashboard(path: Path) -> dict[str, Any]:
    """Raises ConfigError when the file is not a dashboard with uid, title and panels."""
    try:
        board = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: is no readable JSON dashboard ({type(error).__name__})") from None
    if not isinstance(board, dict) or not {"uid", "title", "panels"} <= board.keys():
        raise ConfigError(f"{path}: a dashboard needs uid, title and panels")
    return board
