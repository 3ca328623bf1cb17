"""Thirty assertions as one writes them with testinfra alone, for `tests/bench/verify.py`: each asks the host itself.

Not collected by the project's own tests. `BENCH_ROOT`: the bot's folder; `BENCH_UNITS`: its unit and the watcher's.
"""

from __future__ import annotations

import os

import pytest

ROOT = os.environ.get("BENCH_ROOT", "")
UNITS = os.environ.get("BENCH_UNITS", "").split()
FOLDERS = (ROOT, f"{ROOT}/release", f"{ROOT}/interlock")
FILES = (f"{ROOT}/keys.env", f"{ROOT}/interlock/interlock_host.py", "/etc/ssh/ssh_host_ed25519_key")


@pytest.mark.parametrize("path", FOLDERS)
def test_folder(host, path):
    folder = host.file(path)
    assert folder.is_directory
    assert folder.user == "root"
    assert not folder.mode & 0o022


@pytest.mark.parametrize("path", FILES)
def test_file(host, path):
    file = host.file(path)
    assert file.is_file
    assert file.user == "root"
    assert file.mode == 0o600
    assert len(file.sha256sum) == 64


@pytest.mark.parametrize("unit", UNITS)
def test_unit(host, unit):
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


def test_process(host):
    pid = host.check_output("systemctl show -P MainPID %s", UNITS[0])
    assert "TRADING_MODE=" in host.check_output("tr '\\0' '\\n' < /proc/%s/environ", pid)
    assert host.check_output("stat -c %%U /proc/%s", pid) != "root"


def test_machine(host):
    assert int(host.check_output("date +%s")) > 0
    assert int(host.check_output("df -Pk %s | tail -1 | tr -s ' ' | cut -d' ' -f4", ROOT)) > 1_000_000
    assert int(host.check_output("df -Pi %s | tail -1 | tr -s ' ' | cut -d' ' -f4", ROOT)) >= 0
