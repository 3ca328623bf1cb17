"""SIGKILL at any instant, a reader at any instant: the env file is the old one or the new one, whole and private."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.field import awaited
from tests.playbooks.bench import FIRST, LIVE, PAPER, PROGRAM, Bench, code

TEXTS = (PAPER.encode(), LIVE.encode())
KILLS = 30
READS_MAX = 500_000
VERSIONS_SEEN = 25
# Flips to and fro as fast as it can, through the program's own code; says so when it has begun.
FLIPPING = """
import contextlib, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("interlock_host", sys.argv[1])
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
requests = json.load(sys.stdin)
print("begun", flush=True)
while True:
    for request in requests:
        with contextlib.suppress(OSError):  # there is no service manager here
            program.OPERATIONS[request["op"]](program.Host(request))
"""


def flipping(bench: Bench, *requests: dict[str, object]) -> subprocess.Popen[str]:
    """A process that never stops changing the host."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", FLIPPING, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(requests or [to(bench, LIVE), to(bench, PAPER)]))
    process.stdin.close()
    assert process.stdout.readline() == "begun\n"
    return process


def to(bench: Bench, text: str) -> dict[str, object]:
    return bench.request("flip", env_text=text, compare_sha256=None)


def killed(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    assert process.stdout
    process.stdout.close()


def whole_and_private(path: Path, texts: tuple[bytes, ...] = TEXTS) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        data, info = os.read(handle, 1_000_000), os.fstat(handle)
    finally:
        os.close(handle)
    assert data in texts
    assert stat.S_IMODE(info.st_mode) == 0o600


def test_killed_at_any_instant_it_leaves_the_old_file_or_the_new_one(bench: Bench) -> None:
    chance = random.Random(20261120)
    for _ in range(KILLS):
        process = flipping(bench)
        first = bench.env.stat().st_ino
        awaited(lambda before=first: bench.env.stat().st_ino != before, 10, "the first flip")
        spin(chance.randrange(20_000))
        killed(process)
        whole_and_private(bench.env)
        leftovers = [path for path in bench.root.iterdir() if path.name.startswith(".")]
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in leftovers)


def spin(rounds: int) -> None:
    """A short while that no clock counts: the kill must not fall into step with the flips."""
    for _ in range(rounds):
        pass


def test_after_a_kill_the_next_change_leaves_no_copy_of_a_secret_behind(bench: Bench) -> None:
    (bench.root / ".keys.env.4242").write_bytes(TEXTS[1])
    bench.ask("flip", env_text=PAPER, compare_sha256=None)
    assert [path.name for path in bench.root.iterdir() if path.name.startswith(".")] == []


def test_a_reader_at_any_instant_sees_a_whole_and_private_file(bench: Bench) -> None:
    process = flipping(bench)
    seen: set[int] = set()
    for _ in range(READS_MAX):
        whole_and_private(bench.env)
        seen.add(bench.env.stat().st_ctime_ns)
        if len(seen) > VERSIONS_SEEN:
            break
    killed(process)
    assert len(seen) > VERSIONS_SEEN, "it never changed: nothing was proven"


@pytest.mark.parametrize("name", ["fence.json", "deadline.json", "gate"])
def test_the_hosts_own_records_are_whole_at_any_instant(bench: Bench, name: str) -> None:
    def epoch(number: int) -> dict[str, object]:
        return {"transition": f"t{number}", "epoch": number}

    changes = [
        request
        for number in range(2, 40)
        for request in (
            bench.request(
                "trip",
                fence=epoch(number),
                by=f"t{number}",
                api={**bench.request("look")["api"], "url": "http://127.0.0.1:9"},
            ),
            bench.request("arm", fence=epoch(number), deadline_seconds=600),
        )
    ]
    with bench.watched():
        process = flipping(bench, *changes)
        path = bench.own / name
        awaited(path.exists, 10, name)
        for _ in range(300):
            assert isinstance(json.loads(path.read_text()), dict)
        killed(process)
    assert isinstance(json.loads(path.read_text()), dict)


def test_after_a_kill_the_host_answers_and_can_be_brought_down(bench: Bench) -> None:
    process = flipping(bench)
    killed(process)
    newer = {"transition": "t2", "epoch": FIRST["epoch"] + 1}
    assert code(bench.ask("trip", fence=newer, by="t2")) == "ok"
    bench.ask("flip", fence=newer, env_text=PAPER, compare_sha256=None)
    assert bench.env.read_text() == PAPER
    assert json.loads(bench.fence.read_text()) == newer


def raising(name: str, number: int) -> str:
    """The function of `os` that fails with this error."""
    return f"def fail(*given): raise OSError({number}, os.strerror({number}))\nos.{name} = fail\n"


FAILING = {
    "the file cannot grow": "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))\n",
    "fsync fails": raising("fsync", errno.EIO),
    "rename fails": raising("rename", errno.ENOSPC),
}


@pytest.mark.parametrize("fault", FAILING.values(), ids=FAILING)
def test_a_disk_that_fails_leaves_the_old_file_and_no_temp(bench: Bench, fault: str) -> None:
    """H6: what fails is the process's own limit on file sizes, or the call itself."""
    before = bench.env.read_bytes()
    script = f"import os, resource, runpy, signal, sys\n{fault}sys.argv[1:] = ['--stdin']\n"
    run = f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script + run], input=json.dumps(to(bench, LIVE)), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert code(json.loads(done.stdout)) == "broken"
    assert bench.env.read_bytes() == before
    assert [path.name for path in bench.root.iterdir() if path.name.startswith(".")] == []
