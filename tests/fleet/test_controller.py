"""The controller dies, hangs, or comes back from the past: what it still does on the hosts comes too late."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.transitions.paths import PATHS, Move
from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import awaited, crash_when, kill_group
from tests.fleet.rig import SYSTEMD, Rig, fleet, need_a_fleet
from tests.fleet.witness import (
    assert_on_paper_behind_its_gate,
    ended,
    is_at_the_lock,
    live_orders,
    lock_taken,
    mode_in_file,
    program_hangs,
    stopped_in_time,
    trace,
    until_said,
)

HOSTS = ("fleet-1", "fleet-2", "fleet-3")
GO_LIVE, ROLLBACK = ("go-live", "--env=fleet"), ("rollback", "--env=fleet")
MOVES = PATHS["go-live"][1]
# This runs at each commit: the last step begins. What is left of a flip is the next test's.
SHORT = ("rearm",)
EVERY = [pytest.param(m, marks=() if m.name in SHORT else pytest.mark.campaign, id=m.name) for m in MOVES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    need_a_fleet()
    with fleet(tmp_path_factory.mktemp("controller"), systems=(SYSTEMD,)) as rig:
        assert rig.invoke("drill", "--env=fleet").code == 0
        yield rig


@pytest.fixture
def rig(whole: Rig) -> Rig:
    return whole


def assert_safe(rig: Rig) -> None:
    """Paper and halted by files, processes, and both accounts' order logs."""
    assert_paper_and_tripped(rig)
    assert_on_paper_behind_its_gate(rig, *HOSTS)
    assert open_orders(rig, "live") == set() == open_orders(rig, "paper")


@pytest.mark.parametrize("move", EVERY)
def test_c2_a_controller_killed_as_a_step_begins_ends_in_proven_paper(rig: Rig, move: Move) -> None:
    assert crash_when(rig.spawn(*GO_LIVE), f"go-live: {move.title}")
    again = GO_LIVE if MOVES.index(move) % 2 else ROLLBACK
    done = rig.invoke(*again, seconds=240)
    assert done.code == (0 if again is ROLLBACK else 5), done.out
    assert f"interrupted at {move.name}" in done.out
    assert_safe(rig)


def test_c2_what_a_killed_controller_left_under_way_on_a_host_comes_too_late(rig: Rig) -> None:
    """It is killed while the program of its flip waits on fleet-1, before the first change there. Somebody rolls back;
    then that program goes on: the fence is above it, and it leaves the host as it is."""
    orders, process = len(live_orders(rig)), rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Flip")
    with program_hangs(rig.host("fleet-1"), is_at_the_lock) as caught:
        with lock_taken(rig, "fleet-1"):
            awaited(lambda: bool(caught), 30, "the program of the flip on fleet-1")
            kill_group(process)
        assert mode_in_file(rig, "fleet-1") == "paper"
        done = rig.invoke(*ROLLBACK, seconds=240)
        assert done.code == 0, done.out
        assert "interrupted at flip" in done.out
        before = trace(rig)
    awaited(lambda: not Path(f"/proc/{caught[0]}").exists(), 60, "the end of the late program")
    assert trace(rig) == before
    assert len(live_orders(rig)) == orders
    assert_safe(rig)


class Other(Rig):
    """The same fleet, driven from another machine: a copy of inventory, ledger and secrets, but no lock in common."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.inventory, self.state_root, self.env = folder / "inventory", folder / "state", rig.env
        self.state, self.systems, self.said = self.state_root / rig.env, rig.systems, []
        shutil.copytree(rig.inventory, self.inventory)
        for name in ("people", "secrets", "documents"):
            shutil.copytree(rig.state / name, self.state / name)
        for path in rig.state.glob("ledger.sqlite*"):
            shutil.copy(path, self.state / path.name)
        settings = self.inventory / rig.env / "environment.yml"
        text = settings.read_text().replace("provider: fleet", "provider: none")
        settings.write_text(text)

    def close(self) -> None:
        """The fleet is not its own."""


def test_c4_a_controller_that_stood_still_while_another_took_over_is_refused(rig: Rig, tmp_path: Path) -> None:
    orders = len(live_orders(rig))
    process = rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Verify the hosts")
    with stopped_in_time(process.pid):
        other = Other(rig, tmp_path)
        done = other.invoke(*ROLLBACK, seconds=240)
        assert done.code == 0, done.out
        assert_on_paper_behind_its_gate(rig, *HOSTS)
        before = trace(rig)
    late = ended(process)
    assert late.code in (5, 6), late.out
    assert "epoch" in late.out
    assert trace(rig) == before
    assert len(live_orders(rig)) == orders
    assert rig.invoke(*ROLLBACK, seconds=240).code == 0
    assert_safe(rig)


@pytest.mark.campaign  # the way down waits 90 s for the lock of the one that stands still
def test_c4_on_one_machine_the_way_down_goes_on_without_the_lock_of_who_stands_still(rig: Rig) -> None:
    orders = len(live_orders(rig))
    process = rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Verify the hosts")
    with stopped_in_time(process.pid):
        done = rig.invoke(*ROLLBACK, seconds=400)
        assert done.code == 0, done.out
        assert "going on without it" in done.out
    late = ended(process)
    assert late.code in (5, 6), late.out
    assert len(live_orders(rig)) == orders
    assert rig.invoke(*ROLLBACK, seconds=240).code == 0
    assert_safe(rig)


def test_nothing_of_all_this_left_a_trace_on_the_order_log(rig: Rig) -> None:
    assert_order_log_is_clean(rig)
    assert rig.invoke("ledger.verify", "--env=fleet").code == 0
