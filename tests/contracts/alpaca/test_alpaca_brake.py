"""The brake at Alpaca: one key halts, cancels and proves zero, foreign orders included; no lie of the venue does."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ops.errors import InputError
from ops.kill.alpaca import PAGE_ROWS, PAGES_MAX, AlpacaBrake
from ops.kill.brake import VenueSilent, open_brake
from ops.model.zero import ZeroProof
from ops.secrets import Credentials
from tests.contracts.alpaca.desk import REFUSED_WHILE_SUSPENDED, Desk, refused
from tests.contracts.alpaca.facts import ALPACA
from tests.contracts.rig import Rig, credentials
from tests.peers import answering

ACTS: dict[str, Callable[[AlpacaBrake], Any]] = {
    "account": lambda brake: brake.account(),
    "halt": lambda brake: brake.halt(),
    "cancel all": lambda brake: brake.cancel_all(),
    "newest first": lambda brake: brake.open_orders(True),
    "oldest first": lambda brake: brake.open_orders(False),
    "ended": lambda brake: brake.ended(["any"]),
    "positions": lambda brake: brake.positions(),
}


def brake(rig: Rig, kill: Credentials | None = None, observer: Credentials | None = None) -> AlpacaBrake:
    """With the account's one key, if no other is given."""
    if kill is None and observer is None:
        kill = rig.keys().bot
    made = open_brake("alpaca", rig.served.endpoints["paper"], ALPACA.numbers["paper"], kill, observer)
    assert isinstance(made, AlpacaBrake)
    return made


def proof(brake: AlpacaBrake) -> ZeroProof:
    known = ZeroProof()
    for _ in range(2):
        known = known.read(*({seen.id for seen in brake.open_orders(end)} for end in (True, False)))
    return known


def silent(act: Callable[[], Any]) -> VenueSilent:
    """The VenueSilent that `act` must raise."""
    with pytest.raises(VenueSilent) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("purpose", ["kill", "observer"])
def test_one_key_alone_halts_cancels_and_proves_zero_with_foreign_orders(desk: Desk, purpose: str) -> None:
    rig, wish = desk.rig, desk.rig.wish()
    stop = brake(rig, **{purpose: rig.keys().bot})
    desk.buy(1.25)
    mine, foreign = rig.door().place(wish), rig.by_hand()
    assert (stop.account(), stop.halt_name) == (ALPACA.numbers["paper"], "suspend_trade")
    stop.halt()
    stop.halt()
    assert refused(desk.rest) == REFUSED_WHILE_SUSPENDED
    assert set(stop.cancel_all()) == {mine.id, foreign}
    assert not proof(stop).proven  # asked is not cancelled
    rig.later(1)
    assert proof(stop).proven
    assert [stop.order(order).status for order in (mine.id, foreign)] == ["canceled", "canceled"]
    assert set(stop.ended([mine.id, foreign, "never sent"])) == {mine.id, foreign}
    assert list(stop.positions()) == ["AAPL 1.25"]


def test_an_order_is_told_as_a_person_would_know_it(rig: Rig) -> None:
    wish, stop = rig.wish(), brake(rig)
    rig.door().place(wish)
    (seen,) = stop.open_orders(newest_first=True)
    assert str(seen) == f"{wish.client_id} AAPL buy 1"
    assert (seen.status, seen.open, seen.protective) == ("new", True, False)
    assert stop.order(seen.id) == seen
    assert list(stop.ended([seen.id])) == []


def test_the_halt_changes_nothing_else_and_is_seen_by_the_bot(desk: Desk) -> None:
    desk.ask("PATCH", "/account/configurations", json={"trade_confirm_email": "none"})
    before = desk.client.get("/account/configurations")
    brake(desk.rig).halt()
    assert desk.client.get("/account/configurations") == {**before, "suspend_trade": True}
    assert desk.client.get_account().trade_suspended_by_user is True


