"""What makes a system: how it reads its environment, what it shows, what it does besides the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from .audit import Audit
from .brokers import open_broker
from .clock import Clock
from .environment import SettingsError
from .faults import Faults
from .logs import close_log, open_log
from .settings import Settings
from .switch import Switch
from .trading.habits import Habits
from .trading.loop import Parts, Worker
from .venue import Access, Venue

if TYPE_CHECKING:
    from fastapi import FastAPI

SYSTEMS = ("alpaca-bot", "kraken-bot", "kalshi-polymarket", "smart-alpaca", "ibkr-assistant")
STARTED = "the process started"
_KILL_SECONDS = 2.0

Environ = Mapping[str, str]
OpenVenue = Callable[[str, Access, float | None], Venue]


@dataclass(frozen=True)
class System:
    """One of the five. `read` raises SettingsError; `app` is None for a bot without HTTP.

    `beside`: the services beside the one that trades, each of them an application and the port it is told.
    """

    name: str
    read: Callable[[Environ], tuple[Settings, Habits]]
    app: Callable[[Worker], FastAPI] | None = None
    beside: Mapping[str, Callable[[Environ], tuple[FastAPI, int]]] = field(default_factory=dict)


def system_named(name: str) -> System:
    """Imports that system only. Raises SettingsError for a name that is none of the five."""
    if name not in SYSTEMS:
        raise SettingsError(f"there is no system {name!r} (expected one of: {', '.join(SYSTEMS)})")
    found: System = import_module(f".systems.{name.replace('-', '_')}.system", __package__).SYSTEM
    return found


def open_worker(system: System, environ: Environ, clock: Clock, signal_seconds: int | None = None) -> Worker:
    """A worker on the files under its home and on its venues; `signal_seconds` overrides the environment's.

    Raises SettingsError, AuditRefused, OSError, sqlite3.Error, VenueError.
    """
    settings, habits = system.read(environ)
    if signal_seconds is not None:
        settings = replace(settings, signal_seconds=signal_seconds)
    settings.home.mkdir(parents=True, exist_ok=True)
    log = open_log(settings.log_file, clock, settings.secrets(), settings.anomalies_file)
    return make_worker(settings, habits, clock, log)


def make_worker(
    settings: Settings, habits: Habits, clock: Clock, log: logging.Logger, open_venue: OpenVenue = open_broker
) -> Worker:
    """As `open_worker`, on a log that is open already, and on the venues that `open_venue` opens."""
    data = settings.home / "var"
    data.mkdir(parents=True, exist_ok=True)
    audit = Audit(data / f"audit-{settings.mode}.sqlite", settings.mode, settings.instance)
    switch = Switch(data / "switch.sqlite", clock, armed_at_first=not settings.own_switch)
    if settings.starts_tripped and not switch.state.tripped:  # a halt's reason is its owner's: it is not overwritten
        switch.trip(STARTED)
    venues = settings.venues.items()
    parts = Parts(
        venues={name: open_venue(venue.kind, venue.access, None) for name, venue in venues},
        kill_venues={name: partial(open_venue, venue.kind, venue.access, _KILL_SECONDS) for name, venue in venues},
        audit=audit,
        switch=switch,
        faults=Faults(settings.home),
        log=log,
        habits=habits,
    )
    return Worker(settings, clock, parts)


def close_worker(worker: Worker) -> None:
    """Close the files of a worker whose loop has ended."""
    worker.habits.close()
    worker.audit.close()
    worker.switch.close()
    close_log(worker.log)
