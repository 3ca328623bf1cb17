"""SIGKILL at every step boundary of rollback: the next rollback brings it to its proven end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.transitions.paths import PATHS, Move
from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import Field, crash_when, opened

MOVES = PATHS["rollback"][1]
# These run at each commit: while live orders may be open, and while the hosts are between two modes.
SHORT = ("cancel", "disarm")
EVERY = [pytest.param(m, marks=() if m.name in SHORT else pytest.mark.campaign, id=m.name) for m in MOVES]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with opened(tmp_path_factory.mktemp("crash-rollback")) as field:
        yield field


@pytest.mark.parametrize("move", EVERY)
def test_a_crash_in_a_rollback_is_resumed_by_the_next_one(field: Field, move: Move) -> None:
    # Half of the time from live, half from paper: the path is the same, and coming up takes its time.
    assert field.invoke("rearm" if MOVES.index(move) % 2 else "go-live", "--env=sandbox").code == 0
    assert crash_when(field.spawn("rollback", "--env=sandbox"), f"rollback: {move.title}")
    done = field.invoke("rollback", "--env=sandbox")
    assert done.code == 0, done.out
    assert f"interrupted at {move.name}" in done.out
    assert_paper_and_tripped(field)
    assert open_orders(field, "live") == set() == open_orders(field, "paper")


def test_no_crash_left_a_trace_on_the_order_log(field: Field) -> None:
    assert_order_log_is_clean(field)
    assert field.invoke("ledger.verify", "--env=sandbox").code == 0
