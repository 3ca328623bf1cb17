"""With a real supervisord and a real process: a flip is a new process, and the host's own deadline takes it back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.model.canonical import utc_time
from tests.field import ROOT, awaited
from tests.playbooks.bench import FIRST, LIVE, PAPER, Bench, Said, code, sha256

CONF = """
[unix_http_server]
file={socket}
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:bot]
command={python} -m dotenv -f {root}/keys.env run -- {python} -m tests.playbooks.small_bot {port}
directory={root}
environment=PYTHONPATH="{project}",PYTHONDONTWRITEBYTECODE="1"
autostart=false
startsecs=0
stopwaitsecs=1
stdout_logfile={folder}/bot.log
redirect_stderr=true
[program:quiet]
command={python} -m dotenv -f {root}/keys.env run -- {python} -m tests.playbooks.quiet_bot
directory={root}
environment=PYTHONPATH="{project}",PYTHONDONTWRITEBYTECODE="1"
autostart=false
startsecs=0
stopwaitsecs=1
[program:beside]
command={python} -m dotenv -f {root}/keys.env run -- sleep 300
directory={root}
autostart=false
startsecs=0
stopwaitsecs=1
stopasgroup=true
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def supervised(folder: Path) -> Iterator[Bench]:
    """A host with a service manager and a bot under it."""
    root, port, where = folder / "host-1", free_port(), folder / "s.sock"
    (root / "interlock").mkdir(parents=True, mode=0o700)
    root.chmod(0o700)
    names = {"socket": where, "folder": folder, "python": sys.executable, "root": root, "port": port, "project": ROOT}
    (folder / "supervisord.conf").write_text(CONF.format(**names))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(folder / "supervisord.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        awaited(where.exists, 20, "supervisord's socket")
        yield Bench(root, f"http://127.0.0.1:{port}", where)
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with supervised(tmp_path_factory.mktemp("supervised")) as bench:
        yield bench


@pytest.fixture(autouse=True)
def on_paper_and_halted(host: Bench) -> None:
    """Each test begins with a fresh process on paper."""
    for path in host.own.iterdir():
        path.unlink()
    host.write_env()
    host.halted()
    assert code(host.ask("restart")) == "ok"


def armed(host: Bench, **changes: Any) -> None:
    """Armed while its watcher ran, which runs no more; `changes` are made in the deadline then."""
    with host.watched():
        assert code(host.ask("arm", deadline_seconds=600)) == "ok"
    host.deadline.write_text(json.dumps({**json.loads(host.deadline.read_text()), **changes}))


def look(host: Bench) -> dict[str, Any]:
    return host.ask("look")["look"]


def test_a_flip_is_one_rename_and_a_new_process_that_has_read_it(host: Bench) -> None:
    before = look(host)
    answer = host.ask("flip", env_text=LIVE, compare_sha256=sha256(host.env))
    after = answer["look"]
    assert code(answer) == "ok"
    assert after["process"]["pid"] != before["process"]["pid"]
    assert [after[part]["variables"]["TRADING_MODE"] for part in ("env", "loaded")] == ["live", "live"]
    assert after["env"]["fingerprints"] == after["loaded"]["fingerprints"] != before["loaded"]["fingerprints"]
    assert after["api"]["mode"]["mode"] == "live"
    assert after["process"]["listening"] == [host.api_url.removeprefix("http://")]


def test_a_file_changed_by_hand_shows_apart_from_what_the_process_has_loaded(host: Bench) -> None:
    host.write_env(LIVE)
    seen = look(host)
    assert [seen[part]["variables"]["TRADING_MODE"] for part in ("env", "loaded")] == ["live", "paper"]


def test_a_restart_reads_the_file_anew_and_changes_nothing_in_it(host: Bench) -> None:
    host.write_env(LIVE)
    answer = host.ask("restart")
    assert answer["look"]["loaded"]["variables"]["TRADING_MODE"] == "live"
    assert host.env.read_text() == LIVE


def test_a_bot_that_does_not_confirm_a_trip_is_stopped(host: Bench) -> None:
    host.write_env(PAPER + "REFUSES=yes\n")
    host.ask("restart")
    answer = host.ask("kill", by="kill-1")
    assert (answer["done"]["gate"], answer["done"]["api"]["ok"], answer["done"]["service"]) == ("set", False, "STOPPED")
    assert answer["look"]["loaded"] is None


def test_a_frozen_bot_is_stopped_too(host: Bench) -> None:
    """SIGSTOP: the process is there and its port is open, nobody answers."""
    pid = look(host)["process"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    answer = host.ask("trip", by="t1")
    assert (code(answer), answer["done"]["gate"]) == ("ok", "set")
    assert answer["look"]["process"]["state"] == "STOPPED"


def test_a_bot_whose_loop_does_not_turn_is_not_up(host: Bench) -> None:
    host.start_max_seconds = 1
    try:
        answer = host.ask("flip", env_text=PAPER + "LOOP_AGE=99\n", compare_sha256=None)
    finally:
        host.start_max_seconds = 10
    assert code(answer) == "not-healthy"
    assert host.gate.exists()


def test_a_stopped_bot_shows_as_stopped_and_a_gone_manager_as_gone(host: Bench) -> None:
    os.kill(look(host)["process"]["pid"], signal.SIGKILL)
    awaited(lambda: look(host)["process"]["state"] in ("EXITED", "FATAL", "RUNNING"), 20, "the manager's notice")
    nobody = Bench(host.root.parent / "empty", host.api_url, host.root / "no.sock")
    (nobody.root / "interlock").mkdir(parents=True)
    assert nobody.ask("look")["look"]["process"]["state"] == "GONE"


def test_a_manager_that_is_silent_while_its_bot_runs_is_no_proof_of_anything(host: Bench) -> None:
    socket_of = host.socket
    host.socket = host.root / "no.sock"
    try:
        assert look(host)["process"]["state"] == "unreachable"
    finally:
        host.socket = socket_of


def test_a_host_whose_controller_is_silent_goes_back_by_itself(host: Bench) -> None:
    """I26: armed, flipped, and then nobody ever comes."""
    host.ask("trip")
    with host.watched():
        assert code(host.ask("arm", deadline_seconds=2)) == "ok"
        assert host.ask("flip", env_text=LIVE, compare_sha256=sha256(host.env))["look"]["api"]["mode"]["mode"] == "live"
        awaited((host.own / "deadline-fired.json").exists, 30, "the host's own deadline")
        awaited(lambda: not host.deadline.exists(), 10, "the deadline's end")
    seen = look(host)
    assert host.env.read_text() == PAPER
    assert [seen[part]["variables"]["TRADING_MODE"] for part in ("env", "loaded")] == ["paper", "paper"]
    assert seen["gate"]["by"] == "deadline-t1"
    assert seen["fence"] == {**FIRST, "reverted": True}
    raising = {"env_text": LIVE, "compare_sha256": sha256(host.env)}
    for op, more in (("rearm", {"expected_reason": "t1"}), ("disarm", {}), ("flip", raising)):
        assert code(host.ask(op, **more)) == "fenced", "its controller comes too late"
    assert code(host.ask("trip", fence={"transition": "t2", "epoch": 2}, by="t2")) == "ok"


def test_a_deadline_that_nobody_watches_is_refused_and_leaves_nothing_behind(host: Bench) -> None:
    host.ask("trip")
    answer = host.ask("arm", deadline_seconds=600)
    assert (code(answer), answer["look"]["deadline"]) == ("unwatched", None)
    assert not (host.own / "revert.env").exists()


def test_a_deadline_that_was_lifted_takes_nothing_back(host: Bench) -> None:
    host.ask("trip")
    with host.watched() as watcher:
        until = utc_time(host.ask("arm", deadline_seconds=1)["done"]["until"])
        host.ask("disarm")
        host.write_env(LIVE)
        awaited(lambda: utc_time(look(host)["at"]) > until + timedelta(seconds=1), 10, "a second too late")
        assert watcher.poll() is None
        awaited(lambda: utc_time(look(host)["watcher"]["at"]) > until, 10, "a later beat")
    assert not (host.own / "revert.env").exists(), "the former key does not stay behind"
    assert host.env.read_text() == LIVE


LATER, EARLIER = "2100-01-01T00:00:00.000000Z", "2001-01-01T00:00:00.000000Z"
PASSED: dict[str, Said] = {
    "by the clock": {"at": EARLIER},
    "by the time since boot, though the clock was set back": {"at": LATER, "boottime": 0},
    "after a boot with a clock from before": {"at": LATER, "armed_at": LATER, "boot_id": "another"},
}


@pytest.mark.parametrize("changes", PASSED.values(), ids=PASSED)
def test_a_deadline_passes(host: Bench, changes: Said) -> None:
    host.ask("trip")
    armed(host, **changes)
    host.write_env(LIVE)
    with host.watched():
        awaited(lambda: not host.deadline.exists(), 30, "the revert")
    assert host.env.read_text() == PAPER


def test_a_watcher_whose_service_manager_is_gone_halts_the_bot_and_finishes_when_it_is_back(host: Bench) -> None:
    host.ask("trip")
    armed(host, at=EARLIER)
    host.write_env(LIVE)
    host.gate.unlink()
    away = host.socket.with_suffix(".away")
    host.socket.rename(away)
    with host.watched() as watcher:
        awaited(lambda: host.gate.exists() and host.env.read_text() == PAPER, 20, "what it can do alone")
        awaited(lambda: watcher.poll() is None and host.deadline.exists(), 2, "that it does not give up")
        away.rename(host.socket)
        awaited(lambda: not host.deadline.exists(), 20, "the rest")
    assert look(host)["loaded"]["variables"]["TRADING_MODE"] == "paper"


@pytest.mark.parametrize("data", [b"{", b"{}", b'{"transition": "t1"}'], ids=["cut off", "empty", "without its time"])
def test_a_damaged_deadline_counts_as_passed(host: Bench, data: bytes) -> None:
    host.ask("trip")
    armed(host)
    host.write_env(LIVE)
    host.deadline.write_bytes(data)
    with host.watched():
        awaited(lambda: not host.deadline.exists(), 30, "the revert")
    assert host.env.read_text() == PAPER
    assert look(host)["gate"]


def test_a_second_bot_beside_the_one_of_the_manager_is_seen_and_leaves_no_switch_proven(host: Bench) -> None:
    """H7: somebody's script started it by hand, in the same folder and with the same file."""
    seen = look(host)
    assert (seen["switch"], seen["instances"]) == ("tripped", {"expected": [seen["process"]["pid"]], "strays": []})
    values = dict(line.split("=", 1) for line in PAPER.splitlines())
    second = subprocess.Popen(["sleep", "60"], cwd=host.root, env={"PATH": os.environ["PATH"], **values})
    try:
        seen = look(host)
        assert (seen["switch"], seen["instances"]["strays"]) == ("unknown", [second.pid])
    finally:
        second.kill()
        second.wait(timeout=30)
