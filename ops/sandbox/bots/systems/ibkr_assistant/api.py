"""The API of seed 004: `/api/v1/health`, `/api/v1/portfolio`, `/api/v1/approvals/pending`, `/api/v1/kill-switch`.

Its kill switch is ACTIVE while it may trade; `POST /api/v1/kill-switch/activate` stops trading all the same
(contradiction C1). The way back is `POST /api/v1/kill-switch/reset?expected_reason=`, which the seed does by dashboard.
"""

from __future__ import annotations

import os
import sqlite3
from typing import cast

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict

from ...clock import stamp
from ...surface import Answer, cancel_in_background, halt_reason, mode_facts, pulse_facts, worker_app
from ...trading.loop import Worker
from .assistant import HALTED, MAY_TRADE, Assistant


class Activation(BaseModel):
    """Who stops it and why; nothing of it is needed: a halt is never refused for its form."""

    model_config = ConfigDict(extra="ignore")
    reason: str = ""
    message: str = ""
    activated_by: str = ""

    def text(self) -> str:
        """One line for the record."""
        parts = (self.reason, self.message, f"by {self.activated_by}" if self.activated_by else "")
        return ", ".join(part for part in parts if part)


def create_app(worker: Worker) -> FastAPI:
    """`/api/v1/*`, `/drill`, `/metrics`."""
    app, assistant = worker_app("ibkr-assistant", worker), cast(Assistant, worker.habits)
    _add_readings(app, worker, assistant)
    _add_kill_switch(app, worker)
    return app


def _add_readings(app: FastAPI, worker: Worker, assistant: Assistant) -> None:
    @app.get("/api/v1/health")
    def health() -> Answer:
        return _health(worker)

    @app.get("/api/v1/portfolio")
    def portfolio() -> Answer:
        return _portfolio(worker)

    @app.get("/api/v1/approvals/pending")
    def pending() -> Answer:
        return {"pending": assistant.approvals.pending(worker)}


def _add_kill_switch(app: FastAPI, worker: Worker) -> None:
    @app.get("/api/v1/kill-switch")
    def kill_switch() -> Answer:
        return _kill_switch(worker)

    @app.post("/api/v1/kill-switch/activate")
    def trip(after: BackgroundTasks, body: Activation | None = None, reason: str = "", dry: bool = False) -> Answer:
        if dry:
            return {"would_trip": True, **_kill_switch(worker)}
        after.add_task(cancel_in_background, worker)
        try:
            worker.trip(reason or (body.text() if body else "") or "no reason given")
        except (sqlite3.Error, OSError) as error:
            raise HTTPException(500, f"halted in memory, but not on disk: {type(error).__name__}") from None
        return _kill_switch(worker)

    @app.post("/api/v1/kill-switch/reset")
    def rearm(expected_reason: str) -> Answer:
        if worker.rearm(expected_reason):
            return _kill_switch(worker)
        raise HTTPException(409, {"error": "not re-armed", **_kill_switch(worker)})


def _word(worker: Worker) -> str:
    return MAY_TRADE if worker.stopped_by() is None else HALTED


def _health(worker: Worker) -> Answer:
    settings, facts, mode = worker.settings, pulse_facts(worker), mode_facts(worker)
    return {
        "status": "healthy" if facts.pop("fine") else "degraded",
        "env": mode.pop("mode"),
        **mode,
        "account": worker.pulse.account_numbers.get("ibkr"),
        "kill_switch": _word(worker),
        "reason": halt_reason(worker),
        "instance": settings.instance,
        "size_multiplier": str(settings.size_multiplier),
        "pid": os.getpid(),
        "started_at": stamp(worker.pulse.started_at),
        **facts,
    }


def _kill_switch(worker: Worker) -> Answer:
    state = worker.switch.state
    return {
        "state": _word(worker),
        "reason": state.reason,
        "since": state.since,
        "gate": worker.gate_present(),
        "triggers": {
            t.name: {"value": None if t.value is None else str(t.value), "limit": str(t.limit), "unit": t.unit}
            for t in worker.triggers()
        },
    }


def _portfolio(worker: Worker) -> Answer:
    """Holdings are the bot's own, by its fills; the equity is the account's."""
    pulse, audit = worker.pulse, worker.audit
    held = {symbol: audit.held(symbol) for symbol in worker.settings.symbols}
    return {
        "account": pulse.account_numbers.get("ibkr"),
        "equity_usd": None if pulse.equity_usd is None else str(pulse.equity_usd),
        "pnl_daily_usd": None if pulse.pnl_usd is None else str(pulse.pnl_usd),
        "exposure_usd": str(audit.at_stake_usd()),
        "positions": [{"symbol": symbol, "qty": str(qty)} for symbol, qty in held.items() if qty],
        "open_orders": len(audit.working()),
    }
