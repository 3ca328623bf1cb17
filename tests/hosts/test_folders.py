"""The bot's folder, the code in it, and what Interlock keeps there: owners, modes, gate, helper, deadline."""

from __future__ import annotations

import pytest


def test_no_folder_above_may_be_written_by_others(seen, owner):
    bad = [one["path"] for one in seen["folders"] if one["open"] or one["uid"] not in (0, owner)]
    assert not bad, f"others may write to, or own, {', '.join(bad)}"


def test_root_belongs_to_its_owner(seen, owner):
    last = seen["folders"][-1]
    assert last["uid"] == owner, f"{last['path']} belongs to user id {last['uid']}"


def test_nothing_in_root_may_be_written_by_all(seen):
    found = seen["writable_by_all"]
    assert None not in found, "too many files to look at"
    assert not found, f"anybody may write to {', '.join(found[:5])}"


def test_release_may_not_be_written_by_others(seen, owner):
    release = seen["release"]
    assert release["kind"] == "folder", f"it is a {release['kind']}"
    assert release["uid"] == owner, f"it belongs to user id {release['uid']}"
    assert None not in release["open"], "too many files to look at"
    assert not release["open"], f"others may write to {', '.join(release['open'][:5])}"


def test_interlock_folder_is_private(seen, wanted, owner):
    """Where the bot has a user of its own, it may pass through, to see whether its gate is there, and no more."""
    folder, shut = seen["interlock"], 0o077 if wanted["manager"] == "supervisord" else 0o066
    assert folder["kind"] == "folder", f"it is a {folder['kind']}"
    assert folder["uid"] == owner, f"it belongs to user id {folder['uid']}"
    assert not folder["mode"] & shut, f"its mode is {folder['mode']:04o}"


def test_what_interlock_keeps_is_private(seen, wanted, owner):
    """Fence, deadline, the env file to go back to: for the owner alone. The gate has an assertion of its own, and the
    program is no secret in a folder that nobody else may enter."""
    shut = {"interlock_host.py": 0o022} if wanted["manager"] == "supervisord" else {}
    bad = [
        name for name, one in seen["interlock"]["files"].items()
        if name != "gate"
        and (one["kind"] != "file" or one["uid"] != owner or one["mode"] & shut.get(name, 0o077))
    ]  # fmt: skip
    assert not bad, f"not private: {', '.join(bad)}"


def test_helper_is_ours(seen, wanted):
    assert seen["helper_sha256"] == wanted["helper_sha256"], (
        "it is of another version of Interlock: invoke host.prepare"
    )


def test_watcher_runs(seen, owner):
    """The process that puts the host back to paper when a commit does not arrive."""
    assert len(seen["watchers"]) == 1, f"{len(seen['watchers'])} run"


def test_gate_stands_as_the_ledger_says(seen, wanted):
    if wanted["tripped"] is None:
        pytest.skip("the ledger does not say whether the bot is tripped")
    there = seen["gate"]["kind"] != "missing"
    assert there == wanted["tripped"], "it is there" if there else "it is missing"


def test_gate_belongs_to_its_owner(seen, owner):
    gate = seen["gate"]
    if gate["kind"] == "missing":
        pytest.skip("no gate stands")
    assert gate["kind"] == "file", f"it is a {gate['kind']}"
    assert gate["uid"] == owner, f"it belongs to user id {gate['uid']}"
    assert not gate["mode"] & 0o022, f"its mode is {gate['mode']:04o}"


def test_deadline_runs_only_in_a_transition(seen, wanted):
    if wanted["deadline"] is None:
        pytest.skip("not known whether a deadline must run now")
    there = "deadline.json" in seen["interlock"]["files"]
    assert there == wanted["deadline"], "one runs" if there else "none runs"
