"""What one kind of service manager alone can get wrong: units, containers, the supervisor's socket."""

from __future__ import annotations

import math
from datetime import datetime

import pytest

CREATION_SLACK_SECONDS = 1.5


def test_unit_reads_our_env_file_last(services, wanted, under):
    """The last one wins."""
    under("systemd")
    wrong = {name: one.get("env_files") for name, one in services.items()
             if (one.get("env_files") or [None])[-1] != wanted["env_file"]}  # fmt: skip
    assert not wrong, f"{wrong}"


def test_unit_sets_nothing_that_the_env_file_sets(services, wanted, under):
    """An Environment= in the unit or in a drop-in would be a second opinion on the mode."""
    under("systemd")
    wrong = {name: sorted({*one.get("sets", ())} & {*wanted["planned_names"]}) for name, one in services.items()}
    assert not any(wrong.values()), f"{wrong}"


def test_unit_files_belong_to_root(seen, under):
    under("systemd")
    files = [file for one in seen["services"].values() if isinstance(one, dict) for file in one["files"]]
    assert files, "no unit file was seen"
    wrong = [one["path"] for one in files if one.get("uid") != 0 or (one["kind"] != "link" and one["mode"] & 0o022)]
    assert not wrong, f"others own, or may write to, {', '.join(wrong)}"


def test_unit_in_force_is_the_one_on_disk(services, under):
    under("systemd")
    wrong = [name for name, one in services.items() if one.get("reload") != "no"]
    assert not wrong, f"changed since systemd read it, {', '.join(wrong)}: systemctl daemon-reload"


def test_unit_is_started_anew_when_it_ends(services, under):
    under("systemd")
    wrong = {name: one.get("restart") for name, one in services.items() if one.get("restart") in (None, "no")}
    assert not wrong, f"{wrong}"


def test_unit_does_not_start_behind_the_gate(services, wanted, under):
    under("systemd")
    if not wanted["start_gated"]:
        pytest.skip("its profile lets it start behind its gate: the bot itself heeds it")
    mark = f"!{wanted['gate_file']}"
    wrong = [name for name, one in services.items() if mark not in one.get("conditions", ())]
    assert not wrong, f"no ConditionPathExists={mark}: {', '.join(wrong)}"


def test_watcher_unit_is_enabled_and_runs(seen, wanted, under):
    under("systemd")
    unit = seen["services"].get(wanted["watch_unit"]) or {}
    state = (unit.get("state"), unit.get("comes_back"))
    assert state == ("RUNNING", "enabled"), f"it is {state}"


def test_container_was_created_after_the_env_file_was_written(services, seen, under):
    """A container that was only restarted still holds the environment of its creation."""
    under("compose")
    written = seen["env"].get("written", math.inf)
    old = [name for name, one in services.items() if when(one.get("created")) < written - CREATION_SLACK_SECONDS]
    assert not old, f"older than the env file: {', '.join(old)}"


def when(text):
    """Docker writes nine digits of a second."""
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp() + 1 if text else 0


def test_container_has_no_power_over_the_machine(services, under):
    under("compose")
    wrong = [
        name for name, one in services.items()
        if one.get("privileged") is not False or any("docker.sock" in path for path in one.get("mounts", ()))
    ]  # fmt: skip
    assert not wrong, f"privileged, or with Docker's own socket: {', '.join(wrong)}"


def test_compose_file_belongs_to_its_owner(seen, owner, under):
    under("compose")
    file = seen["compose_file"]
    assert file["kind"] == "file", f"it is a {file['kind']}"
    assert file["uid"] == owner, f"it belongs to user id {file['uid']}"
    assert not file["mode"] & 0o022, f"its mode is {file['mode']:04o}"


def test_compose_file_names_the_env_file(seen, wanted, under):
    under("compose")
    assert seen["compose_file"]["names_env_file"], "no env_file entry with it"


def test_supervisor_socket_is_private(seen, owner, under):
    """Whoever may write to it may start and stop the bot."""
    under("supervisord")
    socket = seen["socket"] or {"kind": "missing"}
    assert socket["kind"] == "socket", f"it is {socket['kind']}"
    assert socket["uid"] == owner, f"it belongs to user id {socket['uid']}"
    assert not socket["mode"] & 0o077, f"its mode is {socket['mode']:04o}"
