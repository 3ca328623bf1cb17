"""What a command line loads before it does anything: seconds an on-call person waits, and things that can be broken."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ops
from ops.kill.brake import BRAKES
from tests.house.tree import ROOT, imports, inside, modules

HEAVY = ("alpaca", "ccxt", "ib_insync", "pydantic", "ansible", "yaml", "requests", "httpx", "rich", "pandas", "fastapi",
         "sqlite3", "pytest", "ops.transitions", "ops.checks", "ops.steps", "ops.sandbox", "ops.doors")  # fmt: skip
LISTING = """
import json, sys
from invoke.main import program
before = set(sys.modules)  # Invoke's own YAML reader takes PyYAML's C parser when it is there
program.run(["invoke", "--list"], exit=False)
print(json.dumps(sorted(set(sys.modules) - before)))
"""
KILL = """
import json, sys
before = set(sys.modules)
sys.path.insert(0, sys.argv.pop(1))
import ops.kill.command
from ops.kill import command
try:
    command.main(["--reason=house test"])
except SystemExit as end:
    code = end.code
print(json.dumps({"code": code, "loaded": sorted(set(sys.modules) - before)}))
"""


def run(code: str, *words: str, state: Path | None = None) -> list[str]:
    """The lines that a fresh Python says."""
    environ = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    done = subprocess.run(
        [sys.executable, *words], input=code, cwd=ROOT, env={**environ, "INTERLOCK_STATE": str(state or ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


@pytest.fixture(scope="module")
def listed() -> set[str]:
    return set(json.loads(run(LISTING, "-")[-1]))


@pytest.mark.parametrize("module", HEAVY)
def test_listing_the_commands_does_not_load(listed: set[str], module: str) -> None:
    assert "ops.tasks.telling" in listed
    assert [name for name in listed if inside(name, module)] == []


def test_kill_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    """-S: no site-packages at all, so Invoke, Ansible and every library are as good as missing."""
    lines = run(KILL, "-S", "-I", "-", str(ROOT), state=tmp_path)
    end = json.loads(lines[-1])
    assert end["code"] == 6, "there is nothing to stop, and it says so instead of success"
    foreign = {name.split(".")[0] for name in end["loaded"]} - set(sys.stdlib_module_names) - {"ops"}
    assert foreign == set()


# What each brake may need besides the standard library: only a venue whose requests nothing else can sign or speak.
NEEDED_BY_BRAKE = {"alpaca": set(), "kraken": set(), "polymarket": set(), "kalshi": {"cryptography"}, "ibkr": set()}


def reach(*begin: str) -> tuple[set[str], set[str]]:
    """(modules of ours, libraries from outside) that these lead to, imports inside functions included."""
    reached, waiting, foreign = set(), list(begin), set()
    while waiting:
        module = waiting.pop()
        reached.add(module)
        for found in (i for i in imports() if i.importer == module):
            top = found.imported.split(".")[0]
            if top == "ops":
                parents = [".".join(found.imported.split(".")[:n]) for n in range(1, found.imported.count(".") + 2)]
                waiting += [m for m in parents if m in modules() and m not in reached]
            elif top not in sys.stdlib_module_names:
                foreign.add(top)
    return reached, foreign


def test_nothing_that_kill_may_ever_import_is_from_outside() -> None:
    reached, foreign = reach("ops.kill.command")
    assert {"ops.kill.kill", "ops.kill.hosts", "ops.kill.venues", "ops.ledger.store", "ops.kill.brake"} <= reached
    assert "ops.kill.flatten" not in reached, "closing positions takes a venue's client library: `invoke kill` only"
    assert foreign == set()


@pytest.mark.parametrize("kind", BRAKES)
def test_a_brake_imports_nothing_that_its_venue_does_not_need(kind: str) -> None:
    _, foreign = reach(BRAKES[kind][0])
    assert foreign == NEEDED_BY_BRAKE[kind]


def test_ops_is_ours_and_not_the_other_project_of_that_name() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert Path(ops.__file__).parent == ROOT / "ops"
    assert set(importlib.metadata.packages_distributions().get("ops", [])) <= {pyproject["project"]["name"]}
    assert pyproject["project"]["name"] != "ops"
