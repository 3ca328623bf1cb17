"""The process: `python -m bots.run <system> [service]`. Reads its environment once, so only a restart loads another.

Exit 0 after SIGTERM or SIGINT (own open orders cancelled), 2 if it was told something it cannot start with.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from .audit import AuditRefused
from .clock import SystemClock
from .environment import SettingsError
from .logs import close_log, open_log
from .system import System, open_worker, system_named
from .trading.loop import Worker
from .venue import VenueError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

_LAST_CANCEL_SECONDS = 2.5
_SERVER_SECONDS = 0.5
_CANNOT_START = (SettingsError, AuditRefused, OSError, sqlite3.Error, VenueError)


def _refuse(problem: str, environ: Mapping[str, str]) -> int:
    """Say why on stderr, and in a log if there is a home to hold it."""
    sys.stderr.write(f"bots.run: {problem}\n")
    home = environ.get("BOT_HOME", "")
    if home and Path(home).is_dir():
        log = open_log(Path(home) / "var" / "log" / "bot.log", SystemClock())
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


class _Api:
    """The HTTP side in a thread of its own: outside the main thread uvicorn leaves the signals to us."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        import uvicorn  # a bot without HTTP does not pay for it

        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="api", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Asks it to end."""
        self._server.should_exit = True

    def join(self) -> None:
        """Waits a moment for answers on their way."""
        self._thread.join(_SERVER_SECONDS)


def _last_cancel(worker: Worker) -> None:
    try:
        worker.cancel_own()
    except VenueError as error:
        worker.log.error("own orders may still be open: %s", error)


def _stop(worker: Worker, loop: threading.Thread) -> None:
    """Stop the loop first, so that nothing is sent after the cancel; never longer than 5 s altogether."""
    worker.stop()
    loop.join(1.0)
    cancel = threading.Thread(target=_last_cancel, args=(worker,), name="last-cancel", daemon=True)
    cancel.start()
    cancel.join(_LAST_CANCEL_SECONDS)
    if cancel.is_alive():
        worker.log.error("own orders may still be open: the venue did not answer in time")


def _until_told() -> threading.Event:
    done = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        done.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return done


def _trade(system: System, environ: Mapping[str, str], done: threading.Event) -> int:
    """The service that trades: loop and surface, until told to stop."""
    worker = open_worker(system, environ, SystemClock())
    settings = worker.settings
    listener = _listen(settings.port) if system.app else None
    where = f" on port {listener.getsockname()[1]}" if listener else ""
    halt = worker.stopped_by() or "switch OFF"
    worker.log.info("started: %s in %s mode%s, %s", settings.instance, settings.mode, where, halt)
    api = _Api(system.app(worker), listener) if system.app and listener else None
    loop = threading.Thread(target=worker.run, name="loop", daemon=True)
    loop.start()
    done.wait()
    _stop(worker, loop)
    if api:
        api.stop()
    worker.log.info("stopped")
    if api:
        api.join()
    return 0


def _serve(system: System, service: str, environ: Mapping[str, str], done: threading.Event) -> int:
    """A service beside it, which shows or asks and never trades by itself."""
    if service not in system.beside:
        raise SettingsError(f"{system.name} has no service {service!r} (expected one of: {', '.join(system.beside)})")
    app, port = system.beside[service](environ)
    api = _Api(app, _listen(port))
    done.wait()
    api.stop()
    api.join()
    return 0


def run(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Start, serve and trade until told to stop; returns the exit code."""
    os.umask(0o077)
    done = _until_told()
    try:
        if not 1 <= len(words) <= 2:
            raise SettingsError("expected a system, and maybe one of its services")
        system = system_named(words[0])
        return _trade(system, environ, done) if len(words) == 1 else _serve(system, words[1], environ, done)
    except _CANNOT_START as error:
        return _refuse(str(error), environ)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], os.environ))
