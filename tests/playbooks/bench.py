"""A host on the bench: a folder, the bot's API as a small server, and the host program as the process that it is."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.field import ROOT

PROGRAM = ROOT / "playbooks" / "library" / "interlock_host.py"
KEY, SECRET = "KEYVALUE-0001-of-the-bench", "SECRETVALUE-0001-of-the-bench"
PAPER = f"TRADING_MODE=paper\nALPACA_API_KEY={KEY}\nALPACA_SECRET_KEY={SECRET}\n"
LIVE = f"TRADING_MODE=live\nALPACA_API_KEY={KEY}-live\nALPACA_SECRET_KEY={SECRET}-live\n"
WATCH = {"shown": ["TRADING_MODE", "SIZE_MULTIPLIER"], "secret": ["ALPACA_API_KEY", "ALPACA_SECRET_KEY"]}
READOUTS = {"mode": "/mode", "switch": "/kill_switch", "health": "/health"}
FIRST = {"transition": "t1", "epoch": 1}
Said = dict[str, Any]


@cache
def the_program() -> ModuleType:
    """The host program as a module, for what cannot be seen from outside."""
    spec = importlib.util.spec_from_file_location("interlock_host", PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Api(ThreadingHTTPServer):
    """The bot's API: mode, switch with its reason, and the age of a loop."""

    def __init__(self, port: int = 0, mode: str = "paper") -> None:
        super().__init__(("127.0.0.1", port), _Answers)
        self.mode, self.loop_age_s = mode, 0.1
        self.tripped, self.reason, self.refuses = False, "re-armed", False
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def switch(self) -> Said:
        return {"status": "ON" if self.tripped else "OFF", "reason": self.reason}


class _Answers(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        known = {
            "/mode": {"mode": self.server.mode, "account": "PA1"},
            "/health": {"loop_age_s": self.server.loop_age_s},
            "/kill_switch": self.server.switch(),
        }
        self._answer(200 if path in known else 404, known.get(path, {}))

    def do_POST(self) -> None:
        self.server.calls.append(self.path)
        if self.server.refuses:
            return self._answer(500, {})
        self.server.tripped, self.server.reason = True, parse_qs(urlsplit(self.path).query)["reason"][0]
        return self._answer(200, self.server.switch())

    def do_DELETE(self) -> None:
        self.server.calls.append(self.path)
        expected = parse_qs(urlsplit(self.path).query)["expected_reason"][0]
        if self.server.refuses or (True, expected) != (self.server.tripped, self.server.reason):
            return self._answer(409, {"error": "not re-armed"})
        self.server.tripped, self.server.reason = False, "re-armed"
        return self._answer(200, self.server.switch())

    def _answer(self, status: int, document: Said) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is for failures."""


@dataclass
class Bench:
    """One host. `socket` is where its service manager would listen; nothing does unless a test starts one."""

    root: Path
    api_url: str
    socket: Path = Path("nobody-listens-here.sock")
    start_max_seconds: int = 10
    salt: str = "a-salt"
    api: Api | None = None
    more: Said = field(default_factory=dict)

    @property
    def env(self) -> Path:
        return self.root / "keys.env"

    @property
    def own(self) -> Path:
        return self.root / "interlock"

    @property
    def gate(self) -> Path:
        return self.own / "gate"

    @property
    def fence(self) -> Path:
        return self.own / "fence.json"

    @property
    def deadline(self) -> Path:
        return self.own / "deadline.json"

    def write_env(self, data: str | bytes = PAPER, mode: int = 0o600) -> None:
        self.env.write_bytes(data.encode() if isinstance(data, str) else data)
        self.env.chmod(mode)

    def halted(self, by: str = "t1", fence: Mapping[str, Any] = FIRST) -> None:
        """As a trip leaves it."""
        self.gate.write_text(json.dumps({"by": by, "at": "2026-11-20T14:00:00.000000Z"}))
        self.fence.write_text(json.dumps(fence))

    def request(self, op: str, **more: Any) -> Said:
        return {
            "op": op,
            "host": self.root.name,
            "system": "bench",
            "root": str(self.root),
            "env_file": "keys.env",
            "gate_file": "interlock/gate",
            "release": "release",
            "salt": self.salt,
            "watch": WATCH,
            "fence": FIRST,
            "by": "t1",
            "service": {
                "manager": "supervisord",
                "socket": str(self.socket),
                "name": "bot",
                "start_max_seconds": self.start_max_seconds,
            },
            "api": {
                "url": self.api_url,
                "readouts": {n: {"path": p} for n, p in READOUTS.items()},
                "health": {"field": "loop_age_s", "age_max": 10},
                "switch": {
                    "field": "status", "reason": "reason",
                    "words": {"OFF": "armed", "ON": "tripped"},
                },
                "trip": "POST /kill_switch?reason={reason}",
                "rearm": "DELETE /kill_switch?expected_reason={reason}",
            },
            **self.more,
            **more,
        }  # fmt: skip

    def command(self) -> list[str]:
        return [sys.executable, "-I", str(PROGRAM), "--stdin"]

    def ask(self, op: str, **more: Any) -> Said:
        """One run of the program, as the kill path runs it."""
        done = subprocess.run(
            self.command(), input=json.dumps(self.request(op, **more)), capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def watched(self) -> Iterator[subprocess.Popen[bytes]]:
        """With the watcher of the host's own deadline, as a service manager runs it."""
        command = [sys.executable, "-I", str(PROGRAM), "--watch", str(self.own / "watch.json")]
        watcher = subprocess.Popen(command)
        try:
            yield watcher
        finally:
            watcher.kill()
            watcher.wait(timeout=30)

    def look(self) -> Said:
        """What a run that only looks answers, without a process of its own: for many cases that differ in a file."""
        return json.loads(json.dumps(the_program().perform(self.request("look"))))


@contextmanager
def on_the_bench(folder: Path) -> Iterator[Bench]:
    """A halted host on paper whose API answers and whose service manager is gone."""
    root = folder / "host-1"
    (root / "interlock").mkdir(parents=True, mode=0o700)
    root.chmod(0o700)
    with Api() as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        bench = Bench(root, api.url, folder / "nobody.sock", api=api)
        bench.write_env()
        bench.halted()
        try:
            yield bench
        finally:
            api.shutdown()
            thread.join()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def code(answer: Mapping[str, Any]) -> str:
    """How a request ended: `ok`, or the code of the refusal."""
    return "ok" if answer["ok"] else str(answer["error"]["code"])
