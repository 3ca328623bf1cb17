"""The gate: set by anyone at any time, lifted only by the transition that set it, and only if nobody set it anew."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from tests.playbooks.bench import Bench, code, the_program

NEEDS_NO_LOCK_SECONDS = 5


def reason(bench: Bench, text: str) -> None:
    assert bench.api
    bench.api.tripped, bench.api.reason = True, text


def test_a_trip_sets_the_gate_first_and_then_the_bots_own_switch(bench: Bench) -> None:
    bench.gate.unlink()
    answer = bench.ask("trip")
    assert (code(answer), answer["done"]["gate"], answer["done"]["api"]["ok"]) == ("ok", "set", True)
    assert json.loads(bench.gate.read_text())["by"] == "t1"
    assert bench.api and (bench.api.tripped, bench.api.reason) == (True, "t1")


def test_a_bot_that_does_not_answer_is_halted_by_the_gate(bench: Bench) -> None:
    assert bench.api
    bench.api.refuses = True
    bench.gate.unlink()
    answer = bench.ask("trip")
    assert (answer["done"]["gate"], answer["done"]["api"]["ok"]) == ("set", False)
    assert answer["look"]["gate"]["by"] == "t1"


def test_a_gate_that_cannot_be_set_is_told_and_the_bot_is_tripped_all_the_same(bench: Bench) -> None:
    bench.gate.unlink()
    bench.gate.mkdir()
    answer = bench.ask("kill", by="kill-1")
    assert answer["done"]["gate"].startswith("NOT set")
    assert bench.api and bench.api.tripped


def test_a_disk_that_takes_no_fence_keeps_nobody_from_tripping_but_an_older_controller(bench: Bench) -> None:
    bench.gate.unlink()
    bench.own.chmod(0o500)
    try:
        older = bench.ask("trip", fence={"transition": "t0", "epoch": 0})
        assert code(older) == "fenced"
        assert bench.api and not bench.api.tripped
        assert code(bench.ask("trip", fence={"transition": "t2", "epoch": 2})) == "read-only"
        assert bench.api.tripped
    finally:
        bench.own.chmod(0o700)


def test_a_rearm_lifts_what_its_own_transition_set(bench: Bench) -> None:
    reason(bench, "t1")
    answer = bench.ask("rearm", expected_reason="t1")
    assert code(answer) == "ok"
    assert not bench.gate.exists()
    assert answer["look"]["gate"] is None
    assert bench.api and not bench.api.tripped


def test_a_rearm_does_not_lift_what_somebody_else_set_since(bench: Bench) -> None:
    bench.halted(by="kill-7")
    reason(bench, "kill-7")
    answer = bench.ask("rearm", expected_reason="t1")
    assert code(answer) == "tripped-anew"
    assert "kill-7" in answer["error"]["text"]
    assert json.loads(bench.gate.read_text())["by"] == "kill-7"
    assert bench.api and bench.api.tripped


def test_a_bot_that_was_tripped_anew_is_not_rearmed_and_gets_its_gate_back(bench: Bench) -> None:
    reason(bench, "daily loss limit")
    assert code(bench.ask("rearm", expected_reason="t1")) == "not-rearmed"
    assert bench.gate.exists()
    assert bench.api and bench.api.tripped


def test_a_host_whose_deadline_runs_is_not_rearmed(bench: Bench) -> None:
    reason(bench, "t1")
    with bench.watched():
        assert code(bench.ask("arm", deadline_seconds=600)) == "ok"
    assert code(bench.ask("rearm", expected_reason="t1")) == "armed-deadline"
    assert bench.gate.exists()
    assert code(bench.ask("disarm")) == "ok"
    assert code(bench.ask("rearm", expected_reason="t1")) == "ok"


# What people do with their hands in an emergency must hold too.
BY_HAND = {"touched": b"", "a word": b"stop", "null": b"null", "an empty mapping": b"{}", "a list": b"[]", "zero": b"0"}


@pytest.mark.parametrize("data", BY_HAND.values(), ids=BY_HAND)
def test_a_gate_made_by_hand_is_a_gate(bench: Bench, data: bytes) -> None:
    bench.gate.write_bytes(data)
    reason(bench, "t1")
    assert bench.ask("look")["look"]["gate"], "it must be shown as set"
    assert code(bench.ask("rearm", expected_reason="t1")) == "tripped-anew"
    assert bench.gate.exists()
    assert bench.api and bench.api.tripped


def test_a_dangling_link_is_a_gate(bench: Bench) -> None:
    bench.gate.unlink()
    bench.gate.symlink_to(bench.own / "nowhere")
    reason(bench, "t1")
    assert bench.ask("look")["look"]["gate"]
    assert code(bench.ask("rearm", expected_reason="t1")) == "tripped-anew"
    assert bench.gate.is_symlink()


def test_a_kill_does_not_wait_for_a_transition_under_way(bench: Bench) -> None:
    """X2: the lock of the host is held, as by a flip that hangs."""
    bench.gate.unlink()
    with (bench.own / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        began = time.monotonic()
        answer = bench.ask("kill", by="kill-1")
        assert time.monotonic() - began < NEEDS_NO_LOCK_SECONDS
    assert (code(answer), answer["done"]["gate"]) == ("ok", "set")


def test_a_kill_in_the_middle_of_a_transition_keeps_it_from_rearming(bench: Bench) -> None:
    bench.ask("trip")
    bench.ask("kill", by="kill-1")
    assert code(bench.ask("rearm", expected_reason="t1")) == "tripped-anew"
    assert json.loads(bench.gate.read_text())["by"] == "kill-1"


@pytest.mark.parametrize("op", ["kill", "trip", "arm", "disarm", "rearm"])
def test_check_mode_changes_nothing(bench: Bench, op: str) -> None:
    before = {p: p.read_bytes() for p in bench.root.rglob("*") if p.is_file()}
    answer = the_program().perform(
        bench.request(op, deadline_seconds=600, expected_reason="t1", by="t9"), check_mode=True
    )
    assert (answer["ok"], answer["changed"]) == (True, False)
    assert {p: p.read_bytes() for p in bench.root.rglob("*") if p.is_file()} == before
    assert bench.api and not [c for c in bench.api.calls if not c.startswith("/health")]


def test_the_gate_and_its_companions_are_private(bench: Bench, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        bench.gate.unlink()
        bench.fence.unlink()
        bench.ask("trip")
        with bench.watched():
            bench.ask("arm", deadline_seconds=600)
    finally:
        os.umask(before)
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in bench.own.iterdir()} == dict.fromkeys(
        ("gate", "fence.json", "deadline.json", "revert.env", "lock", "watch.json", "watcher.json"), "0o600"
    )
