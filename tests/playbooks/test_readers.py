"""One file, four readers: python-dotenv, bash, docker's rules and the host program read alike what we write."""

from __future__ import annotations

import io
import os
import string
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from ops.model.envfile import render, unfit
from tests.model.properties import tried
from tests.playbooks.bench import Bench, the_program

PROGRAM = the_program()
# Names that a shell keeps for itself (UID, RANDOM, _ ...) are no bot's variables.
keys = st.text(string.ascii_uppercase + string.digits + "_", max_size=12).map("BOT_{}".format)
anything = st.text(string.printable[:95])
values = anything.filter(lambda value: unfit("KEY", value) is None)
pairs = st.dictionaries(keys, values, max_size=10)


def by_bash(path: Path, names: Mapping[str, str]) -> dict[str, str]:
    """As a start script reads it: every assignment of the sourced file is exported."""
    script = 'set -a; . "$1"; shift; for name; do printf "%s=%s\\0" "$name" "${!name}"; done'
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", str(path), *names], env={"HOME": "/nowhere", "PATH": os.defpath},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def by_docker(text: str) -> dict[str, str]:
    """The rules of `docker --env-file`: no quotes, no comments behind a value, everything after the sign counts."""
    lines = [line.lstrip() for line in text.split("\n")]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@tried(120)
@given(pairs)
@example({"BOT_URL": "https://venue.example:443/v2?a=1", "BOT_RATIO": "0.50", "BOT_LIST": "AAPL,MSFT", "BOT_EMPTY": ""})
@example({"BOT_KEY": "PK" + string.ascii_uppercase, "BOT_SECRET": string.ascii_letters + "+/=="})
def test_what_is_written_is_read_alike_by_all(tmp_path: Path, wanted: dict[str, str]) -> None:
    text = render(wanted)
    path = tmp_path / "keys.env"
    path.write_text(text)
    assert by_bash(path, wanted) == wanted
    assert dict(dotenv_values(stream=io.StringIO(text))) == wanted
    assert by_docker(text) == wanted
    assert PROGRAM.env_values(text.encode()) == (wanted, [])


@tried(300)
@given(keys, st.text())
def test_writer_and_host_agree_on_what_is_fit(key: str, value: str) -> None:
    if "\n" in value:
        return
    _, problems = PROGRAM.env_values(f"{key}={value}\n".encode(errors="replace"))
    assert bool(problems) == bool(unfit(key, value))


# Each of them is read otherwise by at least one reader, so each must be unfit.
READ_APART = [
    "~",
    "~root",
    "a:~",
    "a;b",
    "a&b",
    "a|b",
    "a>b",
    "a<b",
    "(a)",
    "a b",
    "$HOME",
    "`id`",
    "'a'",
    '"a"',
    "a\\b",
    "#a",
]


@pytest.mark.parametrize("value", READ_APART)
def test_a_value_that_a_reader_takes_for_something_else_is_unfit(value: str) -> None:
    assert unfit("KEY", value)


def test_the_services_own_reader_sees_what_was_written(tmp_path: Path) -> None:
    """The reference bots start through `dotenv run`."""
    path = tmp_path / "keys.env"
    wanted = {"BOT_SECRET": string.ascii_letters + "%*+,-./:=?@^_", "BOT_MODE": "live"}
    path.write_text(render(wanted))
    shown = "import os; print(*(os.environ[n] for n in ('BOT_SECRET', 'BOT_MODE')), sep='\\n')"
    command = [sys.executable, "-m", "dotenv", "-f", str(path), "run", "--", sys.executable, "-c", shown]
    done = subprocess.run(
        command, env={"PATH": os.defpath, "LANG": "C.UTF-8"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == list(wanted.values())


def test_the_whole_of_an_environments_file_reaches_the_process_as_the_host_program_reports_it(bench: Bench) -> None:
    wanted = {
        "TRADING_MODE": "live",
        "SIZE_MULTIPLIER": "0.50",
        "ALPACA_API_KEY": "PK" * 10,
        "ALPACA_SECRET_KEY": "s/+=" * 10,
    }
    bench.write_env(render(wanted))
    env = bench.ask("look")["look"]["env"]
    assert (env["problems"], env["unknown_keys"]) == ([], [])
    assert env["variables"] == {"TRADING_MODE": "live", "SIZE_MULTIPLIER": "0.50"}
    mark = {name: PROGRAM.Host(bench.request("look")).fingerprint(wanted[name]) for name in env["fingerprints"]}
    assert env["fingerprints"] == mark
