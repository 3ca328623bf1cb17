"""The kill on a host: gate and switch, proven by a look. What it cannot prove is not called tripped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.kill.hosts import HostEnd, trip_host
from ops.kill.targets import HostTarget
from tests.kill.worlds import HOST_PROGRAM, host_request
from tests.peers import answering

NOBODY = "http://127.0.0.1:9"
TRIPPED, ARMED = b'{"status": "ON", "reason": "kill-1"}', b'{"status": "OFF", "reason": ""}'


def killed(root: Path, api: str = NOBODY, program: Path = HOST_PROGRAM) -> HostEnd:
    return trip_host(HostTarget("host-1", host_request(root, api)), str(program), "1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "keys.env").write_text("TRADING_MODE=live\nALPACA_API_KEY=AKSECRET\n")
    return tmp_path


def gate(root: Path) -> dict[str, str] | None:
    path = root / "interlock" / "gate"
    return json.loads(path.read_text()) if path.exists() else None


def test_a_bot_that_confirms_behind_a_set_gate_is_tripped(root) -> None:
    with answering({"POST /kill_switch": (200, TRIPPED), "GET /kill_switch": (200, TRIPPED)}) as api:
        end = killed(root, api)
    assert (end.tripped, end.switch, end.gate, end.problem) == (True, "tripped", "set", "")
    assert (gate(root) or {})["by"] == "kill-1"


def test_a_host_without_any_bot_left_is_tripped_behind_its_gate(root) -> None:
    end = killed(root)
    assert (end.tripped, end.switch, end.gate) == (True, "tripped (GONE)", "set")
    assert gate(root) is not None


@pytest.mark.parametrize(
    "answers",
    [
        {"POST /kill_switch": (200, ARMED), "GET /kill_switch": (200, ARMED)},
        {"POST /kill_switch": (500, b"{}"), "GET /kill_switch": (200, ARMED)},
    ],
    ids=["says it is armed", "refuses"],
)
def test_a_bot_that_says_it_may_trade_is_not_tripped_though_the_gate_is_set(root, answers) -> None:
    with answering(answers) as api:
        end = killed(root, api)
    assert (end.tripped, end.switch, end.gate) == (False, "UNKNOWN", "set")
    assert "switch UNKNOWN" in end.problem


def test_a_gate_that_cannot_be_set_is_a_problem_though_the_bot_confirms(root) -> None:
    """Without the gate a restart may undo the trip."""
    (root / "interlock").mkdir(mode=0o500)
    with answering({"POST /kill_switch": (200, TRIPPED), "GET /kill_switch": (200, TRIPPED)}) as api:
        end = killed(root, api)
    assert (end.tripped, end.switch, end.gate) == (False, "tripped", "NOT set")
    assert "read-only" in end.problem
    assert gate(root) is None


def test_a_word_that_the_profile_does_not_know_proves_nothing(root) -> None:
    (root / "cwd").mkdir()
    with answering({"POST /kill_switch": (200, b"{}"), "GET /kill_switch": (200, b'{"status": "ACTIVE"}')}) as api:
        end = killed(root / "none", api)
    assert end.tripped is False


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "print('[]'[:1])", "not python"])
def test_a_host_program_that_breaks_is_unknown(root, tmp_path, text) -> None:
    program = tmp_path / "program.py"
    program.write_text(text)
    end = killed(root, program=program)
    assert (end.tripped, end.switch, end.gate) == (False, "UNKNOWN", "UNKNOWN")
    assert "host program failed" in end.problem


def test_a_host_program_that_is_missing_is_unknown(root) -> None:
    end = killed(root, program=root / "none.py")
    assert (end.tripped, end.switch) == (False, "UNKNOWN")


@pytest.mark.parametrize("text", ["print('[]')", "print('{}')", "print('null')", "print('{\"look\": null}')"])
def test_a_host_that_answers_another_document_is_not_tripped(root, tmp_path, text) -> None:
    program = tmp_path / "program.py"
    program.write_text(text)
    assert killed(root, program=program).tripped is False
