"""All hosts of a fleet together: up, found again, down without a trace."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ops.errors import InputError
from ops.sandbox.fleet import debian, network
from ops.sandbox.fleet.cgroup import Group
from ops.sandbox.fleet.machine import HostKeys, Kind, Machine
from ops.sandbox.fleet.needs import refuse_unfit, run
from ops.sandbox.fleet.site import HOSTS_MAX, Site

# The kernel's default of 128 stops the 33rd host: it boots and never answers.
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_MIN = 8192
_WIDTH = 8
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ground:
    """One fleet by its site. `folder` is where the key to log in lies."""

    site: Site
    folder: Path

    @classmethod
    def of(cls, state: Path) -> Ground:
        """The fleet of an environment's state folder."""
        return cls(Site.of(state), state / "fleet")

    @property
    def key(self) -> Path:
        """The private key that logs in to every host."""
        return self.folder / "login_key"

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The hosts that there are, running or not."""
        try:
            rows = json.loads(self.site.manifest.read_text())
        except (OSError, ValueError):
            return ()
        return tuple(Machine(self.site, row["number"], row["name"], row["kind"]) for row in rows)

    @property
    def world(self) -> Group:
        """What runs beside the hosts: the simulated venues and the relays."""
        return Group(f"{self.site.mark}/world")

    def machine(self, name: str) -> Machine:
        """The host of that name. Raises InputError."""
        found = {machine.name: machine for machine in self.machines}
        if name not in found:
            raise InputError(f"there is no host {name!r}", expected=f"one of: {', '.join(found) or 'no fleet is up'}")
        return found[name]

    def start(self, names: Mapping[str, Kind], say: Say) -> str:
        """Boots these hosts and returns the text of the known_hosts file that is true for them. Raises InputError for a
        machine that cannot hold a fleet, HostError if a host does not come up; then nothing is left."""
        docker = "docker" in names.values()
        refuse_unfit(docker)
        debian.refuse_other_python()
        if not 1 <= len(names) <= HOSTS_MAX:
            raise InputError("so many hosts are not possible", expected=f"1 to {HOSTS_MAX}", seen=str(len(names)))
        debian.ensure(say)
        self.stop()
        machines = [Machine(self.site, number, name, kind) for number, (name, kind) in enumerate(names.items(), 1)]
        try:
            return self._boot(machines, say)
        except BaseException:
            self.stop()
            raise

    def _boot(self, machines: Sequence[Machine], say: Say) -> str:
        if int(_INOTIFY.read_text()) < _INOTIFY_MIN:
            _INOTIFY.write_text(str(_INOTIFY_MIN))
        self.site.folder.mkdir(mode=0o700)
        run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", str(self.site.folder)])
        network.lay(self.site)
        login = self._new_login()
        keys = {machine.name: HostKeys(*_new_key(), login) for machine in machines}
        rows = [{"number": one.number, "name": one.name, "kind": one.kind} for one in machines]
        self.site.manifest.write_text(json.dumps(rows))
        self.world.make()
        say(f"booting {len(machines)} hosts")
        with ThreadPoolExecutor(_WIDTH) as pool:
            list(pool.map(lambda machine: _bring_up(machine, keys[machine.name]), machines))
        return "".join(f"{machine.address} {keys[machine.name].public}\n" for machine in machines)

    def _new_login(self) -> str:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private, public = _new_key()
        self.key.unlink(missing_ok=True)
        self.key.touch(mode=0o600)
        self.key.write_text(private)
        return public

    def stop(self) -> bool:
        """Ends every process of the fleet, and takes its disks, groups and networks away; True if there were any.
        Finds them by name, so it also clears away what a maker that crashed has left."""
        there = network.exists(self.site) or self.site.folder.exists()
        Group(self.site.mark).remove()
        for path in _mounted_below(self.site.folder):
            run(["umount", "--lazy", path])
        with contextlib.suppress(FileNotFoundError):
            self.site.folder.rmdir()
        network.remove(self.site)
        return there


def _bring_up(machine: Machine, keys: HostKeys) -> None:
    machine.make(keys)
    machine.start()
    machine.wait_for_ssh()
    if machine.kind == "docker":
        machine.load_image()


def _new_key() -> tuple[str, str]:
    """(private, public) in OpenSSH's text forms."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def _mounted_below(folder: Path) -> list[str]:
    """The mount points at and below a folder, the innermost first."""
    rows = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    found = {row for row in rows if row == str(folder) or row.startswith(f"{folder}/")}
    return sorted(found, key=len, reverse=True)
