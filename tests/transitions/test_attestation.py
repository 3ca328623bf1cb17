"""Statements of people: who may sign them, that those who sign at once do, and what the one `by-hand` names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ops.checklist import by_hand
from ops.checks.registry import ask
from ops.checks.sight import take_sight
from ops.doors import Doors
from ops.errors import InputError, Refused
from ops.signatures import sign
from ops.transitions.attestation import attest_at_once, due, statement
from ops.transitions.preflight import current_history
from tests.transitions.stage import Stage

CHECKLIST = "kraken-bot"


@pytest.fixture
def doors(stage: Stage) -> Doors:
    """A system with much that is seen to by hand."""
    made = stage.doors(stage.world("paper"))
    return replace(made, profile=made.profile.model_copy(update={"checklist": CHECKLIST}))


def outcome(doors: Doors) -> str:
    sight = take_sight(doors, current_history(doors), {}, timedelta(hours=1))
    return str(ask("by_hand", sight, {}).outcome)


def by(stage: Stage, *people: str) -> Any:
    """People who sign whatever is put before them."""

    def approve(made: Any) -> Mapping[str, str]:
        return {person: sign(made.text, made.namespace, stage.key(person)) for person in people}

    return approve


def test_one_statement_names_everything_that_is_seen_to_by_hand(doors: Doors) -> None:
    text = statement(doors, "by-hand", "raj").text
    ids, mark = by_hand(CHECKLIST)
    assert len(ids) > 10
    assert f"{len(ids)} requirements seen to by hand, list {mark}: {' '.join(ids)}" in text
    assert "by raj as operator" in text


def test_whoever_signs_at_once_and_holds_the_role_opens_that_gate_for_a_day(stage: Stage, doors: Doors) -> None:
    sight = take_sight(doors, current_history(doors), {}, timedelta(hours=1))
    assert "by-hand" in due(sight, ("preflight",))
    assert outcome(doors) == "unknown"
    assert attest_at_once(doors, "by-hand", by(stage, "ana", "raj")) == "raj", "ana holds another role"
    assert outcome(doors) == "pass"
    assert "by-hand" not in due(take_sight(doors, current_history(doors), {}, timedelta(hours=1)), ("preflight",))


@pytest.mark.parametrize("people", [(), ("ana",)], ids=["nobody", "another role"])
def test_without_anybody_of_the_role_nothing_is_recorded(stage: Stage, doors: Doors, people: tuple[str, ...]) -> None:
    assert attest_at_once(doors, "by-hand", by(stage, *people)) == ""
    assert doors.ledger.records() == []


def test_a_review_is_signed_like_any_statement(stage: Stage, doors: Doors) -> None:
    assert attest_at_once(doors, "review", by(stage, "raj")) == "raj"
    assert "attestation/review" in current_history(doors).evidence


def test_a_signature_over_another_text_does_not_count(stage: Stage, doors: Doors) -> None:
    def forged(made: Any) -> Mapping[str, str]:
        return {"raj": sign(made.text.replace("raj", "ana"), made.namespace, stage.key("raj"))}

    with pytest.raises(Refused, match="does not count"):
        attest_at_once(doors, "by-hand", forged)
    assert doors.ledger.records() == []


def test_a_statement_that_the_checklist_does_not_ask_for_names_those_that_it_does(doors: Doors) -> None:
    with pytest.raises(InputError, match="by-hand"):
        statement(doors, "anything", "raj")
