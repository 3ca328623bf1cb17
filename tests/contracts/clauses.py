"""The venue contract, C01 to C16: what every adapter keeps against its simulator, whatever the venue.

A venue's module subclasses `VenueContract`, in the folder that names its simulator, and may replace a clause, with the
reason, where its venue is different. The order log is the ground truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from ops.errors import VenueError
from ops.model.zero import ZeroProof
from ops.venues.protocol import Keys, OrderView, OrderWish, PositionView, VenueActor
from tests.contracts.rig import PURPOSES, Rig, credentials
from tests.peers import HEAD, dripping

OVERHEAD_SECONDS = 3.0

Act = Callable[[VenueActor, OrderView], Any]


def _again(order: OrderView) -> OrderWish:
    """A wish under an id that is not that order's."""
    other = order.client_id[:-1] + ("0" if order.client_id[-1] != "0" else "1")
    return OrderWish(other, order.symbol, "buy", order.qty, Decimal("0.5"))


READS: Mapping[str, Act] = {
    "account": lambda door, order: door.account(),
    "open orders": lambda door, order: door.open_orders(),
    "open orders from the oldest": lambda door, order: door.open_orders(newest_first=False),
    "order": lambda door, order: door.order(order.id),
    "order by client id": lambda door, order: door.order_by_client_id(order.client_id),
    "positions": lambda door, order: door.positions(),
    "fills": lambda door, order: door.fills_since(order.submitted_at - timedelta(days=1)),
}
CHANGES: Mapping[str, Act] = {
    "place": lambda door, order: door.place(_again(order)),
    "cancel": lambda door, order: door.cancel(order.id),
    "cancel all": lambda door, order: door.cancel_all(),
}


def unknown(act: Callable[[], Any]) -> VenueError:
    """The VenueError that `act` must raise."""
    with pytest.raises(VenueError) as caught:
        act()
    return caught.value


def found(door: VenueActor, client_id: str) -> OrderView:
    order = door.order_by_client_id(client_id)
    assert order is not None
    return order


def held(door: VenueActor, symbol: str) -> PositionView:
    return next((p for p in door.positions() if p.symbol == symbol), PositionView(symbol, Decimal(0), Decimal(0)))


