"""The bots as they are run on a host: copied as package `bots`, under dotenv, against the simulated venues."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

import ops.sandbox.bots
from ops.sandbox.bots.audit import Audit
from ops.sandbox.bots.systems.kraken_bot.ledger import HEARTBEAT
from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import NUMBERS, embedded_world, free_ports_config, venue_of

from .conftest import KEY_ID, LIVE, SECRET, Outside, environ_for

DEADLINE_SECONDS = 40.0
SUPERVISORS = ("BOT_HOME", "BOT_PORT", "GATE_FILE", "LOOP_SECONDS", "SIGNAL_SECONDS")
# system -> venue -> the variables that carry the parts of its key, its address and its account
VENUES: dict[str, dict[str, dict[str, str]]] = {
    "alpaca-bot": {"alpaca": {"key": "ALPACA_API_KEY", "secret": "ALPACA_SECRET_KEY", "endpoint": "ALPACA_BASE_URL"}},
    "smart-alpaca": {"alpaca": {"key": "ALPACA_API_KEY", "secret": "ALPACA_SECRET_KEY", "endpoint": "ALPACA_BASE_URL"}},
    "kraken-bot": {
        "kraken": {
            "key": "KRAKEN_API_KEY",
            "secret": "KRAKEN_API_SECRET",
            "endpoint": "KRAKEN_API_URL",
            "account": "KRAKEN_ACCOUNT",
        }
    },
    "kalshi-polymarket": {
        "kalshi": {
            "key": "KALSHI_API_KEY",
            "secret": "KALSHI_PRIVATE_KEY",
            "endpoint": "KALSHI_API_URL",
            "account": "KALSHI_ACCOUNT",
        },
        "polymarket": {
            "key": "POLYMARKET_API_KEY",
            "secret": "POLYMARKET_API_SECRET",
            "passphrase": "POLYMARKET_PASSPHRASE",
            "wallet": "POLYMARKET_WALLET_KEY",
            "endpoint": "POLYMARKET_API_URL",
            "account": "POLYMARKET_ACCOUNT",
        },
    },
    "ibkr-assistant": {"ibkr": {"port": "IBKR_PORT", "account": "IBKR_ACCOUNT"}},
}


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
    """A host's folder and the processes that run on it; `process` is the one that trades."""

    home: Path
    system: str = "alpaca-bot"
    environ: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def process(self) -> subprocess.Popen[str]:
        return self.processes[0]

    def write_keys(self, environ: dict[str, str]) -> None:
        self.environ = environ
        lines = [f"{name}={value}" for name, value in environ.items() if name not in SUPERVISORS]
        (self.home / "keys.env").write_text("\n".join(lines) + "\n")

    def launch(self, *service: str) -> subprocess.Popen[str]:
        supervised = {name: self.environ[name] for name in SUPERVISORS if name in self.environ}
        python = sys.executable
        dotenv = [python, "-m", "dotenv", "-f", str(self.home / "keys.env"), "run", "--"]
        process = subprocess.Popen(
            [*dotenv, python, "-m", "bots.run", self.system, *service],
            cwd=self.home,
            env={"PATH": os.environ["PATH"], **supervised},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def start(self, path: str = "/health") -> None:
        self.launch()
        eventually(lambda: self.answers(path) and self.get(path)["last_loop_at"])

    def answers(self, path: str, variable: str = "BOT_PORT") -> bool:
        try:
            return self.call("GET", path, variable).status_code == 200
        except httpx.TransportError:
            for process in self.processes:
                assert process.poll() is None, process.communicate()[1]
            return False

    def stop(self) -> tuple[int, float]:
        """Exit code and seconds after SIGTERM of the process that trades; the others are told too."""
        began = time.monotonic()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.communicate(timeout=DEADLINE_SECONDS)
        code = self.process.returncode
        self.processes.clear()
        return code, time.monotonic() - began

    def call(self, method: str, path: str, variable: str = "BOT_PORT") -> httpx.Response:
        url = f"http://127.0.0.1:{self.environ[variable]}{path}"
        return httpx.request(method, url, trust_env=False, timeout=10)

    def get(self, path: str) -> dict[str, object]:
        return self.call("GET", path).json()

    def rearm(self) -> None:
        reason = self.get("/kill_switch")["reason"]
        assert self.call("DELETE", f"/kill_switch?expected_reason={reason}").status_code == 200

    def log_text(self, name: str = "var/log/bot.log") -> str:
        path = self.home / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    code = Path(ops.sandbox.bots.__file__).parent
    shutil.copytree(code, tmp_path / "bots", ignore=shutil.ignore_patterns("__pycache__"))
    made = Host(tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def paper(host: Host, outside: Outside) -> Host:
    """A host with seed 000's bot on the paper account."""
    host.write_keys(outside.account_environ(host.home, **pace()))
    return host


def pace() -> dict[str, str]:
    return {"BOT_PORT": str(free_port()), "LOOP_SECONDS": "0.1", "SIGNAL_SECONDS": "1"}


def accepted(outside: Outside) -> list[str]:
    return [line["client_order_id"] for line in outside.order_log() if line["event"] == "accepted"]


def open_at_venue(outside: Outside) -> set[str]:
    """Orders that the venue's own log shows as neither done nor cancelled."""
    last = {line["order_id"]: line["event"] for line in outside.order_log()}
    return {name for name, event in last.items() if event in {"accepted", "partial_fill", "cancel_requested"}}


def test_a_life_armed_halted_restarted(paper: Host, outside: Outside) -> None:
    host = paper
    host.start()
    assert host.get("/health")["switch"] == "ON", "the first start waits for a person"
    host.rearm()
    eventually(lambda: open_at_venue(outside))
    arguments = Path(f"/proc/{host.process.pid}/cmdline").read_bytes()

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

    files = [path for path in (host.home / "var").rglob("*") if path.is_file()]
    written = b"".join([arguments, *(path.read_bytes() for path in files)])
    assert not [n for n in ("ALPACA_SECRET_KEY", "ALPACA_API_KEY") if host.environ[n].encode() in written]
    assert not [path for path in files if path.stat().st_mode & 0o077]


def test_sigterm_cancels_own_orders_and_a_flip_takes_a_restart(paper: Host, outside: Outside) -> None:
    host = paper
    host.start()
    host.rearm()
    eventually(lambda: open_at_venue(outside))
    foreign = outside.admin("orders", environment="paper", symbol="SPY", side="buy", qty="1", limit_price="300")
    live = {**pace(), **LIVE["alpaca-bot"], "BOT_PORT": host.environ["BOT_PORT"], "SIZE_MULTIPLIER": "0.5"}
    host.write_keys(outside.account_environ(host.home, "live", **live))
    assert host.get("/mode")["mode"] == "paper", "a process does not reread its file"
    code, seconds = host.stop()
    assert code == 0
    assert seconds < 5
    eventually(lambda: len(open_at_venue(outside)) == 1)
    last = {line["client_order_id"]: line["event"] for line in outside.order_log()}
    assert last[foreign["client_order_id"]] == "accepted", "somebody else's order was touched"
    host.start()
    mode = host.get("/mode")
    assert (mode["mode"], mode["account"], mode["agree"]) == ("live", "912345678", True)
    assert host.get("/health")["size_multiplier"] == "0.5"
    assert {path.name for path in (host.home / "var").glob("audit-*.sqlite")} == {
        "audit-paper.sqlite",
        "audit-live.sqlite",
    }


def test_sigterm_with_a_silent_venue_still_leaves_in_time(paper: Host, outside: Outside) -> None:
    paper.start()
    outside.admin("faults", environment="paper", fault="hang_before", on=True)
    try:
        code, seconds = paper.stop()
    finally:
        outside.admin("faults", environment="paper", fault="hang_before", on=False)
    assert code == 0
    assert seconds < 5
    assert "own orders may still be open" in paper.log_text()


def _foreign_database(home: Path) -> None:
    (home / "var").mkdir()
    Audit(home / "var" / "audit-paper.sqlite", "live", "a1").close()


@pytest.mark.parametrize(
    ("changes", "prepare", "words"),
    [
        ({"MAX_DAILY_LOSS_USD": "lots"}, None, "MAX_DAILY_LOSS_USD is invalid"),
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
    assert host.process.returncode == 2
    assert f"port {port}" in stderr


# the other four, each on its own venues


@dataclass
class Place:
    """A world with the venues of one system."""

    outside: Outside
    keys: Mapping[str, Mapping[str, str]]

    def environ(self, system: str) -> dict[str, str]:
        """What the bot must be told to trade on the paper accounts here."""
        found: dict[str, str] = {}
        for venue, variables in VENUES[system].items():
            port = self.outside.ports[f"{venue}_paper"]
            parts = {**self.keys[venue], "endpoint": f"http://127.0.0.1:{port}", "port": str(port)}
            parts["account"] = NUMBERS[venue][0]
            found |= {variable: parts[part] for part, variable in variables.items()}
        return found


Settle = Callable[[str], Place]


@pytest.fixture
def settle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settle]:
    """Opens the world of a system."""
    worlds = ExitStack()

    def begin(system: str) -> Place:
        state = tmp_path_factory.mktemp(system)
        config = free_ports_config(state, venues={kind: venue_of(kind) for kind in VENUES[system]})
        outside = Outside(worlds.enter_context(embedded_world(config, random.Random(1), WorldClock())), state)
        keyed = [kind for kind in VENUES[system] if kind != "ibkr"]
        return Place(outside, {kind: outside.key("paper", kind) for kind in keyed} | {"ibkr": {}})

    with worlds:
        yield begin


def _settled(host: Host, settle: Settle, system: str, **changes: str) -> Outside:
    place = settle(system)
    host.system = system
    host.write_keys(environ_for(host.home, system, **place.environ(system), **pace(), **changes))
    return place.outside


def _trades_then_heeds_the_gate_and_leaves(host: Host, outside: Outside) -> None:
    eventually(lambda: open_at_venue(outside) and len(accepted(outside)) > 3)
    gate = Path(host.environ["GATE_FILE"])
    gate.touch()
    eventually(lambda: not open_at_venue(outside))
    gate.unlink()
    eventually(lambda: open_at_venue(outside))
    code, seconds = host.stop()
    assert code == 0
    assert seconds < 5
    eventually(lambda: not open_at_venue(outside))
    ids = accepted(outside)
    assert len(ids) == len(set(ids))
    assert {line["environment"] for line in outside.order_log()} == {"paper"}


def test_the_server_of_seed_003(host: Host, settle: Settle) -> None:
    outside = _settled(host, settle, "smart-alpaca")
    host.start("/api/system/health")
    with connect(f"ws://127.0.0.1:{host.environ['BOT_PORT']}/ws", proxy=None) as updates:
        first, second = (json.loads(updates.recv(timeout=DEADLINE_SECONDS)) for _ in range(2))
    assert (first["health"]["mode"], first["health"]["trading"]) == ("PAPER", "RUNNING")
    assert second["metrics"]["loops"] >= first["metrics"]["loops"]
    _trades_then_heeds_the_gate_and_leaves(host, outside)


def test_the_bot_of_seed_001(host: Host, settle: Settle) -> None:
    outside = _settled(host, settle, "kraken-bot")
    host.launch()
    beat = re.compile(HEARTBEAT, re.MULTILINE)
    eventually(lambda: [m for m in beat.finditer(host.log_text("logs/system.log")) if m["account"]])
    assert {m["switch"] for m in beat.finditer(host.log_text("logs/system.log"))} == {"armed"}
    _trades_then_heeds_the_gate_and_leaves(host, outside)
    assert "Traceback" not in host.log_text("logs/system.log")


def test_the_application_of_seed_002(host: Host, settle: Settle) -> None:
    outside = _settled(host, settle, "kalshi-polymarket")
    host.start("/api/trading/state")
    eventually(lambda: {line["venue"] for line in outside.order_log()} == {"kalshi", "polymarket"})
    _trades_then_heeds_the_gate_and_leaves(host, outside)
    assert {trade["platform"] for trade in json.loads((host.home / "paper_trading_data.json").read_text())["trades"]}
    assert "Traceback" not in host.log_text("app.log")


def test_the_services_of_seed_004(host: Host, settle: Settle) -> None:
    ports = {"DASHBOARD_PORT": str(free_port()), "MCP_PORT": str(free_port())}
    outside = _settled(host, settle, "ibkr-assistant", **ports)
    host.start("/api/v1/health")
    assert host.get("/api/v1/health")["kill_switch"] == "TRIGGERED"
    for service, variable in (("mcp_server", "MCP_PORT"), ("dashboard", "DASHBOARD_PORT")):
        host.launch(service)
        eventually(lambda variable=variable: host.answers("/health", variable))
    reason = host.get("/api/v1/kill-switch")["reason"]
    assert host.call("POST", f"/api/v1/kill-switch/reset?expected_reason={reason}").status_code == 200
    _trades_then_heeds_the_gate_and_leaves(host, outside)
    assert (host.home / "data" / "kill_switch_state.txt").read_text() == "ACTIVE\n"
    assert "Traceback" not in host.log_text("logs/assistant_api.log")
