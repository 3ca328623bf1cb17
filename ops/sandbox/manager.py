"""Builds and runs one system's sandbox: its simulated world, the hosts' folders, the simulated week, the bots."""

from __future__ import annotations

import json
import secrets as random_source
import shutil
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from ops.errors import HostError, InputError
from ops.model.profile import Slot
from ops.sandbox.blueprint import HERE, Blueprint, SandboxHost, dashboard, world_config
from ops.sandbox.daemons import START_MAX_SECONDS, Daemon, Program
from ops.sandbox.listings import LISTINGS
from ops.sandbox.waiting import wait_until

SLOTS: tuple[Slot, ...] = ("paper", "live")
_PLAIN_PYTHON = {"PYTHONDONTWRITEBYTECODE": "1"}


class Sandbox:
    """The sandbox of one system. Its hosts are folders here; a subclass may have others."""

    def __init__(self, blueprint: Blueprint, say: Callable[[str], None]) -> None:
        self._plan, self._say = blueprint, say
        self.system = blueprint.profile.system
        self._world = Daemon(
            f"world of {self.system}", blueprint.world, blueprint.run / f"{self.system}.sock", blueprint.around
        )

    @property
    def hosts(self) -> tuple[SandboxHost, ...]:
        """The managed hosts."""
        return self._plan.hosts

    @property
    def up(self) -> bool:
        """Whether the world and every host run."""
        return all(daemon.running for daemon in self.daemons)

    @property
    def awake(self) -> bool:
        """Whether anything of it runs."""
        return any(daemon.running for daemon in self.daemons)

    def start(self) -> bool:
        """Starts what is not running; True if anything had to be. Raises InputError for a busy port or folder."""
        if self.up:
            self._lay_programs()
            return False
        self._refuse_unusable()
        self._plan.run.mkdir(mode=0o700, exist_ok=True)
        self._start_world()
        self._make_secrets()
        self._make_documents()
        self._make_hosts()
        fresh = self._live_a_week()
        self._start_hosts()
        for host in self.hosts:
            wait_until(partial(self._serves, host), START_MAX_SECONDS, f"the bot on {host.name} did not come up")
            if fresh:
                self._arm(host)
        return True

    def _make_hosts(self) -> None:
        self._lay_programs()
        for host in self.hosts:
            self._make_host(host)

    def _lay_programs(self) -> None:
        """The host program as it is now; the watcher of the deadline sees that it is another one and begins anew."""
        for host in self.hosts:
            host.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            laid, text = host.root / "interlock" / "interlock_host.py", self._plan.host_program.read_text()
            if not laid.exists() or laid.read_text() != text:
                self._plan.secrets.store(laid, text)

    def _start_hosts(self) -> None:
        for host in self.hosts:
            if not self._daemon(host).running:
                self._say(f"starting {host.name}")
                self._daemon(host).start(self._programs(host))

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        """Everything that runs when it is up: the world and the hosts."""
        return (self._world, *(self._daemon(host) for host in self.hosts))

    def status(self) -> list[dict[str, str]]:
        """One row per program: system, where, what, state."""
        rows = []
        for daemon in self.daemons:
            states = daemon.states() or {"supervisord": "DOWN"}
            where = {"system": self.system, "host": daemon.name}
            rows += [{**where, "program": name, "state": state} for name, state in sorted(states.items())]
        return rows

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """A call to the world's admin API. Raises HostError if it does not answer, InputError if it refuses."""
        url = f"http://127.0.0.1:{self._plan.admin_port}/admin/{path}"
        headers = {"X-Sandbox-Token": self._plan.secrets.token("sandbox-admin")}
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(method, url, json=body, headers=headers, timeout=10)
        except requests.RequestException as error:
            raise HostError(f"the {self._world.name} does not answer: {type(error).__name__}") from None
        document = answer.json() if answer.content else {}
        if answer.status_code >= 400:
            raise InputError(
                str(document.get("error") or document), remedy="invoke sandbox.fault lists the faults there are"
            )
        return document

    def new_keys(self, slot: Slot) -> list[Path]:
        """Plays the person at the venues' sites: makes new keys for the bots and hands them in as pending."""
        names = {(venue, name) for venue in self._plan.profile.venues for name in self._bot_keys(venue, slot)}
        for venue, name in sorted(names):
            self._issue(venue, slot, "bot", name, "pending")
        return [self._plan.secrets.path(name, "pending") for _, name in sorted(names)]

    def _daemon(self, host: SandboxHost) -> Daemon:
        return Daemon(host.name, host.root / "manager", host.socket)

    def _serves(self, host: SandboxHost) -> bool:
        """Whether the bot runs and, if it has an API, answers."""
        running = self._daemon(host).states().get(self._plan.profile.service.name) == "RUNNING"
        return running and (host.port is None or _answers(host.port))

    def _refuse_unusable(self) -> None:
        try:
            self._plan.world.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the folder cannot be made: {error.strerror}", file=self._plan.state) from None
        ports: dict[str, int | None] = {} if self._world.running else {**self._plan.ports}
        ports |= {host.name: host.port for host in self.hosts if not self._daemon(host).running}
        for name, port in ports.items():
            if port is not None and _answers(port):
                raise InputError(
                    f"port {port} (for {name} of {self.system}) is busy",
                    expected="a free port on loopback",
                    remedy="end the program that uses it, or change the port in the inventory's "
                    "environment.yml and systems/",
                )

    def _start_world(self) -> None:
        if self._world.running:
            return
        self._say(f"starting the simulated venues, monitoring and alert channels of {self.system}")
        config = self._plan.world / "world.json"
        self._plan.secrets.store(config, json.dumps(world_config(self._plan, self._token)))
        self._plan.secrets.store(self._plan.world / "dashboard.json", dashboard(self._plan))
        command = f"{sys.executable} -m ops.sandbox.world --config {config}"
        self._world.start((Program("world", command, HERE.parents[1], _PLAIN_PYTHON), *self._beside_world()))
        try:
            wait_until(self._admin_answers, START_MAX_SECONDS, "the simulated world did not come up")
        except HostError as error:
            raise HostError(f"{error}: {_last_line(self._plan.world / 'world.out')}") from None

    def _beside_world(self) -> tuple[Program, ...]:
        """What runs beside the world for as long as it does."""
        return ()

    def _admin_answers(self) -> bool:
        try:
            return bool(self.admin("GET", "health"))
        except HostError:
            return False

    def _token(self, name: str) -> str:
        path = self._plan.secrets.folder / f"{name}.token"
        if not path.exists():
            self._plan.secrets.store(path, random_source.token_hex(24) + "\n")
        return self._plan.secrets.token(name)

    def _bot_keys(self, venue: str, slot: Slot) -> list[str]:
        """The names of the bots' credentials; hosts may share one."""
        return sorted(set(self._plan.profile.bot_keys(venue, slot).values()))

    def _issue(self, venue: str, slot: Slot, purpose: str, name: str, state: str = "current") -> None:
        wish = {"venue": venue, "environment": slot, "purpose": purpose}
        self._plan.secrets.put(name, self.admin("POST", "keys", wish), state)

    def _make_secrets(self) -> None:
        """Paper keys in force, live keys as a person would have handed them in, and Interlock's own."""
        store = self._plan.secrets
        for venue, setting in self._plan.profile.venues.items():
            for slot in SLOTS:
                account, state = setting.slot(slot), "pending" if slot == "live" else "current"
                for name in self._bot_keys(venue, slot):
                    if not store.has(name) and not store.has(name, state):
                        self._issue(venue, slot, "bot", name, state)
                for purpose, own in (("observer", account.observer), ("kill", account.kill)):
                    if own is not None and not store.has(own):
                        self._issue(venue, slot, purpose, own)

    def _make_documents(self) -> None:
        """The procedures that a team would have written, reviewed today."""
        today, contacts = datetime.now(UTC).date().isoformat(), self._plan.profile.contacts.values()
        people = "\n".join(f"- {contact.name}: {contact.email}" for contact in contacts)
        for path in self._plan.documents:
            template = HERE / "documents" / path.name
            if template.exists() and not path.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.write_text(template.read_text().replace("{today}", today).replace("{contacts}", people))

    def _make_host(self, host: SandboxHost) -> None:
        """The folder as provisioning would leave it: code, and an env file on paper."""
        if (host.root / "release").exists():
            return
        release = host.root / self._plan.profile.release
        shutil.copytree(HERE / "bots", release / "bots", ignore=shutil.ignore_patterns("__pycache__"))
        (host.root / "var").mkdir(mode=0o700, exist_ok=True)
        self._plan.secrets.store(host.root / self._plan.profile.env_file, self._plan.env_texts()[host.name])

    def _arm(self, host: SandboxHost) -> None:
        """Plays the operator of a bot that starts tripped and that went on trading on paper after its week."""
        switch = self._plan.profile.switch
        if switch.rearm is None or switch.readout.path is None or switch.reason_field is None:
            return
        seen = self._ask_bot(host, "GET", switch.readout.path)
        if switch.words.get(seen[switch.readout.field]) == "tripped":
            verb, path = switch.rearm.split(" ", 1)
            self._ask_bot(host, verb, path.replace("{reason}", quote(seen[switch.reason_field])))

    def _ask_bot(self, host: SandboxHost, method: str, path: str) -> Any:
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(method, f"http://127.0.0.1:{host.port}{path}", timeout=10)
                answer.raise_for_status()
                return answer.json()
        except requests.RequestException as error:
            raise HostError(f"the bot on {host.name} does not answer {path}: {type(error).__name__}") from None

    def _live_a_week(self) -> bool:
        """A week on paper by the bots' own code on an injected clock; only on hosts that have never traded."""
        database = self._plan.profile.records.database.replace("{mode}", "paper")
        records = [host.root / database for host in self.hosts]
        if all(path.exists() for path in records):
            self._say_if_it_slept(max(path.stat().st_mtime for path in records))
            return False
        # Imports the venues' client libraries: half a second or more that only a first start pays.
        from ops.sandbox.week import STEP_CLOSED, STEP_OPEN, AdminControl, WeekBot, run_week

        control = AdminControl(self._plan.admin_port, self._plan.secrets.token("sandbox-admin"))
        env_file, kinds = self._plan.profile.env_file, [venue.kind for venue in self._plan.profile.venues.values()]
        bots = [WeekBot(self.system, {**_pairs(host.root / env_file), **self._environ(host)}) for host in self.hosts]
        self._say(f"simulating a week of paper trading of {self.system}")
        step = STEP_CLOSED if all(LISTINGS[kind].always_open for kind in kinds) else STEP_OPEN
        run_week(bots, control, datetime.now(UTC), days=8, step=step, on_day=self._say_day)
        return True

    def _say_day(self, day: datetime) -> None:
        self._say(f"simulated {day:%a %Y-%m-%d}")

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
            "BOT_PORT": "" if host.port is None else str(host.port),
            "GATE_FILE": str(host.root / self._plan.profile.gate_file),
            "LOOP_SECONDS": "1",
            "SIGNAL_SECONDS": "5",
            "NO_PROXY": "127.0.0.1",
            **_PLAIN_PYTHON,
        }

    def _programs(self, host: SandboxHost) -> tuple[Program, ...]:
        python, profile = sys.executable, self._plan.profile
        run = f"{python} -m dotenv -f {host.root}/{profile.env_file} run -- {python} -m bots.run {self.system}"
        watch = f"{python} {host.root}/interlock/interlock_host.py --watch {host.root}/interlock/watch.json"
        commands = {profile.service.name: run} | {name: f"{run} {name}" for name in profile.service.also}
        environ, folder = self._environ(host), host.root / profile.release
        services = [Program(name, command, folder, environ) for name, command in commands.items()]
        return (*services, Program("deadline", watch, host.root, _PLAIN_PYTHON))


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
