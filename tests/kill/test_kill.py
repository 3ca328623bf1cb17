"""The kill as a whole: all targets at once, nothing hides anything else, and the record lands somewhere or is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.kill.command import aimed
from ops.kill.kill import SystemEnd
from ops.kill.table import table
from ops.kill.targets import Aim, Target, folder
from ops.ledger.store import Ledger
from ops.secrets import Secrets
from tests.field import ROOT
from tests.kill.worlds import SLOTS, Scene, scene


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.fixture
def here(world: Scene) -> Iterator[Scene]:
    """The scene with one order of ours at each account, and a fresh ledger, spool and target."""
    for slot in SLOTS:
        world.venue("PATCH", "/account/configurations", slot, json={"suspend_trade": False})
        world.order(f"a1-{time.monotonic_ns()}", slot)
    yield world
    for path in [*world.state.glob("ledger.sqlite*"), *folder(world.state).iterdir()]:
        path.rmdir() if path.is_dir() else path.unlink()
    world.aim()


@contextmanager
def fault(here: Scene, name: str, slot: str = "live") -> Iterator[None]:
    here.fault(name, slot)
    try:
        yield
    finally:
        here.fault(name, slot, on=False)


def records(here: Scene) -> list[dict[str, object]]:
    ledger = Ledger(here.state / "ledger.sqlite", "", lambda: datetime.now(UTC))
    return [dict(record.body) for record in ledger.records() if record.kind == "kill.done"]


def alone(here: Scene, *words: str) -> subprocess.Popen[str]:
    """`interlock-kill` as a process of its own."""
    code = "from ops.kill.command import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "--reason=a test", f"--env={here.state.name}", *words], cwd=ROOT, text=True,
        env={**os.environ, "INTERLOCK_STATE": str(here.state.parent)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_kill_stops_both_accounts_and_writes_its_record_to_the_ledger(here) -> None:
    before = time.time_ns()
    end = here.kill()
    assert (end.residue, end.recorded) == ([], "ledger")
    assert here.truly_open("paper") == here.truly_open("live") == set()
    assert [(row["system"], row["reason"], row["residue"]) for row in records(here)] == [("alpaca-bot", "a test", [])]
    mark = int((folder(here.state) / "alpaca-bot.mark").read_text())
    assert before <= mark <= time.time_ns(), "so that a transition under way stops"


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"system": "alpaca-bot", "hosts": []}', ""])
def test_a_damaged_target_file_hides_no_other_system_and_is_residue(here, damage) -> None:
    (folder(here.state) / "a-first.target.json").write_text(damage)
    end = here.kill()
    assert [system.system for system in end.systems] == ["alpaca-bot"]
    assert here.truly_open() == set()
    assert len(end.residue) == 1
    assert end.residue[0].startswith("a-first: its kill target ")


def test_only_the_named_systems_are_stopped(here) -> None:
    for name in ("other-bot", "third-bot"):
        here.aim(name)
    assert [system.system for system in here.kill("other-bot").systems] == ["other-bot"]
    assert [system.system for system in here.kill("third-bot", "other-bot").systems] == ["other-bot", "third-bot"]


def test_a_venue_alone_is_stopped_at_every_system_that_trades_there_and_the_rest_is_named(here) -> None:
    """By its kind or by a profile's own name for it; a venue that nobody knows is residue."""
    own = here.target("alpaca", "live", venue="shares")
    other = replace(here.target("alpaca", "paper", venue="coins"), kind="kraken")
    here.aim("alpaca-bot", (), own, other)
    here.aim("coin-bot", (), other)
    for name in ("alpaca", "shares"):
        (system,) = here.kill(venues=[name]).systems
        assert ([venue.account for venue in system.venues], system.left_alone) == (["shares live"], ("coins paper",))
    assert len(here.truly_open("paper")) == 1
    end = here.kill(venues=["shares", "krakn"])
    assert end.residue == ["krakn: no system here has an account at a venue of that name"]


def test_a_system_that_has_no_target_is_residue_and_not_success(here) -> None:
    end = here.kill("nobody")
    assert end.residue == ["nobody: there is no kill target for it (only for: alpaca-bot)"]
    assert here.truly_open()


def test_nothing_to_stop_is_residue_and_not_success(tmp_path: Path, here) -> None:
    assert Scene(here.world, tmp_path, here.kinds).kill().residue == [
        "there is no kill target: Interlock has never opened a system here"
    ]


def test_a_venue_that_hangs_delays_no_other_and_is_named_with_its_deadline(here) -> None:
    """The end of each is told as it comes; Ctrl-C gives up what is left and says so."""
    with fault(here, "hang_before"):
        process, began = alone(here), time.monotonic()
        assert process.stdout is not None
        assert "alpaca paper account: verified zero after" in process.stdout.readline()
        assert time.monotonic() - began < 5
        assert here.truly_open("paper") == set()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=5)
    assert (process.returncode, err) == (6, "")
    assert "RESIDUE alpaca-bot alpaca live account: zero open orders not proven within 15 s" in out
    assert "NOT proven stopped, 1 things are UNKNOWN or open" in out.splitlines()[-1], out
    assert here.truly_open()
    assert records(here)[-1]["residue"], "recorded all the same"


def test_a_kill_goes_on_when_nobody_listens_any_more(here) -> None:
    """The operator's terminal is lost: its pipe is closed and it hangs up."""
    with alone(here) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGHUP)
        process.wait(timeout=20)
    assert here.truly_open("paper") == here.truly_open("live") == set()
    assert len(records(here)) == 1


