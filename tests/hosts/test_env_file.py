"""The env file: whose it is, who may read it, and that it is byte for byte the one that was planned."""

from __future__ import annotations

import os
from pathlib import Path


def test_is_a_plain_file_and_no_link(machine, facts):
    file = machine.file(facts["env_file"])
    assert file.exists and file.is_file and not file.is_symlink


def test_only_its_owner_may_read_it(machine, facts):
    file = machine.file(facts["env_file"])
    assert oct(file.mode) == oct(0o600)
    assert file.uid == os.geteuid()


def test_its_folder_is_not_writable_by_others(machine, facts):
    assert not machine.file(str(Path(facts["env_file"]).parent)).mode & 0o022


def test_is_the_planned_one(machine, facts):
    """But for the bot's own secrets, which nobody planned and which do not leave the machine."""
    others = "".join(f"/^{name}=/d;" for name in facts["own_secrets"])
    assert machine.check_output("sed %s %s | sha256sum", others, facts["env_file"]).split()[0] == facts["env_sha256"]
