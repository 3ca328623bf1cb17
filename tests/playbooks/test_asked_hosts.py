"""Every host that was asked for answers or is named: by itself Ansible runs on the others and ends with 0."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ops.errors import HostError
from ops.hosts.ansible import PLAYBOOKS, program, run_playbook
from tests.playbooks.bench import Bench

LOCAL = """
all:
  hosts: {host-1: {}}
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""


INVENTORIES = {
    "one of two": LOCAL,
    "only another": LOCAL.replace("host-1", "host-9"),
    "nobody": "all: {hosts: {}}",
    "no inventory at all": "- hello",
}


@pytest.mark.parametrize("text", INVENTORIES.values(), ids=INVENTORIES)
def test_a_host_that_the_inventory_does_not_know_stops_the_run(bench: Bench, tmp_path: Path, text: str) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(text)
    before = bench.env.stat().st_ctime_ns
    with pytest.raises(HostError, match=r"host-[13]|hosts\.yml"):
        run_playbook(
            "flip_mode.yml", inventory, {name: bench.request("flip", env_text="A=1\n") for name in ("host-1", "host-3")}
        )
    assert bench.env.stat().st_ctime_ns == before


def test_a_playbook_run_by_hand_refuses_and_says_who_runs_it(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(LOCAL)
    command = [program("ansible-playbook"), "-i", str(inventory), str(PLAYBOOKS / "flip_mode.yml")]
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "INTERLOCK_"))}
    environ = {**keep, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "temp")}
    done = subprocess.run(command, cwd=PLAYBOOKS, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "this playbook is run by Interlock" in done.stdout + done.stderr
