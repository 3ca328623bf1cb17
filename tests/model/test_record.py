"""The chain: whatever is done to a record that is stored, it shows, and it shows where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.canonical import digest
from ops.model.record import GENESIS, Record, chained, first_break, parsed
from tests.model.properties import tried

Row = tuple[int, str, str]
KINDS = ("transition.opened", "step.intended", "step.done", "transition.closed")


def chain(length: int) -> list[Record]:
    records: list[Record] = []
    for seq in range(1, length + 1):
        body = {"system": "alpaca-bot", "step": f"s{seq}", "seen": "2 hosts\n\u202e"}
        prev = records[-1].hash if records else GENESIS
        records.append(chained(seq, prev, KINDS[seq % 4], "2026-11-20T14:00:00.000000Z", "kim", body))
    return records


def rows(records: list[Record]) -> list[Row]:
    return [(record.seq, record.line, record.hash) for record in records]


RECORDS = chain(12)
ROWS = rows(RECORDS)


def with_row(index: int, row: Row) -> list[Row]:
    return [*ROWS[:index], row, *ROWS[index + 1 :]]


def flipped(text: str) -> Iterator[str]:
    """The text with each single bit of it turned over."""
    data = bytearray(text.encode("latin-1"))
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            yield data.decode("latin-1")
            data[place] ^= 1 << bit


def test_an_untouched_chain_holds() -> None:
    assert first_break(ROWS) is None
    assert first_break([]) is None


@pytest.mark.parametrize("index", range(len(ROWS)), ids=lambda index: f"record {index + 1}")
def test_every_single_bit_of_a_record_counts(index: int) -> None:
    seq, line, stored = ROWS[index]
    for changed in flipped(line):
        assert first_break(with_row(index, (seq, changed, stored))) == (
            seq,
            "the text of the record does not match its hash",
        )


@pytest.mark.parametrize("index", range(len(ROWS)), ids=lambda index: f"record {index + 1}")
def test_every_single_bit_of_a_hash_counts(index: int) -> None:
    seq, line, stored = ROWS[index]
    for changed in flipped(stored):
        found = first_break(with_row(index, (seq, line, changed)))
        assert found is not None
        assert found[0] == seq


@pytest.mark.parametrize("index", range(len(ROWS)), ids=lambda index: f"record {index + 1}")
def test_a_record_cut_at_any_byte_is_seen(index: int) -> None:
    seq, line, stored = ROWS[index]
    assert all(first_break(with_row(index, (seq, line[:end], stored))) is not None for end in range(len(line)))


@pytest.mark.parametrize("index", range(len(ROWS) - 1), ids=lambda index: f"record {index + 1}")
def test_a_record_that_is_missing_is_seen(index: int) -> None:
    found = first_break([*ROWS[:index], *ROWS[index + 1 :]])
    assert found is not None
    assert found[0] == index + 1


def test_a_missing_record_cannot_be_hidden_by_counting_anew() -> None:
    for index in range(len(ROWS) - 1):
        left = [*RECORDS[:index], *RECORDS[index + 1 :]]
        renumbered = [(seq, record.line, record.hash) for seq, record in enumerate(left, 1)]
        assert first_break(renumbered) is not None


def test_a_record_that_stands_twice_is_seen() -> None:
    for index, row in enumerate(ROWS):
        for place in range(len(ROWS) + 1):
            assert first_break([*ROWS[:place], row, *ROWS[place:]]) is not None, (index, place)


@pytest.mark.parametrize("renumber", [False, True], ids=["as they were", "counted anew"])
def test_two_records_that_changed_places_are_seen(renumber: bool) -> None:
    for first, second in combinations(range(len(ROWS)), 2):
        swapped = list(ROWS)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        if renumber:
            swapped = [(seq, line, stored) for seq, (_, line, stored) in enumerate(swapped, 1)]
        assert first_break(swapped) is not None, (first, second)


def test_a_record_forged_with_a_hash_of_its_own_breaks_the_next_one() -> None:
    for index in range(len(ROWS) - 1):
        seq, line, _ = ROWS[index]
        forged = line.replace("kim", "ana")
        assert first_break(with_row(index, (seq, forged, digest(forged)))) == (
            seq + 1,
            "the record does not follow the one before it",
        )


NO_RECORDS = ["", "[]", "null", "7", '"text"', "{}", '{"seq":12}', "{", "[" * 9]


@pytest.mark.parametrize("line", NO_RECORDS)
def test_a_line_that_is_no_record_is_seen_even_with_a_hash_that_matches(line: str) -> None:
    found = first_break(with_row(11, (12, line, digest(line))))
    assert found is not None
    assert found[0] == 12
    with pytest.raises(ValueError, match=r".+"):
        parsed(line, digest(line))


def test_a_chain_rewritten_from_some_record_on_is_seen_only_against_a_head_kept_elsewhere() -> None:
    """Why a plan names the ledger's head: a chain proves its order, not that it is the one that was there before."""
    forged = chain(12)
    tail = chained(12, forged[10].hash, "transition.closed", "2026-11-20T14:00:00.000000Z", "ana", {"system": "x"})
    assert first_break([*ROWS[:11], (12, tail.line, tail.hash)]) is None
    assert tail.hash != RECORDS[11].hash


bodies = st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text()), max_size=4)


@tried()
@given(st.text(), st.text(), bodies)
def test_a_record_reads_back_as_it_was_written(kind: str, actor: str, body: dict[str, object]) -> None:
    record = chained(1, GENESIS, kind, "2026-11-20T14:00:00.000000Z", actor, body)
    assert parsed(record.line, record.hash) == record
    assert first_break([(1, record.line, record.hash)]) is None
    assert all(" " <= character <= "~" for character in record.line), "one line of printable ASCII, whatever is in it"


@tried()
@given(bodies, bodies)
def test_two_bodies_never_share_a_hash(first: dict[str, object], second: dict[str, object]) -> None:
    hashes = {chained(1, GENESIS, "kind", "at", "kim", body).hash for body in (first, second)}
    assert (len(hashes) == 1) == (json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True))
