"""The machine around it: no secret in sight, the clock, the disk, the logs."""

from __future__ import annotations

CLOCK_MAX_SECONDS = 2
WAY_MAX_SECONDS = 10
# Interlock's own rotation cuts each day, and at 200 MB.
LOG_MAX_BYTES = 250_000_000
FREE_MIN_BYTES = 1_000_000_000
FREE_MIN_INODES = 10_000
PYTHON_MIN = [3, 9, 0]


def test_is_seen_as_root(seen, under):
    under("systemd", "compose")
    assert seen["machine"]["uid"] == 0, "neither root nor sudo: set ansible_become for it in hosts.yml"


def test_python_is_new_enough(seen):
    assert seen["machine"]["python"] >= PYTHON_MIN, f"it is {seen['machine']['python']}"


def test_no_secret_in_any_argument_list(seen):
    assert seen["secret_in_argv_pids"] == [], f"of the processes {seen['secret_in_argv_pids']}"


def test_no_secret_in_the_log(seen):
    assert seen["log"]["holds_secret"] is False, (
        "a secret stands in it" if seen["log"]["holds_secret"] else "unreadable"
    )


def test_clock_is_within_two_seconds(seen):
    """The host's looking lies within our waiting. Where the way there and back took long, that proves nothing."""
    way = (seen["answered_at"] - seen["asked_at"]) - (seen["until"] - seen["at"])
    assert way <= WAY_MAX_SECONDS, f"the way there and back took {way:.0f} s"
    ahead, behind = seen["until"] - seen["answered_at"], seen["asked_at"] - seen["at"]
    assert ahead <= CLOCK_MAX_SECONDS, f"{ahead:.1f} s ahead"
    assert behind <= CLOCK_MAX_SECONDS, f"{behind:.1f} s behind"


def test_time_zone_is_utc(seen, real):
    offset = seen["machine"]["utc_offset_s"]
    assert offset == 0, f"{offset / 3600:+.1f} hours from UTC"


def test_disk_has_room(seen):
    free = seen["machine"]["free_bytes"]
    assert free >= FREE_MIN_BYTES, f"{free / 1e6:.0f} MB are free"


def test_disk_has_inodes(seen):
    """Some file systems make them as they are needed, and count none."""
    machine = seen["machine"]
    assert not machine["inodes"] or machine["free_inodes"] >= FREE_MIN_INODES, f"{machine['free_inodes']} are free"


def test_log_is_there_and_bounded(seen):
    log = seen["log"]
    assert log["kind"] == "file", f"it is {log['kind']}"
    assert log["bytes"] <= LOG_MAX_BYTES, f"it has {log['bytes'] / 1e6:.0f} MB"


def test_log_is_rotated(seen, under):
    """Under supervisord the bots of the sandbox turn over their logs themselves."""
    under("systemd", "compose")
    assert seen["log"]["rotated_by"], "no file of logrotate names it"
