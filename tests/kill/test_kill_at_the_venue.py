"""The kill against a venue with each fault: it says `verified` only when the order log really shows nothing open.

All faults are met at once, each in a world of its own: a kill that cannot prove anything tries until its deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.kill.alpaca import CALL_MAX_SECONDS
from ops.kill.kill import KillEnd
from ops.kill.venues import VENUE_MAX_SECONDS, VenueEnd
from ops.sandbox.venues.alpaca.faults import FAULTS
from tests.kill.worlds import scene

# Fault -> whether zero can be proven all the same. A venue that answers nothing, another account, or orders that never
# go away leave residue; lost answers, a list that lies and cancels that stick once are got over.
PROVABLE: Mapping[str, bool] = {
    "rate_limit": False,
    "server_error": False,
    "html_error": False,
    "empty_body": False,
    "truncated_json": False,
    "hang_before": False,
    "hang_after": True,
    "gateway_timeout_after": True,
    "half_cancel": True,
    "stuck_cancel": False,
    "hidden_pages": True,
    "stale_orders": True,
    "wrong_account": False,
    "revoked_keys": False,
    "maintenance": False,
}
# These hit the first few requests only: the kill must try again and get through.
PASSING = ("rate_limit", "server_error", "html_error", "empty_body", "truncated_json", "maintenance")
Faults = Mapping[str, Mapping[str, Any]]
CASES: Mapping[str, Faults] = {
    **{fault: {fault: {}} for fault in PROVABLE},
    **{f"{fault} at first": {fault: {"times": 3}} for fault in PASSING},
    "stale list, stuck cancel": {"stale_orders": {"lag_seconds": 60}, "stuck_cancel": {}},
    "configurations unreadable": {"server_error": {"path_prefix": "/v2/account/configurations"}},
    "positions unreadable": {"server_error": {"path_prefix": "/v2/positions"}},
    "account unreadable": {"server_error": {"path_prefix": "/v2/account"}},
}


@dataclass(frozen=True)
class Seen:
    """How one kill ended, and what the order log said at that moment."""

    end: KillEnd
    live: VenueEnd
    truly_open: set[str]
    refused_after: bool


def _one(folder: Path, faults: Faults, stack: ExitStack, gate: threading.Lock) -> Seen:
    with gate:
        here = stack.enter_context(scene(folder))
    for number in range(4):
        assert here.rest(f"a1-{number}").status_code == 200
    for fault, parameters in faults.items():
        here.fault(fault, **parameters)
    end = here.kill()
    still = here.truly_open()
    for fault in faults:
        here.fault(fault, on=False)
    return Seen(end, end.systems[0].venues[1], still, here.rest("a1-late").status_code == 403)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Seen]]:
    """Every case, run at once."""
    gate = threading.Lock()
    with ExitStack() as stack, ThreadPoolExecutor(len(CASES)) as pool:
        futures = {
            name: pool.submit(_one, tmp_path_factory.mktemp("scene"), faults, stack, gate)
            for name, faults in CASES.items()
        }
        yield {name: future.result() for name, future in futures.items()}


@pytest.mark.parametrize("fault", PROVABLE)
def test_verified_means_that_the_order_log_shows_nothing_open(seen, fault) -> None:
    assert not (seen[fault].live.verified and seen[fault].truly_open)
    assert seen[fault].live.verified is PROVABLE[fault]


@pytest.mark.parametrize("fault", [fault for fault, provable in PROVABLE.items() if not provable])
def test_what_cannot_be_proven_is_residue_with_the_account_named(seen, fault) -> None:
    residue = seen[fault].end.residue
    assert residue
    assert all(text.startswith("alpaca-bot live account: ") for text in residue)


@pytest.mark.parametrize("fault", PROVABLE)
def test_the_other_account_is_verified_whatever_happens_here(seen, fault) -> None:
    paper = seen[fault].end.systems[0].venues[0]
    assert (paper.slot, paper.verified, paper.suspended, paper.problems) == ("paper", True, True, [])


def test_orders_that_never_go_away_are_named_one_by_one(seen) -> None:
    stuck = seen["stuck_cancel"]
    assert {text.split()[0] for text in stuck.live.left} == stuck.truly_open
    assert len(stuck.truly_open) == 4


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_tried_through(seen, fault) -> None:
    after = seen[f"{fault} at first"]
    assert (after.live.verified, after.live.suspended, after.truly_open, after.end.residue) == (True, True, set(), [])


@pytest.mark.parametrize("fault", ["half_cancel", "stuck_cancel", "hidden_pages", "stale_orders", "wrong_account"])
def test_an_account_that_answers_is_suspended_and_refuses_the_next_order(seen, fault) -> None:
    assert (seen[fault].live.suspended, seen[fault].refused_after) == (True, True)


@pytest.mark.parametrize("fault", PROVABLE)
def test_the_kill_ends_soon_after_its_deadline(seen, fault) -> None:
    assert seen[fault].end.seconds < VENUE_MAX_SECONDS + 5 * CALL_MAX_SECONDS


def test_every_fault_of_the_venue_is_met_here() -> None:
    assert set(PROVABLE) == set(FAULTS)


def test_what_the_venue_shows_is_told(tmp_path: Path) -> None:
    """Orders that nobody's bot placed are cancelled with the rest and named; positions are listed."""
    with scene(tmp_path) as here:
        here.rest("a1-mine")
        here.admin("orders", environment="live", symbol="AAPL", side="buy", qty="2", limit_price="99.00")
        here.admin("orders", environment="live", symbol="MSFT", side="buy", qty="1")
        (foreign,) = here.truly_open() - {"a1-mine"}
        live = here.kill().systems[0].venues[1]
        assert here.truly_open() == set()
    assert (live.verified, live.named) == (True, 2)
    assert live.foreign == [f"{foreign} AAPL buy 2"]
    assert live.positions == ["MSFT 1"]


def test_an_order_behind_a_stale_list_is_not_taken_for_gone(seen) -> None:
    """The list is as it was before the orders came, and their cancels stick: only their own ids tell."""
    case = seen["stale list, stuck cancel"]
    assert (case.live.verified, len(case.truly_open)) == (False, 4)
    assert {text.split()[0] for text in case.live.left} == case.truly_open


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("configurations unreadable", "suspend_trade"),
        ("positions unreadable", "positions UNKNOWN"),
        ("account unreadable", "which account the key opens is UNKNOWN"),
    ],
)
def test_whatever_could_not_be_read_is_residue_though_nothing_is_open(seen, case, word) -> None:
    """Zero open now is not enough if a bot that ignores its switch could place the next order."""
    assert seen[case].truly_open == set()
    assert any(word in text for text in seen[case].end.residue)
    assert seen[case].live.verified is (case != "account unreadable")
