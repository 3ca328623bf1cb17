"""The fence: which transition may change this host. Whoever is older, or another of the same age, is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.playbooks.bench import PAPER, Bench, code

CHANGES: dict[str, dict[str, Any]] = {
    "arm": {"deadline_seconds": 600},
    "flip": {"env_text": "A=1\n", "compare_sha256": hashlib.sha256(PAPER.encode()).hexdigest()},
    "restart": {},
    "rearm": {"expected_reason": "t1"},
    "disarm": {},
}
Fence = Mapping[str, Any]


def fence(epoch: int, transition: str = "t1", **more: Any) -> dict[str, Any]:
    return {"transition": transition, "epoch": epoch, **more}


TAKES: dict[str, tuple[Fence | None, Fence, bool]] = {
    "the first ever": (None, fence(1), True),
    "a newer one": (fence(3, "t0"), fence(4), True),
    "a much newer one": (fence(3, "t0"), fence(1000), True),
    "the same again": (fence(3), fence(3), True),
    "an older one": (fence(3, "t2"), fence(2), False),
    "its own, older": (fence(3), fence(2), False),
    "another of the same age": (fence(3, "t2"), fence(3), False),
    "a newer one after a revert": (fence(3, "t0", reverted=True), fence(4), True),
}


@pytest.mark.parametrize(("stored", "given", "taken"), TAKES.values(), ids=TAKES)
def test_a_trip_raises_the_fence_and_never_lowers_it(
    bench: Bench, stored: Fence | None, given: Fence, taken: bool
) -> None:
    bench.fence.unlink()
    if stored:
        bench.fence.write_text(json.dumps(stored))
    answer = bench.ask("trip", fence=given, by=given["transition"])
    assert code(answer) == ("ok" if taken else "fenced")
    assert json.loads(bench.fence.read_text()) == (given if taken and given != stored else stored)


@pytest.mark.parametrize("op", CHANGES)
@pytest.mark.parametrize(
    ("stored", "given"),
    [
        (None, fence(1)),
        (fence(2), fence(1)),
        (fence(1, "t2"), fence(1)),
        (fence(1), fence(2)),
        (fence(1, reverted=True), fence(1)),
    ],
    ids=["never tripped", "older", "another of the same age", "newer, but not taken by a trip", "went back by itself"],
)
def test_only_the_transition_that_tripped_the_host_may_change_it(
    bench: Bench, op: str, stored: Fence | None, given: Fence
) -> None:
    bench.fence.unlink()
    if stored:
        bench.fence.write_text(json.dumps(stored))
    before = {path.name: path.read_bytes() for path in bench.own.iterdir() if path.name != "lock"}
    answer = bench.ask(op, fence=given, **CHANGES[op])
    assert code(answer) == "fenced"
    assert answer["changed"] is False
    assert bench.env.read_text() == PAPER
    assert {path.name: path.read_bytes() for path in bench.own.iterdir() if path.name != "lock"} == before


def test_a_host_that_went_back_by_itself_says_so(bench: Bench) -> None:
    bench.fence.write_text(json.dumps(fence(1, reverted=True)))
    assert "went back by its own deadline" in bench.ask("disarm")["error"]["text"]


def test_what_lowers_goes_on_where_the_host_went_back_by_itself_meanwhile(bench: Bench) -> None:
    """It goes the same way; and its next request finds the host as it left it."""
    bench.fence.write_text(json.dumps(fence(1, reverted=True)))
    assert code(bench.ask("flip", env_text=PAPER, compare_sha256=None)) != "fenced"
    assert json.loads(bench.fence.read_text()) == fence(1)
    assert code(bench.ask("disarm")) == "ok"


DAMAGED = [b"", b"{", b"[]", b"null", b"7", b"{}", b'{"epoch": null}', b"\xff\xfe"]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_fence_refuses_a_change_but_never_a_trip(bench: Bench, data: bytes) -> None:
    bench.fence.write_bytes(data)
    assert code(bench.ask("flip", **CHANGES["flip"])) == "fenced"
    assert code(bench.ask("trip", fence=fence(5), by="t1")) == "ok"
    assert json.loads(bench.fence.read_text()) == fence(5)


def test_a_kill_asks_no_fence(bench: Bench) -> None:
    bench.fence.write_text(json.dumps(fence(99, "somebody-else")))
    bench.gate.unlink()
    assert code(bench.ask("kill", by="kill-1")) == "ok"
    assert json.loads(bench.gate.read_text())["by"] == "kill-1"
    assert json.loads(bench.fence.read_text()) == fence(99, "somebody-else")


def test_a_look_changes_nothing_and_asks_no_fence(bench: Bench) -> None:
    before = {p: p.read_bytes() for p in bench.root.rglob("*") if p.is_file()}
    answer = bench.ask("look", fence=fence(0))
    assert (code(answer), answer["changed"]) == ("ok", False)
    assert {p: p.read_bytes() for p in bench.root.rglob("*") if p.is_file()} == before
