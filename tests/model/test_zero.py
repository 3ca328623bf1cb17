"""Zero open orders is two clean reads in a row, from both ends of the list; everything else starts the count anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.zero import CLEAN_READS_NEEDED, ZeroProof
from tests.model.properties import tried

Read = tuple[tuple[str, ...], tuple[str, ...]] | str
orders = st.lists(st.sampled_from(["o1", "o2", "o3"]), max_size=3).map(tuple)
clean = st.just(((), ()))
reads = st.one_of(clean, clean, st.tuples(orders, orders), st.just("time-out"))


def after(*seen: Read) -> ZeroProof:
    proof = ZeroProof()
    for read in seen:
        proof = proof.failed(read) if isinstance(read, str) else proof.read(*read)
    return proof


EMPTY: Read = ((), ())
CASES: dict[str, tuple[tuple[Read, ...], bool]] = {
    "no read at all": ((), False),
    "one clean read": ((EMPTY,), False),
    "two clean reads": ((EMPTY, EMPTY), True),
    "an error between two clean reads": ((EMPTY, "HTTP 500", EMPTY), False),
    "an order between two clean reads": ((EMPTY, (("o1",), ("o1",)), EMPTY), False),
    "an order that only one end shows": ((EMPTY, ((), ("o1",)), EMPTY), False),
    "two ends that show different orders": ((EMPTY, (("o1",), ("o2",)), EMPTY), False),
    "an error after zero was proven": ((EMPTY, EMPTY, "HTTP 500"), False),
    "an order after zero was proven": ((EMPTY, EMPTY, (("o1",), ("o1",))), False),
    "clean once the faults stop": (("HTTP 429", "HTTP 500", EMPTY, EMPTY), True),
}


@pytest.mark.parametrize(("seen", "proven"), CASES.values(), ids=CASES)
def test_zero_is_proven_only_by_two_clean_reads_in_a_row(seen: tuple[Read, ...], proven: bool) -> None:
    assert after(*seen).proven is proven


@tried(300)
@given(st.lists(reads, max_size=8))
def test_the_last_reads_alone_decide(seen: list[Read]) -> None:
    last = seen[-CLEAN_READS_NEEDED:]
    assert after(*seen).proven == (len(last) == CLEAN_READS_NEEDED and all(read == EMPTY for read in last))


@tried()
@given(st.lists(reads, max_size=6), orders, orders)
def test_an_order_that_either_end_shows_is_named(
    seen: list[Read], newest: tuple[str, ...], oldest: tuple[str, ...]
) -> None:
    proof = after(*seen).read(newest, oldest)
    assert proof.left == frozenset(newest) | frozenset(oldest)
    assert bool(proof.problem) == bool(newest or oldest)


@tried()
@given(st.lists(reads, max_size=6))
def test_an_error_forgets_no_order_and_proves_nothing(seen: list[Read]) -> None:
    before = after(*seen)
    proof = before.failed("no answer")
    assert (proof.left, proof.clean_reads, proof.problem) == (before.left, 0, "no answer")


@pytest.mark.parametrize("seen", [(), ("HTTP 500",)], ids=["never asked", "never answered"])
def test_orders_that_were_never_read_are_not_none(seen: tuple[Read, ...]) -> None:
    assert after(*seen).left is None
    assert after(*seen).problem
