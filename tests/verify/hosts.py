"""Hosts to verify, as folders with a real bot process and a real watcher each; spoilt one by one by the tests.

The service managers systemd and Docker are stood in for by two scripts on PATH that print what `systemctl show`,
`docker ps` and `docker inspect` print; the real ones are asked in tests/fleet.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.fleet import Fleet
from ops.hosts.testinfra import Standing, foreign_keys, host_facts
from ops.inventory import Place, load_profile
from ops.model.profile import Host, Profile, Service
from ops.secrets import Secrets
from tests.field import ROOT, awaited, free_base

NOBODY = 65534
UNITS = """Id={unit}.service
ActiveState={active}
SubState={sub}
UnitFileState={enabled}
NRestarts={restarts}
MainPID={pid}
FragmentPath={file}
DropInPaths=
EnvironmentFiles={env_file} (ignore_errors=no)
Environment={environment}
NeedDaemonReload={reload}
Restart={restart}
"""
SYSTEMCTL = """#!/bin/sh
here=$(dirname "$0")/../units; between=
while [ "$1" != -- ]; do shift; done; shift
for unit; do printf "$between"; cat "$here/$unit"; between='\\n'; done
"""
DOCKER = """#!/bin/sh
here=$(dirname "$0")/../containers
case $1 in
ps) for last; do :; done; echo "${last##*=}" ;;
inspect) cat "$here/$2" ;;
esac
"""
BOT = """
import os, resource, signal, socket, sys
port, address, core, user = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
door = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
if core == "core":
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if user != os.geteuid():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
sys.stdout.write("up")
sys.stdout.flush()
signal.pause()
"""


SUPERVISED = """
[unix_http_server]
file={socket}
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:{name}]
command={command}
directory={release}
environment={variables}
autostart={autostart}
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
"""


@dataclass
class Spoilt:
    """One host: what its bot is started with, what its manager says of it; a test changes either, or the folder."""

    name: str
    root: Path
    manager: str
    port: int
    address: str = "127.0.0.1"
    core: str = "no"
    user: int = NOBODY if os.geteuid() == 0 else os.geteuid()
    text: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    unit: dict[str, Any] = field(default_factory=dict)
    watch_unit: dict[str, Any] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)
    runs: bool = True
    watched: bool = True
    standing: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    seen: int = 0
    manager_process: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> Path:
        return self.root / "keys.env"

    @property
    def gate(self) -> Path:
        return self.root / "interlock" / "gate"

    def lay(self, text: str) -> None:
        """The folder as it must be."""
        self.text = text
        self.unit_file.write_text("[Service]\n")
        for name in ("interlock", "release", "var/log"):
            (self.root / name).mkdir(mode=0o755, parents=True)
        (self.root / "interlock").chmod(0o700 if self.manager == "supervisord" else 0o711)
        (self.root / "release" / "bot.py").write_text(BOT)
        (self.root / "var" / "log" / "bot.log").write_text("2026-11-20 all is well\n")
        (self.root / "compose.yml").write_text("services: {bot: {env_file: [keys.env]}}\n")
        shutil.copyfile(PLAYBOOKS / "library" / "interlock_host.py", self.root / "interlock" / "interlock_host.py")
        (self.root / "interlock" / "watch.json").write_text("{}")
        for path in (self.root / "interlock").iterdir():
            path.chmod(0o600)
        Secrets.store(self.env, text)

    @property
    def socket(self) -> Path:
        return self.root / "var" / "s.sock"

    @property
    def unit_file(self) -> Path:
        return self.root.parents[1] / "units" / f"{self.name}.file"

    @property
    def command(self) -> list[str]:
        """The bot's own."""
        program = str(self.root / "release" / "bot.py")
        return [sys.executable, "-I", "-S", program, str(self.port), self.address, self.core, str(self.user)]

    def start(self) -> None:
        """Bot and watcher, as a service manager would start them."""
        variables = dict(line.split("=", 1) for line in self.text.splitlines()) | self.extra
        if self.manager == "supervisord":
            self._supervise(variables)
        elif self.runs:
            self.spawn(self.command, variables)
        if self.watched:
            watch = ["--watch", str(self.root / "interlock" / "watch.json")]
            self.spawn(["/bin/sh", "-c", "echo up; read wait", "sh", *watch], {})

    def _supervise(self, variables: Mapping[str, str]) -> None:
        """The real one, with the bot as its program."""
        config, named = self.root / "var" / "supervisord.conf", ",".join(f'{k}="{v}"' for k, v in variables.items())
        config.write_text(SUPERVISED.format(
            folder=config.parent, socket=self.socket, command=" ".join(self.command), variables=named,
            release=self.root / "release", autostart=str(self.runs).lower(), name=self.name,
        ))  # fmt: skip
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)]
        self.manager_process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        awaited(lambda: self.socket.exists() and (_open("127.0.0.1", self.port) or not self.runs), what=self.name)

    def spawn(self, command: list[str], variables: Mapping[str, str]) -> None:
        """A process of this host; it ends with its stdin."""
        self.processes.append(subprocess.Popen(
            command, env=dict(variables), cwd=self.root / "release", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        ))  # fmt: skip

    def up(self) -> None:
        """Waits until each process has said that it is."""
        for process in self.processes[self.seen :]:
            assert process.stdout is not None
            assert process.stdout.read(2) == "up", self.name
        self.seen = len(self.processes)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        if self.manager_process:
            self.manager_process.terminate()
            self.manager_process.wait(timeout=20)

    def say(self, folder: Path) -> None:
        """What its service manager says."""
        pid = self.processes[0].pid if self.runs else 0
        well = {"unit": f"watch-{self.name}", "active": "active", "sub": "running", "enabled": "enabled", "restarts": 0,
                "pid": 1, "file": self.unit_file, "env_file": self.env, "environment": "", "reload": "no",
                "restart": "always"}  # fmt: skip
        (folder / "units" / f"watch-{self.name}.service").write_text(UNITS.format(**well | self.watch_unit))
        state = {} if self.runs else {"active": "inactive", "sub": "dead"}
        said = well | {"unit": self.name, "pid": pid} | state | self.unit
        (folder / "units" / f"{self.name}.service").write_text(UNITS.format(**said))
        (folder / "containers" / self.name).write_text(json.dumps([self._container(pid)]))

    def _container(self, pid: int) -> dict[str, Any]:
        said = {"status": "running", "restart": "always", "created": f"{datetime.now(UTC):%FT%T.%f}000Z",
                "privileged": False, "ports": {}, "mounts": [], **self.container}  # fmt: skip
        return {
            "Id": self.name, "Created": said["created"], "RestartCount": 0, "Mounts": said["mounts"],
            "State": {"Status": said["status"], "Pid": pid},
            "HostConfig": {"RestartPolicy": {"Name": said["restart"]}, "Privileged": said["privileged"]},
            "NetworkSettings": {"Ports": said["ports"]},
            "Config": {"Labels": {"com.docker.compose.service": self.name}},
        }  # fmt: skip


