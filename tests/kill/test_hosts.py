"""The kill on a host: gate and switch, proven by a look. What it cannot prove is not called tripped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.ssh import addresses, host_program_command, ssh_argv
from ops.kill import hosts
from ops.kill.hosts import HostEnd, trip_host
from ops.kill.targets import HostTarget, read_targets
from tests.kill.worlds import HOST_PROGRAM, host_request
from tests.peers import answering
from tests.transport.sshd import Reach, Sshd, processes, reached, serving

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


# --- over ssh --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def reach(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    with reached(server, tmp_path, monkeypatch) as environment:
        environment.write(far=server.host())
        yield environment


def far(reach: Reach, root: Path, api: str = NOBODY, **changes: Any) -> HostTarget:
    """As ops/targets.py compiles it."""
    reach.write(far={**reach.server.host(), **changes})
    address = addresses(reach.hosts_yml)["far"]
    ssh, *rest = ssh_argv(reach.place, address, host_program_command(address.python))
    command = (ssh, "-o", "ControlMaster=no", *rest)
    return HostTarget("far", host_request(root, api), command, str(reach.place.run))


def opened(reach: Reach) -> None:
    """A connection that Ansible has left open."""
    command = ssh_argv(reach.place, addresses(reach.hosts_yml)["far"], "true")
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    assert len(reach.masters()) == 1
    reach.count()


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_the_same_program_and_request_go_over_ssh_in_one_call(reach, root, warm) -> None:
    if warm:
        opened(reach)
    with answering({"POST /kill_switch": (200, TRIPPED), "GET /kill_switch": (200, TRIPPED)}) as api:
        end = trip_host(far(reach, root, api), str(HOST_PROGRAM), "1")
    assert (end.tripped, end.switch, end.gate, end.problem) == (True, "tripped", "set", "")
    assert (gate(root) or {})["by"] == "kill-1"
    assert reach.count() == 1
    assert len(reach.masters()) == int(warm), "a kill leaves no connection behind"


def test_a_shared_connection_that_hangs_does_not_hang_the_kill(reach, root, monkeypatch) -> None:
    monkeypatch.setattr(hosts, "SECOND_AFTER_SECONDS", 0.5)
    target = far(reach, root)
    opened(reach)
    (master,) = reach.masters()
    os.kill(master, signal.SIGSTOP)
    try:
        began = time.monotonic()
        end = trip_host(target, str(HOST_PROGRAM), "1")
    finally:
        os.kill(master, signal.SIGCONT)
    assert (end.tripped, end.gate) == (True, "set"), end
    assert time.monotonic() - began < hosts.HOST_MAX_SECONDS / 2
    assert reach.count() == 2


def test_a_folder_of_sockets_that_is_not_ours_alone_answers_for_nobody(reach, root) -> None:
    """Whoever may write there could put up a connection that says `tripped`."""
    target = far(reach, root)
    opened(reach)
    reach.place.run.chmod(0o777)
    end = trip_host(target, str(HOST_PROGRAM), "1")
    assert end.tripped
    reach.place.run.chmod(0o700)
    assert "ControlPath=none" in reach.calls.read_text() and reach.count() == 1


DARK = {
    "connection refused": {"ansible_port": 9},
    "its name cannot be resolved": {"ansible_host": "no-such-host.invalid"},
    "python3 not found": {"ansible_python_interpreter": "/nowhere/python3"},
}


@pytest.mark.parametrize("words", DARK)
def test_a_host_that_ssh_does_not_reach_is_dark_by_name_and_words(reach, root, words) -> None:
    began = time.monotonic()
    end = trip_host(far(reach, root, **DARK[words]), str(HOST_PROGRAM), "1")
    assert (end.host, end.tripped, end.switch, end.gate) == ("far", False, "UNKNOWN", "UNKNOWN")
    assert end.problem.startswith(f"dark: {words}"), end.problem
    assert time.monotonic() - began < hosts.HOST_MAX_SECONDS / 2


def test_a_host_that_hangs_is_given_up_in_time_and_nothing_is_left_running(reach, root, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(hosts, "HOST_MAX_SECONDS", 2.0)
    monkeypatch.setattr(hosts, "SECOND_AFTER_SECONDS", 0.5)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 1719\n")
    python.chmod(0o755)
    end = trip_host(far(reach, root, ansible_python_interpreter=str(python)), str(HOST_PROGRAM), "1")
    assert (end.tripped, end.problem) == (False, "no answer within 2 s")
    for pid, words in processes().items():
        if words.strip() == "sleep 1719":
            os.kill(pid, signal.SIGKILL)


def test_a_target_file_of_an_older_interlock_is_still_read(tmp_path) -> None:
    (tmp_path / "kill").mkdir()
    old = {
        "system": "bot",
        "host_program": "p.py",
        "hosts": [{"name": "host-1", "request": {"op": "kill"}}],
        "venues": [],
    }
    (tmp_path / "kill" / "bot.target.json").write_text(json.dumps(old))
    (target,), broken = read_targets(tmp_path)
    assert (target.network, target.hosts, broken) == (None, (HostTarget("host-1", {"op": "kill"}),), [])
    (tmp_path / "kill" / "bot.target.json").write_text(target.as_text())
    assert read_targets(tmp_path) == ([target], [])
