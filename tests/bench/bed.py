"""A fleet of bare hosts with a small bot as a systemd unit on each, and what is needed to measure commands against it:
an inventory, an ssh that counts, the processor time of the controller alone, and the truth of each host.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ops.hosts.ssh import Address, addresses, ssh_argv
from ops.inventory import Place
from ops.sandbox.fleet.ground import Ground
from ops.sandbox.fleet.machine import Machine
from ops.sandbox.fleet.network import inside
from tests.field import awaited

ROOT, PORT, UNIT = "/srv/small-bot", 8080, "small-bot"
FENCE = {"transition": "bench", "epoch": 1}
BOT = Path(__file__).with_name("http_bot.py")
SERVICE = f"""\
[Unit]
Description=The bot of the benchmarks
StartLimitIntervalSec=0
[Service]
User=nobody
WorkingDirectory={ROOT}
EnvironmentFile={ROOT}/keys.env
ExecStart=/usr/bin/python3 -I {ROOT}/release/bot.py {PORT} {ROOT}/interlock/gate
Restart=always
[Install]
WantedBy=multi-user.target
"""
# Each call of ssh adds a line; Ansible's sftp and scp start ssh themselves, so they are counted beside it.
WRAPPER = '#!/bin/sh\necho {name} >> {calls}\nexec {real} "$@"\n'
READOUT = {"path": "/health"}


def variables(mode: str) -> dict[str, str]:
    """The five variables of the flip."""
    size = {"paper": "1.00", "live": "0.50"}[mode]
    return {
        "TRADING_MODE": mode, "ALPACA_API_KEY": f"{mode.upper()}KEY0001BENCH",
        "ALPACA_SECRET_KEY": f"{mode}-secret-0001-of-the-bench", "ALPACA_BASE_URL": f"https://{mode}.example.test/v2",
        "SIZE_MULTIPLIER": size,
    }  # fmt: skip


def env_text(mode: str) -> str:
    """The env file for a mode."""
    return "".join(f"{name}={value}\n" for name, value in variables(mode).items())


@dataclass
class Track:
    """One variant, run by run: seconds, processor seconds of the controller and of all hosts, calls of ssh."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    hosts_cpu: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    @property
    def work(self) -> float:
        """The median of all processor seconds, here and there."""
        return statistics.median(map(sum, zip(self.cpu, self.hosts_cpu, strict=True)))

    @property
    def middle(self) -> float:
        """The median time in seconds; not a number if it was never run."""
        return statistics.median(self.seconds) if self.seconds else float("nan")


class Meter:
    """Counts the processor time of this process and of all that comes from it, what lives on included: whatever it
    starts first is the hosts', and from `now_controller` on it is the controller's. Other work does not change that
    much, while wall time here is mostly a matter of who else wants the two processors."""

    def __init__(self) -> None:
        first = Path("/sys/fs/cgroup/cpuacct")
        self._root = first if first.is_dir() else Path("/sys/fs/cgroup")
        self._hosts, self._controller = (self._root / f"bench-{os.getpid()}-{name}" for name in ("hosts", "controller"))
        for folder in (self._hosts, self._controller):
            folder.mkdir()
        self._join(self._hosts)

    def now_controller(self) -> None:
        """What is started from now on, and this process itself, are the controller."""
        self._join(self._controller)

    def _join(self, folder: Path) -> None:
        (folder / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self) -> tuple[float, float]:
        """(controller, all hosts) so far."""
        return _used(self._controller), _used(self._hosts)

    def close(self) -> None:
        """Takes both away; what still runs in them moves out."""
        for folder in (self._controller, self._hosts):
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (self._root / "cgroup.procs").write_text(pid)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _used(folder: Path) -> float:
    usage = folder / "cpuacct.usage"
    if usage.exists():
        return int(usage.read_text()) / 1e9
    rows = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    return int(rows["usage_usec"]) / 1e6


