"""The trading loop that every bot shares: look, guard, trade, settle; once per call of `run_once`."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from .audit import Audit, AuditRefused
from .clock import Clock, day_start
from .faults import Faults
from .orders import OrderDesk
from .risk import Trigger, daily_loss, slippage, worst
from .settings import Settings
from .signals import Signal, signal_again, signal_at
from .switch import Switch, SwitchState, gate_present
from .venue import Venue, VenueError

FAILURES_MAX = 5
REPLAY_MAX = 500
_FILLS_JUDGED = 20
_ALIVE_SECONDS = 300
_HANG_POLL_SECONDS = 0.1
_GATE = "gate file present"
_BEYOND = Decimal(1)


class InjectedFailure(RuntimeError):
    """Raised by the sandbox's own fault hook."""


@dataclass
class Parts:
    """What a worker is made of. `kill_venue` connects afresh: a stop never waits for the loop."""

    venue: Venue
    kill_venue: Callable[[], Venue]
    audit: Audit
    switch: Switch
    faults: Faults
    log: logging.Logger


@dataclass
class Pulse:
    """What the loop saw last, for the API and the metrics. Written by the loop only; None is "not known"."""

    started_at: datetime
    last_loop_at: datetime | None = None
    last_error: str | None = None
    loops: int = 0
    loop_errors: int = 0
    account: str | None = None
    market_open: bool | None = None
    pnl_usd: Decimal | None = None
    failures: dict[str, int] = field(default_factory=dict)


