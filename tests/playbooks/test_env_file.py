"""Whose file it is, who may touch it, and is it still the one that was planned: asked before anything is written."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.playbooks.bench import LIVE, PAPER, SECRET, Bench, code, sha256


def a_link(bench: Bench) -> None:
    bench.env.rename(bench.root / "elsewhere")
    bench.env.symlink_to(bench.root / "elsewhere")


def a_second_name(bench: Bench) -> None:
    (bench.root / "a-second-name").hardlink_to(bench.env)


def open_folder(bench: Bench) -> None:
    bench.root.chmod(0o777)


def read_only_folder(bench: Bench) -> None:
    bench.root.chmod(0o500)


DISTRUSTED: dict[str, tuple[Callable[[Bench], None], str]] = {
    "a symbolic link": (a_link, "is a symbolic link"),
    "a second name": (a_second_name, "has more than one hard link"),
    "readable by its group": (lambda bench: bench.env.chmod(0o640), "may be read by others"),
    "readable by all": (lambda bench: bench.env.chmod(0o644), "may be read by others"),
    "in a folder that others may write to": (open_folder, "a folder that others may write to"),
    "in a read-only folder": (read_only_folder, "a read-only folder"),
}


@pytest.fixture
def closed_again(bench: Bench) -> Iterator[Bench]:
    yield bench
    bench.root.chmod(0o700)


@pytest.mark.parametrize(("make", "says"), DISTRUSTED.values(), ids=DISTRUSTED)
def test_a_file_that_cannot_be_trusted_is_told_and_not_flipped(
    closed_again: Bench, make: Callable[[Bench], None], says: str
) -> None:
    bench = closed_again
    make(bench)
    env = bench.ask("look")["look"]["env"]
    assert [p["text"] for p in env["problems"] if says in p["text"]], env["problems"]
    planned = env["sha256"] or sha256(bench.env)
    answer = bench.ask("flip", env_text=LIVE, compare_sha256=planned)
    assert code(answer) in ("unfit", "changed")
    assert bench.env.read_text() == PAPER


def test_the_content_of_a_linked_file_is_not_even_read(bench: Bench) -> None:
    a_link(bench)
    env = bench.ask("look")["look"]["env"]
    assert env["sha256"] is None
    assert set(env["variables"].values()) == {None}


def test_the_way_down_replaces_a_link_and_leaves_its_target_alone(bench: Bench) -> None:
    a_link(bench)
    bench.ask("flip", env_text=PAPER + "SIZE_MULTIPLIER=1.00\n", compare_sha256=None)
    assert not bench.env.is_symlink()
    assert bench.env.read_text().endswith("SIZE_MULTIPLIER=1.00\n")
    assert (bench.root / "elsewhere").read_text() == PAPER


def test_a_read_only_folder_refuses_even_the_way_down_and_says_so(closed_again: Bench) -> None:
    """Root may write anywhere: that is no reason to do it."""
    bench = closed_again
    read_only_folder(bench)
    answer = bench.ask("flip", env_text=LIVE, compare_sha256=None)
    assert code(answer) == "read-only"
    assert str(bench.root) in answer["error"]["text"]
    assert bench.env.read_text() == PAPER


def test_a_host_without_an_env_file_says_so(bench: Bench) -> None:
    bench.env.unlink()
    env = bench.ask("look")["look"]["env"]
    assert (env["sha256"], env["mode"]) == (None, None)
    assert "cannot be read" in env["problems"][0]["text"]
    assert code(bench.ask("flip", env_text=LIVE, compare_sha256="0" * 64)) == "changed"


def test_a_file_that_somebody_changed_since_the_plan_stays_as_it_is(bench: Bench) -> None:
    """D3: compare and swap."""
    planned = sha256(bench.env)
    bench.write_env(PAPER + "SIZE_MULTIPLIER=0.10\n")
    answer = bench.ask("flip", env_text=LIVE, compare_sha256=planned)
    assert code(answer) == "changed"
    assert bench.env.read_text() == PAPER + "SIZE_MULTIPLIER=0.10\n"
    assert answer["changed"] is False


def test_the_planned_file_is_replaced_whole_and_private(bench: Bench) -> None:
    before = bench.env.stat().st_ino
    answer = bench.ask("flip", env_text=LIVE, compare_sha256=sha256(bench.env))
    assert code(answer) == "broken", "its service manager is gone: the file is written, the process is not proven"
    assert bench.env.read_text() == LIVE
    assert stat.S_IMODE(bench.env.stat().st_mode) == 0o600
    assert bench.env.stat().st_ino != before, "a rename, not a write into the old file"


def test_an_env_file_changes_only_while_the_bot_is_halted(bench: Bench) -> None:
    bench.gate.unlink()
    assert code(bench.ask("flip", env_text=LIVE, compare_sha256=sha256(bench.env))) == "not-halted"
    assert bench.env.read_text() == PAPER


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077], ids=oct)
def test_whatever_the_umask_the_file_is_private(bench: Bench, mask: int) -> None:
    before = os.umask(mask)
    try:
        bench.ask("flip", env_text=LIVE, compare_sha256=None)
    finally:
        os.umask(before)
    assert stat.S_IMODE(bench.env.stat().st_mode) == 0o600


def test_a_secret_in_an_argument_list_is_reported_by_process_and_not_by_value(bench: Bench) -> None:
    waiting = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()", f"--key={SECRET}"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "up\n"
        look = bench.ask("look")["look"]
        process.communicate()
    assert look["secret_in_argv_pids"] == [process.pid]
    assert bench.ask("look")["look"]["secret_in_argv_pids"] == []


@pytest.mark.parametrize("name", ["release", "release/bots"])
def test_a_release_is_told_by_one_digest_over_names_and_contents(bench: Bench, name: str) -> None:
    def digest() -> str:
        return bench.ask("look")["look"]["release_sha256"]

    assert digest() is None
    folder: Path = bench.root / name
    folder.mkdir(parents=True)
    (folder / "bot.py").write_text("pass\n")
    first = digest()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "bot.pyc").write_bytes(b"compiled")
    assert digest() == first, "what Python leaves behind is no release"
    (folder / "bot.py").rename(folder / "other.py")
    assert digest() != first


def test_the_bots_own_secrets_stay_and_are_only_shown_as_fingerprints(bench: Bench) -> None:
    own = "DATABASE_URL=postgresql://bot:canary-own-pw@127.0.0.1/bot\n"
    bench.env.write_text(bench.env.read_text() + own + "OTHER=1\n")
    watch = {"shown": ["TRADING_MODE"], "secret": ["DATABASE_URL"], "kept": ["DATABASE_URL", "REDIS_URL"]}
    for text in (LIVE, PAPER):
        bench.ask("flip", env_text=text, compare_sha256=sha256(bench.env), watch=watch)
        assert bench.env.read_text() == text + own
    assert "canary-own-pw" not in str(bench.ask("look", watch=watch))


def test_no_answer_shows_a_secret_that_bot_log_or_a_broken_env_file_echo(bench: Bench) -> None:
    """A log line is cut only after it was masked; the end of a key that was pasted in lines reads like a name."""
    assert bench.api
    bench.env.write_text(PAPER + "REDIS_URL=redis://:canary-own-pw@127.0.0.1/0\nZk3abcdEFGHtailOfAKey==\n")
    bench.api.reason = f"refused {SECRET} for canary-own-pw"
    (bench.root / "bot.log").write_text(f"2026-11-20T14:00:00.000000Z Traceback {'.' * 100}{SECRET}\n")
    log = {"path": "bot.log", "exceptions": ["Traceback"]}
    wanted = {"since": "2026", "log": log, "database": "audit.sqlite", "queries": {}}
    watch = {"shown": ["TRADING_MODE"], "secret": ["ALPACA_API_KEY", "ALPACA_SECRET_KEY", "REDIS_URL"]}
    look = bench.ask("look", watch=watch, evidence=wanted)["look"]
    assert (look["api"]["switch"]["reason"], look["env"]["problems"]) == ("refused *** for ***", [])
    assert look["evidence"]["log"]["exceptions"][0]["text"].endswith(".***")
    for piece in (SECRET[:12], "canary-own-pw", "tailOfAKey"):
        assert piece not in json.dumps(look)
