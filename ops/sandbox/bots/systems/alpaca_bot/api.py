"""The HTTP API of the bot of seed 000, on loopback only. Its words: OFF = may trade, ON = halted."""

from __future__ import annotations

import os
import sqlite3

from fastapi import BackgroundTasks, FastAPI, HTTPException

from ...clock import stamp
from ...surface import Answer, cancel_in_background, mode_facts, pulse_facts, worker_app
from ...trading.loop import Worker
from ...trading.risk import Trigger


def create_app(worker: Worker) -> FastAPI:
    """`/health`, `/mode`, `/kill_switch` (GET, POST, DELETE), `/drill`, `/metrics`."""
    app = worker_app("alpaca-bot", worker)
    _add_readings(app, worker)
    _add_kill_switch(app, worker)
    return app


def _add_readings(app: FastAPI, worker: Worker) -> None:
    @app.get("/health")
    def health() -> Answer:
        return _health(worker)

    @app.get("/mode")
    def mode() -> Answer:
        return _mode(worker)


def _add_kill_switch(app: FastAPI, worker: Worker) -> None:
    @app.get("/kill_switch")
    def kill_switch() -> Answer:
        return _kill_switch(worker)

    @app.post("/kill_switch")
    def trip(after: BackgroundTasks, reason: str = "no reason given", dry: bool = False) -> Answer:
        """Without a reason too: a halt is never refused for its form."""
        if dry:
            return {"would_trip": True, **_kill_switch(worker)}
        after.add_task(cancel_in_background, worker)
        try:
            worker.trip(reason)
        except sqlite3.Error as error:
            raise HTTPException(500, f"halted in memory, but not on disk: {error}") from None
        return _kill_switch(worker)

    @app.delete("/kill_switch")
    def rearm(expected_reason: str) -> Answer:
        if worker.rearm(expected_reason):
            return _kill_switch(worker)
        state = _kill_switch(worker)
        raise HTTPException(409, {"error": "not re-armed", **state})


def _health(worker: Worker) -> Answer:
    settings, facts = worker.settings, pulse_facts(worker)
    return {
        "status": "ok" if facts.pop("fine") else "degraded",
        "instance": settings.instance,
        "mode": worker.faults.mode_shown(settings.mode),
        "switch": _word(worker),
        "pid": os.getpid(),
        "started_at": stamp(worker.pulse.started_at),
        "size_multiplier": str(settings.size_multiplier),
        **facts,
    }


def _mode(worker: Worker) -> Answer:
    """`agree`: the three variables say one thing, and the account, once seen, is one of that mode."""
    access = worker.settings.venues["alpaca"].access
    return {
        **mode_facts(worker),
        "account": worker.pulse.account_numbers.get("alpaca"),
        "endpoint": access.endpoint,
        "key_id_last4": access.key.reveal()[-4:],
    }


def _word(worker: Worker) -> str:
    return "OFF" if worker.stopped_by() is None else "ON"


def _kill_switch(worker: Worker) -> Answer:
    state = worker.switch.state
    shown = {"daily_loss": "usd", "slippage": "bps"}
    triggers = {t.name: _shown(t, shown[t.name]) for t in worker.triggers()}
    return {
        "status": _word(worker),
        "reason": state.reason,
        "since": state.since,
        "gate": worker.gate_present(),
        "triggers": triggers,
    }


def _shown(trigger: Trigger, unit: str) -> Answer:
    value = None if trigger.value is None else str(trigger.value)
    return {f"value_{unit}": value, f"limit_{unit}": str(trigger.limit), "would_trip": trigger.would_trip}
