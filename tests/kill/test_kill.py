"""The kill as a whole: all targets at once, nothing hides anything else, and the record lands somewhere or is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.kill.targets import folder
from ops.ledger.store import Ledger
from tests.kill.worlds import Scene, scene

BROKEN_KEYS = {
    "a placeholder": "KEY=your_key\nSECRET=x\n",
    "half a pair": "KEY=AKXXXXXX\n",
    "not ASCII": "KEY=AK\u041a\u041b\nSECRET=x\n",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.fixture
def here(world: Scene) -> Iterator[Scene]:
    """The scene with one order of ours at each account, and a fresh ledger, spool and target."""
    for slot in ("paper", "live"):
        world.venue("PATCH", "/account/configurations", slot, json={"suspend_trade": False})
        world.rest(f"a1-{time.monotonic_ns()}", slot)
    yield world
    for path in [*world.state.glob("ledger.sqlite*"), *folder(world.state).iterdir()]:
        path.rmdir() if path.is_dir() else path.unlink()
    world.aim()


def records(here: Scene) -> list[dict[str, object]]:
    ledger = Ledger(here.state / "ledger.sqlite", "", lambda: datetime.now(UTC))
    return [dict(record.body) for record in ledger.records() if record.kind == "kill.done"]


def test_a_kill_stops_both_accounts_and_writes_its_record_to_the_ledger(here) -> None:
    end = here.kill()
    assert (end.residue, end.recorded) == ([], "ledger")
    assert here.truly_open("paper") == here.truly_open("live") == set()
    assert [(row["system"], row["reason"], row["residue"]) for row in records(here)] == [("alpaca-bot", "a test", [])]


def test_a_kill_marks_itself_so_that_a_transition_under_way_stops(here) -> None:
    before = time.time_ns()
    here.kill()
    assert before <= int((folder(here.state) / "alpaca-bot.mark").read_text()) <= time.time_ns()


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"system": "alpaca-bot", "hosts": []}', ""])
def test_a_damaged_target_file_hides_no_other_system_and_is_residue(here, damage) -> None:
    (folder(here.state) / "a-first.target.json").write_text(damage)
    end = here.kill()
    assert [system.system for system in end.systems] == ["alpaca-bot"]
    assert here.truly_open() == set()
    assert len(end.residue) == 1
    assert end.residue[0].startswith("a-first: its kill target ")


def test_only_the_named_system_is_stopped(here) -> None:
    here.aim("other-bot")
    assert [system.system for system in here.kill("other-bot").systems] == ["other-bot"]


def test_a_system_that_has_no_target_is_residue_and_not_success(here) -> None:
    end = here.kill("nobody")
    assert end.residue == ["nobody: there is no kill target for it"]
    assert len(here.truly_open()) == 1


def test_nothing_to_stop_is_residue_and_not_success(tmp_path: Path, here) -> None:
    assert Scene(here.world, tmp_path).kill().residue == [
        "there is no kill target: Interlock has never opened a system here"
    ]


def test_an_account_that_hangs_does_not_delay_the_other(here) -> None:
    """The end of each is told as it comes; the caller does not wait for the slow one to read the fast one's."""
    here.fault("hang_before", "live")
    paper_told, began = threading.Event(), time.monotonic()

    def say(text: str) -> None:
        if text.startswith("paper account: verified"):
            paper_told.set()

    kill = threading.Thread(target=here.kill, kwargs={"say": say})
    kill.start()
    assert paper_told.wait(5)
    assert time.monotonic() - began < 5
    assert here.truly_open("paper") == set()
    here.fault("hang_before", "live", on=False)
    kill.join(60)
    assert here.truly_open("live") == set()


@pytest.mark.parametrize("broken", ["no such file", "readable by others", "a placeholder", "half a pair", "not ASCII"])
def test_an_account_without_a_usable_key_is_residue_and_the_other_is_stopped(here, broken) -> None:
    path = here.state / "secrets" / "alpaca-live.env"
    text = path.read_text()
    if broken == "no such file":
        path.unlink()
    elif broken == "readable by others":
        path.chmod(0o644)
    else:
        path.write_text(BROKEN_KEYS[broken])
    end = here.kill()
    path.write_text(text)
    path.chmod(0o600)
    assert here.truly_open("paper") == set()
    assert len(end.residue) == 1
    assert end.residue[0].startswith("alpaca-bot live account: no usable key: ")
    assert text.split("=")[2].strip() not in end.residue[0]


def unwritable_ledger(here: Scene, how: str) -> None:
    path = here.state / "ledger.sqlite"
    if how == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"this is not a database " * 100)


@pytest.mark.parametrize("how", ["a folder", "not a database"])
def test_a_record_that_the_ledger_does_not_take_goes_to_the_spool(here, how) -> None:
    unwritable_ledger(here, how)
    end = here.kill()
    (row,) = [json.loads(line) for line in (folder(here.state) / "spool.jsonl").read_text().splitlines()]
    assert (end.residue, end.recorded) == ([], f"spool {folder(here.state) / 'spool.jsonl'}")
    assert (row["system"], row["reason"], row["actor"], row["kill"]) == ("alpaca-bot", "a test", "tester", end.kill)
    assert here.truly_open() == set()


def test_a_record_that_nothing_takes_is_told_as_nowhere_and_the_kill_still_holds(here) -> None:
    unwritable_ledger(here, "a folder")
    (folder(here.state) / "spool.jsonl").mkdir()
    end = here.kill()
    assert end.recorded.startswith("NOWHERE")
    assert here.truly_open() == set()


def test_a_second_kill_proves_the_same_again(here) -> None:
    assert here.kill().residue == here.kill().residue == []
    assert len(records(here)) == 2


def test_no_secret_is_in_what_a_kill_says_or_writes(here) -> None:
    end = here.kill()
    secrets = [line.split("=")[1] for p in (here.state / "secrets").iterdir() for line in p.read_text().splitlines()]
    told = json.dumps(end.as_dict()) + json.dumps(records(here))
    assert len(secrets) == 4
    assert not any(secret in told for secret in secrets)
