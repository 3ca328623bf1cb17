"""A sandbox of its own for a test: own ports, own inventory copy, own state; driven through the real command line.

Its oracles are the venue's order log and the hosts' files and processes, never what Interlock says of itself.
"""

from __future__ import annotations

import json
import os
import pty
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PORTS_IN_INVENTORY = re.compile(r"\b18([4-8])(\d\d)\b")
PORTS_EACH = 30


@dataclass(frozen=True)
class Done:
    """One command's end."""

    code: int
    out: str

    @property
    def last(self) -> str:
        """The one sentence."""
        return self.out.strip().splitlines()[-1] if self.out.strip() else ""

    @property
    def document(self) -> dict[str, Any]:
        """The answer of `--json`: the last line that is a document."""
        return json.loads(self.last)


class Field:
    """One isolated sandbox with some of the systems; the first of them is the default one."""

    def __init__(self, folder: Path, systems: Sequence[str] = ("alpaca-bot",)) -> None:
        self.inventory, self.state_root, self.env = folder / "inventory", folder / "state", "sandbox"
        self.state, self.systems = self.state_root / self.env, tuple(systems)
        self.said: list[str] = []
        shutil.copytree(ROOT / "inventory", self.inventory)
        for path in (self.inventory / "sandbox" / "systems").glob("*.yml"):
            if path.stem not in systems:
                path.unlink()
        self._take_own_ports()
        settings = self.inventory / "sandbox" / "environment.yml"
        settings.write_text(re.sub(r"(?m)^default_system: \S+", f"default_system: {systems[0]}", settings.read_text()))

    def _take_own_ports(self) -> None:
        """Each block of ports in the inventory (184xx ...) becomes a block that is free on this machine."""
        texts = {path: path.read_text() for path in self.inventory.rglob("*.yml")}
        blocks = sorted({found[1] for text in texts.values() for found in PORTS_IN_INVENTORY.finditer(text)})
        base = free_base(PORTS_EACH * len(blocks))
        bases = {block: base + PORTS_EACH * number for number, block in enumerate(blocks)}
        for path, text in texts.items():
            path.write_text(PORTS_IN_INVENTORY.sub(lambda m: str(bases[m[1]] + int(m[2])), text))

    @property
    def environ(self) -> dict[str, str]:
        """What the commands see."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("INTERLOCK_", "INVOKE_", "ANSIBLE_"))}
        return {**keep, "INTERLOCK_INVENTORY": str(self.inventory), "INTERLOCK_STATE": str(self.state_root)}

    @property
    def profile(self) -> Path:
        """The default system's profile."""
        return self.profile_of(self.systems[0])

    def profile_of(self, system: str) -> Path:
        """A system's profile."""
        return self.inventory / self.env / "systems" / f"{system}.yml"

    def read_profile(self, system: str) -> dict[str, Any]:
        """What it says, read without Interlock's own reader."""
        return yaml.safe_load(self.profile_of(system).read_text())

    def hosts(self, system: str) -> list[str]:
        """The names of a system's hosts."""
        return list(self.read_profile(system)["hosts"])

    def invoke(self, *words: str, seconds: float = 150, environ: Mapping[str, str] | None = None) -> Done:
        """Runs one `invoke` command to its end, without a terminal."""
        done = subprocess.run(
            self.command(*words), cwd=ROOT, env={**self.environ, **(environ or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        self.said.append(done.stdout)
        return Done(done.returncode, done.stdout)

    def ask(self, *words: str) -> dict[str, Any]:
        """The document of a command that reads."""
        return self.invoke(*words, "--json").document

    def spawn(self, *words: str) -> subprocess.Popen[str]:
        """Starts a command and leaves it running, in a process group of its own."""
        return subprocess.Popen(
            self.command(*words), cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def typed(self, *words: str, answer: str) -> Done:
        """Runs a command at a real terminal of its own and types the answer when it asks."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            os.execve(sys.executable, self.command(*words), self.environ)
        seen = b""
        while piece := _read(terminal):
            seen += piece
            if b"anything else to stop: " in seen and answer:
                os.write(terminal, answer.encode())
                answer = ""
        os.close(terminal)
        return Done(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode(errors="replace"))

    def command(self, *words: str) -> list[str]:
        """The command line: Invoke as its own module, so that no console script must be on PATH."""
        return [sys.executable, "-m", "invoke", *words]

    def orders(self, environment: str = "", event: str = "", system: str = "") -> list[dict[str, Any]]:
        """The order log of a system's venues, the default one's if none is named: the ground truth."""
        path = self.order_log(system or self.systems[0])
        # What follows the last line feed is a line that is being written at this moment.
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        rows = [json.loads(line) for line in whole.splitlines()]
        return [r for r in rows if environment in ("", r["environment"]) and event in ("", r["event"])]

    def order_log(self, system: str) -> Path:
        """Where the simulated world of a system writes it."""
        return self.state / "worlds" / system / "orders.jsonl"

    def root(self, host: str) -> Path:
        """A managed host's folder."""
        return self.state / "hosts" / host

    def ledger(self) -> list[dict[str, Any]]:
        """Every record so far."""
        return self.ask("ledger.show", f"--env={self.env}", "--last=100000")["records"]

    def close(self) -> None:
        """Ends what it started."""
        self.invoke("sandbox.down", "--wipe")


@contextmanager
def opened(folder: Path, systems: Sequence[str] = ("alpaca-bot",)) -> Iterator[Field]:
    """A field that is closed whatever happens."""
    field = Field(folder, systems)
    try:
        yield field
    finally:
        field.close()


def _read(terminal: int) -> bytes:
    """What the terminal shows next; nothing when the other side has gone."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def kill_group(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Ends a spawned command alone, as a crash of the controller would: what it started elsewhere lives on."""
    os.kill(process.pid, number)
    process.wait(timeout=30)
    if process.stdout:
        process.stdout.close()


def crash_when(process: subprocess.Popen[str], phrase: str) -> bool:
    """Kills the command as soon as it prints the phrase; False if it ended before."""
    assert process.stdout is not None
    for line in process.stdout:
        if phrase in line:
            kill_group(process)
            return True
    process.wait(timeout=30)
    return False


def awaited(condition: Callable[[], bool], seconds: float = 30.0, what: str = "the condition") -> None:
    """Returns as soon as it holds; fails the test when the time is up."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true within {seconds} s"
        time.sleep(0.05)


def free_base(count: int = 20) -> int:
    """The first of so many ports that are all free on loopback, below those that outgoing connections take."""
    for _ in range(200):
        base = 10000 + random.SystemRandom().randrange(22000 - count)
        if all(_free(base + offset) for offset in range(count)):
            return base
    raise RuntimeError(f"no {count} free ports in a row")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
