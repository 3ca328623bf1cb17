"""The kill's own way to Alpaca: every call ends within its deadline, and no answer is taken for another."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.kill.alpaca import AlpacaBrake
from ops.kill.brake import CALL_MAX_SECONDS, VenueSilent
from ops.secrets import Credentials
from tests.peers import HEAD, answering, dripping

BAD = {
    "an error": (500, b"[]"),
    "a redirect": (302, b"[]"),
    "nothing": (200, b""),
    "a document where a list was asked for": (200, b"{}"),
    "null": (200, b"null"),
    "half a list": (200, b'[{"id": '),
    "html": (200, b"<html></html>"),
}


def brake(url: str) -> AlpacaBrake:
    return AlpacaBrake(url, "1", Credentials("test", {"key": "AKTEST", "secret": "secret"}), None)


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_a_list_that_is_no_list_is_silence_and_not_zero(answer) -> None:
    with answering({"GET /v2/orders": answer, "DELETE /v2/orders": answer, "GET /v2/positions": answer}) as url:
        for call in (lambda: brake(url).open_orders(True), brake(url).cancel_all, brake(url).positions):
            with pytest.raises(VenueSilent):
                call()


@pytest.mark.parametrize("row", [b"[1]", b"[{}]", b'[{"id": "1"}]', b'[{"status": "new"}]', b"[null]"])
def test_an_order_of_an_unknown_shape_is_silence_and_not_zero(row) -> None:
    with answering({"GET /v2/orders": (200, row)}) as url, pytest.raises(VenueSilent, match="shape"):
        brake(url).open_orders(True)


def test_a_halt_that_does_not_read_back_is_silence() -> None:
    off = (200, b'{"suspend_trade": false}')
    with (
        answering({"GET /v2/account/configurations": off, "PATCH /v2/account/configurations": off}) as url,
        pytest.raises(VenueSilent, match="read back"),
    ):
        brake(url).halt()


def test_nobody_there_is_silence_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(VenueSilent):
        brake("http://127.0.0.1:9").cancel_all()
    assert time.monotonic() - began < 1


def test_a_venue_that_drips_bytes_does_not_hold_the_kill() -> None:
    """In the body, in the head, and in the status line."""
    with dripping(HEAD) as body, dripping(b"HTTP/1.1 200 OK\r\n") as head, dripping(b"") as line:
        began = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(silent, (body, head, line)))
        assert time.monotonic() - began < CALL_MAX_SECONDS + 1


def silent(url: str) -> None:
    with pytest.raises(VenueSilent):
        brake(url).cancel_all()


def page(first: int, count: int) -> bytes:
    rows = [{"id": f"{n}", "status": "new", "submitted_at": f"2026-01-01T00:00:{n % 60:02d}Z"} for n in range(count)]
    return json.dumps(rows[first:]).encode()


def test_a_list_that_never_comes_to_its_end_is_silence_and_not_a_part() -> None:
    with answering({"GET /v2/orders": (200, page(0, 500))}) as url, pytest.raises(VenueSilent, match="to its end"):
        brake(url).open_orders(True)


@pytest.mark.parametrize(("status", "refused"), [(401, True), (403, True), (404, False), (429, False), (500, False)])
def test_only_a_venue_that_understood_the_key_refuses_it(status, refused) -> None:
    with answering({"GET /v2/account": (status, b"{}")}) as url, pytest.raises(VenueSilent) as silence:
        brake(url).account()
    assert silence.value.refused is refused
