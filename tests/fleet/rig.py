"""A fleet of real hosts of its own for a test: own inventory, own state, own network; driven through the command line.

The oracles are the venues' order logs, `/proc` and the files on the hosts, reached past ssh and past Interlock.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.sandbox.fleet import debian
from ops.sandbox.fleet.ground import Ground
from ops.sandbox.fleet.machine import Machine
from ops.sandbox.fleet.needs import missing
from tests.field import ROOT, Field

SYSTEMD, COMPOSE = "alpaca-bot", "ibkr-assistant"


def need_a_fleet() -> None:
    """Skips where no fleet can be started, and says what is missing; in CI that is a failure."""
    lacking = missing(docker=True)
    if sys.version_info[:2] != debian.PYTHON:
        lacking.append("Python {}.{}".format(*debian.PYTHON))
    if lacking:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no fleet without {', '.join(lacking)}")


@dataclass(frozen=True)
class Host:
    """One host, its power switch and its cable."""

    machine: Machine

    @property
    def name(self) -> str:
        """As the inventory names it."""
        return self.machine.name

    @property
    def address(self) -> str:
        """Where it is reached by ssh."""
        return self.machine.address

    def sh(self, line: str, seconds: float = 60) -> str:
        """What a line says to the host's shell, run as its root; it must succeed."""
        done = self.machine.enter(["/bin/sh", "-c", line], seconds=seconds)
        assert done.returncode == 0, f"{self.name}: {line}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def fails(self, line: str) -> bool:
        """Whether the line ends with another code than 0."""
        return self.machine.enter(["/bin/sh", "-c", line]).returncode != 0

    def path(self, name: str) -> Path:
        """A file of the host, by its path there, as it is seen from outside; the host may be off."""
        return self.machine.disk / name.lstrip("/")

    def environ(self, pid: int) -> dict[str, str]:
        """The environment in which a process of the host was started, by its id there."""
        pairs = self.sh(f"tr '\\0' '\\n' < /proc/{pid}/environ").splitlines()
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def pids(self, words: str) -> list[int]:
        """The ids, on the host, of the processes whose command line ends with these words."""
        found = self.sh(
            'for d in /proc/[0-9]*; do echo "${d#/proc/} $(tr "\\0" " " < $d/cmdline 2>/dev/null)"; done'
        ).splitlines()
        return [int(line.split()[0]) for line in found if line.rstrip().endswith(words)]

    def reboot(self) -> None:
        """Shut down in order, and on again; returns when it answers."""
        self.machine.reboot()

    def power_cut(self) -> None:
        """Off from one moment to the next, and on again; returns when it answers."""
        self.machine.reboot(orderly=False)

    def off(self) -> None:
        """Off from one moment to the next."""
        self.machine.pull_plug()

    def on(self) -> None:
        """On again; returns when it answers."""
        self.machine.start()
        self.machine.wait_for_ssh()

    def cut(self) -> None:
        """Pulls its cable."""
        self.machine.set_cable(False)

    def mend(self) -> None:
        """Plugs its cable in again."""
        self.machine.set_cable(True)

    def pause(self) -> None:
        """It hangs: every process stands still, connections stay open."""
        self.machine.freeze(True)

    def resume(self) -> None:
        """It goes on."""
        self.machine.freeze(False)

    def restore(self) -> None:
        """Whatever a test did to its cable and its processes is over."""
        self.resume()
        self.mend()


class Rig(Field):
    """A fleet with bots on paper, and the commands that drive it."""

    def __init__(self, folder: Path, hosts: int = 3, systems: Sequence[str] = (SYSTEMD, COMPOSE)) -> None:
        self.inventory, self.state_root, self.env = folder / "inventory", folder / "state", "fleet"
        self.state, self.systems = self.state_root / self.env, tuple(systems)
        self.said: list[str] = []
        shutil.copytree(ROOT / "inventory" / "sandbox", self.inventory / "sandbox")
        up = self.invoke("fleet.up", f"--hosts={hosts}", f"--systems={','.join(systems)}", seconds=400)
        assert up.code == 0, up.out

    @property
    def ground(self) -> Ground:
        """The machines."""
        return Ground.of(self.state)

    def host(self, name: str) -> Host:
        """A host by its name in the inventory."""
        return Host(self.ground.machine(name))

    def root(self, host: str) -> Path:
        """The bot's folder on a host, as it is seen from outside."""
        found = [p["hosts"][host]["root"] for p in map(self.read_profile, self.systems) if host in p["hosts"]]
        return self.host(host).path(found[0])

    def close(self) -> None:
        """Ends everything, whatever a test did to the hosts."""
        self.invoke("fleet.down")
        self.ground.stop()


@contextmanager
def fleet(folder: Path, hosts: int = 3, systems: Sequence[str] = (SYSTEMD, COMPOSE)) -> Iterator[Rig]:
    """A rig that is taken away whatever happens, even if it does not come up."""
    state = folder / "state" / "fleet"
    try:
        yield Rig(folder, hosts, systems)
    finally:
        Ground.of(state).stop()


@contextmanager
def bare(folder: Path, systemd: int = 1, docker: bool = True) -> Iterator[Ground]:
    """Bare hosts, as they are rented: `bare-1` and so on with systemd, `bare-docker` with a Docker engine. What must be
    said to log in lies beside them: `known_hosts` and the `key` of the ground."""
    ground = Ground.of(folder)
    names = {f"bare-{number}": "systemd" for number in range(1, systemd + 1)}
    try:
        folder.mkdir(exist_ok=True)
        known = ground.start({**names, **({"bare-docker": "docker"} if docker else {})}, print)  # type: ignore[dict-item]
        (folder / "known_hosts").write_text(known)
        yield ground
    finally:
        ground.stop()
