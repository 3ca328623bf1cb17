"""The bot as it is run on a host: copied as package `bots`, under dotenv, against the simulated venue."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

import ops.sandbox.bots
from ops.sandbox.bots.audit import Audit

from .conftest import KEY_ID, SECRET, Outside, environ_for

DEADLINE_SECONDS = 20.0
SUPERVISORS = ("BOT_HOME", "BOT_PORT", "GATE_FILE", "LOOP_SECONDS", "SIGNAL_SECONDS")
LIVE = {"TRADING_MODE": "live", "ENABLE_LIVE_TRADING": "true", "CONFIRM_LIVE_TRADING": "true"}


def eventually(condition: Callable[[], object]) -> None:
    """Ask until the answer is yes; fails after the deadline."""
    until, pause = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while not condition():
        assert time.monotonic() < until, f"not within {DEADLINE_SECONDS:g} s"
        pause.wait(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Host:
    """A host's folder and the one process that may run on it."""

    home: Path
    environ: dict[str, str]
    process: subprocess.Popen[str] | None = None

    def write_keys(self, environ: dict[str, str]) -> None:
        self.environ = environ
        lines = [f"{name}={value}" for name, value in environ.items() if name not in SUPERVISORS]
        (self.home / "keys.env").write_text("\n".join(lines) + "\n")

    def launch(self) -> subprocess.Popen[str]:
        supervised = {name: self.environ[name] for name in SUPERVISORS if name in self.environ}
        python = sys.executable
        dotenv = [python, "-m", "dotenv", "-f", str(self.home / "keys.env"), "run", "--"]
        self.process = subprocess.Popen(
            [*dotenv, python, "-m", "bots.bot_worker"],
            cwd=self.home,
            env={"PATH": os.environ["PATH"], **supervised},
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def start(self) -> None:
        self.launch()
        eventually(self._looped)

    def _looped(self) -> bool:
        try:
            return self.get("/health")["last_loop_at"] is not None
        except httpx.TransportError:
            assert self.process is not None
            assert self.process.poll() is None, self.process.communicate()[1]
            return False

    def stop(self) -> tuple[int, float]:
        """Exit code and seconds after SIGTERM."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, time.monotonic() - began

    def call(self, method: str, path: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.environ['BOT_PORT']}{path}"
        return httpx.request(method, url, trust_env=False, timeout=5)

    def get(self, path: str) -> dict[str, object]:
        return self.call("GET", path).json()

    def rearm(self) -> None:
        reason = self.get("/kill_switch")["reason"]
        assert self.call("DELETE", f"/kill_switch?expected_reason={reason}").status_code == 200

    def log_text(self) -> str:
        return (self.home / "var" / "log" / "bot.log").read_text()


@pytest.fixture
def host(tmp_path: Path, outside: Outside) -> Iterator[Host]:
    code = Path(ops.sandbox.bots.__file__).parent
    shutil.copytree(code, tmp_path / "bots", ignore=shutil.ignore_patterns("__pycache__"))
    made = Host(tmp_path, {})
    made.write_keys(outside.account_environ(tmp_path, **pace()))
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.communicate()


def pace() -> dict[str, str]:
    return {"BOT_PORT": str(free_port()), "LOOP_SECONDS": "0.1", "SIGNAL_SECONDS": "1"}


def accepted(outside: Outside) -> list[str]:
    return [line["client_order_id"] for line in outside.order_log() if line["event"] == "accepted"]


def open_at_venue(outside: Outside) -> set[str]:
    """Orders that the venue's own log shows as neither done nor cancelled."""
    last = {line["client_order_id"]: line["event"] for line in outside.order_log()}
    return {name for name, event in last.items() if event in {"accepted", "partial_fill", "cancel_requested"}}


def test_a_life_armed_halted_restarted(host: Host, outside: Outside) -> None:
    host.start()
    assert host.get("/health")["switch"] == "ON", "the first start waits for a person"
    host.rearm()
    eventually(lambda: open_at_venue(outside))

    answer = host.call("POST", "/kill_switch?reason=drill")
    halted_at = datetime.fromisoformat(answer.json()["since"])
    eventually(lambda: not open_at_venue(outside))

    assert host.stop()[0] == 0
    host.start()
    state = host.get("/kill_switch")
    assert (state["status"], state["reason"]) == ("ON", "drill"), "a halt survives a restart"
    assert len(accepted(outside)) == len(set(accepted(outside)))
    in_flight = timedelta(milliseconds=500)  # an order may be on its way while the halt is acknowledged
    log = [line for line in outside.order_log() if line["event"] == "accepted"]
    assert not [line for line in log if datetime.fromisoformat(line["time"]) > halted_at + in_flight]


def test_sigterm_cancels_own_orders_and_leaves_in_time(host: Host, outside: Outside) -> None:
    host.start()
    host.rearm()
    eventually(lambda: open_at_venue(outside))
    foreign = outside.admin("orders", environment="paper", symbol="SPY", side="buy", qty="1", limit_price="300")
    code, seconds = host.stop()
    assert code == 0
    assert seconds < 5
    eventually(lambda: len(open_at_venue(outside)) == 1)
    assert foreign["client_order_id"] in open_at_venue(outside), "somebody else's order was touched"


@pytest.mark.parametrize("fault", ["hang_before", "maintenance"])
def test_sigterm_with_a_silent_venue_still_leaves_in_time(host: Host, outside: Outside, fault: str) -> None:
    host.start()
    outside.admin("faults", environment="paper", fault=fault, on=True)
    try:
        code, seconds = host.stop()
    finally:
        outside.admin("faults", environment="paper", fault=fault, on=False)
    assert code == 0
    assert seconds < 5
    assert "own orders may still be open" in host.log_text()


def test_a_flip_to_live_takes_a_restart_and_its_own_records(host: Host, outside: Outside) -> None:
    host.start()
    changes = {**LIVE, "BOT_PORT": host.environ["BOT_PORT"], "SIZE_MULTIPLIER": "0.5"}
    host.write_keys(outside.account_environ(host.home, "live", **{**pace(), **changes}))
    assert host.get("/mode")["mode"] == "paper", "a process does not reread its file"
    assert host.stop()[0] == 0
    host.start()
    mode = host.get("/mode")
    assert (mode["mode"], mode["account"], mode["agree"]) == ("live", "912345678", True)
    assert host.get("/health")["size_multiplier"] == "0.5"
    assert host.call("POST", "/drill?control=replay").status_code == 409
    assert {path.name for path in (host.home / "var").glob("audit-*.sqlite")} == {
        "audit-paper.sqlite",
        "audit-live.sqlite",
    }


def test_the_gate_and_the_fault_file_take_hold_without_a_restart(host: Host, outside: Outside) -> None:
    host.start()
    host.rearm()
    Path(host.environ["GATE_FILE"]).touch()
    assert host.get("/kill_switch")["gate"] is True
    Path(host.environ["GATE_FILE"]).unlink()
    (host.home / "var" / "faults.json").write_text(json.dumps({"hang": True, "mode_lie": "live"}))
    eventually(lambda: float(str(host.get("/health")["loop_age_s"])) > 1)
    assert host.get("/mode")["mode"] == "live"
    (host.home / "var" / "faults.json").unlink()
    eventually(lambda: float(str(host.get("/health")["loop_age_s"])) < 1)
    assert host.get("/mode")["mode"] == "paper"


def test_no_secret_in_arguments_log_or_files(host: Host, outside: Outside) -> None:
    host.start()
    host.rearm()
    outside.admin("faults", environment="paper", fault="revoked_keys", on=True)
    eventually(lambda: host.get("/health")["status"] == "degraded")
    outside.admin("faults", environment="paper", fault="revoked_keys", on=False)
    assert host.process is not None
    arguments = Path(f"/proc/{host.process.pid}/cmdline").read_bytes()
    host.stop()
    written = [path.read_bytes() for path in (host.home / "var").rglob("*") if path.is_file()]
    for secret in (host.environ["ALPACA_SECRET_KEY"], host.environ["ALPACA_API_KEY"]):
        assert secret.encode() not in b"".join([arguments, *written])
    assert not [path for path in (host.home / "var").rglob("*") if path.stat().st_mode & 0o077]


def _foreign_database(home: Path) -> None:
    (home / "var").mkdir()
    Audit(home / "var" / "audit-paper.sqlite", "live", "a1").close()


@pytest.mark.parametrize(
    ("changes", "prepare", "words"),
    [
        ({"SIZE_MULTIPLIER": ""}, None, "SIZE_MULTIPLIER is missing"),
        ({"MAX_DAILY_LOSS_USD": "lots"}, None, "MAX_DAILY_LOSS_USD is invalid"),
        ({"ALPACA_SECRET_KEY": ""}, None, "ALPACA_SECRET_KEY is missing"),
        ({}, _foreign_database, "audit database belongs to mode live, not paper"),
    ],
)
def test_a_bot_that_cannot_start_says_why_and_exits_2(
    host: Host, changes: dict[str, str], prepare: Callable[[Path], None] | None, words: str
) -> None:
    host.write_keys(environ_for(host.home, **changes))
    if prepare is not None:
        prepare(host.home)
    stderr = host.launch().communicate(timeout=DEADLINE_SECONDS)[1]
    assert host.process is not None
    assert host.process.returncode == 2
    assert words in stderr
    assert len(stderr.splitlines()) == 1
    assert f"ERROR bot cannot start: {words}" in host.log_text()
    assert SECRET not in stderr + host.log_text()
    assert KEY_ID not in stderr + host.log_text()


def test_a_busy_port_is_named(host: Host) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        host.write_keys(environ_for(host.home, BOT_PORT=str(port)))
        stderr = host.launch().communicate(timeout=DEADLINE_SECONDS)[1]
    assert host.process is not None
    assert host.process.returncode == 2
    assert f"port {port}" in stderr