class Worker:
    """One bot in one mode."""

    def __init__(self, settings: Settings, clock: Clock, parts: Parts) -> None:
        self.settings, self.clock = settings, clock
        self.audit, self.switch, self.faults, self.log = parts.audit, parts.switch, parts.faults, parts.log
        self._venue, self._kill_venue = parts.venue, parts.kill_venue
        self.desk = OrderDesk(settings, clock, parts.venue, parts.audit, parts.log, self._halted)
        self.pulse = Pulse(clock.now())
        self._drills: dict[str, Decimal] = {}
        self._seen: dict[str, Signal] = {}
        self._caught_up = self._settled_closed = False
        self._identity_problem: str | None = None
        self._alive_at: datetime | None = None
        self._pipeline = threading.Lock()
        self._stopping = threading.Event()

    # may it trade

    def stopped_by(self) -> str | None:
        """Why the bot must not trade now: the gate file, the switch, or None."""
        if self.gate_present():
            return _GATE
        state = self.switch.state
        return f"switch ON: {state.reason}" if state.tripped else None

    def gate_present(self) -> bool:
        return gate_present(self.settings.gate_file)

    def identity_holds(self) -> bool:
        """False once the venue has shown an account that is not this bot's in this mode."""
        return self._identity_problem is None

    def _halted(self) -> str | None:
        if self._stopping.is_set():
            return "the process is stopping"
        return None if self.faults.on("ignore_switch") else self.stopped_by()

    def trip(self, reason: str) -> SwitchState:
        """Halt, durably, before anything else is done."""
        state = self.switch.trip(reason)
        self.log.warning("switch ON: %s", state.reason)
        return state

    def rearm(self, expected_reason: str) -> bool:
        """Arm if tripped for exactly that reason and without a gate file; ends any drill."""
        if self.gate_present() or not self.switch.rearm(expected_reason):
            return False
        self._drills.clear()
        self.log.info("switch OFF: re-armed after %s", expected_reason)
        return True

    def cancel_own(self) -> int:
        """Cancel on a connection of its own. Raises VenueError if the venue cannot be heard."""
        return self.desk.cancel_own(self._kill_venue())

    def triggers(self) -> tuple[Trigger, Trigger]:
        """Both triggers on the latest readings; only fills after the last re-arm are judged."""
        limits, since = self.settings.limits, self.switch.rearmed_at
        pnl, recent = self.pulse.pnl_usd, self.audit.recent_slippage(_FILLS_JUDGED, since)
        loss = daily_loss(self._drills.get("daily_loss", pnl), limits)
        injected = [self._drills["slippage"]] if "slippage" in self._drills else []
        return loss, slippage(worst([*recent, *injected]), limits)

    def worst_recent_slippage(self) -> Decimal | None:
        """For display: the worst of the last fills, whoever looked at them since."""
        return worst(self.audit.recent_slippage(_FILLS_JUDGED))

    def drill(self, control: str) -> None:
        """Let the next loop read a value just beyond that limit; the bot's own trigger does the rest."""
        limits = self.settings.limits
        if control == "daily_loss":
            self._drills[control] = -limits.loss_daily_max_usd - _BEYOND
        else:
            self._drills[control] = limits.slippage_max_bps + _BEYOND
        self.log.warning("drill: %s injected", control)

    def replay(self) -> dict[str, int]:
        """Send today's signals that led to orders (the last 500 at most) through the same pipeline again."""
        settings = self.settings
        with self._pipeline:
            ids = self.audit.sent_signals(day_start(self.clock.now()), REPLAY_MAX)
            quotes = self._venue.quotes(settings.symbols) if ids else {}
            is_open = self._venue.market_open()
            signals = [signal_again(name, settings.signal_seconds) for name in dict.fromkeys(ids)]
            outcomes = [self.desk.consider(s, quotes.get(s.symbol), is_open) for s in signals]
        count = {
            "replayed": len(outcomes),
            "submitted": sum(outcome.word == "submit" for outcome in outcomes),
            "refused_duplicates": sum(outcome.duplicate for outcome in outcomes),
        }
        self.log.info("drill: %s", count)
        return count

    # the loop

    def run_once(self) -> None:
        """One loop. Never raises: an exception is logged and counted, and five in a row trip the switch."""
        self._wait_out_hang()
        loop: int | None = None
        error: str | None = None
        try:
            word = "ON" if self.stopped_by() else "OFF"
            loop = self.audit.start_loop(self.clock.now(), word, self.settings.size_multiplier)
            if self.faults.on("raise"):
                raise InjectedFailure("fault injected by the sandbox")
            with self._pipeline:
                self._step()
            self.pulse.failures["loop"] = 0
        except Exception as problem:  # the loop must survive; the error is on record
            error = f"{type(problem).__name__}: {problem}"
            self.pulse.loop_errors += 1
            self.log.exception("unhandled exception in loop")
            self._failed("loop", error, f"{FAILURES_MAX} loops failed in a row")
        self._finish(loop, error)

    def _finish(self, loop: int | None, error: str | None) -> None:
        now = self.clock.now()
        self.pulse.loops += 1
        self.pulse.last_loop_at = now
        if error is None and self.pulse.failures.get("venue", 0) == 0 and self._identity_problem is None:
            self.pulse.last_error = None
        if loop is not None:
            self._close_row(loop, now, error)
        if self._alive_at is None or (now - self._alive_at).total_seconds() >= _ALIVE_SECONDS:
            self._alive_at = now
            self.log.info("alive: loop %d, market %s", self.pulse.loops, self._market_word())

    def _close_row(self, loop: int, now: datetime, error: str | None) -> None:
        try:
            self.audit.finish_loop(loop, now, error)
        except sqlite3.Error as problem:
            self.pulse.last_error = f"audit: {problem}"
            self.log.error("audit database: %s", problem)

    def _market_word(self) -> str:
        return {True: "open", False: "closed", None: "unknown"}[self.pulse.market_open]

    def _failed(self, kind: str, error: str, reason: str) -> None:
        self.pulse.last_error = error
        count = self.pulse.failures[kind] = self.pulse.failures.get(kind, 0) + 1
        if count >= FAILURES_MAX and not self.switch.state.tripped:
            self._trip_itself(reason)

    def _trip_itself(self, reason: str) -> None:
        """The switch halts in memory even if the disk fails; the loop goes on to say so."""
        try:
            self.trip(reason)
        except sqlite3.Error as problem:
            self.log.error("switch ON in memory only: %s: %s", reason, problem)

    def _step(self) -> None:
        """A venue that cannot be read is expected, not an error: nothing is traded on old readings."""
        try:
            stopped = self._halted()
            if stopped:
                self._stand_still()
            self._look()
            self._guard()
            if self._halted() and not stopped:
                self._stand_still()
            if not self._caught_up:
                self.desk.settle()  # orders of an earlier run, before any new one
                self._caught_up = True
            self._trade()
            self._settle()
        except VenueError as problem:
            self.pulse.pnl_usd = self.pulse.market_open = None
            self.log.warning("venue: %s", problem)
            self._failed("venue", f"venue: {problem}", f"venue unreadable in {FAILURES_MAX} loops")
            return
        self.pulse.failures["venue"] = 0

    def _look(self) -> None:
        self.pulse.market_open = self._venue.market_open()
        account = self._venue.account()
        self.pulse.account = account.number
        self.pulse.pnl_usd = account.equity - account.last_equity
        self._verify_identity(account.number)

    def _verify_identity(self, number: str) -> None:
        reason = None
        if not self._venue.belongs_to(number, self.settings.mode):
            reason = "account does not match mode"
        else:
            try:
                self.audit.stamp_account(number, bind=self.stopped_by() is None)
            except AuditRefused:
                reason = "account is not the one of the audit database"
        news, self._identity_problem = reason != self._identity_problem, reason
        if reason is not None:
            self.pulse.last_error = reason
            if news or not self.switch.state.tripped:
                self._trip_itself(reason)

    def _guard(self) -> None:
        if self.switch.state.tripped:
            return
        for trigger in self.triggers():
            if trigger.would_trip:
                self._trip_itself(trigger.reason())
                return

    def _stand_still(self) -> None:
        """Each loop while own orders are known, else once per bucket for one that the tables do not know."""
        if self.audit.working() or self._new_signals():
            self.desk.cancel_own(self._venue)

    def _new_signals(self) -> list[Signal]:
        now, every = self.clock.now(), self.settings.signal_seconds
        current = [signal_at(symbol, now, every) for symbol in self.settings.symbols]
        return [signal for signal in current if self._seen.get(signal.symbol) != signal]

    def _trade(self) -> None:
        is_open = bool(self.pulse.market_open)
        signals = self._new_signals()
        wanted = [s.symbol for s in signals if s.intent != "hold"]
        may_send = is_open and wanted and not self._halted()
        quotes = self._venue.quotes(wanted) if may_send else {}
        for signal in signals:
            self._seen[signal.symbol] = signal
            self.desk.consider(signal, quotes.get(signal.symbol), is_open)

    def _settle(self) -> None:
        """While the market is closed nothing changes by itself, so one look after the close is enough."""
        if self.pulse.market_open or self._halted() or not self._settled_closed:
            self.desk.settle()
        self._settled_closed = not self.pulse.market_open

    # as a thread

    def run(self) -> None:
        """Loop until `stop`."""
        while not self._stopping.is_set():
            self.run_once()
            self._stopping.wait(self.settings.loop_seconds)

    def stop(self) -> None:
        self._stopping.set()

    def _wait_out_hang(self) -> None:
        while self.faults.on("hang") and not self._stopping.is_set():
            self._stopping.wait(_HANG_POLL_SECONDS)
