"""A simulated week of paper trading: the bots' own worker on a manual clock, through their own venue door.

It leaves what a week of running would have left: audit databases, switch and logs under each bot's home.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import requests

from ops.sandbox.bots.clock import ManualClock, day_start
from ops.sandbox.bots.system import close_worker, open_worker, system_named
from ops.sandbox.bots.trading.loop import Worker

STEP_OPEN = timedelta(minutes=30)
STEP_CLOSED = timedelta(hours=1)
"""While no market is open; also the step of a bot whose markets never close."""
_ADMIN_TIMEOUT_SECONDS = 10


class WeekFailed(RuntimeError):
    """The week could not be run to its end, or a bot did not end it armed."""


class VenueControl(Protocol):
    """The two levers of the simulated world that a week needs."""

    def set_clock(self, now: datetime | None) -> None:
        """Put the venues' clock to a moment; None is the machine's time again."""

    def set_hours(self, hours: str) -> None:
        """`regular` or `always`."""


class AdminControl:
    """`VenueControl` over the simulated world's admin API on loopback."""

    def __init__(self, port: int, token: str) -> None:
        self._base = f"http://127.0.0.1:{port}/admin"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["X-Sandbox-Token"] = token

    def set_clock(self, now: datetime | None) -> None:
        self._post("clock", {"now": None if now is None else now.isoformat()})

    def set_hours(self, hours: str) -> None:
        self._post("hours", {"hours": hours})

    def _post(self, lever: str, body: Mapping[str, str | None]) -> None:
        try:
            url = f"{self._base}/{lever}"
            answer = self._session.post(url, json=body, timeout=_ADMIN_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise WeekFailed(f"the sandbox's admin API did not answer: {type(error).__name__}") from None
        if answer.status_code >= 300:
            raise WeekFailed(f"the sandbox's admin API refused {lever}: HTTP {answer.status_code}")


@dataclass(frozen=True)
class WeekBot:
    """One bot, as its process would see itself: the variables of its env file and those of its supervisor."""

    system: str
    environ: Mapping[str, str]


@dataclass(frozen=True)
class BotWeek:
    """What one bot did; `errors` counts unhandled exceptions, `tripped` is the reason if it ended halted."""

    instance: str
    loops: int
    errors: int
    orders: Mapping[str, int]
    fills: int
    tripped: str | None


@dataclass(frozen=True)
class WeekSummary:
    """The simulated span and what each bot did in it."""

    start: datetime
    end: datetime
    steps: int
    bots: tuple[BotWeek, ...]


def _silent(_day: datetime) -> None:
    return None


def run_week(
    bots: Sequence[WeekBot],
    venue: VenueControl,
    end: datetime,
    days: int = 7,
    step: timedelta = STEP_OPEN,
    on_day: Callable[[datetime], None] = _silent,
) -> WeekSummary:
    """Run all bots from midnight UTC `days` before `end` up to `end`, with a loop every `step` while a market is open;
    `on_day` is told each day that begins.

    The bots start as on their first start, are armed as a person would arm them, and end armed. Raises
    WeekFailed if one does not, and SettingsError if an environment cannot be used. The venues are left on real
    time and always open, whatever happens.
    """
    start = day_start(end - timedelta(days=days))
    clock = ManualClock(start)
    workers: list[Worker] = []
    try:
        venue.set_hours("regular")
        venue.set_clock(start)
        workers.extend(_week_worker(bot, clock, step) for bot in bots)
        steps = _run(workers, venue, _Span(clock, end, step), on_day)
        summary = WeekSummary(start, end, steps, tuple(_bot_week(worker) for worker in workers))
    finally:
        for worker in workers:
            close_worker(worker)
        venue.set_clock(None)
        venue.set_hours("always")
    halted = [f"{bot.instance}: {bot.tripped}" for bot in summary.bots if bot.tripped is not None]
    if halted:
        raise WeekFailed(f"not armed at the end of the week: {'; '.join(halted)}")
    return summary


def _week_worker(bot: WeekBot, clock: ManualClock, step: timedelta) -> Worker:
    """The bot with signals as far apart as the week's steps, which would skip most of its real ones."""
    worker = open_worker(system_named(bot.system), bot.environ, clock, signal_seconds=int(step.total_seconds()))
    if worker.switch.state.tripped:
        worker.rearm(worker.switch.state.reason)
    return worker


@dataclass(frozen=True)
class _Span:
    """The time that is simulated: from where the clock stands to the end, and the step while a market is open."""

    clock: ManualClock
    end: datetime
    step: timedelta


def _run(workers: Sequence[Worker], venue: VenueControl, span: _Span, on_day: Callable[[datetime], None]) -> int:
    clock, day, steps = span.clock, None, 0
    while clock.now() < span.end:
        if day_start(clock.now()) != day:
            day = day_start(clock.now())
            on_day(day)
        venue.set_clock(clock.now())
        for worker in workers:
            worker.run_once()
        steps += 1
        is_open = any(worker.pulse.market_open for worker in workers)
        clock.set(clock.now() + (span.step if is_open else STEP_CLOSED))
    return steps


def _bot_week(worker: Worker) -> BotWeek:
    return BotWeek(
        instance=worker.settings.instance,
        loops=worker.pulse.loops,
        errors=worker.pulse.loop_errors,
        orders=dict(worker.desk.results),
        fills=worker.desk.fills_recorded,
        tripped=worker.stopped_by(),
    )
