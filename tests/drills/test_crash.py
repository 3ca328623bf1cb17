"""SIGKILL at every step boundary of go-live: the next command finds it in the ledger and brings it to a safe end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.transitions.paths import PATHS, Move
from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import Field, crash_when, opened

MOVES = PATHS["go-live"][1]
# These run at each commit: as the hosts are about to change, and between flip and proof; the last step on real hosts
# (tests/fleet/test_controller.py).
SHORT = ("flip", "prove-mode")
EVERY = [pytest.param(m, marks=() if m.name in SHORT else pytest.mark.campaign, id=m.name) for m in MOVES]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with opened(tmp_path_factory.mktemp("crash")) as field:
        assert field.invoke("sandbox.up").code == 0
        assert field.invoke("drill").code == 0
        yield field


@pytest.mark.parametrize("move", EVERY)
def test_a_crash_as_a_step_begins_ends_in_proven_paper(field: Field, move: Move) -> None:
    assert crash_when(field.spawn("go-live", "--env=sandbox"), f"go-live: {move.title}")
    recovery = "rollback" if MOVES.index(move) % 2 else "go-live"
    done = field.invoke(recovery, "--env=sandbox")
    assert done.code == (0 if recovery == "rollback" else 5), done.out
    assert f"interrupted at {move.name}" in done.out
    assert_paper_and_tripped(field)
    assert open_orders(field, "live") == set() == open_orders(field, "paper")


def test_after_all_these_crashes_it_still_goes_live(field: Field) -> None:
    done = field.invoke("go-live", "--env=sandbox")
    assert done.code == 0, done.out


def test_no_crash_left_a_trace_on_the_order_log(field: Field) -> None:
    assert_order_log_is_clean(field)
    assert field.invoke("ledger.verify", "--env=sandbox").code == 0