def test_more_orders_than_a_page_are_gone_in_a_few_requests(rig: Rig) -> None:
    """The end of the first page falls between orders of the same time."""
    made = set()
    for _ in range(2):
        made |= {rig.by_hand() for _ in range(260)}
        rig.later(1)
    stop, before = brake(rig), len(rig.requests)
    assert [{seen.id for seen in stop.open_orders(end)} for end in (True, False)] == [made, made]
    assert set(stop.cancel_all()) == made
    rig.later(1)
    assert proof(stop).proven
    assert len(rig.requests) - before == 2 * 2 + 1 + 2 * 2
    assert len(made) > PAGE_ROWS


def test_a_whole_page_at_one_instant_is_silence_and_not_a_part(rig: Rig) -> None:
    for _ in range(PAGE_ROWS + 1):
        rig.by_hand()
    stop, before = brake(rig), len(rig.requests)
    for end in (True, False):
        assert "to its end" in str(silent(lambda end=end: stop.open_orders(end)))
    assert len(rig.requests) - before <= 2 * PAGES_MAX
    assert len(stop.cancel_all()) == PAGE_ROWS + 1


@pytest.mark.parametrize("fault", [*ALPACA.refused, "gateway_timeout_after"])
def test_an_answer_that_proves_nothing_is_silence(rig: Rig, fault: str) -> None:
    rig.by_hand(price=Decimal(250))
    order, stop = rig.by_hand(), brake(rig)
    acts = {**ACTS, "order": lambda brake: brake.order(order)}
    if fault not in ALPACA.refused:
        acts = {name: acts[name] for name in ("halt", "cancel all")}
    rig.fault(fault)
    for name, act in acts.items():
        assert silent(lambda act=act: act(stop)).refused == (fault == "revoked_keys"), name


@pytest.mark.parametrize("fault", ["half_cancel", "stuck_cancel", "hidden_pages", "stale_orders"])
def test_no_lie_of_the_venue_proves_zero_over_an_order_that_is_open(rig: Rig, fault: str) -> None:
    """A list that hides young orders may look empty: what the cancel named is looked up by its id."""
    rig.fault("stuck_cancel" if fault in ("hidden_pages", "stale_orders") else fault)
    rig.fault(fault)
    stop, made = brake(rig), {rig.by_hand() for _ in range(3)}
    named = set(stop.cancel_all())
    rig.later(1)
    assert named == made
    left = {order for order in named if stop.order(order).open}
    assert left
    assert not left & set(stop.ended(named))
    if fault != "stale_orders":
        assert not proof(stop).proven


def test_only_what_is_in_a_final_state_has_ended(rig: Rig) -> None:
    rows = b'[{"id":"1","status":"pending_cancel"},{"id":"2","status":"canceled"}]'
    with answering({"GET /v2/orders": (200, rows)}) as url:
        assert list(AlpacaBrake(url, "1", rig.keys().bot, None).ended(["1", "2"])) == ["2"]


def test_a_wrong_key_is_refused_and_not_shown(rig: Rig) -> None:
    pair = rig.keys().bot
    assert pair is not None
    key, secret = pair.values()
    parts = {"key": key, "secret": secret}
    for flaw in ALPACA.flaws.values():
        wrong = flaw(parts)
        for act in ACTS.values():
            told = silent(lambda act=act, wrong=wrong: act(brake(rig, credentials(wrong))))
            assert told.refused
            assert [part for part in wrong.values() if part in repr(told)] == []


def test_a_key_of_the_other_environment_is_refused(rig: Rig) -> None:
    order = rig.by_hand()
    assert silent(brake(rig, rig.keys("live").bot).cancel_all).refused
    assert brake(rig).order(order).open


def test_without_a_key_there_is_no_brake(rig: Rig) -> None:
    with pytest.raises(InputError, match="without credentials"):
        AlpacaBrake(rig.served.endpoints["paper"], "1", None, None)
