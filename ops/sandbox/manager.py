"""Builds and runs the embedded sandbox: the simulated world, the hosts' folders, the simulated week, the bots."""

from __future__ import annotations

import json
import secrets as random_source
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import requests

from ops.errors import HostError, InputError
from ops.sandbox.daemons import START_MAX_SECONDS, Daemon, Program
from ops.sandbox.waiting import wait_until

HERE = Path(__file__).parent
SYMBOLS = {"AAPL": "190.00", "MSFT": "410.00", "NVDA": "140.00", "SPY": "580.00"}


class SecretStore(Protocol):
    """Where the sandbox puts the secrets that it makes up."""

    folder: Path

    def has(self, name: str, state: str = "current") -> bool:
        """Whether there is such a key pair."""

    def put(self, name: str, key: str, secret: str, state: str = "current") -> None:
        """Writes a key pair."""

    def token(self, name: str) -> str:
        """Reads a token."""

    @staticmethod
    def store(path: Path, text: str) -> None:
        """Writes a private file."""


@dataclass(frozen=True)
class SandboxHost:
    """One managed host of the sandbox: a folder, a port for the bot's API, a socket for its supervisord."""

    name: str
    root: Path
    port: int
    socket: Path


@dataclass(frozen=True)
class Blueprint:
    """Everything the sandbox is built from. `env_texts` gives each host's paper env file once the keys exist;
    `watches` each host's request document for its own deadline."""

    state: Path
    run: Path
    ports: Mapping[str, int]
    accounts: Mapping[str, str]
    credentials: Mapping[str, str]
    hosts: tuple[SandboxHost, ...]
    secrets: SecretStore
    host_program: Path
    env_texts: Callable[[], Mapping[str, str]]
    watches: Callable[[], Mapping[str, Mapping[str, Any]]]


