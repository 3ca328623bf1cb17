"""The simulated gateway: the public client, unmodified, works with it; and what no client would send is refused.

`test_ibkr_insync.py` runs this module again where ib_insync is installed instead of ib_async.
"""

from __future__ import annotations

import random
import socket
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ops.sandbox.clock import WorldClock
from ops.sandbox.venues.ibkr.simulated import SimulatedIbkr
from ops.sandbox.venues.venue import Opening
from tests.contracts.ibkr.clients import CASES, Case, play
from tests.contracts.rig import NOON, Rig

try:
    import ib_async as library
except ImportError:
    import ib_insync as library


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_unmodified_client(rig: Rig, case: Case) -> None:
    play(library, rig, case)


# On the wire


class Wire:
    """A socket, and frames on it."""

    def __init__(self, rig: Rig, environment: str = "paper") -> None:
        host, port = rig.served.endpoints[environment].removeprefix("tcp://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=3)

    def frame(self, payload: bytes) -> None:
        self.socket.sendall(struct.pack(">I", len(payload)) + payload)

    def say(self, *fields: object) -> None:
        self.frame("".join(f"{field}\0" for field in fields).encode())

    def hear(self) -> list[str] | None:
        """The next message; None when the gateway has closed."""
        head = self._exactly(4)
        return None if head is None else (self._exactly(struct.unpack(">I", head)[0]) or b"")[:-1].decode().split("\0")

    def until(self, kind: str) -> list[str]:
        while (heard := self.hear()) is not None:
            if heard[0] == kind:
                return heard
        raise AssertionError("closed")

    def error(self, code: str) -> list[str]:
        while (heard := self.until("4"))[3] != code:
            continue
        return heard

    def _exactly(self, count: int) -> bytes | None:
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                return None
            found += part
        return found

    def start(self, offer: bytes = b"v157..178", client_id: object = 55) -> list[str] | None:
        self.socket.sendall(b"API\0")
        self.frame(offer)
        greeting = self.hear()
        self.say(71, 2, client_id, "")
        return greeting


@pytest.fixture
def wire(rig: Rig):
    opened = Wire(rig)
    with opened.socket:
        yield opened


@pytest.mark.parametrize(
    ("offer", "version"), [(b"v157..178", "178"), (b"v157..176", "176"), (b"v100..999 +PACEAPI", "178")]
)
def test_the_version_is_the_clients_highest_that_is_known(wire: Wire, offer: bytes, version: str) -> None:
    greeting = wire.start(offer)
    assert greeting is not None
    assert (greeting[0], len(greeting)) == (version, 2)
    assert wire.until("15")[2] == "DU1234567"


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", b"API\0" + struct.pack(">I", 9) + b"v100..156",
                                   b"API\0" + struct.pack(">I", 4) + b"178\0", b"API\0\xff\xff\xff\xff"])  # fmt: skip
def test_who_does_not_speak_the_protocol_is_hung_up_on(wire: Wire, hello: bytes) -> None:
    wire.socket.sendall(hello)
    assert wire.hear() is None


@pytest.mark.parametrize("client_id", ["", "-1", "x", "1" * 12])
def test_a_client_id_is_a_number(wire: Wire, client_id: str) -> None:
    wire.start(client_id=client_id)
    assert wire.hear() is None


def test_nothing_is_answered_before_the_start(wire: Wire) -> None:
    wire.socket.sendall(b"API\0")
    wire.frame(b"v157..178")
    wire.hear()
    wire.say(61, 1)
    assert wire.hear() is None


def test_an_order_of_another_length_is_not_guessed_at(rig: Rig, wire: Wire) -> None:
    wire.start()
    wire.until("15")
    for count in (30, 113, 115):
        wire.say(3, 77, *["0"] * (count - 2))
        assert wire.error("321")[2] == "77"
    assert rig.log(event="accepted") == []


def test_an_unknown_message_ends_the_conversation(wire: Wire) -> None:
    wire.start()
    wire.until("15")
    wire.say(999, 1)
    wire.error("320")
    assert wire.hear() is None


# By itself


def opening(folder: Path, clock: WorldClock, lines: list) -> Opening:
    accounts = {"paper": ("DU1234567", Decimal(100_000)), "live": ("U7654321", Decimal(5_000))}
    symbols = {"AAPL": Decimal(190)}
    return Opening(accounts, symbols, 7, folder, clock, random.Random(1), lines.append, lambda _: None)


def test_it_remembers_after_a_restart_and_ends_day_orders_at_the_close(tmp_path: Path) -> None:
    clock, lines = WorldClock(), []
    clock.pin(NOON)
    venue = SimulatedIbkr(opening(tmp_path, clock, lines))
    venue.set_hours("regular")
    day = venue.place_by_hand("paper", {"symbol": "AAPL", "side": "buy", "qty": "1", "limit_price": "100"})
    gtc = {"symbol": "AAPL", "side": "buy", "qty": "3", "limit_price": "100", "time_in_force": "gtc"}
    kept = venue.place_by_hand("paper", gtc)
    venue.place_by_hand("paper", {"symbol": "AAPL", "side": "buy", "qty": "2"})
    venue.place_by_hand("paper", {"symbol": "AAPL", "side": "sell", "qty": "2", "stop_price": "150"})
    venue.switch_fault("live", "read_only", True, {})
    cash = venue.gateways["paper"].book.account.cash
    venue.close()
    again = SimulatedIbkr(opening(tmp_path, clock, lines))
    book = again.gateways["paper"].book
    assert (book.account.cash, book.account.held("AAPL"), len(book.open)) == (cash, Decimal(2), 3)
    assert again.faults.is_on("read_only", "live")
    again.pin_clock(datetime(2026, 11, 20, 21, 0, 1, tzinfo=UTC))
    assert [str(order) for order in book.open] == [kept["id"]]
    assert [line["event"] for line in lines if line["order_id"] == day["id"]] == ["accepted", "canceled"]
    assert book.account.last_equity == book.equity(datetime(2026, 11, 20, 21, 0, tzinfo=UTC))
    again.close()


def test_a_stop_sleeps_until_the_price_comes_to_it(tmp_path: Path) -> None:
    clock, lines = WorldClock(), []
    clock.pin(NOON)
    venue = SimulatedIbkr(opening(tmp_path, clock, lines))
    venue.place_by_hand("live", {"symbol": "AAPL", "side": "buy", "qty": "2"})
    stop = venue.place_by_hand("live", {"symbol": "AAPL", "side": "sell", "qty": "2", "stop_price": "180"})
    assert stop["status"] == "PreSubmitted"
    venue.shock("AAPL", Decimal("0.9"))
    assert not venue.gateways["live"].book.open
    for refused in ({"symbol": "NOPE", "side": "buy", "qty": "1"}, {"symbol": "AAPL", "side": "sell", "qty": "1"}):
        with pytest.raises(ValueError, match=r"unknown symbol|short position"):
            venue.place_by_hand("live", refused)
    assert venue.issue_key("paper", "bot") == {}
    venue.pin_clock(NOON - timedelta(days=3))
    venue.close()