class VenueContract:
    """Sixteen clauses. Each case begins with a quiet venue whose clock stands still until `rig.later`."""

    @pytest.fixture
    def door(self, rig: Rig) -> VenueActor:
        return rig.door()

    # C01 to C04: who is asking

    @pytest.mark.parametrize("environment", ["paper", "live"])
    def test_c01_the_account_says_its_number_and_its_exact_money(self, rig: Rig, environment: str) -> None:
        account = rig.door(environment).account()
        assert (account.number, account.paper) == (rig.facts.numbers[environment], rig.facts.paper[environment])
        assert (account.blocked, account.suspended) == (False, False)
        assert {type(account.equity_usd), type(account.cash_usd)} == {Decimal}
        assert account.equity_usd > 0

    def test_c02_wrong_credentials_are_refused_everywhere_and_never_shown(self, rig: Rig, door: VenueActor) -> None:
        """A refused key must not look like an account without orders."""
        if not rig.facts.keyed:
            pytest.skip("this venue has no credentials")
        order, parts = door.place(rig.wish()), rig.issue("paper", "bot")
        for flaw in rig.facts.flaws.values():
            wrong = flaw(parts)
            stranger = rig.door(keys=_alone(wrong))
            errors = [unknown(partial(act, stranger, order)) for act in {**READS, **CHANGES}.values()]
            assert {error.status for error in errors} <= rig.facts.key_refused
            told = " ".join(f"{error!s} {error!r}" for error in errors)
            assert [part for part in wrong.values() if part in told] == []

    @pytest.mark.parametrize(("of", "at"), [("paper", "live"), ("live", "paper")])
    def test_c03_a_key_of_the_other_environment_is_refused(self, rig: Rig, of: str, at: str) -> None:
        if not rig.facts.keyed:
            pytest.skip("this venue has no credentials")
        rig.keys(at)
        stranger = rig.door(at, rig.keys(of))
        assert unknown(stranger.account).status in rig.facts.key_refused
        assert unknown(stranger.open_orders).status in rig.facts.key_refused
        wish = rig.wish()
        unknown(lambda: stranger.place(wish))
        assert "accepted" not in rig.events(wish.client_id)

    @pytest.mark.parametrize("purpose", PURPOSES)
    def test_c04_a_key_may_do_what_it_was_issued_for_and_no_more(self, rig: Rig, purpose: str) -> None:
        if purpose not in rig.facts.may:
            pytest.skip("this venue's keys serve every purpose")
        resting, door, may = rig.door().place(rig.wish()), rig.only(purpose), rig.facts.may[purpose]
        assert door.key() == rig.facts.key_views[purpose]
        assert rig.door().key() == rig.facts.key_views["bot"]  # of three keys it is the bot's that is asked about
        wish = rig.wish()
        tries: dict[str, Callable[[], Any]] = {
            "read": door.positions,
            "trade": lambda: door.place(wish),
            "cancel": lambda: door.cancel(resting.id),
        }
        for right, act in tries.items():
            if right in may:
                act()
            else:
                assert unknown(act).status in rig.facts.key_refused, f"{purpose} may not {right}"
        rig.later(1)
        assert ("accepted" in rig.events(wish.client_id)) == ("trade" in may)
        assert rig.door().order(resting.id).open == ("cancel" not in may)

    # C05 to C10: what the account holds and has done

    def test_c05_funds_and_positions_follow_a_fill_exactly(self, rig: Rig, door: VenueActor) -> None:
        facts, before, cash = rig.facts, held(door, rig.facts.symbol), door.account().cash_usd
        door.place(rig.wish(crossing=True))
        rig.later(1)
        after, paid = held(door, facts.symbol), cash - door.account().cash_usd
        assert after.qty - before.qty == facts.qty
        assert Decimal("0.5") < paid / (facts.qty * facts.crossing) < Decimal("1.1")
        assert Decimal("0.5") < after.market_value_usd / (after.qty * facts.crossing) < Decimal("1.1")

    def test_c06_a_placed_order_is_seen_whole_from_both_ends(self, rig: Rig, door: VenueActor) -> None:
        wishes = [rig.wish() for _ in range(3)]
        for wish in wishes:
            door.place(wish)
            rig.later(1)
        for newest_first in (True, False):
            seen = {order.client_id: order for order in door.open_orders(newest_first)}
            assert set(seen) == {wish.client_id for wish in wishes}
        order, wish = seen[wishes[0].client_id], wishes[0]
        assert (order.symbol, order.side, order.qty, order.open) == (wish.symbol, wish.side, wish.qty, True)
        assert abs(order.submitted_at - rig.start) < timedelta(seconds=1)
        assert door.order(order.id) == order

    def test_c06_more_open_orders_than_one_page_are_all_seen(self, rig: Rig, door: VenueActor) -> None:
        for _ in range(rig.facts.page + 5):
            rig.by_hand()
        rig.later(1)
        assert len({order.id for order in door.open_orders()}) == rig.facts.page + 5

    def test_c07_the_same_client_id_twice_makes_one_order(self, rig: Rig, door: VenueActor) -> None:
        """Resting and filled: a venue that keeps ids unique among open orders only must not fool the adapter."""
        for crossing in (False, True):
            wish = rig.wish(crossing=crossing)
            first = door.place(wish)
            rig.later(1)
            assert rig.door().place(wish).id == first.id
            assert rig.events(wish.client_id).count("accepted") == 1

    @pytest.mark.parametrize("crossing", [False, True], ids=["resting", "filling"])
    def test_c07_callers_at_once_make_one_order_and_none_hears_of_a_refusal(
        self, rig: Rig, door: VenueActor, crossing: bool
    ) -> None:
        wish = rig.wish(crossing=crossing)

        def place(_: int) -> str | VenueError:
            try:
                return door.place(wish).id
            except VenueError as error:
                return error

        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(place, range(4)))
        assert rig.events(wish.client_id).count("accepted") == 1
        assert {error.status for error in told if isinstance(error, VenueError)} <= {None}
        assert {order for order in told if isinstance(order, str)} == {found(door, wish.client_id).id}

    def test_c08_a_client_id_is_found_in_open_and_closed_orders(self, rig: Rig, door: VenueActor) -> None:
        resting, filled, canceled = rig.wish(), rig.wish(crossing=True), rig.wish()
        ids = [door.place(wish).id for wish in (resting, filled, canceled)]
        door.cancel(ids[2])
        rig.later(1)
        seen = [found(door, wish.client_id) for wish in (resting, filled, canceled)]
        assert [order.id for order in seen] == ids
        assert [order.open for order in seen] == [True, False, False]
        assert [order.status for order in seen[1:]] == [rig.facts.filled, rig.facts.canceled]
        assert door.order_by_client_id(rig.client_id()) is None

    def test_c09_cancelled_is_what_the_order_itself_says(self, rig: Rig, door: VenueActor) -> None:
        orders = [door.place(rig.wish()) for _ in range(3)]
        door.cancel(orders[0].id)
        rig.later(1)
        assert {order.id for order in door.open_orders()} == {order.id for order in orders[1:]}
        assert door.cancel_all() == 2
        rig.later(1)
        assert list(door.open_orders()) == []
        assert {door.order(order.id).status for order in orders} == {rig.facts.canceled}
        assert door.cancel_all() == 0

    def test_c10_fills_are_each_seen_once_oldest_first_on_all_pages(self, rig: Rig, door: VenueActor) -> None:
        before = rig.now - timedelta(seconds=1)
        rig.later(1)
        for number in range(rig.facts.page + 5):
            rig.by_hand(price=rig.facts.crossing)
            if number % 20 == 0:
                rig.later(1)
        rig.later(60)
        late = door.place(rig.wish(crossing=True))
        rig.later(1)
        fills = door.fills_since(before)
        assert len({fill.id for fill in fills}) == len(fills)
        assert all(one.at <= other.at for one, other in pairwise(fills))
        assert sum(fill.qty for fill in fills) == rig.facts.qty * (rig.facts.page + 6)
        assert {fill.order_id for fill in door.fills_since(rig.now - timedelta(seconds=30))} == {late.id}

    # C11 to C13: the venue's state, its halt, and the way out

    def test_c11_the_venue_says_whether_it_trades_and_when(self, rig: Rig, door: VenueActor) -> None:
        assert door.status().state == "open"
        windows = door.windows(rig.now, rig.now + timedelta(days=7))
        assert all(window.begins < window.ends for window in windows)
        assert any(w.kind == "session" and w.begins <= rig.now < w.ends for w in windows)
        assert all(one.begins <= other.begins for one, other in pairwise(windows))

    def test_c11_the_venue_says_why_it_does_not_trade(self, rig: Rig, door: VenueActor) -> None:
        for fault, state in rig.facts.states.items():
            rig.fault(fault)
            assert door.status().state == state
            rig.fault(fault, on=False)

    def test_c12_a_latched_halt_refuses_new_orders_until_it_is_lifted(self, rig: Rig, door: VenueActor) -> None:
        assert door.latches == rig.facts.latches
        if not door.latches:
            for wanted in (True, False):
                unknown(partial(door.set_suspended, wanted))
            return
        refused, taken = rig.wish(), rig.wish()
        for _ in range(2):
            door.set_suspended(True)
            assert door.account().suspended is True
        unknown(lambda: door.place(refused))
        assert "accepted" not in rig.events(refused.client_id)
        door.set_suspended(False)
        assert door.account().suspended is False
        assert door.place(taken).client_id == taken.client_id

    def test_c12_a_dead_mans_switch_fires_unless_it_is_renewed_or_disarmed(self, rig: Rig, door: VenueActor) -> None:
        assert door.timed == rig.facts.timed
        if not door.timed:
            for seconds in (60, None):
                unknown(partial(door.set_dead_man, seconds))
            return
        order = door.place(rig.wish())
        fires = door.set_dead_man(60)
        assert fires is not None
        assert abs(fires - rig.now - timedelta(seconds=60)) <= timedelta(seconds=2)
        rig.later(30)
        door.set_dead_man(60)
        rig.later(45)
        assert door.order(order.id).open
        assert door.set_dead_man(None) is None
        rig.later(600)
        assert door.order(order.id).open
        door.set_dead_man(60)
        rig.later(63)
        assert not door.order(order.id).open

    def test_c13_a_position_is_closed_once_by_one_order(self, rig: Rig, door: VenueActor) -> None:
        door.place(rig.wish(crossing=True))
        rig.later(1)
        position, client_id = held(door, rig.facts.symbol), rig.client_id()
        assert position.qty > 0
        for _ in range(3):
            rig.door().close_position(position, client_id)
            rig.later(1)
        assert held(door, rig.facts.symbol).qty == 0
        assert rig.events(client_id).count("accepted") == 1

    # C14, C15: nothing that goes wrong looks like good news

    def test_c14_every_fault_of_the_simulator_has_its_place(self, rig: Rig) -> None:
        assert set(rig.served.venue.faults.known) == rig.facts.catalogue()

    def test_c14_an_answer_that_proves_nothing_is_unknown_whatever_was_asked(self, rig: Rig, door: VenueActor) -> None:
        """And when the fault is over, the same door answers again."""
        door.place(rig.wish(crossing=True))
        order = door.place(rig.wish())
        rig.later(1)
        for fault, status in rig.facts.refused.items():
            rig.fault(fault)
            seen = {name: unknown(partial(act, door, order)).status for name, act in {**READS, **CHANGES}.items()}
            assert seen == dict.fromkeys(seen, status), fault
            rig.fault(fault, on=False)
            assert [known.id for known in door.open_orders()] == [order.id], fault
        for fault, status in rig.facts.writes_refused.items():
            rig.fault(fault)
            assert unknown(lambda: door.place(rig.wish())).status == status, fault
            assert [known.id for known in door.open_orders()] == [order.id], fault
            rig.fault(fault, on=False)

    def test_c14_no_fault_makes_a_zero_that_is_not_there(self, rig: Rig) -> None:
        """Two reads from both ends prove zero; whatever lies to them does not lie about an order's own id."""
        for fault in (*rig.facts.lies, *rig.facts.refused, *rig.facts.lost_after):
            door = rig.door()
            rig.fault(fault)
            rig.by_hand()
            order = rig.by_hand()
            with suppress(VenueError):  # unknown is always honest
                ends = [{seen.id for seen in door.open_orders(newest_first)} for newest_first in (True, False)]
                zero = ZeroProof().read(*ends).read(*ends).proven
                assert not zero or door.order(order).open, fault
            rig.begin()

    def test_c14_an_order_whose_answer_was_lost_is_looked_up_and_not_sent_again(self, rig: Rig) -> None:
        for fault in rig.facts.lost_after:
            wish = _lost(rig, fault)
            rig.later(1)
            assert found(rig.door(), wish.client_id).id == rig.door().place(wish).id, fault
            assert rig.events(wish.client_id).count("accepted") == 1, fault

    def test_c14_another_account_behind_the_key_shows_another_number(self, rig: Rig, door: VenueActor) -> None:
        if "wrong_account" not in rig.facts.lies:
            pytest.skip("this venue cannot be asked for the account")
        rig.fault("wrong_account")
        with suppress(VenueError):
            assert door.account().number != rig.facts.numbers["paper"]

    def test_c15_a_silent_or_dripping_venue_is_unknown_within_the_doors_own_deadline(self, rig: Rig) -> None:
        """All calls at once, each through a door of its own."""
        order = rig.door().place(rig.wish())
        acts = {**READS, **CHANGES}.values()
        seconds = rig.facts.timeout_seconds
        doors = [rig.door(timeout_seconds=seconds) for _ in acts]
        rig.fault("hang_before")
        calls = [partial(act, door, order) for act, door in zip(acts, doors, strict=True)]
        with dripping(HEAD) as body, dripping(b"HTTP/1.1 200 OK\r\n") as head:
            peers = [rig.door("paper", None, url, seconds) for url in (body, head) if rig.facts.http]
            calls += [peer.open_orders for peer in peers]
            began = time.monotonic()
            with ThreadPoolExecutor(len(calls)) as pool:
                errors = list(pool.map(unknown, calls))
            took = time.monotonic() - began
        assert {error.status for error in errors} == {None}
        assert took < seconds + OVERHEAD_SECONDS

    def test_c16_the_venues_order_log_says_the_same(self, rig: Rig, door: VenueActor) -> None:
        since = rig.now - timedelta(seconds=1)
        resting, filled = door.place(rig.wish()), door.place(rig.wish(crossing=True))
        canceled = door.place(rig.wish())
        door.cancel(canceled.id)
        rig.later(1)
        executed = [line for line in rig.log() if line["event"] in ("fill", "partial_fill")]
        fills = door.fills_since(since)
        assert {line["order_id"] for line in executed} == {filled.id} == {fill.order_id for fill in fills}
        theirs = sorted((Decimal(line["qty"]), Decimal(line["price"])) for line in executed)
        assert theirs == sorted((fill.qty, fill.price) for fill in fills)
        accepted = {line["order_id"] for line in rig.log(event="accepted")}
        ended = {line["order_id"] for line in rig.log() if line["event"] in ("canceled", "expired", "fill")}
        assert accepted - ended == {resting.id} == {order.id for order in door.open_orders()}
        who = {(line["environment"], line["account"], line["venue"]) for line in rig.log()}
        assert who == {("paper", rig.facts.numbers["paper"], rig.facts.kind)}


def _lost(rig: Rig, fault: str) -> OrderWish:
    """An order that the venue has accepted, whose answer was lost. A busy machine gets more time to send it."""
    for times in (1, 4, 16):
        wish, door = rig.wish(), rig.door(timeout_seconds=rig.facts.timeout_seconds * times)
        rig.fault(fault)
        unknown(partial(door.place, wish))
        rig.fault(fault, on=False)
        if "accepted" in rig.events(wish.client_id):
            return wish
    raise AssertionError(f"no order reached the venue ({fault})")


def _alone(parts: Mapping[str, str]) -> Keys:
    one = credentials(parts)
    return Keys(one, one, one)
