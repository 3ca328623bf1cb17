"""The playbooks: nothing but our own module, whose one parameter is hidden; no way for a secret into argv or a log."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.tree import ROOT, files, parsed

PROGRAM = Path("playbooks/library/interlock_host.py")
BOOKS = [path for path in files() if path.suffix in (".yml", ".yaml") and path.parts[0] == "playbooks"]
MODULE = "interlock_host"
WORDS_OF_A_TASK = {"name", MODULE}
WORDS_OF_A_PLAY = {"name", "hosts", "gather_facts", "tasks"}


def plays(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize("path", BOOKS, ids=str)
def test_a_playbook_is_one_round_trip_of_our_own_module(path: Path) -> None:
    """So there is no `environment:`, `shell:`, `register:`, `debug:`, `vars:`: each of them has leaked a secret."""
    (play,) = plays(path)
    assert set(play) == WORDS_OF_A_PLAY
    assert play["hosts"] == "all"
    assert play["gather_facts"] is False
    (task,) = play["tasks"]
    assert set(task) == WORDS_OF_A_TASK
    assert set(task[MODULE]) == {"request"}


@pytest.mark.parametrize("path", BOOKS, ids=str)
def test_a_request_comes_from_memory_and_from_nowhere_else(path: Path) -> None:
    (play,) = plays(path)
    assert play["tasks"][0][MODULE]["request"] == "{{ lookup('interlock_request', inventory_hostname) }}"


def test_the_modules_one_parameter_is_never_shown() -> None:
    calls = [n for n in ast.walk(parsed(PROGRAM)) if isinstance(n, ast.Call)]
    (made,) = [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == "AnsibleModule"]
    specification = ast.literal_eval(made.args[0])
    assert {name: one["no_log"] for name, one in specification.items()} == {"request": True}


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    taken = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in ast.walk(parsed(PROGRAM))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert taken - sys.stdlib_module_names == {"ansible"}


def test_ansible_is_imported_by_the_program_only_when_ansible_runs_it() -> None:
    tops = [n for n in parsed(PROGRAM).body if isinstance(n, (ast.Import, ast.ImportFrom))]
    assert not any("ansible" in ast.dump(node) for node in tops)
