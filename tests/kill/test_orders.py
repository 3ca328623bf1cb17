"""What proves that orders have ended: 200 of them cost few requests, and none that could still trade is overlooked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest

from ops.kill.brake import Seen
from ops.kill.orders import PER_ROUND, WITNESSES, Orders
from ops.model.zero import ZeroProof

CLEAN = ZeroProof(1, frozenset(), "")


def seen(number: int, is_open: bool = True, client_id: str = "a1-x", **more: object) -> Seen:
    return Seen(f"{number}", client_id, "AAPL", "buy", "1", "new" if is_open else "canceled", is_open, **more)  # type: ignore[arg-type]


@dataclass
class OneByOne:
    """A venue that shows orders by their id only; `open` are those that have not ended."""

    open: Collection[int] = ()
    asked: list[str] = field(default_factory=list)
    halt_name: str = ""

    def order(self, order_id: str) -> Seen:
        self.asked.append(order_id)
        return seen(int(order_id), int(order_id) in self.open)

    def account(self) -> str:
        return ""

    def halt(self) -> None: ...

    def cancel_all(self) -> Sequence[str]:
        return ()

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        return ()

    def positions(self) -> Sequence[str]:
        return ()


@dataclass
class InBulk(OneByOne):
    """A venue that shows many at once; `shows` are those that its list of ended orders reaches back to."""

    shows: Collection[int] = range(1000)
    pages: int = 0

    def ended(self, order_ids: Collection[str]) -> Collection[str]:
        self.pages += 1
        return [order for order in order_ids if int(order) in self.shows and int(order) not in self.open]


def listed(count: int) -> Orders:
    orders = Orders(("a1-",))
    orders.listed(seen(number) for number in range(count))
    return orders


def test_two_hundred_orders_that_a_list_had_shown_take_a_few_witnesses() -> None:
    venue, orders = OneByOne(), listed(200)
    assert orders.confirm(venue, CLEAN) == orders.confirm(venue, CLEAN) == CLEAN
    assert len(venue.asked) == WITNESSES
    assert int(venue.asked[-1]) - int(venue.asked[0]) > 100, "spread over all of them"


def test_two_hundred_orders_take_one_request_where_the_venue_shows_many_at_once() -> None:
    venue, orders = InBulk(), listed(200)
    assert orders.confirm(venue, CLEAN) == CLEAN
    assert (venue.pages, venue.asked, orders.seen_ended) == (1, [], 200)


@pytest.mark.parametrize(
    "venue", [OneByOne(open=range(200)), InBulk(open=range(200)), InBulk(open=[7], shows=range(7))]
)
def test_a_list_that_is_too_old_is_caught_by_any_witness(venue) -> None:
    proof = listed(200 if len(venue.open) > 1 else 8).confirm(venue, CLEAN)
    assert (proof.clean_reads, proof.proven) == (0, False)
    assert "have not ended" in proof.problem


def test_an_order_that_only_the_cancel_named_is_looked_up_whatever_it_costs() -> None:
    venue, orders, rounds = OneByOne(open=[99]), Orders(("a1-",)), 0
    orders.named(f"{number}" for number in range(100))
    while len(venue.asked) < 100:
        assert not orders.confirm(venue, CLEAN).proven
        rounds += 1
    assert rounds >= 100 // PER_ROUND
    assert orders.confirm(venue, CLEAN).left == {"99"}
    venue.open = []
    assert orders.confirm(venue, CLEAN) == CLEAN


@pytest.mark.parametrize("kind", [OneByOne, InBulk])
@pytest.mark.parametrize(
    ("count", "still", "says"),
    [(0, [], "an empty list alone proves nothing"), (8, [3], "1 orders that the list does not show"), (90, [], "")],
)
def test_where_no_cancel_was_acknowledged_each_order_must_be_seen_ended_and_there_must_be_one(
    kind, count, still, says
) -> None:
    """The venue refuses the cancel, and the list is old: nothing but the orders themselves can tell."""
    venue, orders, rounds = kind(open=still), listed(count), -(-count // PER_ROUND)
    proofs = [orders.confirm(venue, CLEAN, alone=True) for _ in range(rounds or 1)]
    assert (proofs[-1] == CLEAN, says in proofs[-1].problem) == (not says, True)
    assert sum(proof == CLEAN for proof in proofs) <= 1 or kind is InBulk


def test_an_order_that_shows_up_again_has_not_ended() -> None:
    venue, orders = InBulk(), listed(1)
    assert orders.confirm(venue, CLEAN) == CLEAN
    orders.listed([seen(0)])
    venue.open = [0]
    assert orders.confirm(venue, CLEAN).left == {"0"}


def test_orders_of_others_are_told_from_ours_once_they_are_described() -> None:
    orders = Orders(("a1-", "a2-"))
    orders.named(["1"])
    assert orders.foreign() == []
    orders.listed([seen(1, client_id="somebody"), seen(2, client_id="a2-7")])
    assert [str(order) for order in orders.foreign()] == ["somebody AAPL buy 1"]


@pytest.mark.parametrize(
    ("symbol", "position", "bare"),
    [("AAPL", "AAPL 5", True), ("AAPL", "MSFT 5", False), ("BTC/USD", "BTC 0.1", True), ("AAPL", "AAPLW 5", False)],
)
def test_a_protective_order_is_missed_only_by_what_it_protected(symbol, position, bare) -> None:
    orders = Orders(("a1-",))
    orders.listed([Seen("1", "a1-s", symbol, "sell", "5", "new", True, protective=True), seen(2)])
    assert bool(orders.protecting(position)) is bare
