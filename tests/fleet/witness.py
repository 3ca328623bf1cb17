"""What is seen of a fleet past ssh and past Interlock: files on the hosts' disks, their processes, the order log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.field import Done
from tests.fleet.rig import SYSTEMD, Host, Rig

BOT = "-m bots.run alpaca-bot"
# What beats or is locked by itself on a host that nobody touches.
RESTLESS = ("watcher.json", "lock")
PROGRAM = b"\0--stdin\0"
GATE, ENV_FILE = "interlock/gate", "keys.env"
CONNECTION = re.compile(r"(\S+):22\s+users:\(\(\"ssh\",pid=(\d+)")
Written = tuple[int, int, int]


@dataclass(frozen=True)
class Trace:
    """Of one host: every file that is not the bot's own (inode, time of writing, size), and its bots (id, start)."""

    files: dict[str, Written]
    bots: tuple[tuple[int, str], ...]


def trace(rig: Rig) -> dict[str, Trace]:
    """Every host of alpaca-bot, by name."""
    return {name: _trace(rig.host(name), rig.root(name)) for name in rig.hosts(SYSTEMD)}


def _trace(host: Host, root: Path) -> Trace:
    units = host.path("/etc/systemd/system")
    found = [*root.glob("*"), *root.glob("interlock/*"), *root.glob("release/**/*"), *units.rglob("*")]
    files = {str(path): _written(path) for path in found if path.name not in RESTLESS and path.is_file()}
    return Trace(files, tuple((pid, started(host, pid)) for pid in host.pids(BOT)))


def _written(path: Path) -> Written:
    info = path.lstat()
    return info.st_ino, info.st_mtime_ns, info.st_size


def started(host: Host, pid: int) -> str:
    """When a process of the host began, in ticks since boot."""
    return host.sh(f"cut -d' ' -f22 /proc/{pid}/stat")


def mode_in_file(rig: Rig, host: str) -> str:
    """Of the env file, without showing the rest of it."""
    return (rig.root(host) / ENV_FILE).read_text().split("TRADING_MODE=")[1].split("\n")[0]


def mode_in_process(rig: Rig, host: str) -> str:
    """Of the one bot that runs on the host."""
    machine = rig.host(host)
    (pid,) = machine.pids(BOT)
    return machine.environ(pid)["TRADING_MODE"]


def assert_on_paper_behind_its_gate(rig: Rig, *hosts: str) -> None:
    """By file, process and gate."""
    for host in hosts:
        shown = (mode_in_file(rig, host), mode_in_process(rig, host), (rig.root(host) / GATE).exists())
        assert shown == ("paper", "paper", True), (host, shown)


def live_orders(rig: Rig) -> list[str]:
    """Every order that the live venue ever accepted."""
    return [order["client_order_id"] for order in rig.orders("live", "accepted", SYSTEMD)]


def until_said(process: subprocess.Popen[str], phrase: str) -> str:
    """Everything a command has printed until it printed the phrase."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if phrase in line:
            return seen
    raise AssertionError(f"{phrase!r} was never printed:\n{seen}")


def ended(process: subprocess.Popen[str], seconds: float = 240) -> Done:
    """The end of a command that was watched."""
    assert process.stdout is not None
    out = process.stdout.read()
    process.stdout.close()
    return Done(process.wait(timeout=seconds), out)


@contextmanager
def stopped_in_time(pid: int) -> Iterator[None]:
    """A process of this machine stands still within the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def host_programs(host: Host) -> list[int]:
    """The host programs that run for a controller at this moment, as this machine numbers them."""
    found = []
    for pid in host.machine.group.members():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(PROGRAM) and _is_python(pid):
                found.append(pid)
    return found


def _is_python(pid: int) -> bool:
    """And no shell or sudo that stands before it."""
    return Path(f"/proc/{pid}/comm").read_text().startswith("python")


@contextmanager
def program_hangs(host: Host, at: Callable[[int], bool] = lambda pid: True) -> Iterator[list[int]]:
    """The first host program for which `at` holds stands still until the block ends: its id is put into the list."""
    caught: list[int] = []
    over = threading.Event()

    def wait() -> None:
        while not caught and not over.wait(0.002):
            for pid in filter(at, host_programs(host)):
                os.kill(pid, signal.SIGSTOP)
                caught.append(pid)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield caught
    finally:
        over.set()
        thread.join()
        for pid in caught:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def is_at_the_lock(pid: int) -> bool:
    """Whether a host program has its request and has come to the host's lock: it holds it, or waits for it."""
    with contextlib.suppress(OSError):
        return any(str(one.readlink()).endswith("/interlock/lock") for one in Path(f"/proc/{pid}/fd").iterdir())
    return False


@contextmanager
def lock_taken(rig: Rig, host: str) -> Iterator[None]:
    """Nobody may change the host within the block: somebody else's change is under way."""
    handle = os.open(rig.root(host) / "interlock" / "lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def masters(rig: Rig) -> dict[str, int]:
    """The open ssh connections of this fleet's controller: host -> process id on this machine."""
    words = [
        "nsenter",
        f"--net=/run/netns/{rig.ground.site.mark}",
        "ss",
        "-Htnp",
        "state",
        "established",
        "dport = :22",
    ]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = {address: int(pid) for address, pid in CONNECTION.findall(shown)}
    return {name: found[address] for name in rig.hosts(SYSTEMD) if (address := rig.host(name).address) in found}


def close_connections(rig: Rig) -> None:
    """Ends the shared connections: the next command must log in anew."""
    for pid in masters(rig).values():
        os.kill(pid, signal.SIGKILL)
