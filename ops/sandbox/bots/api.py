"""The HTTP API of the bot of seed 000, on loopback only. Its words: OFF = may trade, ON = halted."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from typing import Any, Literal

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware.trustedhost import TrustedHostMiddleware

from .clock import stamp
from .loop import Worker
from .metrics import exposition, registry_of
from .risk import Trigger
from .venue import VenueError

_SLOW_LOOPS = 5
_SLOW_SECONDS_MIN = 10.0
_CANCEL_TRIES = 3

Answer = dict[str, Any]


def create_app(worker: Worker) -> FastAPI:
    """The application; only requests addressed to this machine by a local name are answered."""
    app = FastAPI(title="reference bot", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    _add_readings(app, worker)
    _add_kill_switch(app, worker)
    _add_drill(app, worker)
    return app


def _add_readings(app: FastAPI, worker: Worker) -> None:
    registry = registry_of(worker)

    @app.get("/health")
    def health() -> Answer:
        return _health(worker)

    @app.get("/mode")
    def mode() -> Answer:
        return _mode(worker)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(exposition(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _add_kill_switch(app: FastAPI, worker: Worker) -> None:
    @app.get("/kill_switch")
    def kill_switch() -> Answer:
        return _kill_switch(worker)

    @app.post("/kill_switch")
    def trip(after: BackgroundTasks, reason: str = "no reason given", dry: bool = False) -> Answer:
        """Without a reason too: a halt is never refused for its form."""
        if dry:
            return {"would_trip": True, **_kill_switch(worker)}
        try:
            worker.trip(reason)
        except sqlite3.Error as error:
            after.add_task(_cancel_in_background, worker)
            raise HTTPException(500, f"halted in memory, but not on disk: {error}") from None
        after.add_task(_cancel_in_background, worker)
        return _kill_switch(worker)

    @app.delete("/kill_switch")
    def rearm(expected_reason: str) -> Answer:
        if worker.rearm(expected_reason):
            return _kill_switch(worker)
        state = _kill_switch(worker)
        raise HTTPException(409, {"error": "not re-armed", **state})


def _add_drill(app: FastAPI, worker: Worker) -> None:
    @app.post("/drill")
    def drill(control: Literal["daily_loss", "slippage", "replay"]) -> Answer:
        if worker.settings.mode == "live":
            raise HTTPException(409, "drills run in paper mode only")
        if control == "replay":
            return _replay(worker)
        if worker.stopped_by() is not None:
            raise HTTPException(409, "the switch is ON already: a trigger would prove nothing")
        worker.drill(control)
        return {"control": control, "injected": True}


def _replay(worker: Worker) -> Answer:
    try:
        return dict(worker.replay())
    except VenueError as error:
        raise HTTPException(503, f"the venue could not be read: {error}") from None


def _cancel_in_background(worker: Worker) -> None:
    """In a thread of its own: neither the answer nor the loop waits. The loop goes on cancelling."""
    threading.Thread(target=_cancel, args=(worker, worker.log), name="cancel", daemon=True).start()


def _cancel(worker: Worker, log: logging.Logger) -> None:
    for _ in range(_CANCEL_TRIES):
        try:
            worker.cancel_own()
            return
        except VenueError as error:
            log.warning("cancel after halt: %s", error)


def _health(worker: Worker) -> Answer:
    pulse, settings = worker.pulse, worker.settings
    since = pulse.last_loop_at or pulse.started_at
    age = (worker.clock.now() - since).total_seconds()
    slow = age > max(_SLOW_SECONDS_MIN, _SLOW_LOOPS * settings.loop_seconds)
    fine = pulse.last_loop_at is not None and pulse.last_error is None and not slow
    return {
        "status": "ok" if fine else "degraded",
        "instance": settings.instance,
        "mode": worker.faults.mode_shown(settings.mode),
        "switch": _word(worker),
        "last_loop_at": pulse.last_loop_at and stamp(pulse.last_loop_at),
        "loop_age_s": round(age, 3),
        "pid": os.getpid(),
        "started_at": stamp(pulse.started_at),
        "size_multiplier": str(settings.size_multiplier),
        "last_error": pulse.last_error,
    }


def _mode(worker: Worker) -> Answer:
    """`agree`: the three variables say one thing, and the account, once seen, is one of that mode."""
    settings, account = worker.settings, worker.pulse.account
    shown = worker.faults.mode_shown(settings.mode)
    return {
        "mode": shown,
        "account": account,
        "endpoint": settings.base_url,
        "key_id_last4": settings.key_id.reveal()[-4:],
        "variables": dict(settings.variables),
        "agree": settings.variables_agree and worker.identity_holds(),
    }


def _word(worker: Worker) -> str:
    return "OFF" if worker.stopped_by() is None else "ON"


def _kill_switch(worker: Worker) -> Answer:
    state = worker.switch.state
    loss, slip = worker.triggers()
    return {
        "status": _word(worker),
        "reason": state.reason,
        "since": state.since,
        "gate": worker.gate_present(),
        "triggers": {"daily_loss": _shown(loss, "usd"), "slippage": _shown(slip, "bps")},
    }


def _shown(trigger: Trigger, unit: str) -> Answer:
    value = None if trigger.value is None else str(trigger.value)
    return {f"value_{unit}": value, f"limit_{unit}": str(trigger.limit), "would_trip": trigger.would_trip}
