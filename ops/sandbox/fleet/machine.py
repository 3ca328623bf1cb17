"""One host of a fleet: a real Debian with systemd and sshd in a container of its own, or a host with a Docker engine.

Its disk is an overlay in memory, its cable a pair of virtual network cards, its power a control group.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ops.errors import HostError
from ops.sandbox.fleet import debian, engine, network
from ops.sandbox.fleet.cgroup import Group
from ops.sandbox.fleet.needs import PATH, run
from ops.sandbox.fleet.site import Site
from ops.sandbox.waiting import wait_until

Kind = Literal["systemd", "docker"]
BOOT_MAX_SECONDS = 60.0
STOP_MAX_SECONDS = 15.0
# Where a host finds the libraries that the bots run on: this Python's own, read-only.
LIBRARIES = "/opt/bot-libraries"
_ENVIRON = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root"}


@dataclass(frozen=True)
class HostKeys:
    """A host's own private key, and the public key of whoever may log in; OpenSSH's text forms."""

    private: str
    public: str
    admitted: str


@dataclass(frozen=True)
class Machine:
    """One host by its number and name."""

    site: Site
    number: int
    name: str
    kind: Kind = "systemd"

    @property
    def address(self) -> str:
        """Where it is reached."""
        return self.site.address(self.number)

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return self.site.namespace(self.number)

    @property
    def disk(self) -> Path:
        """Its file system as seen from outside, whether it runs or not."""
        return self._folder / "disk"

    @property
    def group(self) -> Group:
        """Its processes."""
        return Group(f"{self.site.mark}/{self.number}")

    @property
    def login(self) -> str:
        """Who may log in: an administrator with sudo; root on a host with a Docker engine."""
        return debian.USER if self.kind == "systemd" else "root"

    @property
    def _folder(self) -> Path:
        return self.site.folder / str(self.number)

    def make(self, keys: HostKeys) -> None:
        """Its disk and its cable, both new."""
        for name in ("upper", "work", "disk", "docker"):
            (self._folder / name).mkdir(parents=True)
        lower = debian.tree() if self.kind == "systemd" else Path("/")
        layers = f"lowerdir={lower},upperdir={self._folder}/upper,workdir={self._folder}/work"
        run(["mount", "-t", "overlay", "-o", f"{layers},index=off,xino=off", "overlay", str(self.disk)])
        network.plug_in(self.site, self.number)
        self._write("etc/hostname", f"{self.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        self._write("etc/machine-id", f"{secrets.token_hex(16)}\n")
        self._write("etc/ssh/ssh_host_ed25519_key", keys.private, 0o600)
        self._write("etc/ssh/ssh_host_ed25519_key.pub", f"{keys.public}\n")
        (self.disk / LIBRARIES[1:]).mkdir(exist_ok=True)
        if self.kind == "systemd":
            self._admit(keys.admitted)
            return
        for name, text in engine.files(self.group.name, keys.admitted).items():
            self._write(name, text)

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.disk / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def _admit(self, key: str) -> None:
        folder = self.disk / "home" / debian.USER / ".ssh"
        folder.mkdir(mode=0o700)
        self._write(f"home/{debian.USER}/.ssh/authorized_keys", f"{key}\n", 0o600)
        for path in (folder, folder / "authorized_keys"):
            os.chown(path, debian.UID, debian.UID)

    def start(self) -> None:
        """Turns it on; it answers a moment later (`wait_for_ssh`)."""
        self.group.make()
        # In a session of its own and nobody's child, so that it outlives the command that booted it.
        words = ["setsid", "--fork", *self.group.around(self._booting())]
        with (self._folder / "console.log").open("ab") as console:
            subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=_ENVIRON, cwd="/", check=True
            )

    def _booting(self) -> list[str]:
        libraries, namespace = Path(sysconfig.get_paths()["purelib"]), network.NAMESPACES / self.namespace
        if self.kind == "docker":
            return engine.command(self.disk, self._folder / "docker", (libraries, LIBRARIES), namespace, self.name)
        return [
            "systemd-nspawn", "-q", "-D", str(self.disk), f"--machine={self.namespace}", "--boot",
            "--register=no", "--keep-unit", f"--network-namespace-path={namespace}", "--resolv-conf=off",
            "--timezone=off", "--link-journal=no", "--console=pipe", f"--hostname={self.name}",
            f"--bind-ro={libraries}:{LIBRARIES}",
        ]  # fmt: skip

    def answers(self) -> bool:
        """Whether its sshd greets."""
        with contextlib.suppress(OSError, HostError), network.inside(self.site.mark):
            probe = socket.create_connection((self.address, 22), timeout=0.5)
            with probe:
                return probe.recv(4) == b"SSH-"
        return False

    def wait_for_ssh(self) -> None:
        """Returns as soon as somebody could log in. Raises HostError with the console's last line."""
        try:
            wait_until(self.answers, BOOT_MAX_SECONDS, f"{self.name} does not answer over ssh")
        except HostError as error:
            said = (self._folder / "console.log").read_text(errors="replace").strip().splitlines()
            raise HostError(f"{error}: {said[-1][:200] if said else 'its console is empty'}") from None

    def stop(self) -> None:
        """Shuts it down as its power button would: in order for a while, then without asking."""
        with contextlib.suppress(HostError):
            os.kill(self.leader(), signal.SIGRTMIN + 4 if self.kind == "systemd" else signal.SIGTERM)
            with contextlib.suppress(HostError):
                wait_until(lambda: not self.group.members(), STOP_MAX_SECONDS, "")
        self.pull_plug()

    def pull_plug(self) -> None:
        """Ends it at once, as a power cut does; its disk keeps what was written."""
        self.group.kill()

    def reboot(self, orderly: bool = True) -> None:
        """Off and on again; returns when it answers."""
        if orderly:
            self.stop()
        else:
            self.pull_plug()
        self.start()
        self.wait_for_ssh()

    def freeze(self, frozen: bool) -> None:
        """Stops all its processes where they are, or lets them go on: a host that hangs."""
        self.group.freeze(frozen)

    def set_cable(self, plugged: bool) -> None:
        """Takes it off the network, or back."""
        network.set_cable(self.site, self.number, plugged)

    def leader(self) -> int:
        """Its first process, as this machine numbers it. Raises HostError if it is off."""
        for pid in sorted(self.group.members()):
            with contextlib.suppress(OSError):
                if _inner_ids(pid)[1:] == [1]:
                    return pid
        raise HostError(f"{self.name} is off")

    def enter(self, words: Sequence[str], text: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a program on it as its root, past its network and its sshd. Raises HostError if it is off."""
        return subprocess.run(
            self._inside(words), input=text, capture_output=True, text=True, check=False, env=_ENVIRON, timeout=seconds
        )

    def _inside(self, words: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self.leader()), "-m", "-u", "-i", "-n", "-p", "-r", "-w", *words]

    def told(self, words: Sequence[str]) -> str:
        """What such a program says. Raises HostError if it fails."""
        done = self.enter(words)
        if done.returncode != 0:
            what = f"{self.name}: {' '.join(words[:3])} ended with {done.returncode}"
            raise HostError(f"{what}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def load_image(self) -> None:
        """Puts the image that the bots' containers run from into its Docker engine. Raises HostError."""
        wait_until(self._has_docker, BOOT_MAX_SECONDS, f"the Docker engine of {self.name} does not answer")
        with debian.image().open("rb") as archive:
            done = subprocess.run(
                self._inside(["docker", "import", "-", debian.IMAGE]), stdin=archive, capture_output=True, check=False,
                env=_ENVIRON, text=True,
            )  # fmt: skip
        if done.returncode != 0:
            raise HostError(f"the image could not be loaded on {self.name}: {done.stderr.strip()[-200:]}")

    def _has_docker(self) -> bool:
        with contextlib.suppress(HostError):
            return self.enter(["docker", "version"]).returncode == 0
        return False

    def facts(self) -> Mapping[str, str]:
        """What `fleet.status` shows of it."""
        try:
            self.leader()
        except HostError:
            return {"host": self.name, "kind": self.kind, "address": self.address, "state": "OFF"}
        state = "RUNNING" if self.answers() else "SILENT"
        return {"host": self.name, "kind": self.kind, "address": self.address, "state": state}


def _inner_ids(pid: int) -> list[int]:
    """A process's ids, from this machine's to that of the innermost process namespace."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return [int(word) for word in line.split()[1:]]
    return []
