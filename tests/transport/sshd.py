"""A real OpenSSH server on loopback for as long as a test needs it, and an environment whose hosts are behind it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.inventory import Place, place_of
from tests.field import awaited

PROGRAM = "/usr/sbin/sshd"
CONF = """
Port {port}
ListenAddress 127.0.0.1
ListenAddress 127.0.0.2
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
"""
WRAPPER = """#!/bin/sh
printf '%s\\n' "$*" >> {log}
exec {ssh} "$@"
"""


@dataclass(frozen=True)
class Sshd:
    """The server: it knows one key, and takes it for our own user."""

    folder: Path
    port: int

    def host(self, address: str = "127.0.0.1", **more: Any) -> dict[str, Any]:
        """A host of hosts.yml behind it."""
        return {
            "ansible_host": address, "ansible_port": self.port, "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(self.folder / "key"), **more,
        }  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """An environment of such hosts. Its folder of sockets is its own."""

    server: Sshd
    inventory: Path
    calls: Path

    @property
    def place(self) -> Place:
        return place_of(self.inventory)

    @property
    def hosts_yml(self) -> Path:
        return self.inventory / "hosts.yml"

    def write(self, **hosts: dict[str, Any]) -> None:
        self.hosts_yml.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))

    def count(self) -> int:
        """How often ssh has been called since the last time that this was asked."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return len(lines)

    def masters(self) -> list[int]:
        """The shared connections that are open."""
        return [pid for pid, words in processes().items() if f"{self.place.run}/" in words and "[mux]" in words]

    def close(self) -> None:
        for pid in self.masters():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.place.run, ignore_errors=True)


def processes() -> dict[int, str]:
    """Process id -> its argument list, of everything that runs."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def needed(program: str) -> None:
    """What a test cannot do without: in CI it must be there."""
    if not (shutil.which(program) or Path(program).exists()):
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing")
        pytest.skip(f"{program} is missing")


@contextmanager
def serving(folder: Path) -> Iterator[Sshd]:
    needed(PROGRAM)
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (folder / "sshd_config").write_text(CONF.format(port=port, folder=folder))
    command = [PROGRAM, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        awaited(lambda: _listens(port), what="the ssh server")
        yield Sshd(folder, port)
    finally:
        process.kill()
        process.wait(timeout=30)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    return False


@contextmanager
def reached(server: Sshd, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Reach]:
    """An empty environment whose ssh is counted, with the server's key for both of its addresses."""
    inventory, tools = folder / "inventory" / "far", folder / "tools"
    inventory.mkdir(parents=True)
    tools.mkdir()
    key = (server.folder / "host_key.pub").read_text().strip()
    lines = [f"[{address}]:{server.port} {key}\n" for address in ("127.0.0.1", "127.0.0.2")]
    (inventory / "known_hosts").write_text("".join(lines))
    (inventory / "ssh_config").write_text("# Nothing of the user's own.\n")
    (tools / "ssh").write_text(WRAPPER.format(log=folder / "calls", ssh=shutil.which("ssh")))
    (tools / "ssh").chmod(0o755)
    patch.setenv("INTERLOCK_STATE", str(folder / "state"))
    patch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    reach = Reach(server, inventory, folder / "calls")
    try:
        yield reach
    finally:
        reach.close()
