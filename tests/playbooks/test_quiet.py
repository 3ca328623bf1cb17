"""A bot that shows itself in a file and has no switch but the gate: read, halted, re-armed, rehearsed all the same."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.bench import LIVE, PAPER, Bench, code, the_program
from tests.playbooks.test_service import supervised

LINE = r"^(?P<at>\S+Z) mode=(?P<mode>\w+) switch=(?P<switch>\w+)$"
LOG = {"file": "logs/system.log", "pattern": LINE}
API: dict[str, Any] = {
    "url": None,
    "readouts": {"mode": LOG, "switch": LOG, "health": LOG},
    "health": {"field": "age_s", "age_max": 10},
    "switch": {"field": "switch", "reason": None, "words": {"armed": "armed", "tripped": "tripped"}},
    "trip": None,
    "rearm": None,
}


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with supervised(tmp_path_factory.mktemp("quiet")) as bench:
        (bench.root / "logs").mkdir()
        yield bench


@pytest.fixture
def quiet(supervisor: Bench) -> Bench:
    """Its own process, on paper, tripped by the gate; one more service beside it."""
    service = {"manager": "supervisord", "socket": str(supervisor.socket), "name": "quiet", "also": ["beside"]}
    host = replace(supervisor, more={"api": API, "service": {**service, "start_max_seconds": 10}})
    host.write_env()
    host.halted()
    assert code(host.ask("restart")) == "ok"
    return host


def log_of(host: Bench, text: str) -> None:
    path = host.root / "logs" / "system.log"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def line(switch: str, age_seconds: float = 0) -> str:
    at = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return f"{at.strftime('%Y-%m-%dT%H:%M:%S.%fZ')} mode=paper switch={switch}"


READ = {
    "the last line": (lambda: f"{line('armed')}\n{line('tripped')}\n", "tripped"),
    "a line that is still being written": (lambda: f"{line('tripped')}\n{line('armed')}", "tripped"),
    "other lines behind it": (lambda: f"{line('armed')}\nsomething else\n\n", "armed"),
    "the end of a long file": (lambda: "x" * 79 + "\n" * 9 + f"{'y' * 300_000}\n{line('armed')}\n", "armed"),
    "a line too far back": (lambda: f"{line('armed')}\n{'y' * 300_000}\n", "unknown"),
    "an old line": (lambda: f"{line('armed', 11)}\n", "unknown"),
    "a line of the future": (lambda: f"{line('armed', -60)}\n", "unknown"),
    "no line": (lambda: "nothing of the kind\n", "unknown"),
    "no time at all": (lambda: "2026-99-99T00:00:00Z mode=paper switch=armed\n", "unknown"),
}


@pytest.mark.parametrize(("text", "seen"), READ.values(), ids=READ)
def test_what_the_log_says_of_the_switch(tmp_path: Path, text: Any, seen: str) -> None:
    program, host = the_program(), Bench(tmp_path, "")
    log_of(host, text())
    assert program.switch_word(program.Host(host.request("look", api=API))) == seen


def test_a_file_that_holds_one_word_needs_neither_time_nor_line_feed(tmp_path: Path) -> None:
    program, host = the_program(), Bench(tmp_path, "")
    (tmp_path / "state.txt").write_text("ACTIVE")
    readout = {"file": "state.txt", "pattern": "^(?P<word>[A-Z]+)$"}
    switch = {"field": "word", "reason": None, "words": {"ACTIVE": "armed"}}
    request = host.request("look", api={**API, "readouts": {**API["readouts"], "switch": readout}, "switch": switch})
    assert program.switch_word(program.Host(request)) == "armed"


@pytest.mark.parametrize("name", ["../outside.log", "/etc/hostname", "link/system.log"])
def test_a_file_outside_of_the_bots_folder_is_never_read_or_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "host-1").mkdir()
    program, host = the_program(), Bench(tmp_path / "host-1", "")
    (host.root / "link").symlink_to(tmp_path)
    for path in (tmp_path / "outside.log", tmp_path / "system.log"):
        path.write_text(f"{line('armed')}\n")
    readouts = {**API["readouts"], "switch": {"file": name, "pattern": LINE}}
    asked = program.Host(host.request("look", api={**API, "readouts": readouts, "trip": f"WRITE {name} OFF"}))
    assert program.switch_word(asked) == "unknown"
    assert not program.tell(asked, "trip", "t1")["ok"]
    assert "armed" in (tmp_path / "outside.log").read_text()


def test_a_word_in_a_file_is_written_whole_with_the_reason(tmp_path: Path) -> None:
    program, host = the_program(), Bench(tmp_path, "")
    asked = program.Host(host.request("look", api={**API, "trip": "WRITE data/switch.txt TRIPPED by {reason}"}))
    assert program.tell(asked, "trip", "t7") == {"ok": True, "told": False}
    assert (tmp_path / "data" / "switch.txt").read_text() == "TRIPPED by t7\n"


def test_a_nested_field_is_found_by_its_dots() -> None:
    program = the_program()
    assert program.field_of({"state": {"trading": {"word": "on"}}}, "state.trading.word") == "on"
    assert program.field_of({"state": "on"}, "state.trading.word") is None


def test_the_gate_alone_trips_and_rearms_it_and_its_own_lines_prove_it(quiet: Bench) -> None:
    look = quiet.ask("look")["look"]
    assert (look["switch"], look["api"]["mode"]["mode"], look["loaded"]["variables"]["TRADING_MODE"]) == (
        "tripped", "paper", "paper",
    )  # fmt: skip
    armed = quiet.ask("rearm", expected_reason="")
    assert (code(armed), armed["look"]["switch"], quiet.gate.exists()) == ("ok", "armed", False)
    pid = armed["look"]["process"]["pid"]
    halted = quiet.ask("trip", fence={"transition": "t2", "epoch": 2}, by="t2")["look"]
    assert (halted["switch"], halted["process"]["pid"]) == ("tripped", pid), "it heeds the gate: no need to stop it"


def test_a_bot_that_does_not_heed_its_gate_is_stopped_with_what_runs_beside_it(quiet: Bench) -> None:
    quiet.write_env(PAPER + "HEEDS=no\n")
    assert code(quiet.ask("restart")) == "ok"
    look = quiet.ask("kill", by="kill-1")["look"]
    assert (look["switch"], look["process"]["state"], look["also"]["beside"]["state"]) == (
        "tripped", "STOPPED", "STOPPED",
    )  # fmt: skip
    assert "does not run" in look["api"]["mode"]["error"], "an old line is no proof of anything"


def test_a_flip_is_a_new_process_of_every_service_with_the_new_file(quiet: Bench) -> None:
    before = quiet.ask("look")["look"]
    look = quiet.ask("flip", env_text=LIVE)["look"]
    beside = look["also"]["beside"]
    assert beside["loaded"]["variables"]["TRADING_MODE"] == look["loaded"]["variables"]["TRADING_MODE"] == "live"
    assert beside["pid"] not in (None, before["also"]["beside"]["pid"])
    assert look["api"]["mode"]["mode"] == "live", "the line is the new process's"


def test_a_drill_is_asked_and_answered_in_files(quiet: Bench) -> None:
    drill = {"call": 'WRITE var/drill.request {"control": "would_trigger"}', "within_seconds": 5, "paper_only": True}
    done = quiet.ask("drill", drill={**drill, "paper": {"TRADING_MODE": "paper"}})["done"]
    assert (done["status"], done["answer"]) == (200, {"control": "would_trigger", "would_trip": True})


def test_a_service_beside_it_that_died_is_seen(quiet: Bench) -> None:
    pid = quiet.ask("look")["look"]["also"]["beside"]["pid"]
    os.kill(pid, 9)
    until = time.monotonic() + 10
    while (seen := quiet.ask("look")["look"]["also"]["beside"])["pid"] == pid and time.monotonic() < until:
        pass
    assert seen["loaded"] is None or seen["pid"] != pid
