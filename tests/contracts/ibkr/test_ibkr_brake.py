"""The kill's own way to IBKR: no library and no credentials, and no answer is taken for another."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest

from ops.kill.brake import CALL_MAX_SECONDS, VenueSilent, open_brake
from ops.kill.ibkr import FIRST_CLIENT_ID, IbkrBrake
from ops.model.zero import ZeroProof
from tests.contracts.rig import Rig
from tests.house.tree import ROOT

Act = Callable[[IbkrBrake], Any]
ACTS: dict[str, Act] = {
    "account": lambda brake: brake.account(),
    "cancel all": lambda brake: brake.cancel_all(),
    "open orders": lambda brake: brake.open_orders(True),
    "open orders from the oldest": lambda brake: brake.open_orders(False),
    "order": lambda brake: brake.order("1115374676"),
    "positions": lambda brake: brake.positions(),
}


def brake_of(rig: Rig, environment: str = "paper") -> IbkrBrake:
    opened = open_brake("ibkr", rig.served.endpoints[environment], rig.facts.numbers[environment], None, None)
    assert isinstance(opened, IbkrBrake)
    return opened


def silent(act: Callable[[], Any]) -> str:
    with pytest.raises(VenueSilent) as caught:
        act()
    assert not caught.value.refused
    return str(caught.value)


def proof(brake: IbkrBrake) -> ZeroProof:
    seen = ZeroProof()
    for _ in range(2):
        seen = seen.read(*({order.id for order in brake.open_orders(end)} for end in (True, False)))
    return seen


def test_zero_is_reached_and_proven_whoever_placed_the_orders(rig: Rig) -> None:
    brake, wish = brake_of(rig), rig.wish()
    assert (brake.halt_name, brake.account()) == ("", "DU1234567")
    made = [rig.door().place(wish).id, *(rig.by_hand() for _ in range(60))]
    assert [order.id for order in brake.open_orders(False)] == made
    assert [order.id for order in brake.open_orders(True)] == made[::-1]
    ours = brake.open_orders(False)[0]
    assert str(ours) == f"{wish.client_id} AAPL buy 2"
    assert (ours.open, ours.protective, ours.status) == (True, False, "Submitted")
    brake.cancel_all()
    assert not proof(brake).proven  # asked is not cancelled
    rig.later(1)
    assert proof(brake).proven
    assert {(order.open, order.id in made) for order in map(brake.order, made[:5])} == {(False, True)}
    assert "no order" in silent(lambda: brake.order("12345"))
    silent(brake.halt)


def test_positions_and_stops(rig: Rig) -> None:
    rig.by_hand(price=Decimal(200))
    stop = {"symbol": "AAPL", "side": "sell", "qty": "1", "stop_price": "50"}
    rig.served.do(lambda: rig.served.venue.place_by_hand("paper", stop))
    brake = brake_of(rig)
    (order,) = brake.open_orders(True)
    assert (order.protective, order.status) == (True, "PreSubmitted")
    (held,) = brake.positions()
    assert held == next(f"{p.symbol} {p.qty.normalize():f}" for p in rig.door().positions())
    assert list(brake.open_orders(True)) == [order], "the subscription to positions is over"
    assert list(brake_of(rig, "live").positions()) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("rate_limit", "100"),
        ("server_error", "320"),
        ("html_error", "the IBKR gateway"),
        ("empty_body", "unknown shape"),
        ("truncated_json", "unknown shape"),
        ("maintenance", "no answer"),
        ("lost_link", "lost IBKR"),
        ("ids_in_use", "in use"),
    ],
)
def test_an_answer_that_proves_nothing_is_silence(rig: Rig, fault: str, said: str) -> None:
    for price in (Decimal(100), Decimal(200)):
        rig.by_hand(price=price)
    connected = brake_of(rig)
    connected.account()
    rig.fault(fault)
    for name, act in ACTS.items():
        # Of an answer that is one message, half is no shape of its own: the time, which nobody looks at.
        if not (fault == "truncated_json" and name in ("account", "cancel all")):
            assert said in silent(lambda act=act: act(connected if fault != "ids_in_use" else brake_of(rig))), name
    rig.fault(fault, on=False)
    assert connected.account() == "DU1234567"


@pytest.mark.parametrize("fault", ["half_cancel", "stuck_cancel", "hidden_pages", "stale_orders"])
def test_no_lie_of_the_venue_proves_zero(rig: Rig, fault: str) -> None:
    brake, made = brake_of(rig), [rig.by_hand() for _ in range(4)]
    rig.fault(fault)
    if "cancel" in fault:
        brake.cancel_all()
        rig.later(1)
        assert not proof(brake).proven
        return
    ids = {order.id for order in brake.open_orders(True)}
    assert ids < set(made), "the list hides some"
    for hidden in set(made) - ids:
        assert "no order" in silent(lambda hidden=hidden: brake.order(hidden)), "and a hidden one is never seen ended"


def test_read_only_is_told_and_cancel_only_does_not_matter(rig: Rig) -> None:
    rig.by_hand()
    rig.fault("read_only")
    assert "Read-Only" in silent(brake_of(rig).cancel_all)
    rig.fault("read_only", on=False)
    rig.fault("cancel_only")
    brake_of(rig).cancel_all()
    rig.later(1)
    assert proof(brake_of(rig)).proven


def test_another_account_is_shown(rig: Rig) -> None:
    rig.fault("wrong_account")
    assert brake_of(rig).account() == "DU1234599"


def test_brakes_take_client_ids_of_their_own(rig: Rig) -> None:
    brakes = [brake_of(rig) for _ in range(3)]
    assert {brake.account() for brake in brakes} == {"DU1234567"}
    ids = rig.served.do(lambda: set(rig.served.venue.gateways["paper"].sessions))
    assert {FIRST_CLIENT_ID, FIRST_CLIENT_ID + 1, FIRST_CLIENT_ID + 2} <= ids


def test_it_needs_nothing_that_is_installed(rig: Rig) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ops.kill.ibkr import IbkrBrake; "
        "print(len(IbkrBrake(sys.argv[1], 'DU1234567', None, None).open_orders(True)))"
    )
    rig.by_hand()
    words = [sys.executable, "-S", "-I", "-c", code, rig.served.endpoints["paper"]]
    assert subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout == "1\n"


def message(*fields: object) -> bytes:
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


@contextmanager
def scripted(*sent: bytes) -> Iterator[str]:
    """A gateway that says what it is told to, whatever it is asked, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer, suppress(OSError):
                peer.sendall(b"".join(sent))
                while peer.recv(65536):
                    continue

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


