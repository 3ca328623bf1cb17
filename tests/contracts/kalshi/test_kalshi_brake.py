"""The brake at Kalshi: with the kill key alone it halts, cancels and proves zero, also where a list hides orders."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from functools import partial

import pytest

from ops.kill.brake import CALL_MAX_SECONDS, VenueSilent, open_brake
from ops.kill.kalshi import KalshiBrake
from ops.model.zero import ZeroProof
from ops.venues.kalshi.client import KalshiClient
from tests.contracts.kalshi.facts import KALSHI, TICKER
from tests.contracts.rig import Rig


def brake(rig: Rig, kill: str | None = "kill", observer: str | None = None) -> KalshiBrake:
    keys = rig.keys()
    pair = [getattr(keys, name) if name else None for name in (kill, observer)]
    made = open_brake("kalshi", rig.served.endpoints["paper"], KALSHI.numbers["paper"], *pair)
    assert isinstance(made, KalshiBrake)
    return made


def proof(brake: KalshiBrake) -> ZeroProof:
    known = ZeroProof()
    for _ in range(2):
        newest, oldest = ({seen.id for seen in brake.open_orders(end)} for end in (True, False))
        known = known.read(newest, oldest)
    return known


def test_the_kill_key_alone_halts_cancels_and_proves_zero(rig: Rig) -> None:
    door, stop = rig.door(), brake(rig)
    door.place(rig.wish(crossing=True))
    mine, foreign = door.place(rig.wish()), rig.by_hand()
    assert stop.account() == KALSHI.numbers["paper"]
    stop.halt()
    assert door.account().suspended is True
    # Whichever went with its group is still shown: the read side is late.
    assert set(stop.cancel_all()) == {mine.id, foreign}
    rig.later(1)
    assert proof(stop).proven
    assert [stop.order(order).status for order in (mine.id, foreign)] == ["canceled", "canceled"]
    assert any(line.startswith(f"{TICKER} ") for line in stop.positions())
    with pytest.raises(Exception, match="HTTP 409"):
        door.place(rig.wish())


def test_an_order_is_told_as_a_person_would_know_it(rig: Rig) -> None:
    wish = rig.wish()
    rig.door().place(wish)
    (seen,) = brake(rig).open_orders(newest_first=True)
    assert str(seen) == f"{wish.client_id} {TICKER} buy 2.00"
    assert (seen.open, seen.status) == (True, "resting")


@pytest.mark.parametrize("fault", ["none", "hidden_pages", "no_bulk_cancel"])
def test_two_hundred_orders_are_gone_in_a_few_requests(rig: Rig, fault: str) -> None:
    made = {rig.by_hand() for _ in range(200)}
    if fault != "none":
        rig.fault(fault)
    stop, before = brake(rig), len(rig.requests)
    named = set(stop.cancel_all())
    asked = len(rig.requests) - before
    assert named <= made
    assert asked == {"none": 2, "hidden_pages": 2, "no_bulk_cancel": 12}[fault]
    rig.no_faults()
    rig.later(1)
    assert proof(stop).proven


def test_a_second_call_names_each_order_that_is_still_there(rig: Rig) -> None:
    order, stop = rig.by_hand(), brake(rig)
    rig.fault("stuck_cancel")
    for _ in range(2):
        assert list(stop.cancel_all()) == [order]
    assert [line["path"].rpartition("/")[2] for line in rig.requests if line["method"] == "DELETE"][-3:] == [
        "orders", "orders", "batched",
    ]  # fmt: skip
    rig.later(1)
    assert proof(stop).left == {order}


@pytest.mark.parametrize("fault", ["half_cancel", "stuck_cancel", "stale_orders"])
def test_what_is_left_is_never_zero(rig: Rig, fault: str) -> None:
    orders = [rig.by_hand() for _ in range(3)]
    rig.later(10)
    rig.fault(fault)
    stop = brake(rig)
    stop.cancel_all()
    if fault != "stale_orders":
        rig.later(1)
    assert not proof(stop).proven
    assert set(proof(stop).left or ()) <= set(orders)


@pytest.mark.parametrize("fault", [*KALSHI.refused, "gateway_timeout_after"])
def test_an_answer_that_proves_nothing_is_silence(rig: Rig, fault: str) -> None:
    rig.by_hand()
    rig.fault(fault)
    stop = brake(rig)
    acts = [stop.halt, stop.cancel_all]
    if fault in KALSHI.refused:
        acts += [stop.account, partial(stop.open_orders, True), partial(stop.open_orders, False), stop.positions]
    for act in acts:
        with pytest.raises(VenueSilent) as caught:
            act()
        assert caught.value.refused == (fault == "revoked_keys")


def test_a_halt_that_does_not_read_back_is_silence_and_does_not_keep_us_from_cancelling(rig: Rig) -> None:
    order, stop = rig.by_hand(), brake(rig)
    rig.fault("stuck_latch")
    with pytest.raises(VenueSilent, match="read back"):
        stop.halt()
    assert list(stop.cancel_all()) == [order]
    rig.later(1)
    assert proof(stop).proven


def test_the_observers_key_alone_reads_and_is_refused_everything_else(rig: Rig) -> None:
    order, stop = rig.by_hand(), brake(rig, None, "observer")
    assert [seen.id for seen in stop.open_orders(True)] == [order]
    with pytest.raises(VenueSilent) as caught:
        stop.cancel_all()
    assert caught.value.refused
    with pytest.raises(VenueSilent, match="no credentials"):
        brake(rig, None, None)


def test_the_kill_key_can_neither_move_money_nor_make_keys(rig: Rig) -> None:
    """It can place an order: Kalshi has no scope that only cancels."""
    client = KalshiClient(rig.served.endpoints["paper"], rig.keys().kill, CALL_MAX_SECONDS)
    for path in ("/portfolio/subaccounts/transfer", "/api_keys/generate"):
        with pytest.raises(Exception, match="HTTP 403"):
            client.ask("POST", path, body={})


def test_the_brake_loads_no_library_before_it_signs() -> None:
    heavy = ("cryptography", "requests", "pydantic", "httpx", "ccxt", "starlette")
    code = f"import sys, ops.kill.kalshi; print([n for n in {heavy} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_short_position_is_shown_with_its_sign(rig: Rig) -> None:
    held = {p.symbol: p.qty for p in rig.door().positions()}.get(TICKER, Decimal(0))
    rig.by_hand("sell", Decimal("0.30"), held + 7)
    assert [line for line in brake(rig).positions() if line.startswith(TICKER)] == [f"{TICKER} -7.00"]
    rig.by_hand("buy", Decimal("0.60"), held + 7)
