"""The trading loop that every bot shares: look, guard, trade, settle; once per call of `run_once`."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ..audit import Audit, AuditRefused
from ..clock import Clock
from ..faults import Faults
from ..settings import Settings
from ..switch import Switch, SwitchState, gate_present
from ..venue import Account, Venue, VenueError
from .drills import Drills
from .habits import Habits
from .openings import Openings
from .orders import OrderDesk, Say
from .pulse import Pulse
from .risk import Trigger, daily_loss, slippage, worst
from .signals import Signal, signal_at
from .stopping import cancel_afresh, cancel_everywhere

FAILURES_MAX = 5
_FILLS_JUDGED = 20
_ALIVE_SECONDS = 300
_HANG_POLL_SECONDS = 0.1
_GATE = "gate file present"


class InjectedFailure(RuntimeError):
    """Raised by the sandbox's own fault hook."""


@dataclass
class Parts:
    """What a worker is made of. `kill_venues` connect afresh: a stop never waits for the loop."""

    venues: Mapping[str, Venue]
    kill_venues: Mapping[str, Callable[[], Venue]]
    audit: Audit
    switch: Switch
    faults: Faults
    log: logging.Logger
    habits: Habits


class Worker:
    """One bot in one mode."""

    def __init__(self, settings: Settings, clock: Clock, parts: Parts) -> None:
        self.settings, self.clock, self.habits = settings, clock, parts.habits
        self.audit, self.switch, self.faults, self.log = parts.audit, parts.switch, parts.faults, parts.log
        self.venues, self._kill_venues = parts.venues, parts.kill_venues
        say = Say(self.halted, lambda proposal: self.habits.refuse(self, proposal))
        self.desk = OrderDesk(settings, clock, parts.venues, parts.audit, parts.log, say)
        self.pulse = Pulse(clock.now())
        self.drills = Drills(self)
        self._openings = Openings(parts.audit) if settings.keeps_openings else None
        self._seen: dict[str, Signal] = {}
        self._caught_up = self._settled_closed = self._gate_seen = False
        self._identity_problem: str | None = None
        self._alive_at: datetime | None = None
        self._row: int | None = None
        self.pipeline, self.switching = threading.Lock(), threading.RLock()
        self._stopping = threading.Event()
        self.habits.attach(self)

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
        """False once a venue has shown an account that is not this bot's in this mode."""
        return self._identity_problem is None

    def halted(self) -> str | None:
        """Why nothing may be sent at this very moment; the sandbox can make the bot deaf to it."""
        if self._stopping.is_set():
            return "the process is stopping"
        return None if self.faults.on("ignore_switch") else self.stopped_by()

    def trip(self, reason: str) -> SwitchState:
        """Halt, durably, before anything else is done. Raises sqlite3.Error or OSError if a disk fails; it is halted
        all the same."""
        with self.switching:
            try:
                state = self.switch.trip(reason)
            finally:
                self.habits.switched(self)
        self.log.warning("switch ON: %s", state.reason)
        return state

    def rearm(self, expected_reason: str) -> bool:
        """Arm if tripped for exactly that reason and without a gate file; ends any drill."""
        with self.switching:
            if self.gate_present() or not self.switch.rearm(expected_reason):
                return False
            self.drills.clear()
            self.habits.switched(self)
        self.log.info("switch OFF: re-armed after %s", expected_reason)
        return True

    def cancel_own(self) -> int:
        """Cancel on connections of its own, all venues at once. Raises VenueError if one cannot be heard."""
        return cancel_afresh(self.desk, self._kill_venues)

    def triggers(self) -> list[Trigger]:
        """Every trigger on the latest readings, a drilled one beyond its limit; only fills after the last re-arm are
        judged."""
        limits, since = self.settings.limits, self.switch.rearmed_at
        recent = self.audit.recent_slippage(_FILLS_JUDGED, since)
        found = [daily_loss(self.pulse.pnl_usd, limits), slippage(worst(recent), limits)]
        return [self.drills.applied(trigger) for trigger in (*found, *self.habits.triggers(self))]

    def worst_recent_slippage(self) -> Decimal | None:
        """For display: the worst of the last fills, whoever looked at them since."""
        return worst(self.audit.recent_slippage(_FILLS_JUDGED))

    # the loop

    def run_once(self) -> None:
        """One loop. Never raises: an exception is logged and counted, and five in a row trip the switch."""
        self._wait_out_hang()
        self._row = None
        error = self._survived("loop", self._loop)
        self._finish(error)
        self._survived("records", lambda: self.habits.end(self))

    def _survived(self, kind: str, action: Callable[[], None]) -> str | None:
        """What an action raised, or None."""
        try:
            action()
        except Exception as problem:  # the loop must survive; the error is on record
            error = self.settings.blotted(f"{type(problem).__name__}: {problem}")
            self.pulse.loop_errors += 1
            self.log.exception("unhandled exception in %s", kind)
            self._failed(kind, error, f"{FAILURES_MAX} loops failed in a row")
            return error
        self.pulse.failures[kind] = 0
        return None

    def _loop(self) -> None:
        self._heed_gate()
        self.habits.begin(self)
        word = "ON" if self.stopped_by() else "OFF"
        self._row = self.audit.start_loop(self.clock.now(), word, self.settings.size_multiplier)
        if self.faults.on("raise"):
            raise InjectedFailure("fault injected by the sandbox")
        with self.pipeline:
            self._step()

    def _heed_gate(self) -> None:
        """Where the gate is the only switch, lifting it is a person's re-arm: it ends the bot's own halts too."""
        present, self._gate_seen = self.gate_present(), self._gate_seen or self.gate_present()
        if self.settings.own_switch or present:
            return
        state = self.switch.state
        if state.tripped and (self._gate_seen or self.drills.over(state.reason)):
            self.rearm(state.reason)
        self._gate_seen = False

    def _finish(self, error: str | None) -> None:
        now = self.clock.now()
        self.pulse.loops += 1
        self.pulse.last_loop_at = now
        if error is None and self.pulse.failures.get("venue", 0) == 0 and self._identity_problem is None:
            self.pulse.last_error = None
        if self._row is not None:
            self._close_row(self._row, now, error)
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
        except (sqlite3.Error, OSError) as problem:
            self.log.error("switch ON in memory only: %s: %s", reason, problem)

    def _step(self) -> None:
        """A venue that cannot be read is expected, not an error: nothing is traded on old readings."""
        try:
            stopped = self.halted()
            if stopped:
                self._stand_still()
            self._look()
            self._guard()
            if self.halted() and not stopped:
                self._stand_still()
            if not self._caught_up:
                self.desk.settle()  # orders of an earlier run, before any new one
                self._caught_up = True
            self._trade()
            self._settle()
        except VenueError as problem:
            self.pulse.pnl_usd = None
            self.pulse.markets = {}
            self.log.warning("venue: %s", problem)
            said = self.settings.blotted(str(problem))
            self._failed("venue", f"venue: {said}", f"venue unreadable in {FAILURES_MAX} loops")
            return
        self.pulse.failures["venue"] = 0

    def _look(self) -> None:
        self.pulse.markets = {name: venue.market_open() for name, venue in self.venues.items()}
        accounts = {name: self._account(name, venue) for name, venue in self.venues.items()}
        self.pulse.accounts = accounts
        self.pulse.pnl_usd = sum((a.equity - a.last_equity for a in accounts.values()), Decimal(0))
        self._verify_identity(accounts)

    def _account(self, name: str, venue: Venue) -> Account:
        account = venue.account()
        return self._openings.applied(name, account, self.clock.now().date()) if self._openings else account

    def _verify_identity(self, accounts: Mapping[str, Account]) -> None:
        problems = [self._misfit(name, account.number) for name, account in accounts.items()]
        reason = next((problem for problem in problems if problem), None)
        news, self._identity_problem = reason != self._identity_problem, reason
        if reason is not None:
            self.pulse.last_error = reason
            if news or not self.switch.state.tripped:
                self._trip_itself(reason)

    def _misfit(self, name: str, number: str) -> str | None:
        told = self.settings.venues[name].access.account
        if not self.venues[name].belongs_to(number, self.settings.mode) or (told and told != number):
            return "account does not match mode"
        try:
            self.audit.stamp_account(name, number, bind=self.stopped_by() is None)
        except AuditRefused:
            return "account is not the one of the audit database"
        return None

    def _guard(self) -> None:
        if self.switch.state.tripped:
            return
        for trigger in self.triggers():
            if trigger.would_trip:
                self._trip_itself(trigger.reason())
                self.drills.noted(trigger)
                return

    def _stand_still(self) -> None:
        """Each loop while own orders are known, else once per bucket for one that the tables do not know."""
        if self.audit.working() or self._new_signals():
            cancel_everywhere(self.desk, self.venues)

    def _new_signals(self) -> list[Signal]:
        now, every = self.clock.now(), self.settings.signal_seconds
        current = [signal_at(symbol, now, every) for symbol in self.settings.symbols]
        return [signal for signal in current if self._seen.get(signal.symbol) != signal]

    def _trade(self) -> None:
        signals, places = self._new_signals(), self.settings.symbols
        for name, venue in self.venues.items():
            is_open = bool(self.pulse.markets.get(name))
            here = [signal for signal in signals if places[signal.symbol] == name]
            wanted = [s.symbol for s in here if s.intent != "hold"]
            may_send = is_open and wanted and not self.halted()
            quotes = venue.quotes(wanted) if may_send else {}
            for signal in here:
                self._seen[signal.symbol] = signal
                self.desk.consider(signal, quotes.get(signal.symbol), is_open)

    def _settle(self) -> None:
        """While the market is closed nothing changes by itself, so one look after the close is enough."""
        if self.pulse.market_open or self.halted() or not self._settled_closed:
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
