"""The kill while something is broken that everything else depends on, by its real commands, against bots that trade.

Before each case the bots place orders; after it the order log must show that nothing is open and nothing new came in.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.kill.targets import folder
from tests.field import ROOT, Done, awaited
from tests.kill.hosts import Host, hosts
from tests.kill.worlds import Scene, scene

PROOF = "every bot tripped and zero open orders proven on every account"
INVOKE = ("-m", "invoke", "kill", "--reason=broken")
ALONE = ("-c", "from ops.kill.command import main; main()", "--reason=broken")
BOTH = pytest.mark.parametrize("command", [INVOKE, ALONE], ids=["invoke kill", "interlock-kill"])


@dataclass(frozen=True)
class Fleet:
    """The scene and its hosts."""

    scene: Scene
    hosts: tuple[Host, ...]

    def run(self, command: Sequence[str], python: str = sys.executable, cwd: Path = ROOT, **environ: str) -> Done:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("INTERLOCK_", "INVOKE_"))}
        done = subprocess.run(
            [python, *command], cwd=cwd, env={**keep, "INTERLOCK_STATE": str(self.scene.state.parent), **environ},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)

    def accepted(self) -> int:
        return (self.scene.world.config.state / "orders.jsonl").read_text().count('"accepted"')

    def assert_stopped(self, done: Done, code: int = 0) -> None:
        """By the order log: nothing is open, and however long one looks, nothing new comes in."""
        assert done.code == code, done.out
        assert self.scene.truly_open("live") == self.scene.truly_open("paper") == set()
        before = self.accepted()
        assert not threading.Event().wait(0.4), "four turns of a bot that trades"
        assert self.accepted() == before
        assert code or PROOF in done.out.splitlines()[-1]
        assert code or all(host.gate.exists() for host in self.hosts)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("fleet")
    with scene(root) as here, hosts(here, root) as made:
        yield Fleet(here, made)


@pytest.fixture
def trading(fleet: Fleet) -> Fleet:
    """Armed, and with orders open."""
    for slot in ("paper", "live"):
        fleet.scene.venue("PATCH", "/account/configurations", slot, json={"suspend_trade": False})
    for host in fleet.hosts:
        host.rearm()
    awaited(lambda: len(fleet.scene.truly_open("live")) > 1, what="orders of the bots")
    return fleet


@contextmanager
def lock_held(fleet: Fleet) -> Iterator[None]:
    """Another process holds the system's lock, and the hosts' own."""
    (fleet.scene.state / "locks").mkdir(exist_ok=True)
    paths = [
        fleet.scene.state / "locks" / "alpaca-bot.json",
        *(host.root / "interlock" / "lock" for host in fleet.hosts),
    ]
    code = f"import fcntl; held = [open(p, 'w') for p in {[str(p) for p in paths]!r}]\n"
    code += "for file in held: fcntl.flock(file, fcntl.LOCK_EX)\nprint('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        holder.communicate("\n", timeout=10)


@contextmanager
def disk_full(fleet: Fleet) -> Iterator[None]:
    """Whatever the kill writes on its own machine meets a full disk: ledger, spool, mark."""
    with ExitStack() as stack:
        for path in (fleet.scene.state / "ledger.sqlite", folder(fleet.scene.state) / "spool.jsonl",
                     folder(fleet.scene.state) / "alpaca-bot.mark"):  # fmt: skip
            stack.enter_context(replaced(path)).symlink_to("/dev/full")
        yield


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """The file is away inside the block, and back afterwards whatever was put in its place."""
    away = path.with_name(f"{path.name}.aside")
    there = path.exists()
    if there:
        path.rename(away)
    try:
        yield path
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        if there:
            away.rename(path)


def bare_python(folder: Path) -> tuple[str, dict[str, str]]:
    """A Python with all of Interlock's packages and none of their programs, beside it or on PATH: no Ansible."""
    python = folder / "python3"
    python.symlink_to(Path(sys.executable).resolve())
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return str(python), {"PATH": str(folder), "PYTHONPATH": os.pathsep.join([str(ROOT), *packages])}


def records(fleet: Fleet) -> list[Mapping[str, object]]:
    from ops.doors import utc_now
    from ops.ledger.store import Ledger

    return [r.body for r in Ledger(fleet.scene.state / "ledger.sqlite", "", utc_now).records() if r.kind == "kill.done"]


@pytest.mark.parametrize("words", [[], ["--reason="], ["--reason= "]], ids=["none", "empty", "blank"])
def test_a_kill_without_a_reason_asks_for_one_and_stops_nothing(fleet: Fleet, words: list[str]) -> None:
    done = fleet.run([*INVOKE[:3], *words])
    assert (done.code, done.out.strip()) == (2, 'a kill needs a reason: invoke kill --reason="..."')


@BOTH
def test_kill_works_while_somebody_holds_the_locks(trading: Fleet, command: Sequence[str]) -> None:
    with lock_held(trading):
        trading.assert_stopped(trading.run(command))


