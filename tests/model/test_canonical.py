"""One byte form for a value: the same digest on every machine, and nothing that looks alike but is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.canonical import canonical_json, digest, utc_text, utc_time
from ops.model.mode import Mode
from tests.model.properties import tried

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
zones = st.builds(timezone, st.timedeltas(min_value=timedelta(hours=-23), max_value=timedelta(hours=23)))
FIRST, LAST, NAIVE = (datetime.fromisoformat(text) for text in ("1971-01-01", "9998-01-01", "2026-11-20"))
moments = st.datetimes(min_value=FIRST, max_value=LAST, timezones=zones)


def shuffled(value: Any) -> Any:
    """The same value with the keys of every mapping in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@tried()
@given(values)
def test_the_same_value_has_the_same_bytes(value: Any) -> None:
    assert canonical_json(shuffled(value)) == canonical_json(value)


@tried()
@given(values)
def test_the_text_says_the_whole_value_and_nothing_else(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@tried()
@given(values)
def test_the_text_is_one_line_of_printable_ascii(value: Any) -> None:
    assert all(" " <= character <= "~" for character in canonical_json(value))


def test_names_that_look_alike_differ() -> None:
    latin, cyrillic = "raj", "r\u0430j"
    assert digest(canonical_json(latin)) != digest(canonical_json(cyrillic))
    assert "\\u0430" in canonical_json(cyrillic)


@pytest.mark.parametrize(
    "value",
    [0.5, float("nan"), {"a": [1, {"b": 0.1}]}, {"a": (0.5,)}, b"bytes", {1, 2}, object()],
    ids=["float", "nan", "float deep inside", "float in a tuple", "bytes", "set", "object"],
)
def test_a_value_without_an_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.50"), '"0.50"'),
        (Decimal("1E+3"), '"1000"'),
        (datetime(2026, 11, 20, 15, tzinfo=timezone(timedelta(hours=1))), '"2026-11-20T14:00:00.000000Z"'),
        (Mode.LIVE, '"live"'),
    ],
    ids=["money", "money in powers of ten", "time", "word"],
)
def test_money_times_and_words_are_exact_text(value: Any, text: str) -> None:
    assert canonical_json(value) == text


@tried()
@given(moments)
def test_a_time_reads_back_as_the_same_instant(moment: datetime) -> None:
    assert utc_time(utc_text(moment)) == moment
    assert utc_text(utc_time(utc_text(moment))) == utc_text(moment)


@tried()
@given(moments, moments)
def test_times_as_text_sort_like_times(first: datetime, second: datetime) -> None:
    assert (utc_text(first) < utc_text(second)) == (first < second)


@pytest.mark.parametrize("naive", [NAIVE, "2026-11-20T14:00:00"], ids=["value", "text"])
def test_a_time_without_a_zone_is_refused(naive: Any) -> None:
    with pytest.raises(ValueError, match="zone"):
        utc_text(naive) if isinstance(naive, datetime) else utc_time(naive)


def test_a_digest_is_over_the_bytes() -> None:
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest("a") != digest("a\n")
    assert utc_time("2026-11-20T14:00:00Z") == datetime(2026, 11, 20, 14, tzinfo=UTC)
