"""A pass is earned: nothing that was not seen, not fresh or not signed opens a gate."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.outcome import Finding, Outcome, opens_gate, worst
from tests.model.properties import tried

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
outcomes = st.sampled_from(list(Outcome))


@pytest.mark.parametrize(
    ("outcome", "opens"),
    [("pass", True), ("waived", True), ("fail", False), ("unknown", False), ("stale", False), ("skipped", False)],
)
def test_only_a_pass_or_a_waiver_opens_a_gate(outcome: str, opens: bool) -> None:
    assert opens_gate(Outcome(outcome)) is opens


def test_no_answer_at_all_is_unknown() -> None:
    assert worst([]) is Outcome.UNKNOWN
    assert not opens_gate(worst([]))


@tried()
@given(st.lists(outcomes, min_size=1))
def test_several_answers_are_as_good_as_the_worst(found: list[Outcome]) -> None:
    assert worst(found) in found
    assert opens_gate(worst(found)) is all(opens_gate(outcome) for outcome in found)
    assert worst(reversed(found)) is worst(found)


@tried()
@given(st.lists(outcomes), outcomes)
def test_one_more_answer_never_makes_it_better(found: list[Outcome], more: Outcome) -> None:
    assert opens_gate(worst([*found, more])) <= (opens_gate(worst(found)) or not found)


AGES = [
    ("fresh", timedelta(0), Outcome.PASS),
    ("as old as allowed", HOUR, Outcome.PASS),
    ("older by the smallest step", HOUR + timedelta(microseconds=1), Outcome.STALE),
    ("a clock two seconds ahead", timedelta(seconds=-2), Outcome.PASS),
    ("from the future", timedelta(seconds=-2, microseconds=-1), Outcome.STALE),
    ("a day ahead", timedelta(days=-1), Outcome.STALE),
]


@pytest.mark.parametrize(("name", "age", "expected"), AGES, ids=[row[0] for row in AGES])
def test_a_pass_lasts_only_so_long(name: str, age: timedelta, expected: Outcome) -> None:
    assert Finding("check", Outcome.PASS, "seen", NOW - age).aged(NOW, HOUR).outcome is expected


@tried()
@given(outcomes, st.timedeltas(min_value=-timedelta(days=400), max_value=timedelta(days=400)))
def test_ageing_never_makes_a_pass_out_of_anything(outcome: Outcome, age: timedelta) -> None:
    aged = Finding("check", outcome, "seen", NOW - age).aged(NOW, HOUR)
    assert aged.outcome in (outcome, Outcome.STALE)
    assert aged.outcome is outcome or outcome is Outcome.PASS
    assert aged.aged(NOW, HOUR) == aged


def test_a_stale_finding_says_when_it_was_seen() -> None:
    aged = Finding("check", Outcome.PASS, "all well", NOW - timedelta(days=1)).aged(NOW, HOUR)
    assert "2026-11-19 15:00Z" in aged.seen


def test_a_finding_has_no_outcome_unless_it_is_given_one() -> None:
    with pytest.raises(TypeError):
        Finding(check="check", seen="seen", at=NOW)  # type: ignore[call-arg]


def test_a_finding_becomes_plain_json() -> None:
    document = Finding("check", Outcome.FAIL, "seen", NOW, "expected", "remedy").as_dict()
    assert json.loads(json.dumps(document))["outcome"] == "fail"
