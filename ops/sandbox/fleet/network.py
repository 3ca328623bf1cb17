"""The fleet's network: one namespace with a bridge inside it, one namespace and one cable per host, no route out."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import HostError
from ops.sandbox.fleet.needs import run
from ops.sandbox.fleet.site import Site

NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def lay(site: Site) -> None:
    """The namespace and the bridge that the hosts are plugged into."""
    run(["ip", "netns", "add", site.mark])
    commands = ("link set lo up", "link add br0 type bridge", f"addr add {site.gateway}/24 dev br0", "link set br0 up")
    _batch(site.mark, commands)


def plug_in(site: Site, number: int) -> None:
    """A namespace for one host, and its cable to the bridge. The address is set from outside."""
    own = site.namespace(number)
    run(["ip", "netns", "add", own])
    _batch(site.mark, (f"link add v{number} type veth peer name eth0 netns {own}", f"link set v{number} master br0 up"))
    _batch(own, ("link set lo up", f"addr add {site.address(number)}/24 dev eth0", "link set eth0 up"))


def set_cable(site: Site, number: int, plugged: bool) -> None:
    """Pulls a host's cable, or plugs it in again. The host itself notices nothing but silence."""
    run(["ip", "-n", site.mark, "link", "set", f"v{number}", "up" if plugged else "down"])


def remove(site: Site) -> None:
    """Every namespace of the fleet, and with them the cables and the bridge; and OpenSSH's connections into it, which
    would hold it for minutes."""
    if exists(site):
        _end_connections(site)
    found = [path.name for path in NAMESPACES.glob(f"{site.mark}*")] if NAMESPACES.is_dir() else []
    for name in found:
        run(["ip", "netns", "delete", name])


def exists(site: Site) -> bool:
    """Whether the fleet's network is there."""
    return (NAMESPACES / site.mark).exists()


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread, and what it starts, is in that namespace within the block. Raises HostError."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        move_to(name)
        try:
            yield
        finally:
            _enter(own, name)
    finally:
        os.close(own)


def move_to(name: str) -> None:
    """This thread moves into that namespace for good. Raises HostError."""
    try:
        other = os.open(NAMESPACES / name, os.O_RDONLY)
    except OSError as error:
        raise HostError(f"the network namespace {name} cannot be opened: {error.strerror}") from None
    try:
        _enter(other, name)
    finally:
        os.close(other)


def _enter(handle: int, name: str) -> None:
    if _libc.setns(handle, _CLONE_NEWNET) != 0:
        raise HostError(f"the network namespace {name} cannot be entered: {os.strerror(ctypes.get_errno())}")


def _end_connections(site: Site) -> None:
    for pid in map(int, run(["ip", "netns", "pids", site.mark]).split()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "ssh\n":
                os.kill(pid, signal.SIGTERM)


def _batch(namespace: str, commands: tuple[str, ...]) -> None:
    run(["ip", "-n", namespace, "-batch", "-"], "\n".join(commands) + "\n")