@BOTH
def test_kill_works_without_a_writable_ledger_and_spools_its_record(trading: Fleet, command: Sequence[str]) -> None:
    with (
        replaced(trading.scene.state / "ledger.sqlite") as ledger,
        replaced(folder(trading.scene.state) / "spool.jsonl") as spool,
    ):
        ledger.mkdir()
        done = trading.run(command)
        trading.assert_stopped(done)
        assert f"recorded in spool {spool}" in done.out
        assert json.loads(spool.read_text())["reason"] == "broken"


def test_kill_works_on_a_full_disk_and_says_that_its_record_is_nowhere(trading: Fleet) -> None:
    with disk_full(trading):
        done = trading.run(INVOKE)
    trading.assert_stopped(done)
    assert "recorded in NOWHERE" in done.out


def test_kill_works_with_a_broken_inventory(trading: Fleet, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "inventory", tmp_path / "inventory")
    for path in (tmp_path / "inventory").rglob("*.yml"):
        path.write_text("{ this is: [not YAML\n")
    trading.assert_stopped(trading.run(INVOKE, INTERLOCK_INVENTORY=str(tmp_path / "inventory")))


def test_kill_works_with_a_broken_catalogue(trading: Fleet, tmp_path: Path) -> None:
    """In a copy of the checkout, since the checklists belong to the code."""
    for name in ("ops", "playbooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tasks.py", tmp_path)
    for path in (tmp_path / "ops" / "checklists").glob("*.yml"):
        path.write_text("entries: [\n")
    trading.assert_stopped(trading.run(INVOKE, cwd=tmp_path, PYTHONPATH=str(tmp_path)))


def test_kill_works_without_ansible(trading: Fleet, tmp_path: Path) -> None:
    python, environ = bare_python(tmp_path)
    trading.assert_stopped(trading.run(INVOKE, python, **environ))


def test_the_small_path_works_where_nothing_at_all_is_installed(trading: Fleet) -> None:
    """-S: no site-packages, so Invoke, Ansible and every library are as good as missing."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {ALONE[1]}"
    trading.assert_stopped(trading.run(["-S", "-I", "-c", code, ALONE[2]]))


def test_kill_works_when_the_bots_and_their_managers_are_dead(trading: Fleet) -> None:
    """Nobody is left who could cancel the orders that they had placed; and they come back halted."""
    for host in trading.hosts:
        host.end()
    assert trading.scene.truly_open("live")
    done = trading.run(ALONE)
    trading.assert_stopped(done)
    assert done.out.count("switch tripped (GONE), gate set") == 2
    for host in trading.hosts:
        host.start()
    trading.assert_stopped(done)


def test_a_host_whose_disk_is_full_is_tripped_all_the_same_and_named(trading: Fleet) -> None:
    """The gate cannot be set there: the bot's own switch holds it, until a restart."""
    gates = trading.hosts[0].root / "interlock"
    gates.chmod(0o500)
    try:
        done = trading.run(ALONE)
    finally:
        gates.chmod(0o700)
    trading.assert_stopped(done, 6)
    assert "RESIDUE alpaca-bot host-1: tripped, but the gate is not set" in done.out
    assert done.out.count("RESIDUE") == 1


def test_a_venue_that_hangs_keeps_no_bot_from_being_tripped_and_is_residue(trading: Fleet) -> None:
    """Given up by Ctrl-C once everything else is told; what it says at its own deadline is the benchmark's test."""
    trading.scene.fault("hang_before")
    environ = {**os.environ, "INTERLOCK_STATE": str(trading.scene.state.parent), "INTERLOCK_ENV": ""}
    with subprocess.Popen(
        [sys.executable, *INVOKE], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
    trading.scene.fault("hang_before", on=False)
    assert sorted(line.split()[1] for line in told) == ["alpaca", "host-1:", "host-2:"]
    assert all(host.gate.exists() for host in trading.hosts)
    assert (process.returncode, out.count("RESIDUE")) == (6, 1), out
    trading.assert_stopped(trading.run(INVOKE))


def test_kill_works_with_all_of_it_broken_at_once(trading: Fleet, tmp_path: Path) -> None:
    python, environ = bare_python(tmp_path)
    with lock_held(trading), disk_full(trading):
        trading.hosts[0].end()
        done = trading.run(INVOKE, python, INTERLOCK_INVENTORY=str(tmp_path), **environ)
    trading.assert_stopped(done)


def test_the_answer_in_json_holds_what_the_lines_say_and_the_record_too(trading: Fleet) -> None:
    trading.scene.fault("wrong_account")
    try:
        done, alone = trading.run([*INVOKE, "--json"]), trading.run([*ALONE, "--json"])
    finally:
        trading.scene.fault("wrong_account", on=False)
    document = done.document
    assert (done.code, alone.code, document["exit_code"], len(document["residue"])) == (6, 6, 6, 1)
    assert document["residue"][0].startswith("alpaca-bot alpaca live account: the key opens account ")
    assert document["environments"]["state"]["residue"] == alone.document["residue"] == document["residue"]
    venues = document["environments"]["state"]["systems"][0]["venues"]
    assert [(v["venue"], v["slot"], v["state"], v["halted"]) for v in venues] == [
        ("alpaca", "paper", "verified zero", True), ("alpaca", "live", "acknowledged", True),
    ]  # fmt: skip
    assert records(trading)[-1]["residue"] == document["residue"]
    assert "NOT proven stopped" in document["sentence"]
