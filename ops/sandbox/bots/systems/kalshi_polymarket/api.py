"""The HTTP API of seed 002: `/api/trading/mode|state|reset`. It shows whether it can trade, and has no switch.

`mode` is `paper` or `real`. `status` is TRADING, or STOPPED with a `reason`: the gate file, a halt of its own, a size
of zero, or the day's trades are used up.
"""

from __future__ import annotations

import hmac
from typing import cast

from fastapi import FastAPI, Header, HTTPException

from ...clock import day_start
from ...surface import Answer, halt_reason, mode_facts, pulse_facts, worker_app
from ...trading.loop import Worker
from .controls import RiskControls

_REAL = {"live": "real"}


def create_app(worker: Worker) -> FastAPI:
    """`/api/trading/mode`, `/api/trading/state`, `/api/trading/reset`, `/drill`, `/metrics`."""
    app, controls = worker_app("kalshi-polymarket", worker), cast(RiskControls, worker.habits)

    @app.get("/api/trading/mode")
    def mode() -> Answer:
        facts = mode_facts(worker)
        shown = _REAL.get(str(facts.pop("mode")), "paper")
        return {"mode": shown, "live_trading": shown == "real", "accounts": worker.pulse.account_numbers, **facts}

    @app.get("/api/trading/state")
    def state() -> Answer:
        return _state(worker, controls)

    @app.post("/api/trading/reset")
    def reset(x_reset_key: str = Header(default="")) -> Answer:
        """Refused with the wrong key, or while it may trade; it never lifts a limit."""
        key = controls.reset_key.reveal()
        if not key or not hmac.compare_digest(x_reset_key.encode(), key.encode()):
            raise HTTPException(403, "LIVE_TRADING_RESET_KEY is not set" if not key else "wrong reset key")
        if not stopped(worker):
            raise HTTPException(409, "it is trading: stop it first (gate file)")
        return {"reset": True, "snapshot": controls.start_anew(worker).name, **_state(worker, controls)}

    return app


def stopped(worker: Worker) -> str:
    """Why it cannot trade now; empty while it can."""
    settings = worker.settings
    if reason := halt_reason(worker):
        return reason
    if settings.size_multiplier <= 0:
        return "size is zero"
    used = worker.audit.orders_since(day_start(worker.clock.now()))
    return f"daily trade limit: {used} orders today" if used >= settings.limits.orders_per_day_max else ""


def _state(worker: Worker, controls: RiskControls) -> Answer:
    settings, reason, facts = worker.settings, stopped(worker), pulse_facts(worker)
    limits = settings.limits
    return {
        "mode": _REAL.get(worker.faults.mode_shown(settings.mode), "paper"),
        "status": "STOPPED" if reason else "TRADING",
        "can_trade": not reason,
        "reason": reason,
        "gate": worker.gate_present(),
        "size_multiplier": str(settings.size_multiplier),
        **controls.daily(worker),
        "balances": {name: str(account.equity) for name, account in worker.pulse.accounts.items()},
        "limits": {
            "initial_balance": str(controls.balance_usd),
            "bet_amount": str(limits.order_notional_max_usd),
            "min_roi": str(controls.roi_min_pct),
            "max_position_size": str(limits.position_max_usd),
            "max_daily_trades": limits.orders_per_day_max,
            "daily_loss_limit": str(limits.loss_daily_max_usd),
        },
        "healthy": facts.pop("fine"),
        **facts,
    }
