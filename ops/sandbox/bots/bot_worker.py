"""The process: `python -m bots.bot_worker`. Reads its environment once, so only a restart loads another one.

Exit 0 after SIGTERM or SIGINT (own open orders cancelled), 2 if it was told something it cannot start with.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import uvicorn

from .api import create_app
from .audit import Audit, AuditRefused
from .broker import AlpacaBroker
from .clock import Clock, SystemClock
from .faults import Faults
from .logs import close_log, open_log
from .loop import Parts, Worker
from .settings import Settings, SettingsError, read_settings
from .switch import Switch
from .venue import VenueError

_KILL_TIMEOUT_SECONDS = (1.0, 2.0)
_LAST_CANCEL_SECONDS = 2.5
_SERVER_SECONDS = 0.5


def make_worker(settings: Settings, clock: Clock, log: logging.Logger) -> Worker:
    """A worker on the files under its home and on Alpaca. Raises AuditRefused, OSError, sqlite3.Error."""
    data = settings.home / "var"
    data.mkdir(parents=True, exist_ok=True)
    parts = Parts(
        venue=AlpacaBroker(settings),
        kill_venue=lambda: AlpacaBroker(settings, _KILL_TIMEOUT_SECONDS),
        audit=Audit(data / f"audit-{settings.mode}.sqlite", settings.mode, settings.instance),
        switch=Switch(data / "switch.sqlite", clock),
        faults=Faults(settings.home),
        log=log,
    )
    return Worker(settings, clock, parts)


def secrets_of(settings: Settings) -> tuple[str, str]:
    """What must never stand in a log line."""
    return settings.secret_key.reveal(), settings.key_id.reveal()


def close_worker(worker: Worker) -> None:
    """Close the files of a worker whose loop has ended."""
    worker.audit.close()
    worker.switch.close()
    close_log(worker.log)


def _refuse(problem: str, environ: Mapping[str, str]) -> int:
    """Say why on stderr, and in the log if there is a home to hold it."""
    sys.stderr.write(f"bot_worker: {problem}\n")
    home = environ.get("BOT_HOME", "")
    if home and Path(home).is_dir():
        log = open_log(Path(home), SystemClock())
        log.error("cannot start: %s", problem)
        close_log(log)
    return 2


def _listen(port: int) -> socket.socket:
    """Named TCP, or asyncio would leave Nagle on and every answer would wait 40 ms for an acknowledgement."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise OSError(f"port {port} on 127.0.0.1 cannot be used: {error.strerror}") from None
    return listener


def _serve(worker: Worker, listener: socket.socket) -> tuple[uvicorn.Server, threading.Thread]:
    """The API in a thread of its own: outside the main thread uvicorn leaves the signals to us."""
    config = uvicorn.Config(create_app(worker), log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="api", daemon=True)
    thread.start()
    return server, thread


def _last_cancel(worker: Worker) -> None:
    try:
        worker.cancel_own()
    except VenueError as error:
        worker.log.error("own orders may still be open: %s", error)


def _within(seconds: float, target: threading.Thread) -> bool:
    target.start()
    target.join(seconds)
    return not target.is_alive()


def _stop(worker: Worker, server: uvicorn.Server, loop: threading.Thread) -> None:
    """Stop the loop first, so that nothing is sent after the cancel; never longer than 5 s altogether."""
    worker.stop()
    loop.join(1.0)
    cancel = threading.Thread(target=_last_cancel, args=(worker,), name="last-cancel", daemon=True)
    if not _within(_LAST_CANCEL_SECONDS, cancel):
        worker.log.error("own orders may still be open: the venue did not answer in time")
    server.should_exit = True
    worker.log.info("stopped")


def run(environ: Mapping[str, str]) -> int:
    """Start, serve and trade until told to stop; returns the exit code."""
    os.umask(0o077)
    done = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        done.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        settings = read_settings(environ)
        log = open_log(settings.home, SystemClock(), secrets_of(settings))
        worker = make_worker(settings, SystemClock(), log)
        listener = _listen(settings.port)
    except (SettingsError, AuditRefused, OSError, sqlite3.Error) as error:
        return _refuse(str(error), environ)
    port = listener.getsockname()[1]
    halt = worker.stopped_by() or "switch OFF"
    log.info("started: %s in %s mode on port %d, %s", settings.instance, settings.mode, port, halt)
    server, api = _serve(worker, listener)
    loop = threading.Thread(target=worker.run, name="loop", daemon=True)
    loop.start()
    done.wait()
    _stop(worker, server, loop)
    api.join(_SERVER_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(run(os.environ))