def unwritable(path: Path, how: str) -> None:
    if how == "a folder":
        path.mkdir()
    elif how == "a full disk":
        path.symlink_to("/dev/full")
    else:
        path.write_bytes(b"this is not a database " * 100)


@pytest.mark.parametrize("how", ["a folder", "not a database", "a full disk"])
def test_a_record_that_the_ledger_does_not_take_goes_to_the_spool(here, how) -> None:
    unwritable(here.state / "ledger.sqlite", how)
    end = here.kill()
    (row,) = [json.loads(line) for line in (folder(here.state) / "spool.jsonl").read_text().splitlines()]
    assert (end.residue, end.recorded) == ([], f"spool {folder(here.state) / 'spool.jsonl'}")
    assert (row["system"], row["reason"], row["actor"], row["kill"]) == ("alpaca-bot", "a test", "tester", end.kill)
    assert here.truly_open() == set()


@pytest.mark.parametrize("how", ["a folder", "a full disk"])
def test_a_record_that_nothing_takes_is_told_as_nowhere_and_the_kill_still_holds(here, how) -> None:
    for path in (
        here.state / "ledger.sqlite",
        folder(here.state) / "spool.jsonl",
        folder(here.state) / "alpaca-bot.mark",
    ):
        unwritable(path, how)
    end = here.kill()
    assert end.recorded.startswith("NOWHERE")
    assert (end.residue, here.truly_open()) == ([], set())


def test_no_secret_is_in_what_a_kill_says_or_writes(here) -> None:
    end = here.kill()
    secrets = [line.split("=")[1] for p in (here.state / "secrets").iterdir() for line in p.read_text().splitlines()]
    told = json.dumps(end.as_dict()) + json.dumps(records(here)) + "\n".join(table(end))
    assert len(secrets) == 4
    assert not any(secret in told for secret in secrets)


def test_the_table_says_what_a_person_must_do_now(here) -> None:
    here.order("a1-hold", type="market", limit_price=None)
    end = here.kill()
    *rows, sentence = table(end)
    assert any("alpaca live      verified zero after" in row and "positions: AAPL 1" in row for row in rows)
    assert "1 positions are left: somebody must watch them" in sentence
    (venue,) = [venue for venue in end.systems[0].venues if venue.slot == "live"]
    venue.unprotected, venue.foreign = ["AAPL 1 (was: a1-s AAPL sell 1)"], ["x AAPL buy 1"]
    rows = table(end)
    assert any("WITHOUT ITS STOP: AAPL 1" in row for row in rows)
    assert any("1 orders not ours, cancelled with the rest, 0 of them left:" in row for row in rows)
    assert "1 without their stop" in rows[-1]


def test_a_thread_that_never_ends_is_residue_with_what_was_seen(here) -> None:
    """What is said of an account whose errand is not waited for any longer."""
    end = here.stop("live")
    assert SystemEnd("s", (), (end,)).residue == []
    from ops.kill.venues import Stopping

    given_up = Stopping(here.target("alpaca", "live"), lambda text: None).given_up("it did not come to its end in time")
    (text,) = SystemEnd("s", (), (given_up,)).residue
    assert text.startswith("s alpaca live account: zero open orders not proven within 15 s: ")


def test_a_stop_that_was_lost_with_a_key_stays_a_target(here) -> None:
    """Secrets that are gone make an account UNKNOWN, never forgotten."""
    file = here.file("alpaca", "live")
    text = file.read_text()
    file.unlink()
    end = here.kill()
    Secrets.store(file, text)
    assert here.truly_open("paper") == set()
    assert [line.split(":")[0] for line in end.residue] == ["alpaca-bot alpaca live account"]
    assert "no usable key" in end.residue[0]


def test_the_threads_of_a_kill_are_gone_when_it_ends(here) -> None:
    before = threading.active_count()
    here.kill()
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    ("words", "systems"),
    [([], ()), (["all"], ()), (["a,b"], ("a", "b")), (["a", "b, c"], ("a", "b", "c")), (["a", "all"], ()), ([""], ())],
)
def test_systems_are_named_as_in_every_other_command(words: list[str], systems: tuple[str, ...]) -> None:
    """`--system=all` must stop all of them: taken for a name it would stop nothing."""
    assert Aim.named(words, words) == Aim(systems, systems)


AIMS = {
    "a system of one": (Aim(("a",)), [("one", Aim(("a",)))]),
    "a system of each": (Aim(("a", "b")), [("one", Aim(("a",))), ("two", Aim(("b",)))]),
    "a venue of one": (Aim((), ("kraken",)), [("two", Aim((), ("kraken",)))]),
    "a name of none": (Aim(("b", "x")), [("one", Aim(("x",))), ("two", Aim(("b", "x")))]),
    "everything": (Aim(), [("one", Aim()), ("two", Aim())]),
}


@pytest.mark.parametrize(("aim", "parts"), AIMS.values(), ids=AIMS)
def test_an_environment_that_does_not_know_what_is_meant_is_no_residue(tmp_path: Path, here, aim, parts) -> None:
    """Without --env all environments are meant: the sandbox must not turn a proven kill elsewhere into exit 6."""
    for name, system, kind in (("one", "a", "alpaca"), ("two", "b", "kraken")):
        account = replace(here.target("alpaca", "live"), kind=kind, venue=kind)
        Secrets.store(folder(tmp_path / name) / f"{system}.target.json", Target(system, "", (), (account,)).as_text())
    found = [(state.name, part) for state, part in aimed([tmp_path / "one", tmp_path / "two"], aim)]
    assert found == parts
