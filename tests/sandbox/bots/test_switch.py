from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from ops.sandbox.bots.clock import ManualClock
from ops.sandbox.bots.switch import FIRST_START, UNREADABLE, Switch, gate_present

from .conftest import START


def test_the_first_start_is_tripped(tmp_path: Path) -> None:
    state = Switch(tmp_path / "s.sqlite", ManualClock(START)).state
    assert (state.tripped, state.reason, state.since) == (True, FIRST_START, "2026-11-20T15:00:00.000000Z")


@pytest.mark.parametrize("tripped", [True, False])
def test_the_state_survives_a_restart(tmp_path: Path, tripped: bool) -> None:
    clock = ManualClock(START)
    switch = Switch(tmp_path / "s.sqlite", clock)
    assert switch.rearm(FIRST_START)
    if tripped:
        switch.trip("rollback")
    switch.close()
    again = Switch(tmp_path / "s.sqlite", clock)
    assert again.state == switch.state
    assert again.rearmed_at == START


def test_a_repeated_trip_changes_nothing_and_another_reason_voids_a_prepared_rearm(tmp_path: Path) -> None:
    clock = ManualClock(START)
    switch = Switch(tmp_path / "s.sqlite", clock)
    first = switch.trip("kill")
    clock.advance(60)
    assert switch.trip("kill") == first
    switch.trip("daily loss")
    assert not switch.rearm("kill")
    assert switch.rearm("daily loss")
    assert not switch.rearm("daily loss"), "armed already"


def test_an_unreadable_file_is_tripped_and_cannot_be_rearmed(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"not a database" * 100)
    switch = Switch(path, ManualClock(START))
    assert (switch.state.tripped, switch.state.reason) == (True, UNREADABLE)
    with pytest.raises(sqlite3.Error):
        switch.rearm(UNREADABLE)
    assert switch.state.tripped


def test_a_disk_that_fails_does_not_stop_a_halt(tmp_path: Path) -> None:
    switch = Switch(tmp_path / "s.sqlite", ManualClock(START))
    switch.rearm(FIRST_START)
    switch._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.Error):
        switch.trip("kill")
    assert switch.state.tripped


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize(
    ("make", "present"),
    [(None, False), (Path.touch, True), (Path.mkdir, True), (_dangling, True)],
)
def test_the_gate_is_its_existence(tmp_path: Path, make: object, present: bool) -> None:
    gate = tmp_path / "gate"
    if callable(make):
        make(gate)
    assert gate_present(gate) is present


def test_an_error_while_looking_for_the_gate_counts_as_present(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert gate_present(tmp_path / "file" / "gate")
    assert gate_present(Path("/" + "x" * (os.pathconf("/", "PC_NAME_MAX") + 1)))
