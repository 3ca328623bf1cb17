"""The past is what the records say: the same from the same records, and never a reason to refuse the way down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.history import History, replay
from ops.model.record import GENESIS, Record, chained
from tests.model.properties import tried

SYSTEM = "alpaca-bot"
Told = tuple[str, Mapping[str, Any]]


def opened(transition: str, verb: str = "go-live", epoch: int = 1, plan: str = "") -> Told:
    return "transition.opened", {"transition": transition, "verb": verb, "epoch": epoch, "plan": plan}


def intended(transition: str, step: str) -> Told:
    return "step.intended", {"transition": transition, "step": step}


def done(transition: str, step: str) -> Told:
    return "step.done", {"transition": transition, "step": step, "evidence": {"seen": step}}


def failed(transition: str, step: str, reason: str = "no answer") -> Told:
    return "step.failed", {"transition": transition, "step": step, "reason": reason}


def closed(transition: str, outcome: str = "committed", stage: str = "", residue: tuple[str, ...] = ()) -> Told:
    return "transition.closed", {"transition": transition, "outcome": outcome, "stage": stage, "residue": list(residue)}


def records(*told: Told, system: str = SYSTEM) -> list[Record]:
    found: list[Record] = []
    for seq, (kind, body) in enumerate(told, 1):
        prev = found[-1].hash if found else GENESIS
        at = f"2026-11-20T14:00:{seq:02}.000000Z"
        found.append(chained(seq, prev, kind, at, "kim", {"system": system, **body}))
    return found


def past(*told: Told) -> History:
    return replay(records(*told), SYSTEM)


UP = (opened("t1", epoch=3, plan="p1"), intended("t1", "trip"), done("t1", "trip"))
COMMITTED = (*UP, closed("t1", "committed", "live-1"))
DOWN = (opened("t2", "rollback", 4), closed("t2", "committed", "paper"))


def test_a_system_without_a_past_is_on_paper() -> None:
    history = past()
    assert (history.stage, history.live, history.epoch, history.interrupted) == ("paper", False, 0, [])


def test_a_stage_is_reached_only_by_a_committed_end() -> None:
    assert past(*UP).stage == "paper"
    for outcome in ("reverted", "residue"):
        assert past(*UP, closed("t1", outcome, "live-1")).stage == "paper"
    history = past(*COMMITTED)
    assert (history.stage, history.live, history.plan) == ("live-1", True, "p1")
    assert history.since == "2026-11-20T14:00:04.000000Z"


def test_a_rollback_brings_the_stage_back() -> None:
    assert past(*COMMITTED, *DOWN).stage == "paper"


def test_an_end_at_the_same_stage_keeps_since_when_and_by_which_plan() -> None:
    history = past(*COMMITTED, opened("t2", "restart", 4), closed("t2", "committed", "live-1"))
    assert (history.plan, history.since) == ("p1", "2026-11-20T14:00:04.000000Z")


def test_a_transition_without_an_end_is_interrupted() -> None:
    (left,) = past(*UP, intended("t1", "flip")).interrupted
    assert (left.id, left.verb, left.epoch, left.intended) == ("t1", "go-live", 3, ["trip", "flip"])
    assert (set(left.done), left.failed) == ({"trip"}, "")


def test_the_first_thing_that_failed_is_the_reason() -> None:
    (left,) = past(*UP, failed("t1", "flip", "host-2 is dark"), failed("t1", "verify-hosts")).interrupted
    assert left.failed == "flip: host-2 is dark"
    assert left.unproven == {"flip", "verify-hosts"}


def test_a_plan_is_used_up_as_soon_as_its_transition_is_opened() -> None:
    assert past(opened("t1", plan="p1")).used_plans == {"p1"}


def test_the_epoch_is_the_highest_that_was_ever_given() -> None:
    assert past(opened("t1", epoch=9), opened("t2", epoch=4)).epoch == 9


def test_what_the_last_end_left_unproven_stays_until_the_next_end() -> None:
    left = past(*UP, closed("t1", "residue", residue=("host-2 is dark",)))
    assert left.residue == ("host-2 is dark",)
    assert past(*UP, closed("t1", "residue", residue=("host-2 is dark",)), *DOWN).residue == ()


def test_another_systems_records_change_nothing() -> None:
    assert replay(records(*COMMITTED, system="other-bot"), SYSTEM) == History(SYSTEM)


def test_records_of_unknown_kind_are_for_people() -> None:
    assert past(("note.added", {"text": "hello"}), *COMMITTED) == past(("review.held", {}), *COMMITTED)


def test_evidence_is_the_newest_of_its_name() -> None:
    told = [("evidence.recorded", {"name": "drill/replay", "outcome": outcome}) for outcome in ("pass", "fail")]
    history = past(*told, ("evidence.recorded", {"name": "drill/slippage", "outcome": "pass"}))
    assert {name: row["outcome"] for name, row in history.evidence.items()} == {
        "drill/replay": "fail",
        "drill/slippage": "pass",
    }


def test_signatures_are_kept_by_plan_in_the_order_given() -> None:
    told = [
        ("signature.added", {"plan": plan, "person": who})
        for plan, who in (("p1", "ana"), ("p2", "lee"), ("p1", "raj"))
    ]
    history = past(*told)
    assert [row["person"] for row in history.signatures["p1"]] == ["ana", "raj"]


# On the way down nothing waits for the ledger: while it could not be written, the beginning of a transition is missing.
LOST_BEGINNINGS: dict[str, tuple[Told, ...]] = {
    "an intent": (intended("t9", "trip"),),
    "an outcome": (done("t9", "trip"),),
    "a failure": (failed("t9", "flip-paper", "host-2 is dark"),),
    "an end": (closed("t9", "committed", "paper"),),
    "all of it but the opening": (intended("t9", "trip"), done("t9", "trip"), closed("t9", "committed", "paper")),
}


@pytest.mark.parametrize("told", LOST_BEGINNINGS.values(), ids=LOST_BEGINNINGS)
def test_a_transition_whose_opening_was_never_written_does_not_stop_the_replay(told: tuple[Told, ...]) -> None:
    history = past(*COMMITTED, *told)
    ended = told[-1][0] == "transition.closed"
    assert [left.id for left in history.interrupted] == ([] if ended else ["t9"])
    assert history.stage == ("paper" if ended else "live-1")


moves = st.sampled_from(["trip", "cancel", "flip"])
ids = st.sampled_from(["t1", "t2"])
tellings = st.one_of(
    st.builds(opened, ids, st.sampled_from(["go-live", "rollback"]), st.integers(1, 9)),
    st.builds(intended, ids, moves),
    st.builds(done, ids, moves),
    st.builds(failed, ids, moves),
    st.builds(
        closed, ids, st.sampled_from(["committed", "reverted", "residue"]), st.sampled_from(["", "paper", "live-1"])
    ),
)


@tried(300)
@given(st.lists(tellings, max_size=12))
def test_any_past_can_be_told_and_is_told_the_same_again(told: list[Told]) -> None:
    rows = records(*told)
    assert replay(rows, SYSTEM) == replay(rows, SYSTEM)


@tried(300)
@given(st.lists(tellings, max_size=12))
def test_a_live_stage_always_has_a_durable_commit(told: list[Told]) -> None:
    history = past(*told)
    if history.live:
        ends = [
            body
            for kind, body in told
            if kind == "transition.closed" and body["outcome"] == "committed" and body["stage"]
        ]
        assert ends[-1]["stage"] == history.stage


@tried(300)
@given(st.lists(tellings, max_size=12))
def test_the_epoch_never_falls(told: list[Told]) -> None:
    epochs = [past(*told[:end]).epoch for end in range(len(told) + 1)]
    assert epochs == sorted(epochs)
