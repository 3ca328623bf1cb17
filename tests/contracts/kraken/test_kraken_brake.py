"""The kill's own way to Kraken: one cancel-only key suffices, and no answer is taken for another."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ops.kill.brake import VenueSilent, open_brake
from ops.kill.kraken import KrakenBrake
from ops.model.zero import ZeroProof
from ops.secrets import Credentials
from tests.contracts.rig import Rig, credentials
from tests.peers import answering

Act = Callable[[KrakenBrake], Any]
WITH_KILL_KEY: dict[str, Act] = {
    "account": lambda brake: brake.account(),
    "cancel all": lambda brake: brake.cancel_all(),
    "open orders": lambda brake: brake.open_orders(True),
    "open orders from the oldest": lambda brake: brake.open_orders(False),
    "order": lambda brake: brake.order("OAAAAA-AAAAA-AAAAAA"),
}


def brake_of(rig: Rig, observer: bool = True) -> KrakenBrake:
    keys = rig.keys()
    opened = open_brake("kraken", rig.served.endpoints["paper"], "N", keys.kill, keys.observer if observer else None)
    assert isinstance(opened, KrakenBrake)
    return opened


def at(url: str, secret: str = "QUJD") -> KrakenBrake:
    key = credentials({"key": "K", "secret": secret})
    return KrakenBrake(url, "N", key, key)


def silent(act: Callable[[], Any]) -> VenueSilent:
    """The VenueSilent that `act` must raise, without the frames that would keep a connection open."""
    try:
        act()
    except VenueSilent as error:
        error.__context__ = None
        return error.with_traceback(None)
    raise AssertionError("it answered")


def proof(brake: KrakenBrake, reads: int = 2) -> ZeroProof:
    seen = ZeroProof()
    for _ in range(reads):
        seen = seen.read(*({order.id for order in brake.open_orders(end)} for end in (True, False)))
    return seen


@pytest.mark.parametrize("observer", [True, False], ids=["both keys", "the kill key alone"])
def test_zero_is_reached_and_proven(rig: Rig, observer: bool) -> None:
    brake = brake_of(rig, observer)
    assert (brake.halt_name, brake.account()) == ("", rig.facts.numbers["paper"])
    wish = rig.wish()
    made = {rig.door().place(wish).id, *(rig.by_hand() for _ in range(7))}
    assert {order.id for order in brake.open_orders(True)} == {order.id for order in brake.open_orders(False)} == made
    (ours,) = [order for order in brake.open_orders(True) if order.client_id == wish.client_id]
    assert (ours.symbol, ours.side, Decimal(ours.qty), ours.open) == ("BTC/USD", "buy", wish.qty, True)
    assert str(ours) == f"{wish.client_id} BTC/USD buy 0.01000000"
    brake.cancel_all()
    assert not proof(brake).proven  # asked is not cancelled
    rig.later(1)
    assert proof(brake).proven
    assert {brake.order(order).status for order in made} == {"canceled"}


def test_many_orders_are_looked_up_in_few_requests_with_the_kill_key_alone(rig: Rig) -> None:
    made = [rig.by_hand() for _ in range(60)]
    brake = brake_of(rig, observer=False)
    rig.door().cancel(made[7])
    rig.later(1)
    before = len(rig.requests)
    assert list(brake.ended(made)) == [made[7]]
    assert [line["path"].rpartition("/")[2] for line in rig.requests[before:]] == ["QueryOrders"] * 2
    assert list(brake.ended([made[7], "OAAAAA-AAAAA-AAAAAA"])) == []  # one that is not known hides the others


def test_the_kill_key_cannot_open_orders(rig: Rig) -> None:
    wish = rig.wish()
    with pytest.raises(Exception, match="Permission denied"):
        rig.only("kill").place(wish)
    assert "accepted" not in rig.events(wish.client_id)


def test_positions_and_stops_have_the_same_names(rig: Rig) -> None:
    rig.by_hand(price=Decimal(63_000))
    stop = {"symbol": "BTC/USD", "side": "sell", "qty": "0.001", "stop_price": "20000"}
    rig.served.do(lambda: rig.served.venue.place_by_hand("paper", stop))
    brake = brake_of(rig)
    (order,) = brake.open_orders(True)
    assert (order.protective, order.symbol) == (True, "BTC/USD")
    assert [position.split()[0] for position in brake.positions()] == ["BTC/USD"]
    assert "no key" in str(silent(brake_of(rig, observer=False).positions))


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        ("rate_limit", False),
        ("server_error", False),
        ("html_error", False),
        ("empty_body", False),
        ("truncated_json", False),
        ("maintenance", False),
        ("lockout", False),
        ("invalid_nonce", False),
        ("revoked_keys", True),
    ],
)
def test_an_answer_that_proves_nothing_is_silence(rig: Rig, fault: str, refused: bool) -> None:
    rig.by_hand()
    brake = brake_of(rig)
    rig.fault(fault)
    for name, act in WITH_KILL_KEY.items():
        assert silent(lambda act=act: act(brake)).refused == refused, name


@pytest.mark.parametrize("fault", ["half_cancel", "stuck_cancel", "hidden_pages", "stale_orders"])
def test_no_lie_of_the_venue_proves_zero(rig: Rig, fault: str) -> None:
    brake = brake_of(rig)
    rig.fault(fault)
    for _ in range(3):
        rig.by_hand()
    if fault != "stale_orders":
        brake.cancel_all()
        rig.later(1)
        rig.fault("stuck_cancel" if fault == "hidden_pages" else fault)
        rig.by_hand()
    try:
        assert not proof(brake).proven
    except VenueSilent as said:
        assert "reserved" in str(said)


def test_cancel_only_lets_the_kill_work(rig: Rig) -> None:
    rig.by_hand()
    rig.fault("cancel_only")
    brake = brake_of(rig)
    brake.cancel_all()
    rig.later(1)
    assert proof(brake).proven


def test_a_nonce_that_was_overtaken_is_tried_again(rig: Rig) -> None:
    rig.by_hand()
    rig.fault("invalid_nonce", times=2)
    brake_of(rig).cancel_all()
    rig.later(1)
    assert proof(brake_of(rig)).proven


def test_a_wrong_key_is_refused_and_not_shown(rig: Rig) -> None:
    parts = rig.issue("paper", "kill")
    secret = base64.b64encode(b"x" * 64).decode()
    for flawed in ({**parts, "secret": secret}, {**parts, "key": "paperX"}, {**parts, "secret": "badpadding"}):
        wrong = Credentials("wrong", flawed)
        error = silent(KrakenBrake(rig.served.endpoints["paper"], "N", wrong, None).cancel_all)
        assert error.refused == (flawed["secret"] != "badpadding")
        assert [part for part in flawed.values() if part in repr(error)] == []


def test_there_is_no_halt_to_set(rig: Rig) -> None:
    silent(brake_of(rig).halt)


ODD = {
    "an error": (500, b'{"error":[],"result":{}}'),
    "a redirect": (302, b'{"error":[],"result":{"open":{}}}'),
    "nothing": (200, b""),
    "null": (200, b"null"),
    "a list": (200, b"[]"),
    "no result": (200, b'{"error":[]}'),
    "no errors": (200, b'{"result":{"open":{}}}'),
    "a list for a book": (200, b'{"error":[],"result":{"open":[]}}'),
    "no list": (200, b'{"error":[],"result":{}}'),
    "a text for an order": (200, b'{"error":[],"result":{"open":{"O":"x"}}}'),
    "half an order": (200, b'{"error":[],"result":{"open":{"O":{"status":"open","descr":{}}}}}'),
    "half of it": (200, b'{"error":[],"resu'),
    "html": (200, b"<html></html>"),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_a_list_that_is_no_list_is_silence_and_not_zero(answer: tuple[int, bytes]) -> None:
    with answering({"POST /0/private/OpenOrders": answer}) as url:
        for end in (True, False):
            silent(lambda end=end: at(url).open_orders(end))


def test_a_status_that_is_not_known_could_still_trade() -> None:
    row = b'{"status":"thinking","vol":"1","descr":{"pair":"XBTUSD","type":"buy","ordertype":"limit"}}'
    with answering({"POST /0/private/OpenOrders": (200, b'{"error":[],"result":{"open":{"O":' + row + b"}}}")}) as url:
        (order,) = at(url).open_orders(True)
    assert (order.status, order.open) == ("thinking", True)


def test_nobody_there_is_silence_at_once() -> None:
    began = time.monotonic()
    silent(at("http://127.0.0.1:9").cancel_all)
    assert time.monotonic() - began < 1