GREETING, STARTED = message(176, "20261120 12:00:00 EST"), message(15, 1, "DU1") + message(9, 1, 1)
ODD = {
    "a version that is too old": (message(100, "x"),),
    "no account": (GREETING, message(15, 1, "") + message(9, 1, 1)),
    "half an order": (GREETING, STARTED, message(5, 1, "AAPL"), message(53, 1)),
    "an order without an id": (GREETING, STARTED, message(5, *["0"] * 30), message(53, 1)),
    "an order that was cut": (GREETING, STARTED, message(5, *["1"] * 60), message(53, 1)),
    "half a status": (GREETING, STARTED, message(3, 1, "Filled"), message(53, 1)),
    "a number that is none": (GREETING, STARTED, message(4, 2, -1, "x", "text"), message(53, 1)),
    "a frame without an end": (GREETING, STARTED, struct.pack(">I", 2) + b"53", message(53, 1)),
    "a frame of gigabytes": (GREETING, STARTED, b"\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD)
def test_a_list_that_is_no_list_is_silence_and_not_zero(sent: tuple[bytes, ...]) -> None:
    with scripted(*sent) as endpoint:
        assert "unknown shape" in silent(lambda: IbkrBrake(endpoint, "DU1", None, None).open_orders(True))


def test_an_order_whose_status_was_not_said_could_still_trade() -> None:
    order = message(5, 1, 2, "AAPL", *["0"] * 9, "BUY", 2, "LMT", *["0"] * 7, "ref", 1, 77, *["0"] * 100)
    with scripted(GREETING, STARTED, order, message(53, 1)) as endpoint:
        (seen,) = IbkrBrake(endpoint, "DU1", None, None).open_orders(True)
    assert (seen.id, seen.client_id, seen.status, seen.open) == ("77", "ref", "unknown", True)


def test_silence_ends_at_the_deadline_and_nobody_there_at_once(rig: Rig) -> None:
    began = time.monotonic()
    silent(IbkrBrake("tcp://127.0.0.1:9", "DU1", None, None).cancel_all)
    assert time.monotonic() - began < 1
    rig.fault("logged_out")
    assert "TimeoutError" in silent(brake_of(rig).cancel_all)
    assert time.monotonic() - began < CALL_MAX_SECONDS + 2
