"""What a kill will aim at is compiled whole: its command needs neither the inventory nor Ansible."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from ops.errors import InputError
from ops.inventory import place_of
from ops.kill.targets import Target, read_targets
from ops.targets import keep_inventory, keep_target
from ops.tasks.opening import doors_of
from tests.field import ROOT

ADDRESS = {"ansible_host": "10.9.8.7", "ansible_user": "ops", "ansible_become": True, "ansible_port": 2222}


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sandbox's, with its first host behind ssh."""
    monkeypatch.setenv("INTERLOCK_STATE", str(tmp_path / "state"))
    folder = tmp_path / "inventory" / "sandbox"
    shutil.copytree(ROOT / "inventory" / "sandbox", folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    hosts["all"]["hosts"]["host-1"] = {
        **ADDRESS, "ansible_connection": "ssh", "ansible_python_interpreter": "/usr/bin/python3",
    }  # fmt: skip
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (folder / "known_hosts").write_text("[10.9.8.7]:2222 ssh-ed25519 AAAA\n")
    return folder


def kept(inventory: Path) -> Target:
    doors = doors_of(place_of(inventory), "alpaca-bot")
    keep_inventory(doors)
    keep_target(doors)
    (target,), broken = read_targets(doors.place.state)
    assert broken == []
    shutil.rmtree(doors.place.run, ignore_errors=True)
    return target


def test_a_far_host_has_a_complete_command_and_a_near_one_none(inventory: Path) -> None:
    place = place_of(inventory)
    far, near = kept(inventory).hosts
    words = " ".join(far.argv)
    assert far.argv[0] == "ssh" and far.argv[-2] == "10.9.8.7" and near.argv == ()
    assert far.argv[-1].startswith("sudo -n -H -- /bin/sh -c ") and "/usr/bin/python3 -I -S -c" in far.argv[-1]
    assert f'UserKnownHostsFile="{inventory}/known_hosts" "{place.last_good}/known_hosts"' in words
    assert "Port=2222" in far.argv and "User=ops" in far.argv
    assert far.sockets == str(place.run) and f'ControlPath="{place.run}/%C"' in far.argv
    assert (place.last_good / "known_hosts").read_text() == (inventory / "known_hosts").read_text()


def test_what_is_gone_from_the_inventory_goes_from_its_last_good_copy(inventory: Path) -> None:
    (inventory / "ssh_config").write_text("# a gateway\n")
    assert "-F" in kept(inventory).hosts[0].argv
    (inventory / "ssh_config").unlink()
    assert "-F" not in kept(inventory).hosts[0].argv


def test_a_last_good_copy_is_known_as_its_environments(inventory: Path) -> None:
    place = place_of(inventory)
    assert place_of(place.last_good).run == place.run


def test_a_hosts_yml_that_the_kill_could_not_read_is_no_good_one(inventory: Path) -> None:
    path = inventory / "hosts.yml"
    path.write_text(path.read_text().replace("10.9.8.7", '"{{ base }}"'))
    with pytest.raises(InputError, match="ansible_host"):
        kept(inventory)
    assert not (place_of(inventory).last_good / "hosts.yml").exists()