@dataclass(frozen=True)
class Bed:
    """The fleet is up, this process is in its network, the counting ssh comes first on PATH."""

    place: Place
    ground: Ground
    meter: Meter
    calls: Path

    @property
    def hosts(self) -> Path:
        """Ansible's inventory."""
        return self.place.inventory / "hosts.yml"

    @property
    def known(self) -> dict[str, Address]:
        """How each host is reached."""
        return addresses(self.hosts)

    def argv(self, command: str) -> list[tuple[str, ...]]:
        """The ssh command, over the connections that are open, for each host."""
        return [ssh_argv(self.place, address, command) for address in self.known.values()]

    def request(self, host: str, op: str, **more: Any) -> dict[str, Any]:
        """What the host program is asked; as `Fleet.request` makes it."""
        words = {"OFF": "armed", "ON": "tripped"}
        return {
            "op": op, "host": host, "system": UNIT, "root": ROOT, "env_file": "keys.env",
            "gate_file": "interlock/gate", "release": "release", "salt": "a-salt", "fence": FENCE, "by": "bench",
            "watch": {
                "shown": ["TRADING_MODE", "ALPACA_BASE_URL", "SIZE_MULTIPLIER"],
                "secret": ["ALPACA_API_KEY", "ALPACA_SECRET_KEY"], "kept": [], "own": [],
            },
            "service": {"manager": "systemd", "name": UNIT, "also": [], "start_max_seconds": 30},
            "api": {
                "url": f"http://127.0.0.1:{PORT}", "readouts": dict.fromkeys(("mode", "switch", "health"), READOUT),
                "health": {"field": "loop_age_s", "age_max": 10},
                "switch": {"field": "switch", "reason": "reason", "words": words},
                "mode": {"field": "mode", "words": {"paper": "paper", "live": "live"}, "variables": {}},
                "trip": "POST /trip?reason={reason}", "rearm": None,
            },
            **more,
        }  # fmt: skip

    def time(self, track: Track, work: Callable[[], None]) -> None:
        """Runs it once and notes what it took."""
        self.calls.unlink(missing_ok=True)
        before, began = self.meter.seconds(), time.monotonic()
        work()
        track.seconds.append(time.monotonic() - began)
        controller, hosts = (now - then for now, then in zip(self.meter.seconds(), before, strict=True))
        track.cpu.append(controller)
        track.hosts_cpu.append(hosts)
        track.calls.append(len(self.calls.read_text().splitlines()) if self.calls.exists() else 0)

    def everywhere(self, work: Callable[[Machine], object]) -> None:
        """Does it for each host."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, self.ground.machines))

    def prove(self, mode: str) -> None:
        """The truth: what the bot of each host says, and its env file to the byte, looked at past ssh."""
        for machine in self.ground.machines:
            path = machine.disk / ROOT[1:] / "keys.env"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, machine.name
            assert path.read_text() == env_text(mode), machine.name
            with inside(machine.namespace):
                line = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
                line.request("GET", "/health")
                said = json.loads(line.getresponse().read())
                line.close()
            wanted = variables(mode)
            assert (said["mode"], said["size"]) == (mode, wanted["SIZE_MULTIPLIER"]), f"{machine.name}: {said}"

    def close_connections(self) -> None:
        """None is left open."""
        for words in self.argv(""):
            at = words.index("-T")
            subprocess.run([*words[:at], "-O", "exit", *words[at + 1 : -1]], capture_output=True, check=False)
        awaited(lambda: not any(self.place.run.iterdir()))


@contextmanager
def bed(hosts: int) -> Iterator[Bed]:
    """A fleet of that many hosts, taken away whatever happens."""
    before = dict(os.environ)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # else nothing would be taken away
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        place = Place("bench", folder / "inventory" / "bench", folder / "state" / "bench")
        place.inventory.mkdir(parents=True)
        place.state.mkdir(parents=True)
        ground, meter = Ground.of(place.state), Meter()
        try:
            known = ground.start({f"host-{number}": "systemd" for number in range(1, hosts + 1)}, lambda text: None)
            _lay_inventory(place, ground, known)
            os.environ.update(INTERLOCK_STATE=str(place.state.parent), PATH=_counting(folder))
            with inside(ground.site.mark):
                found = Bed(place, ground, meter, folder / "calls")
                found.everywhere(_lay_bot)
                meter.now_controller()
                yield found
        finally:
            ground.stop()
            meter.close()
            shutil.rmtree(place.run, ignore_errors=True)
            os.environ.clear()
            os.environ.update(before)


def _lay_inventory(place: Place, ground: Ground, known: str) -> None:
    rows = {one.name: {"ansible_host": one.address} for one in ground.machines}
    common = {
        "ansible_connection": "ssh", "ansible_user": ground.machines[0].login, "ansible_become": True,
        "ansible_ssh_private_key_file": str(ground.key), "ansible_python_interpreter": "/usr/bin/python3",
    }  # fmt: skip
    (place.inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": rows, "vars": common}}))
    (place.inventory / "known_hosts").write_text(known)


def _counting(folder: Path) -> str:
    """PATH with wrappers of ssh, sftp and scp first."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("ssh", "sftp", "scp"):
        tool = tools / name
        tool.write_text(WRAPPER.format(name=name, calls=folder / "calls", real=shutil.which(name)))
        tool.chmod(0o755)
    return f"{tools}:{os.environ['PATH']}"


def _lay_bot(machine: Machine) -> None:
    """The bot on paper, tripped, behind its gate."""
    root = machine.disk / ROOT[1:]
    files = {
        "release/bot.py": (BOT.read_text(), 0o644),
        "keys.env": (env_text("paper"), 0o600),
        "interlock/gate": (json.dumps({"by": "bench", "at": ""}), 0o600),
        "interlock/fence.json": (json.dumps(FENCE), 0o600),
    }
    for name, (text, mode) in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        (root / name).chmod(mode)
    (root / "interlock").chmod(0o711)
    (machine.disk / f"etc/systemd/system/{UNIT}.service").write_text(SERVICE)
    machine.told(["systemctl", "daemon-reload"])
    machine.told(["systemctl", "enable", "--now", "--quiet", UNIT])


def at_once(commands: Sequence[Sequence[str]], text: str | None = None) -> None:
    """All at the same time; each must end with 0. `text`: what each reads on its standard input."""
    running = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in commands
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write((text or "").encode())
        process.stdin.close()
    assert {process.wait() for process in running} == {0}


def asked(rounds: int) -> tuple[list[int], int]:
    """(numbers of hosts, rounds) by the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", default="1,8,24")
    parser.add_argument("--rounds", type=int, default=rounds)
    given = parser.parse_args()
    return [int(number) for number in given.hosts.split(",")], given.rounds


def load() -> str:
    """How busy this machine is besides."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
