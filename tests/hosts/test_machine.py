"""The machine around it: no secret in sight, the clock, the disk, the logs."""

from __future__ import annotations


def test_no_secret_in_any_argument_list(facts):
    assert facts["secret_in_argv_pids"] == []


def test_clock_is_within_two_seconds(machine, facts):
    now = int(machine.check_output("date +%s"))
    assert -2 <= now - facts["controller_unix"] <= 30


def test_logs_are_rotated(machine, facts):
    log = machine.file(facts["log_file"])
    assert log.exists
    assert log.size < 10_000_000


def test_disk_has_room(machine, facts):
    free_kib = int(machine.check_output("df -Pk %s", facts["root"]).splitlines()[-1].split()[3])
    assert free_kib > 1_000_000


def test_interlock_folder_is_private(machine, facts):
    folder = machine.file(facts["root"] + "/interlock")
    assert folder.is_directory
    assert not folder.mode & 0o077
