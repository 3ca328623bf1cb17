"""supervisord instances of the sandbox: one for the simulated world, one per host. Ends only what it started."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import HostError, InputError

START_MAX_SECONDS = 20.0
STOP_MAX_SECONDS = 20.0


@dataclass(frozen=True)
class Program:
    """One program of a supervisord: its command, where it runs, its environment, how long it may take to stop."""

    name: str
    command: str
    directory: Path
    environment: Mapping[str, str]
    stop_wait_seconds: int = 10


class _Unix(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(str(self._path))
        return connection


@dataclass(frozen=True)
class Daemon:
    """One supervisord: its folder (configuration, pid file, logs) and its socket. `around` makes another command line
    of its command line: one that starts it somewhere."""

    name: str
    folder: Path
    socket: Path
    around: Callable[[Sequence[str]], Sequence[str]] = list

    def states(self) -> dict[str, str]:
        """Each program's state; empty if the supervisord does not answer."""
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_Unix(self.socket))
        try:
            rows = proxy.supervisor.getAllProcessInfo()
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return {}
        return {row["name"]: row["statename"] for row in rows}  # type: ignore[union-attr, index, call-overload]

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return bool(self.states())

    def start(self, programs: tuple[Program, ...]) -> None:
        """Starts it with these programs and waits until it answers. Raises HostError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        config = self.folder / "supervisord.conf"
        config.write_text(self._config(programs))
        supervisord = Path(sys.executable).parent / "supervisord"
        if not supervisord.exists():
            raise InputError("supervisord is missing", remedy="pip install -e '.[sandbox]'")
        done = subprocess.run(
            self.around([str(supervisord), "-c", str(config)]), env=_clean_environ(), check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True,
        )  # fmt: skip
        until = time.monotonic() + START_MAX_SECONDS
        while not self.running:
            if done.returncode != 0 or time.monotonic() > until:
                raise HostError(f"supervisord of {self.name} did not start: {done.stderr.strip()[-200:]}")
            time.sleep(0.05)

    def tell_to_stop(self) -> int | None:
        """Asks the supervisord that it started to end, and with it its programs; its process id, None if it is none."""
        try:
            pid = int((self.folder / "supervisord.pid").read_text())
            if str(self.folder).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return None
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return None
        return pid

    def _config(self, programs: tuple[Program, ...]) -> str:
        head = (
            f"[supervisord]\nlogfile={self.folder}/supervisord.log\npidfile={self.folder}/supervisord.pid\n"
            "logfile_maxbytes=1MB\nlogfile_backups=1\nsilent=true\numask=077\n"
            f"[unix_http_server]\nfile={self.socket}\nchmod=0600\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        )
        return head + "".join(self._section(program) for program in programs)

    def _section(self, program: Program) -> str:
        environment = ",".join(f'{key}="{value}"' for key, value in program.environment.items())
        return (
            f"[program:{program.name}]\ncommand={program.command}\ndirectory={program.directory}\n"
            f"environment={environment}\nautorestart=true\nstartsecs=1\nstartretries=1000\n"
            f"stopwaitsecs={program.stop_wait_seconds}\nredirect_stderr=true\n"
            f"stdout_logfile={self.folder}/{program.name}.out\nstdout_logfile_maxbytes=1MB\nstdout_logfile_backups=1\n"
        )


def stop_all(daemons: Iterable[Daemon]) -> None:
    """Ends all of them at the same time: each takes some seconds to end its programs in order."""
    told = [pid for daemon in daemons if (pid := daemon.tell_to_stop()) is not None]
    until = time.monotonic() + STOP_MAX_SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in told) and time.monotonic() < until:
        time.sleep(0.05)


def _clean_environ() -> dict[str, str]:
    """Nothing that an operator's shell exported reaches a bot."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}
