"""The HTTP surface of seed 003: `/api/system/health`, `/api/system/metrics`, and updates over the WebSocket `/ws`.

Words: `mode` is PAPER or LIVE (never the raw value of ALPACA_PAPER alone), `trading` is RUNNING or STOPPED.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

from ...clock import stamp
from ...surface import Answer, halt_reason, mode_facts, pulse_facts, worker_app
from ...trading.loop import Worker
from .records import ServerRecords

_JUDGED = 1000


class _Traffic:
    """Response times and errors of the last requests: the seed wants answers under 500 ms, errors under 0.1 %."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_JUDGED)
        self._failed: deque[bool] = deque(maxlen=_JUDGED)

    async def measure(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """A middleware."""
        began = time.monotonic()
        response = await answer(request)
        self._seconds.append(time.monotonic() - began)
        self._failed.append(response.status_code >= 500)
        return response

    def shown(self) -> Answer:
        slowest = sorted(self._seconds)
        p95 = slowest[int(len(slowest) * 0.95)] if slowest else None
        return {
            "requests": len(slowest),
            "response_p95_ms": None if p95 is None else round(p95 * 1000, 2),
            "error_pct": round(100 * sum(self._failed) / len(slowest), 3) if slowest else None,
        }


def create_app(worker: Worker) -> FastAPI:
    """`/api/system/health`, `/api/system/metrics`, `/ws`, `/drill`, `/metrics`."""
    app, traffic = worker_app("smart-alpaca", worker), _Traffic()
    app.middleware("http")(traffic.measure)

    @app.get("/api/system/health")
    def health() -> Answer:
        return _health(worker)

    @app.get("/api/system/metrics")
    def metrics() -> Answer:
        return {**_metrics(worker), "api": traffic.shown()}

    @app.websocket("/ws")
    async def updates(socket: WebSocket) -> None:
        await _tell(socket, worker)

    return app


def _health(worker: Worker) -> Answer:
    settings, records, facts = worker.settings, cast(ServerRecords, worker.habits), pulse_facts(worker)
    mode = mode_facts(worker)
    return {
        "status": "healthy" if facts.pop("fine") and not records.away else "degraded",
        **mode,
        "mode": str(mode["mode"]).upper(),
        "account": worker.pulse.account_numbers.get("alpaca"),
        "trading": "RUNNING" if worker.stopped_by() is None else "STOPPED",
        "reason": halt_reason(worker),
        "gate": worker.gate_present(),
        "instance": settings.instance,
        "size_multiplier": str(settings.size_multiplier),
        "pid": os.getpid(),
        "started_at": stamp(worker.pulse.started_at),
        "queue": records.queue.state,
        "database": records.database.state,
        **facts,
    }


def _metrics(worker: Worker) -> Answer:
    pulse, worst = worker.pulse, worker.worst_recent_slippage()
    return {
        "loops": pulse.loops,
        "loop_errors": pulse.loop_errors,
        "orders": dict(worker.desk.results),
        "fills": worker.desk.fills_recorded,
        "pnl_daily_usd": None if pulse.pnl_usd is None else str(pulse.pnl_usd),
        "equity_usd": None if pulse.equity_usd is None else str(pulse.equity_usd),
        "slippage_bps": None if worst is None else str(worst),
        "jobs": dict(cast(ServerRecords, worker.habits).jobs),
        "triggers": {trigger.name: trigger.would_trip for trigger in worker.triggers()},
    }


async def _tell(socket: WebSocket, worker: Worker) -> None:
    """One message at once and one after each loop, until the other side leaves."""
    await socket.accept()
    loop, turned = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the server is going down
            loop.call_soon_threadsafe(turned.set)

    listeners = cast(ServerRecords, worker.habits).listeners
    listeners.append(tell)
    gone = asyncio.ensure_future(_until_gone(socket))
    try:
        while not gone.done():
            await socket.send_json({"type": "system", "health": _health(worker), "metrics": _metrics(worker)})
            turned.clear()
            waiting = asyncio.ensure_future(turned.wait())
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    except (WebSocketDisconnect, RuntimeError):
        return
    finally:
        listeners.remove(tell)
        gone.cancel()


async def _until_gone(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
