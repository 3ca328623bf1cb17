"""Prometheus' HTTP API over the scraped samples: targets, and instant queries of a small subset."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ops.sandbox.clock import WorldClock
from ops.sandbox.journal import stamp
from ops.sandbox.monitoring.promql import BadQuery, Row, evaluate, parse
from ops.sandbox.monitoring.samples import SampleStore
from ops.sandbox.monitoring.scraper import TIMEOUT_SECONDS, Scraper, Target

_NEVER = "0001-01-01T00:00:00Z"


class PrometheusApi:
    """Read-only and without authentication, as Prometheus ships."""

    def __init__(self, samples: SampleStore, scraper: Scraper, clock: WorldClock) -> None:
        self.samples = samples
        self.scraper = scraper
        self.clock = clock

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/-/ready", self.ready),
                Route("/api/v1/targets", self.targets),
                Route("/api/v1/query", self.query, methods=["GET", "POST"]),
            ]
        )

    async def ready(self, request: Request) -> Response:
        return PlainTextResponse("Prometheus Server is Ready.\n")

    async def targets(self, request: Request) -> Response:
        active = [self._target(target) for target in self.scraper.targets]
        return _success({"activeTargets": active, "droppedTargets": []})

    async def query(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        arguments = {**dict(request.query_params), **form}
        try:
            at_s = _at(arguments.get("time"), self.clock.wall())
            rows = evaluate(parse(arguments.get("query", "")), self.samples, at_s)
        except BadQuery as error:
            return JSONResponse({"status": "error", "errorType": "bad_data", "error": str(error)}, 400)
        return _success({"resultType": "vector", "result": [_row(row, at_s) for row in rows]})

    def _target(self, target: Target) -> dict[str, Any]:
        return {
            "discoveredLabels": {"__address__": target.instance, "job": target.job},
            "labels": target.labels,
            "scrapePool": target.job,
            "scrapeUrl": target.url,
            "globalUrl": target.url,
            "lastError": target.last_error,
            "lastScrape": stamp(target.last_scrape_at) if target.last_scrape_at is not None else _NEVER,
            "lastScrapeDuration": target.last_duration_s,
            "health": target.health,
            "scrapeInterval": f"{self.scraper.interval_seconds:g}s",
            "scrapeTimeout": f"{TIMEOUT_SECONDS:g}s",
        }


def _success(data: dict[str, Any]) -> Response:
    return JSONResponse({"status": "success", "data": data})


def _row(row: Row, at_s: float) -> dict[str, Any]:
    """Values travel as strings, which is how NaN and infinity survive JSON."""
    name = {"__name__": row.name} if row.name else {}
    return {"metric": {**name, **dict(sorted(row.labels))}, "value": [round(at_s, 3), number(row.value)]}


def number(value: float) -> str:
    """A float as Go writes it: no trailing .0, +Inf, -Inf, NaN."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _at(given: str | None, now: datetime) -> float:
    if given is None:
        return now.timestamp()
    try:
        return float(given)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(given).timestamp()
    except ValueError:
        raise BadQuery(f'invalid parameter "time": cannot parse {given!r} to a valid timestamp') from None