class Sandbox:
    """The sandbox of one state folder."""

    def __init__(self, blueprint: Blueprint, say: Callable[[str], None]) -> None:
        self._plan, self._say = blueprint, say
        self._world = Daemon("world", blueprint.state / "world", blueprint.run / "world.sock")

    @property
    def hosts(self) -> tuple[SandboxHost, ...]:
        """The managed hosts."""
        return self._plan.hosts

    @property
    def up(self) -> bool:
        """Whether the world and every host run."""
        return self._world.running and all(self._daemon(host).running for host in self._plan.hosts)

    @property
    def awake(self) -> bool:
        """Whether anything of it runs."""
        return self._world.running or any(self._daemon(host).running for host in self._plan.hosts)

    def start(self) -> bool:
        """Starts what is not running; True if anything had to be. Raises InputError for a busy port or folder."""
        if self.up:
            return False
        self._refuse_unusable()
        self._plan.run.mkdir(mode=0o700, exist_ok=True)
        self._start_world()
        self._make_secrets()
        self._make_documents()
        for host in self._plan.hosts:
            self._make_host(host)
        self._live_a_week()
        for host in self._plan.hosts:
            if not self._daemon(host).running:
                self._say(f"starting {host.name}")
                self._daemon(host).start(self._programs(host))
        for host in self._plan.hosts:
            wait_until(partial(_answers, host.port), START_MAX_SECONDS, f"the bot on {host.name} did not come up")
        return True

    def stop(self, wipe: bool = False) -> None:
        """Ends what it started; with `wipe` its folder goes too."""
        for host in self._plan.hosts:
            self._daemon(host).stop()
        self._world.stop()
        shutil.rmtree(self._plan.run, ignore_errors=True)
        if wipe:
            shutil.rmtree(self._plan.state, ignore_errors=True)

    def status(self) -> list[dict[str, str]]:
        """One row per program: where, what, state."""
        rows = []
        for daemon in (self._world, *(self._daemon(host) for host in self._plan.hosts)):
            states = daemon.states() or {"supervisord": "DOWN"}
            rows += [{"host": daemon.name, "program": name, "state": state} for name, state in sorted(states.items())]
        return rows

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """A call to the world's admin API. Raises HostError if it does not answer, InputError if it refuses."""
        url = f"http://127.0.0.1:{self._plan.ports['admin']}/admin/{path}"
        headers = {"X-Sandbox-Token": self._plan.secrets.token("sandbox-admin")}
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(method, url, json=body, headers=headers, timeout=10)
        except requests.RequestException as error:
            raise HostError(f"the sandbox's world does not answer: {type(error).__name__}") from None
        document = answer.json() if answer.content else {}
        if answer.status_code >= 400:
            raise InputError(
                str(document.get("error") or document), remedy="invoke sandbox.fault lists the faults there are"
            )
        return document

    def new_key(self, slot: str) -> Path:
        """Plays the person at the venue's dashboard: regenerates the key and hands it in as pending."""
        pair = self.admin("POST", "keys", {"environment": slot})
        self._plan.secrets.put(self._plan.credentials[slot], pair["key_id"], pair["secret"], "pending")
        return self._plan.secrets.folder / f"{self._plan.credentials[slot]}.pending.env"

    def _daemon(self, host: SandboxHost) -> Daemon:
        return Daemon(host.name, host.root / "manager", host.socket)

    def _refuse_unusable(self) -> None:
        try:
            self._plan.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the folder cannot be made: {error.strerror}", file=self._plan.state) from None
        ports = {} if self._world.running else dict(self._plan.ports)
        ports |= {host.name: host.port for host in self._plan.hosts if not self._daemon(host).running}
        for name, port in ports.items():
            if _answers(port):
                raise InputError(
                    f"port {port} (for {name}) is busy",
                    expected="a free port on loopback",
                    remedy="end the program that uses it, or change the port in the inventory's "
                    "environment.yml and systems/",
                )

    def _start_world(self) -> None:
        if self._world.running:
            return
        self._say("starting the simulated venue, monitoring and alert channels")
        config = self._plan.state / "world" / "world.json"
        self._plan.secrets.store(config, json.dumps(self._world_config()))
        command = f"{sys.executable} -m ops.sandbox.world --config {config}"
        self._world.start((Program("world", command, HERE.parents[1], {"PYTHONDONTWRITEBYTECODE": "1"}),))
        try:
            wait_until(self._admin_answers, START_MAX_SECONDS, "the simulated world did not come up")
        except HostError as error:
            raise HostError(f"{error}: {_last_line(self._plan.state / 'world' / 'world.out')}") from None

    def _admin_answers(self) -> bool:
        try:
            return bool(self.admin("GET", "health"))
        except HostError:
            return False

    def _world_config(self) -> dict[str, Any]:
        ports, accounts, token = self._plan.ports, self._plan.accounts, self._token
        return {
            "state": str(self._plan.state / "world"),
            "seed": 7,
            "admin": {"port": ports["admin"], "token": token("sandbox-admin")},
            "alpaca": {
                "paper": {"port": ports["paper"], "number": accounts["paper"], "cash": "100000"},
                "live": {"port": ports["live"], "number": accounts["live"], "cash": "25000"},
                "symbols": SYMBOLS,
            },
            "prometheus": {
                "port": ports["prometheus"],
                "jobs": {"bot": [f"127.0.0.1:{host.port}" for host in self._plan.hosts]},
                "scrape_seconds": 1,
            },
            "grafana": {
                "port": ports["grafana"],
                "token": token("grafana-token"),
                "dashboards": [str(HERE / "grafana" / "alpaca-bot.json")],
            },
            "slack": {"port": ports["slack"], "token": token("slack-token"), "channel": "trading-alerts"},
            "telegram": {"port": ports["telegram"], "token": token("telegram-token"), "chat_id": "4242"},
        }

    def _token(self, name: str) -> str:
        path = self._plan.secrets.folder / f"{name}.token"
        if not path.exists():
            self._plan.secrets.store(path, random_source.token_hex(24) + "\n")
        return self._plan.secrets.token(name)

    def _make_secrets(self) -> None:
        """A paper key in force, and a new live key as a person would have handed it in."""
        store, names = self._plan.secrets, self._plan.credentials
        if not store.has(names["paper"]):
            pair = self.admin("POST", "keys", {"environment": "paper"})
            store.put(names["paper"], pair["key_id"], pair["secret"])
        if not store.has(names["live"]) and not store.has(names["live"], "pending"):
            self.new_key("live")

    def _make_documents(self) -> None:
        path = self._plan.state / "documents" / "emergency-contacts.md"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            today = datetime.now(UTC).date().isoformat()
            path.write_text((HERE / "documents" / path.name).read_text().replace("{today}", today))

    def _make_host(self, host: SandboxHost) -> None:
        """The folder as provisioning would leave it: code, env file on paper, the host program, its own deadline."""
        if (host.root / "release").exists():
            return
        host.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(HERE / "bots", host.root / "release" / "bots", ignore=shutil.ignore_patterns("__pycache__"))
        store, own = self._plan.secrets.store, host.root / "interlock"
        own.mkdir(mode=0o700, exist_ok=True)
        (host.root / "var").mkdir(mode=0o700, exist_ok=True)
        store(host.root / "keys.env", self._plan.env_texts()[host.name])
        store(own / "watch.json", json.dumps(self._plan.watches()[host.name]))
        shutil.copyfile(self._plan.host_program, own / "interlock_host.py")

    def _live_a_week(self) -> None:
        """A week on paper by the bots' own code on an injected clock; only on hosts that have never traded."""
        records = [host.root / "var" / "audit-paper.sqlite" for host in self._plan.hosts]
        if all(path.exists() for path in records):
            self._say_if_it_slept(max(path.stat().st_mtime for path in records))
            return
        # Imports pandas through alpaca-py: half a second that only a first start pays.
        from ops.sandbox.week import AdminControl, WeekBot, run_week

        control = AdminControl(self._plan.ports["admin"], self._plan.secrets.token("sandbox-admin"))
        bots = [WeekBot({**_pairs(host.root / "keys.env"), **self._environ(host)}) for host in self._plan.hosts]
        self._say("simulating a week of paper trading")
        run_week(bots, control, datetime.now(UTC), days=8, on_day=lambda day: self._say(f"simulated {day:%a %Y-%m-%d}"))

    def _say_if_it_slept(self, last_wrote: float) -> None:
        hours = int((datetime.now(UTC).timestamp() - last_wrote) // 3600)
        if hours >= 1:
            self._say(
                f"the sandbox slept for {hours} h: its week on paper has a gap now, which preflight will not overlook; "
                "invoke sandbox.down --wipe gives it a fresh week"
            )

    def _environ(self, host: SandboxHost) -> dict[str, str]:
        return {
            "BOT_HOME": str(host.root),
            "BOT_PORT": str(host.port),
            "GATE_FILE": str(host.root / "interlock" / "gate"),
            "LOOP_SECONDS": "1",
            "SIGNAL_SECONDS": "5",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def _programs(self, host: SandboxHost) -> tuple[Program, ...]:
        python = sys.executable
        bot = f"{python} -m dotenv -f {host.root}/keys.env run -- {python} -m bots.bot_worker"
        watch = f"{python} {host.root}/interlock/interlock_host.py --watch {host.root}/interlock/watch.json"
        return (
            Program("bot", bot, host.root / "release", self._environ(host)),
            Program("deadline", watch, host.root, {"PYTHONDONTWRITEBYTECODE": "1"}),
        )


def _pairs(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def _last_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip().splitlines()[-1][:300]
    except (OSError, IndexError):
        return f"it said nothing in {path}"


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
