"""Trouble in the middle of a go-live: it ends in proven paper + tripped (5), or says what is not proven (6)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import Done, Field, awaited, kill_group, opened


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with opened(tmp_path_factory.mktemp("trouble")) as field:
        assert field.invoke("sandbox.up").code == 0
        assert field.invoke("drill").code == 0
        yield field


def reached(process: subprocess.Popen[str], phrase: str) -> str:
    """Everything printed until the phrase was."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if phrase in line:
            return seen
    raise AssertionError(f"{phrase!r} was never printed:\n{seen}")


def mode_in_file(root: Path) -> str:
    """Of the env file, without showing the rest of it."""
    return (root / "keys.env").read_text().split("TRADING_MODE=")[1].split("\n")[0]


def ended(process: subprocess.Popen[str]) -> Done:
    assert process.stdout is not None
    out = process.stdout.read()
    process.stdout.close()
    return Done(process.wait(timeout=120), out)


def test_the_wrong_account_behind_the_live_key_turns_back_to_proven_paper(field: Field) -> None:
    process = field.spawn("go-live", "--env=sandbox")
    reached(process, "Arm the hosts' own deadline")
    assert field.invoke("sandbox.fault", "--name=wrong_account", "--where=live").code == 0
    done = ended(process)
    assert field.invoke("sandbox.fault", "--name=wrong_account", "--where=live", "--off").code == 0
    assert done.code == 5, done.out
    assert "verified PAPER and tripped" in done.last
    assert_paper_and_tripped(field)


@pytest.mark.campaign  # it waits for every deadline there is: a minute and a half
def test_a_venue_that_falls_silent_leaves_named_residue_and_a_later_rollback_mends_it(field: Field) -> None:
    process = field.spawn("go-live", "--env=sandbox")
    reached(process, "Arm the hosts' own deadline")
    field.invoke("sandbox.fault", "--name=maintenance", "--where=live")
    done = ended(process)
    assert done.code == 6, done.out
    assert "RESIDUE" in done.out and "live" in done.out and "UNKNOWN" in done.out
    for host in ("host-1", "host-2"):
        assert mode_in_file(field.root(host)) == "paper"
        assert (field.root(host) / "interlock" / "gate").exists()
    assert field.invoke("go-live", "--env=sandbox").code == 3, "after an unproven end only the way down is open"
    field.invoke("sandbox.fault", "--name=maintenance", "--where=live", "--off")
    assert field.invoke("rollback").code == 0
    assert_paper_and_tripped(field)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.campaign, id="INT"),
        pytest.param(signal.SIGTERM, id="TERM"),
        pytest.param(signal.SIGHUP, marks=pytest.mark.campaign, id="HUP"),
    ],
)
def test_a_signal_lets_the_step_finish_and_then_goes_back(field: Field, number: signal.Signals) -> None:
    process = field.spawn("go-live", "--env=sandbox")
    reached(process, "go-live: Flip")
    os.killpg(process.pid, number)
    done = ended(process)
    assert done.code == 5, done.out
    assert f"{number.name} was received" in done.out
    assert_paper_and_tripped(field)


def test_a_kill_in_the_middle_wins(field: Field) -> None:
    process = field.spawn("go-live", "--env=sandbox")
    reached(process, "go-live: Prove declared")
    assert field.invoke("kill", "--reason=in the middle").code == 0
    done = ended(process)
    assert done.code == 5, done.out
    assert_paper_and_tripped(field)
    assert open_orders(field, "live") == set()


def test_a_rollback_in_the_middle_makes_it_go_back(field: Field) -> None:
    process = field.spawn("go-live", "--env=sandbox")
    reached(process, "go-live: Flip")
    rollback = field.invoke("rollback")
    assert ended(process).code == 5
    assert rollback.code == 0, rollback.out
    assert_paper_and_tripped(field)


def test_of_two_operators_at_once_one_is_refused_and_changes_nothing(field: Field) -> None:
    first = field.spawn("go-live", "--env=sandbox")
    reached(first, "go-live: Cancel")
    second = field.invoke("go-live", "--env=sandbox")
    assert second.code == 3 and "locked" in second.last and "go-live by" in second.last
    assert ended(first).code == 0
    assert field.invoke("rollback").code == 0


@pytest.mark.campaign  # at each commit on real hosts: tests/fleet/test_transport_faults.py
def test_a_flipped_host_goes_back_by_itself_when_its_controller_is_gone(field: Field) -> None:
    fired = [field.root(host) / "interlock" / "deadline-fired.json" for host in ("host-1", "host-2")]
    text = field.profile.read_text()
    field.profile.write_text(text.replace("host_deadline_seconds: 600", "host_deadline_seconds: 20"))
    process = field.spawn("go-live", "--env=sandbox")
    reached(process, "go-live: Prove declared")
    kill_group(process)
    assert not any(path.exists() for path in fired)
    field.profile.write_text(text)
    for path in fired:
        awaited(path.exists, seconds=60, what=str(path))
        assert mode_in_file(path.parents[1]) == "paper"
        assert (path.parent / "gate").exists()
    assert field.invoke("go-live", "--env=sandbox").code == 5, "it finds the interrupted transition first"
    assert_paper_and_tripped(field)


def test_a_bot_that_lies_about_its_mode_keeps_the_gate_shut(field: Field) -> None:
    assert field.invoke("sandbox.fault", "--name=mode_lie", "--where=host-2").code == 0
    before = (field.root("host-2") / "keys.env").read_bytes()
    done = field.invoke("go-live", "--env=sandbox")
    assert done.code == 3, done.out
    assert "host-2: declared paper, loaded paper, observed live" in done.out
    assert (field.root("host-2") / "keys.env").read_bytes() == before
    assert field.invoke("sandbox.fault", "--name=mode_lie", "--where=host-2", "--off").code == 0


def test_a_live_key_that_got_lost_is_residue_for_rollback_and_kill(field: Field) -> None:
    assert field.invoke("go-live", "--env=sandbox").code == 0
    key = field.state / "secrets" / "alpaca-live.env"
    aside = key.rename(field.state / "lost.env")
    rollback, kill = field.invoke("rollback"), field.invoke("kill", "--reason=the live key got lost")
    aside.rename(key)
    assert (rollback.code, kill.code) == (6, 6), rollback.out + kill.out
    assert "RESIDUE cancel: live: UNKNOWN" in rollback.out
    assert "live account: no usable key" in kill.out
    assert field.invoke("rollback").code == 0
    assert_paper_and_tripped(field)


def test_nothing_of_all_this_left_a_trace_on_the_order_log(field: Field) -> None:
    assert_order_log_is_clean(field)
    assert field.invoke("ledger.verify", "--env=sandbox").code == 0
