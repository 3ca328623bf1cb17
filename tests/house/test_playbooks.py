"""The playbooks: nothing but our own modules, whose one parameter is hidden; no way for a secret into argv or a log.

`site.yml` and its roles prepare bare hosts, with modules that come with Ansible too: for them the ways by which secrets
have leaked are named one by one.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.tree import ROOT, files, parsed

PROGRAM = Path("playbooks/library/interlock_host.py")
ALL = [path for path in files() if path.suffix in (".yml", ".yaml") and path.parts[0] == "playbooks"]
SITE = Path("playbooks/site.yml")
ROLES = [path for path in ALL if path.parts[1] == "roles"]
BOOKS = [path for path in ALL if path != SITE and path not in ROLES]
HIDING = (PROGRAM, Path("playbooks/library/interlock_files.py"))
# Each of these has carried a secret into a log or a process list, or hides why a host failed.
LEAKY = {"environment", "no_log", "ignore_errors", "ignore_unreachable", "vars_prompt", "delegate_to", "local_action"}
LEAKY_MODULES = {"ansible.builtin.shell", "ansible.builtin.raw", "ansible.builtin.debug", "ansible.builtin.script",
                 "ansible.builtin.copy", "ansible.builtin.template", "ansible.builtin.lineinfile"}  # fmt: skip
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


@pytest.mark.parametrize("path", ROLES, ids=str)
def test_a_role_has_no_word_by_which_secrets_leak(path: Path) -> None:
    for task in plays(path):
        assert not task.keys() & (LEAKY | LEAKY_MODULES), task["name"]


def test_only_the_request_tells_the_roles_what_to_do() -> None:
    (play,) = plays(SITE)
    assert play["vars"] == {"prepare": "{{ lookup('interlock_request', inventory_hostname) | from_json }}"}
    assert {next(k for k in task if k != "name") for task in play["tasks"]} == {"ansible.builtin.include_role"}


@pytest.mark.parametrize("module", HIDING, ids=str)
def test_a_modules_one_parameter_is_never_shown(module: Path) -> None:
    calls = [n for n in ast.walk(parsed(module)) if isinstance(n, ast.Call)]
    (made,) = [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == "AnsibleModule"]
    specification = ast.literal_eval(made.args[0])
    assert {name: one["no_log"] for name, one in specification.items()} == {"request": True}


@pytest.mark.parametrize("module", HIDING, ids=str)
def test_a_module_needs_nothing_but_the_standard_library(module: Path) -> None:
    taken = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in ast.walk(parsed(module))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert taken - sys.stdlib_module_names == {"ansible"}


def test_ansible_is_imported_by_the_program_only_when_ansible_runs_it() -> None:
    tops = [n for n in parsed(PROGRAM).body if isinstance(n, (ast.Import, ast.ImportFrom))]
    assert not any("ansible" in ast.dump(node) for node in tops)
