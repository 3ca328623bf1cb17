"""A real Redis and a real PostgreSQL, each in a folder of its own and on loopback, to be killed and frozen at will."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.field import awaited

PASSWORD = "canary-store-pw"
START_SECONDS = 20.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def needed(there: object, what: str) -> None:
    """The machine that judges each commit must have it; elsewhere the tests that need it say so and rest."""
    if there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed here, and CI must have it")
    pytest.skip(f"{what} is not installed here")


class Server:
    """One server process, started in the foreground; `crash` is the signal that ends it without any tidying up."""

    def __init__(self, folder: Path, words: Sequence[str], url: str, crash: signal.Signals, user: str | None) -> None:
        self.url, self._folder, self._words, self._crash, self._who = url, folder, words, crash, as_user(user)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "out.log").open("ab") as log:
            self._process = subprocess.Popen(self._words, cwd=self._folder, stdout=log, stderr=log, **self._who)
        awaited(self._ready, START_SECONDS, self._words[0])

    def _ready(self) -> bool:
        assert self._process is not None and self._process.poll() is None, (self._folder / "out.log").read_text()
        return answers(self.url)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(self._crash)
        self._process.wait(10)

    def freeze(self) -> None:
        """It stands still, its children first: connections stay, and nothing answers."""
        self._all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._all(signal.SIGCONT)

    def _all(self, number: signal.Signals) -> None:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (*map(int, children), pid):
            os.kill(one, number)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()


def answers(url: str) -> bool:
    """Whether it takes questions by now: it listens before it has read its data."""
    if url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as line, suppress(redis.RedisError):
            return bool(line.ping())
        return False
    import psycopg

    with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def as_user(user: str | None) -> dict[str, Any]:
    """PostgreSQL refuses to run as root, so root hands it to a user without rights."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


@contextmanager
def redis_server() -> Iterator[Server]:
    """One that has every write on disk before it answers, as a production queue must."""
    program = shutil.which("redis-server")
    needed(program, "redis-server")
    needed(find_spec("redis"), "the redis library")
    with tempfile.TemporaryDirectory(prefix="redis-") as name:
        folder, port = Path(name), free_port()
        keeps = ("save ''", "appendonly yes", "appendfsync always")
        lines = ("bind 127.0.0.1", f"port {port}", f"requirepass {PASSWORD}", f"dir {folder}", *keeps)
        (folder / "redis.conf").write_text("\n".join(lines) + "\n")
        url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        server = Server(folder, [str(program), "redis.conf"], url, signal.SIGKILL, None)
        with running(server):
            yield server


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A cluster made on the spot."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    program = found[-1] if found else Path(shutil.which("initdb") or "")
    needed(program.name, "PostgreSQL's server")
    needed(find_spec("psycopg"), "the psycopg library")
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, port = Path(name), free_port()
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password") if user else ():
            shutil.chown(path, user)
        words = ["-D", "data", "-U", "bot", "--pwfile=password", "-A", "scram-sha-256", "--no-sync", "--no-locale"]
        made = subprocess.run(
            [program, *words, "-E", "UTF8"], cwd=folder, capture_output=True, text=True, **as_user(user)
        )
        assert made.returncode == 0, made.stderr
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        url = f"postgresql://bot:{PASSWORD}@127.0.0.1:{port}/postgres"
        words = [str(program.with_name("postgres")), "-D", "data", *options]
        server = Server(folder, words, url, signal.SIGQUIT, user)
        with running(server):
            yield server


@contextmanager
def running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()
