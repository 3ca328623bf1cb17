"""hosts.yml as Ansible reads it; what only Ansible could read is refused with file, line and key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ops.errors import InputError
from ops.hosts.ansible import PLAYBOOKS, program
from ops.hosts.ssh import Address, addresses

NESTED = """
all:
  vars: {ansible_user: ops, ansible_become: yes}
  hosts:
    alone: {ansible_port: 2200}
  children:
    europe:
      vars: {ansible_user: eu, ansible_ssh_private_key_file: /keys/eu}
      children:
        berlin:
          hosts:
            b1: {ansible_host: 10.0.0.1}
            b2: {ansible_host: 10.0.0.2, ansible_user: root}
          vars: {ansible_port: 2222}
    bots:
      hosts: {b1: , alone: }
      vars: {ansible_port: 2300, ansible_python_interpreter: /opt/python3}
folders:
  hosts: {here: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(NESTED)
    return tmp_path / "hosts.yml"


def test_groups_within_groups_hand_down_what_they_say(written: Path) -> None:
    found = addresses(written)
    assert found["b2"] == Address("b2", "ssh", "10.0.0.2", 2222, "root", "/keys/eu", True)
    assert (found["b2"].through_sudo, found["b1"].through_sudo) == (False, True)
    assert found["here"] == Address("here", "local", "here", user="ops", become=True, python=sys.executable)


def test_ansible_itself_reads_the_same(written: Path) -> None:
    command = [program("ansible-inventory"), "-i", str(written), "--list"]
    done = subprocess.run(command, cwd=PLAYBOOKS, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)["_meta"]["hostvars"]
    ours = addresses(written)
    assert set(ours) == set(theirs)
    for host, facts in theirs.items():
        one = ours[host]
        assert (one.hostname, one.port, one.user, one.key) == (
            facts.get("ansible_host", host), facts.get("ansible_port"), facts.get("ansible_user"),
            facts.get("ansible_ssh_private_key_file"),
        ), host  # fmt: skip


WRONG = {
    "a template": ('{ansible_host: "{{ base }}.7"}', "ansible_host"),
    "a template for the key": ('{ansible_ssh_private_key_file: "{{ inventory_dir }}/key"}', "private_key_file"),
    "a relative key": ("{ansible_ssh_private_key_file: keys/mine}", "begins with / or ~"),
    "a port that is none": ("{ansible_port: 99999}", "65535"),
    "another way in": ("{ansible_connection: docker}", "ssh or local"),
    "arguments for ssh": ("{ansible_ssh_common_args: -J gate}", "ssh_config"),
    "another way to root": ("{ansible_become_method: su}", "ansible_become_method"),
    "an option as address": ('{ansible_host: "-oProxyCommand=x"}', "ansible_host"),
    "our own Python": ('{ansible_python_interpreter: "{{ ansible_playbook_python }}"}', "on the host"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_only_ansible_could_read_is_refused_at_its_line(tmp_path: Path, what: str) -> None:
    setting, says = WRONG[what]
    path = tmp_path / "hosts.yml"
    path.write_text(f"all:\n  hosts:\n    one: {{}}\n    two: {setting}\n")
    with pytest.raises(InputError) as caught:
        addresses(path)
    assert caught.value.text().startswith(f"{path}:4: ") and says in caught.value.text(), caught.value.text()


@pytest.mark.parametrize("text", ["- hello", "all: {hosts: {'web[1:9]': }}", "all: {hosts: {-oX: }}"])
def test_what_is_no_list_of_hosts_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"hosts\.yml"):
        addresses(path)


def test_how_a_host_is_reached_stands_in_one_file(written: Path) -> None:
    folder = written.parent / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "main.yml").write_text("colour: red\nansible_port: 2299\n")
    with pytest.raises(InputError, match=r"main\.yml:2: ansible_port stands where the kill path does not look"):
        addresses(written)
