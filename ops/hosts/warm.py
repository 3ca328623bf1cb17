"""A warm Ansible: one server process that has imported Ansible once and forks for each run.

What Ansible reads from its environment while it is imported belongs to the server: a run with another environment gets
another server. A server that is gone, or cannot be, is replaced by a plain `ansible-playbook`; but only for a run that
has not begun, since nobody knows what one that has begun has done.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.errors import HostError

SERVER = Path(__file__).with_name("warm_server.py")
BEGIN_MAX_SECONDS = 60.0
"""The import takes 0.5 s where nothing else runs."""
# What differs from run to run; Ansible and our plugins read it when it is needed.
OF_THE_RUN = (
    "ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP", "ANSIBLE_SSH_ARGS", "INTERLOCK_EVENTS", "INTERLOCK_HOST_SECONDS",
    "INTERLOCK_REQUESTS",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run: its command, its whole environment, the folder it works in, the handle it inherits, its longest time."""

    command: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: Path
    handle: int
    seconds: float

    @property
    def of_the_server(self) -> dict[str, str]:
        """The part of the environment that a server keeps."""
        return {name: value for name, value in self.environ.items() if name not in OF_THE_RUN}


class NotBegunError(Exception):
    """The server is gone, and the run has not begun."""


class _Server:
    """One server process. It ends when this process does, however that ends."""

    def __init__(self, environ: Mapping[str, str], cwd: Path) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # The kernel ends it with the thread that made it, which must be the one that stays.
        parent = str(os.getpid() if threading.current_thread() is threading.main_thread() else 0)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-B", str(SERVER), str(theirs.fileno()), parent], cwd=cwd,
                env={**environ, "ANSIBLE_LOCAL_TEMP": tempfile.gettempdir()}, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def begin(self, run: Run, out: int, err: int) -> tuple[int, socket.socket]:
        """(process id, the line on which its exit code will come). Raises NotBegunError."""
        own = {name: value for name, value in run.environ.items() if name in OF_THE_RUN}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(BEGIN_MAX_SECONDS)
        try:
            with theirs:
                text = json.dumps({"command": run.command, "environ": own}).encode()
                socket.send_fds(self._control, [text], [theirs.fileno(), out, err, run.handle])
            return int(ours.recv(64)), ours
        except (OSError, ValueError):
            ours.close()
            self.end()
            raise NotBegunError from None

    def end(self) -> None:
        """Ends the server; runs under way go on."""
        self._control.close()
        self._process.kill()
        self._process.wait()


class _Kitchen:
    """The one server of this process, by the environment and the network that it was started in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: object = None
        self._server: _Server | None = None
        atexit.register(self.close)

    def server(self, environ: Mapping[str, str], cwd: Path) -> _Server | None:
        """The server for that environment, started if need be; None if there can be none."""
        key = (dict(environ), cwd, Path("/proc/thread-self/ns/net").stat().st_ino, os.getpid())
        with self._lock:
            if key != self._key:
                self._close()
                self._key = key
                with suppress(OSError):
                    self._server = _Server(environ, cwd)
            return self._server

    def spoilt(self, server: _Server) -> None:
        """Not this one again: what made it end would end the next."""
        with self._lock:
            if self._server is server:
                self._server = None

    def close(self) -> None:
        """Ends the server, if there is one."""
        with self._lock:
            self._close()
            self._key = None

    def _close(self) -> None:
        if self._server is not None:
            self._server.end()
            self._server = None


_KITCHEN = _Kitchen()


def make_ready(environ: Mapping[str, str], cwd: Path) -> None:
    """Starts the server in the background, so that the first run finds it ready. Never waits, never fails."""
    _KITCHEN.server({name: value for name, value in environ.items() if name not in OF_THE_RUN}, cwd)


def run_warm(run: Run) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end. -1 if it came to none in time, or to none of its own. Raises HostError."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code, more = _warm(run, out.fileno(), err.fileno())
        except NotBegunError:
            code, more = _plain(run, out.fileno(), err.fileno())
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read().decode(errors="replace"))
        return subprocess.CompletedProcess(run.command, code, said[0], said[1] + more)


def _warm(run: Run, out: int, err: int) -> tuple[int, str]:
    server = _KITCHEN.server(run.of_the_server, run.cwd)
    if server is None:
        raise NotBegunError
    try:
        pid, line = server.begin(run, out, err)
    except NotBegunError:
        _KITCHEN.spoilt(server)
        raise
    with line:
        line.settimeout(run.seconds)
        try:
            text = line.recv(64)
        except TimeoutError:
            _end_tree(pid)
            return -1, f"no end within {run.seconds:g} s"
        except BaseException:
            _end_tree(pid)
            raise
        return (int(text), "") if text else (-1, "it was ended from outside")


def _plain(run: Run, out: int, err: int) -> tuple[int, str]:
    try:
        process = subprocess.Popen(
            run.command, env=run.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=run.cwd,
            # A session of its own: the operator's Ctrl-C reaches Interlock alone, which lets the step finish.
            pass_fds=[run.handle], start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise HostError(f"{Path(run.command[0]).name} could not be started: {error.strerror}") from None
    try:
        return process.wait(timeout=run.seconds), ""
    except subprocess.TimeoutExpired:
        return -1, f"no end within {run.seconds:g} s"
    finally:
        if process.poll() is None:
            _end_tree(process.pid)
            process.wait()


def _end_tree(pid: int) -> None:
    """SIGKILL for a process and all below it: Ansible's workers each have a session of their own."""
    below = [pid]
    for one in below:  # grows while it is read
        with suppress(OSError):
            below += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    for one in below:
        with suppress(OSError):
            os.kill(one, signal.SIGKILL)
