"""One system on the hosts of a fleet: its simulated world beside them; its code, week on paper and bots on them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ops.errors import HostError, InputError
from ops.sandbox.blueprint import HERE, Blueprint, SandboxHost
from ops.sandbox.daemons import Daemon, Program
from ops.sandbox.fleet import network, relay
from ops.sandbox.fleet.ground import Ground
from ops.sandbox.manager import Sandbox

Say = Callable[[str], None]
WRITTEN_BY_BOTS = ("var", "logs", "data")


class FleetSystem(Sandbox):
    """A sandbox whose hosts are machines. `prepare` makes bare hosts into hosts of this system, over ssh."""

    def __init__(self, blueprint: Blueprint, ground: Ground, prepare: Callable[[], None], say: Say) -> None:
        site = ground.site
        found = {machine.name: machine for machine in ground.machines}
        self._ground, self._prepare = ground, prepare
        self._machines = {host.name: found[host.name] for host in blueprint.hosts if host.name in found}
        placed = replace(
            blueprint,
            address=site.gateway,
            scraped_at={name: f"{machine.address}:{relay.PORT}" for name, machine in self._machines.items()},
            around=lambda words: ground.world.around(list(words)),
            hosts=tuple(replace(host, root=self._seen(host)) for host in blueprint.hosts),
        )
        super().__init__(placed, say)

    def _seen(self, host: SandboxHost) -> Path:
        """A host's folder as it is seen from outside the host."""
        machine = self._machines.get(host.name)
        return host.root if machine is None else machine.disk / host.root.relative_to("/")

    @property
    def up(self) -> bool:
        """Whether the world and every host run."""
        on = len(self._machines) == len(self.hosts) and all(machine.answers() for machine in self._machines.values())
        return on and self._world.running and all(self._serves(host) for host in self.hosts)

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        """What runs outside the hosts."""
        return (self._world,)

    def status(self) -> list[dict[str, str]]:
        """One row per host, and one for the world."""
        own = {"system": self.system, "program": "machine"}
        return [*super().status(), *({**own, **machine.facts()} for machine in self._machines.values())]

    def _refuse_unusable(self) -> None:
        lost = [host.name for host in self.hosts if host.name not in self._machines]
        if lost:
            raise InputError(f"the fleet has no host {', '.join(lost)}", remedy="invoke fleet.up")
        self._plan.world.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _beside_world(self) -> tuple[Program, ...]:
        words = [
            relay.spec(self._machines[host.name].namespace, self._machines[host.name].address, host.port)
            for host in self.hosts
            if host.port is not None
        ]
        command = f"{sys.executable} -m ops.sandbox.fleet.relay {' '.join(words)}"
        return (Program("relay", command, HERE.parents[1], {"PYTHONDONTWRITEBYTECODE": "1"}),)

    def _lay_programs(self) -> None:
        """Nothing: on a real host that is `invoke host.prepare`."""

    def _make_hosts(self) -> None:
        """Interlock prepares the bare hosts; then their operator puts the bot's code there."""
        self._say(f"preparing {len(self.hosts)} hosts of {self.system}")
        self._prepare()
        for host in self.hosts:
            self._make_host(host)

    def _make_host(self, host: SandboxHost) -> None:
        release = host.root / self._plan.profile.release
        if (release / "bots").exists():
            return
        shutil.copytree(HERE / "bots", release / "bots", ignore=shutil.ignore_patterns("__pycache__"))
        # Ours may be a checkout that nobody else reads; the bot runs under a user of its own.
        for path in (release, *release.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _environ(self, host: SandboxHost) -> dict[str, str]:
        """Of the week alone, which ran before there was a gate: a prepared host has one from its first moment."""
        return {**super()._environ(host), "GATE_FILE": str(self._plan.world / "no-gate")}

    def _start_hosts(self) -> None:
        for host in self.hosts:
            self._hand_over(host)
            (host.root / self._plan.profile.gate_file).unlink(missing_ok=True)
            self._say(f"starting the bot on {host.name}")
            self._machines[host.name].told(self._start_words(host))

    def _hand_over(self, host: SandboxHost) -> None:
        """What the week has written is the bot's own, as if it had run there."""
        owner = (host.root / "var").stat()
        for name in WRITTEN_BY_BOTS:
            for path in (host.root / name).rglob("*"):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _start_words(self, host: SandboxHost) -> list[str]:
        service = self._plan.profile.service
        names = [service.name, *service.also]
        if service.manager == "systemd":
            return ["systemctl", "start", *names]
        folder = f"/{host.root.relative_to(self._machines[host.name].disk)}"
        return [
            "docker-compose", "-p", service.project or self.system, "-f", f"{folder}/{service.file or 'compose.yml'}",
            "up", "-d", *names,
        ]  # fmt: skip

    def _serves(self, host: SandboxHost) -> bool:
        """Whether its API answers."""
        with contextlib.suppress(HostError):
            return bool(self._ask_bot(host, "GET", self._plan.profile.health.readout.path or "/"))
        return False

    def _ask_bot(self, host: SandboxHost, method: str, path: str) -> Any:
        with network.inside(self._machines[host.name].namespace):
            return super()._ask_bot(host, method, path)
