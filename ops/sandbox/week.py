"""A simulated week of paper trading: the bots' own worker on a manual clock, through their own venue door.

It leaves what a week of running would have left: audit databases, switch and logs under each bot's home.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import requests

from ops.sandbox.bots.bot_worker import close_worker, make_worker, secrets_of
from ops.sandbox.bots.clock import ManualClock, day_start
from ops.sandbox.bots.logs import open_log
from ops.sandbox.bots.loop import Worker
from ops.sandbox.bots.settings import read_settings
from ops.sandbox.bots.switch import FIRST_START

STEP_OPEN = timedelta(minutes=30)
STEP_CLOSED = timedelta(hours=1)
_ADMIN_TIMEOUT_SECONDS = 10


class WeekFailed(RuntimeError):
    """The week could not be run to its end, or a bot did not end it armed."""


class VenueControl(Protocol):
    """The two levers of the simulated venue that a week needs."""

    def set_clock(self, now: datetime | None) -> None:
        """Put the venue's clock to a moment; None is the machine's time again."""

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
    """One bot, as its process would see itself: the variables of keys.env and those of its supervisor."""

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
    on_day: Callable[[datetime], None] = _silent,
) -> WeekSummary:
    """Run all bots from midnight UTC `days` before `end` up to `end`; `on_day` is told each day that begins.

    The bots start as on their first start, are armed as a person would arm them, and end armed. Raises
    WeekFailed if one does not, and SettingsError if an environment cannot be used. The venue is left on real
    time and always open, whatever happens.
    """
    start = day_start(end - timedelta(days=days))
    clock = ManualClock(start)
    workers: list[Worker] = []
    try:
        venue.set_hours("regular")
        venue.set_clock(start)
        workers += [_week_worker(bot, clock) for bot in bots]
        steps = _run(workers, venue, clock, end, on_day)
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


def _week_worker(bot: WeekBot, clock: ManualClock) -> Worker:
    """The bot with signals as far apart as the week's steps, which would skip most of its real ones."""
    told = read_settings(bot.environ)
    settings = replace(told, signal_seconds=int(STEP_OPEN.total_seconds()))
    settings.home.mkdir(parents=True, exist_ok=True)
    log: logging.Logger = open_log(settings.home, clock, secrets_of(settings))
    worker = make_worker(settings, clock, log)
    worker.rearm(FIRST_START)
    return worker


def _run(
    workers: Sequence[Worker],
    venue: VenueControl,
    clock: ManualClock,
    end: datetime,
    on_day: Callable[[datetime], None],
) -> int:
    day, steps = None, 0
    while clock.now() < end:
        if day_start(clock.now()) != day:
            day = day_start(clock.now())
            on_day(day)
        venue.set_clock(clock.now())
        for worker in workers:
            worker.run_once()
        steps += 1
        is_open = any(worker.pulse.market_open for worker in workers)
        clock.set(clock.now() + (STEP_OPEN if is_open else STEP_CLOSED))
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