SERVICES = {
    "systemd": Service(manager="systemd", name="bot"),
    "compose": Service(manager="compose", name="bot"),
    "supervisord": Service(manager="supervisord", name="bot", socket="unused"),
}


@dataclass
class World:
    """All of them, with the inventory and the secrets that lead to them."""

    folder: Path
    place: Place
    hosts: dict[str, Spoilt]
    secrets: Secrets

    def fleet(self, manager: str) -> Fleet:
        """Interlock's door to those under one manager."""
        profile = load_profile(Place("sandbox", ROOT / "inventory" / "sandbox", self.folder / "state"), "alpaca-bot")
        venue = profile.venues["alpaca"]
        slots = {
            slot: venue.slot(slot).model_copy(update={"credentials": f"{slot}-{{host}}"}) for slot in ("paper", "live")
        }
        hosts = {
            name: Host(root=str(one.root), api=f"http://127.0.0.1:{one.port}", order_prefix=f"{name}-")
            for name, one in self.hosts.items()
            if one.manager == manager
        }
        return Fleet(self.place, profile.model_copy(update={
            "hosts": hosts, "service": SERVICES[manager], "venues": {"alpaca": venue.model_copy(update=slots)},
        }), self.secrets.salt())  # fmt: skip

    def credentials(self, profile: Profile, slot: str = "paper") -> dict[str, Any]:
        return {host: {"alpaca": self.secrets.credentials(f"{slot}-{host}")} for host in profile.hosts}

    def facts(self) -> dict[str, Any]:
        """What must be true on each: its service goes by the host's own name, so that one stand-in serves all."""
        found: dict[str, Any] = {}
        for manager in SERVICES:
            fleet = self.fleet(manager)
            standing = Standing(False, False, foreign_keys(self.secrets, fleet.profile, "paper"))
            found |= host_facts(fleet, self.credentials(fleet.profile), "paper", 100, standing)
        for name, one in found.items():
            one["ask"] |= {"services": [name], "watch_unit": f"watch-{name}", "project": name,
                           "logrotate": str(self.folder / "logrotate.d"),
                           "socket": str(self.hosts[name].socket)}  # fmt: skip
            one["wanted"] |= {"services": [name], "watch_unit": f"watch-{name}", **self.hosts[name].standing}
            one["ask"] |= self.hosts[name].facts
        return found


def lay(folder: Path, managers: Mapping[str, str], place: Place | None = None) -> World:
    """Host -> manager, all as they must be; nothing runs yet. They are folders on this machine, unless the inventory of
    a place says how to reach them."""
    base = free_base(len(managers))
    hosts = {
        name: Spoilt(name, folder / "hosts" / name, manager, base + number)
        for number, (name, manager) in enumerate(managers.items())
    }
    for name in ("inventory", "units", "containers", "bin", "logrotate.d", "state", "hosts"):
        (folder / name).mkdir()
    for name, text in {"systemctl": SYSTEMCTL, "docker": DOCKER}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "logrotate.d" / "bots").write_text(f"{folder}/hosts/*/var/log/bot.log {{\n daily\n}}\n")
    listed = {name: {"ansible_connection": "local"} for name in hosts}
    (folder / "inventory" / "hosts.yml").write_text(json.dumps({"all": {"hosts": listed}}))
    here = Place("sandbox", folder / "inventory", folder / "state")
    world = World(folder, place or here, hosts, Secrets(folder / "secrets"))
    for name in hosts:
        for slot in ("paper", "live"):
            world.secrets.put(f"{slot}-{name}", {"key": f"{slot}key{name}", "secret": f"{slot}secret{name}"})
    for manager in SERVICES:
        fleet = world.fleet(manager)
        for name, text in fleet.env_texts("paper", 100, world.credentials(fleet.profile)).items():
            hosts[name].lay(text)
    return world


@contextmanager
def running(world: World, then: Callable[[Spoilt], None]) -> Iterator[None]:
    """The bots of all hosts run, and `then` has been done to each, until the block ends."""
    hosts = world.hosts.values()
    try:
        for one in hosts:
            one.start()
        for one in hosts:
            one.up()
            then(one)
            one.up()
            one.say(world.folder)
        yield
    finally:
        for one in hosts:
            one.end()


def _open(address: str, port: int) -> bool:
    with socket.socket() as door:
        return door.connect_ex((address, port)) == 0


def on_path(folder: Path) -> str:
    """A PATH on which the stand-ins come first."""
    return f"{folder}/bin:{os.environ['PATH']}"
