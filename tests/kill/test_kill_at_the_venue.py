"""The kill against a venue with each fault: it says `verified` only when the order log really shows nothing open.

All faults are met at once, each in a world of its own, since a kill that cannot prove anything tries until its deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.kill.kill import KillEnd
from ops.kill.venues import VENUE_MAX_SECONDS, VenueEnd
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


@dataclass(frozen=True)
class Seen:
    """How one kill ended, and what the order log said at that moment."""

    end: KillEnd
    live: VenueEnd
    truly_open: set[str]
    refused_after: bool


def _one(folder: Path, fault: str, parameters: Mapping[str, int], stack: ExitStack, gate: threading.Lock) -> Seen:
    with gate:
        here = stack.enter_context(scene(folder))
    for number in range(4):
        assert here.rest(f"a1-{fault}-{number}").status_code == 200
    here.fault(fault, **parameters)
    end = here.kill()
    still = here.truly_open()
    here.fault(fault, on=False)
    return Seen(end, end.systems[0].venues[1], still, here.rest(f"a1-{fault}-late").status_code == 403)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Seen]]:
    """Every case, run at once."""
    cases = {fault: (fault, {}) for fault in PROVABLE} | {f"{fault} at first": (fault, {"times": 3}) for fault in PASSING}
    gate = threading.Lock()
    with ExitStack() as stack, ThreadPoolExecutor(len(cases)) as pool:
        futures = {
            name: pool.submit(_one, tmp_path_factory.mktemp("scene"), fault, parameters, stack, gate)
            for name, (fault, parameters) in cases.items()
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
    assert seen[fault].end.seconds < VENUE_MAX_SECONDS + 12


def test_every_fault_of_the_venue_is_met_here() -> None:
    from ops.sandbox.venues.alpaca.faults import FAULTS

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


def test_a_young_order_behind_a_stale_list_is_not_taken_for_gone(tmp_path: Path) -> None:
    """The list is as it was before the order came, and its cancel sticks: only the order's own id tells."""
    with scene(tmp_path) as here:
        here.fault("stale_orders", lag_seconds=60)
        here.fault("stuck_cancel")
        here.rest("a1-young")
        live = here.kill().systems[0].venues[1]
        assert here.truly_open() == {"a1-young"}
    assert live.verified is False
    assert any("pending_cancel" in text for text in live.left)


@pytest.mark.parametrize(
    ("path", "word"), [("/v2/account", "account"), ("/v2/positions", "positions")], ids=["account", "positions"]
)
def test_what_could_not_be_read_at_the_end_is_residue(tmp_path: Path, path: str, word: str) -> None:
    with scene(tmp_path) as here:
        here.fault("server_error", methods=["GET"], path_prefix=path)
        end = here.kill()
    assert any(word in text for text in end.residue)


def test_a_halt_that_the_venue_did_not_confirm_is_residue(tmp_path: Path) -> None:
    """Zero open orders now is not enough if a bot that ignores its switch could place the next one."""
    with scene(tmp_path) as here:
        here.fault("server_error", path_prefix="/v2/account/configurations")
        end = here.kill()
    assert end.systems[0].venues[1].suspended is False
    assert any("suspend_trade" in text for text in end.residue)
