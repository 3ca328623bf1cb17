"""People sign the plan's text: whatever matters is in it, and nothing in it can be changed without being seen."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.plan import Plan
from tests.model.properties import tried

MADE = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
PLAN = Plan(
    verb="go-live",
    system="alpaca-bot",
    environment="staging",
    requester="kim",
    stage_from="paper",
    stage_to="live-1",
    accounts={
        "alpaca": "912345678 at https://venue.example, key 1f2e3d4c5b6a7988",
        "kraken": "AA1 at https://other.example, key 0",
    },
    size_pct=50,
    changes={"TRADING_MODE": ("paper", "live"), "SIZE_MULTIPLIER": ("1.00", "0.50")},
    limits={"loss_daily_max_usd": "500", "orders_daily_max": "100"},
    hosts={"host-1": "a" * 64, "host-2": "b" * 64},
    services=("bot on host-1", "bot on host-2"),
    inputs={"profile": "c" * 64, "people": "d" * 64},
    findings={"passed": 46, "attested": 3, "waived": 0, "failed": 0, "unknown": 0},
    findings_digest="e" * 64,
    switch_reason="drill",
    ledger_seq=17,
    ledger_hash="f" * 64,
    commit="0123456789ab",
    nonce="a1b2c3d4e5f6",
    made_at=MADE,
    expires_at=MADE + timedelta(hours=1),
    fleet={"host-1": "release: 1f", "host-2": "release: 2e"},
)
NAMES = [field.name for field in fields(Plan)]


def other(value: Any) -> Any:
    """A value of the same kind that differs as little as it can."""
    if isinstance(value, str):
        return value[:-1] + chr(ord(value[-1]) ^ 1)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    if isinstance(value, tuple):
        return (*value[:-1], other(value[-1]))
    last = list(value)[-1]
    return {**value, last: other(value[last])}


def grown(value: Any) -> Any:
    """The collection with one member more."""
    if isinstance(value, tuple):
        return (*value, "bot on host-3")
    return {**value, "another": next(iter(value.values()))}


COLLECTIONS = [name for name in NAMES if isinstance(getattr(PLAN, name), (dict, tuple))]


@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_one_field_changes_what_people_sign(name: str) -> None:
    changed = replace(PLAN, **{name: other(getattr(PLAN, name))})
    assert changed.text != PLAN.text
    assert changed.id != PLAN.id


@pytest.mark.parametrize("name", COLLECTIONS)
def test_nothing_can_be_added_to_a_plan_or_taken_out_unseen(name: str) -> None:
    value = getattr(PLAN, name)
    less = value[:-1] if isinstance(value, tuple) else dict(list(value.items())[:-1])
    assert len({PLAN.text, replace(PLAN, **{name: grown(value)}).text, replace(PLAN, **{name: less}).text}) == 3


@pytest.mark.parametrize("name", [n for n in COLLECTIONS if isinstance(getattr(PLAN, n), dict)])
def test_two_values_that_swap_their_names_are_another_plan(name: str) -> None:
    value = getattr(PLAN, name)
    swapped = dict(zip(value, reversed(list(value.values())), strict=True))
    assert replace(PLAN, **{name: swapped}).text != PLAN.text


def test_before_and_after_are_not_interchangeable() -> None:
    turned = {name: (after, before) for name, (before, after) in PLAN.changes.items()}
    assert replace(PLAN, changes=turned).text != PLAN.text


@pytest.mark.parametrize("name", [n for n in NAMES if isinstance(getattr(PLAN, n), dict)])
def test_the_order_in_which_facts_were_found_does_not_matter(name: str) -> None:
    turned = dict(reversed(list(getattr(PLAN, name).items())))
    assert replace(PLAN, **{name: turned}).text == PLAN.text


WORDS = [n for n in NAMES if isinstance(getattr(PLAN, n), str)]


@tried(300)
@given(st.sampled_from(WORDS), st.text(min_size=1), st.text(min_size=1))
def test_two_words_for_one_field_never_read_alike(name: str, first: str, second: str) -> None:
    texts = {replace(PLAN, **{name: word}).text for word in (first, second)}
    assert len(texts) == len({first, second})


@pytest.mark.parametrize(
    ("first", "second"),
    [("a\nb", "a\\u000ab"), ("\u202e", "\\u202e"), ("\u0430na", "ana"), ("ana ", "ana\u00a0")],
    ids=["line feed, and its name", "bidi mark, and its name", "homoglyph", "no-break space"],
)
def test_what_looks_alike_is_spelt_out(first: str, second: str) -> None:
    assert replace(PLAN, requester=first).text != replace(PLAN, requester=second).text


@tried(300)
@given(st.sampled_from(WORDS), st.text())
def test_no_word_can_forge_a_line_of_its_own(name: str, word: str) -> None:
    text = replace(PLAN, **{name: word}).text
    assert text.count("\n") == PLAN.text.count("\n")
    assert all(character == "\n" or " " <= character <= "~" for character in text)


FORGED = "kim\nlimit loss_daily_max_usd 999999\naccount 1 at https://venue.example, key 0"


def test_a_requester_with_a_line_break_in_the_name_changes_no_limit() -> None:
    lines = replace(PLAN, requester=FORGED).text.splitlines()
    assert [line for line in lines if line.startswith("limit loss")] == ["limit loss_daily_max_usd 500"]


def test_a_plan_says_in_words_what_will_happen() -> None:
    for line in (
        "go-live: alpaca-bot in staging, from paper to live-1",
        "asked for by kim",
        "account 912345678 at https://venue.example, key 1f2e3d4c5b6a7988 (alpaca)",
        "order size 50 %",
        "limit loss_daily_max_usd 500",
        "change TRADING_MODE: paper -> live",
        f"host host-1 with env file {'a' * 64}",
        "expires 2026-11-20T15:00:00.000000Z",
        "nonce a1b2c3d4e5f6",
    ):
        assert line in PLAN.text.splitlines()


def test_a_plan_survives_the_ledger_unchanged() -> None:
    again = Plan.from_dict(json.loads(json.dumps(PLAN.as_dict())))
    assert (again, again.text, again.id) == (PLAN, PLAN.text, PLAN.id)


@pytest.mark.parametrize("verb", ["go-live", "rearm", "rotate-keys"])
def test_each_action_is_signed_in_a_namespace_of_its_own(verb: str) -> None:
    assert replace(PLAN, verb=verb).namespace == f"interlock-{verb}@v1"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fleet"])
def test_a_document_that_lacks_a_field_is_no_plan(name: str) -> None:
    document = {key: value for key, value in PLAN.as_dict().items() if key != name}
    with pytest.raises((KeyError, TypeError, ValueError)):
        Plan.from_dict(document)


def test_a_plan_made_before_hosts_were_shown_in_it_is_still_read_and_keeps_its_text() -> None:
    document = {key: value for key, value in PLAN.as_dict().items() if key != "fleet"}
    assert Plan.from_dict(document).text == replace(PLAN, fleet={}).text


def test_a_document_with_an_unknown_field_is_no_plan() -> None:
    with pytest.raises(TypeError):
        Plan.from_dict({**PLAN.as_dict(), "waived_checks": "all"})


def test_nothing_in_a_plan_can_be_changed_after_it_was_made() -> None:
    with pytest.raises(AttributeError):
        PLAN.size_pct = 100  # type: ignore[misc]
