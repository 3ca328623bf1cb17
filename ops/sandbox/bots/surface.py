"""What every bot with HTTP has in common: loopback only, metrics, drills, and the facts that a health page shows."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware.trustedhost import TrustedHostMiddleware

from .clock import stamp
from .metrics import exposition, registry_of
from .trading.loop import Worker
from .venue import VenueError

_SLOW_LOOPS = 5
_SLOW_SECONDS_MIN = 10.0
_CANCEL_TRIES = 3

Answer = dict[str, Any]


def bare_app(title: str) -> FastAPI:
    """An application that only answers requests addressed to this machine by a local name."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return app


def worker_app(title: str, worker: Worker) -> FastAPI:
    """A bot's application with `GET /metrics` and `POST /drill?control=`; the rest is the system's own."""
    app, registry = bare_app(title), registry_of(worker)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(exposition(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.post("/drill")
    def drill(control: str) -> JSONResponse:
        status, answer = worker.drills.run(control)
        return JSONResponse(answer, status)

    return app


def pulse_facts(worker: Worker) -> Answer:
    """`fine`, `last_loop_at`, `loop_age_s` (of the last loop, or of the start while there was none), `last_error`."""
    pulse = worker.pulse
    since = pulse.last_loop_at or pulse.started_at
    age = (worker.clock.now() - since).total_seconds()
    slow = age > max(_SLOW_SECONDS_MIN, _SLOW_LOOPS * worker.settings.loop_seconds)
    return {
        "fine": pulse.last_loop_at is not None and pulse.last_error is None and not slow,
        "last_loop_at": pulse.last_loop_at and stamp(pulse.last_loop_at),
        "loop_age_s": round(age, 3),
        "last_error": pulse.last_error,
    }


def mode_facts(worker: Worker) -> Answer:
    """`mode` as shown (the sandbox can make it a lie), `variables`, and whether they and the accounts agree."""
    settings = worker.settings
    return {
        "mode": worker.faults.mode_shown(settings.mode),
        "variables": dict(settings.variables),
        "agree": settings.agree and worker.identity_holds(),
    }


def halt_reason(worker: Worker) -> str:
    """Why the bot does not trade, in one line; empty while it may."""
    if worker.gate_present():
        return worker.stopped_by() or ""
    state = worker.switch.state
    return state.reason if state.tripped else ""


def cancel_in_background(worker: Worker) -> None:
    """In a thread of its own: neither the answer nor the loop waits. The loop goes on cancelling."""
    threading.Thread(target=_cancel, args=(worker,), name="cancel", daemon=True).start()


def _cancel(worker: Worker) -> None:
    for _ in range(_CANCEL_TRIES):
        try:
            worker.cancel_own()
            return
        except VenueError as error:
            worker.log.warning("cancel after the halt: %s", error)
