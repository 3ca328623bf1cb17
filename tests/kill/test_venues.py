"""One account with each fault of the venue: `verified` is said only when the order log really shows nothing open.

All faults are met at once, each in a world of its own: what cannot be proven is tried until the deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ops.kill.alpaca import AlpacaBrake
from ops.kill.brake import CALL_MAX_SECONDS, Seen, VenueSilent
from ops.kill.venues import Quiet, Stopping, VenueEnd
from ops.sandbox.venues.alpaca.faults import FAULTS
from ops.secrets import Secrets
from tests.field import awaited
from tests.kill.worlds import Scene, scene

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
SECONDS = {False: 2.0, True: 12.0}
"""How long is tried: what can be proven ends long before."""


@dataclass(frozen=True)
class Outcome:
    """How the account ended, and what the order log said at that moment."""

    end: VenueEnd
    truly_open: set[str]
    refused_after: bool
    seconds: float


def _one(folder: Path, name: str, stack: ExitStack, gate: threading.Lock) -> Outcome:
    with gate:
        here = stack.enter_context(scene(folder))
    for number in range(4):
        assert here.order(f"a1-{number}").status_code == 200
    for fault, parameters in CASES[name].items():
        here.fault(fault, **parameters)
    began = time.monotonic()
    end = here.stop(seconds=SECONDS[PROVABLE.get(name, "at first" in name or "positions" in name)])
    took, still = time.monotonic() - began, here.truly_open()
    for fault in CASES[name]:
        here.fault(fault, on=False)
    return Outcome(end, still, here.order("a1-late").status_code == 403, took)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Outcome]]:
    """Every case, run at once."""
    gate = threading.Lock()
    with ExitStack() as stack, ThreadPoolExecutor(len(CASES)) as pool:
        futures = {name: pool.submit(_one, tmp_path_factory.mktemp("scene"), name, stack, gate) for name in CASES}
        yield {name: future.result() for name, future in futures.items()}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.mark.parametrize("fault", PROVABLE)
def test_verified_means_that_the_order_log_shows_nothing_open(seen, fault) -> None:
    assert not (seen[fault].end.verified and seen[fault].truly_open)
    assert seen[fault].end.verified is PROVABLE[fault]
    assert bool(seen[fault].end.problems) is not PROVABLE[fault]


def test_the_end_comes_soon_after_the_deadline(seen) -> None:
    """A call that is under way when the time is up, and the last reads, end by their own limit."""
    assert [name for name, case in seen.items() if case.seconds > SECONDS[True] + 2 * CALL_MAX_SECONDS] == []
    assert seen["hang_before"].seconds < SECONDS[False] + 3 * CALL_MAX_SECONDS


def test_orders_that_never_go_away_are_named_one_by_one(seen) -> None:
    stuck = seen["stuck_cancel"]
    assert {text.split()[0] for text in stuck.end.left} == stuck.truly_open
    assert len(stuck.truly_open) == 4
    assert "zero open orders not proven within 2 s: 4 open orders left" in stuck.end.problems


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_tried_through(seen, fault) -> None:
    after = seen[f"{fault} at first"]
    assert (after.end.verified, after.end.halted, after.truly_open, after.end.problems) == (True, True, set(), [])


@pytest.mark.parametrize("fault", ["half_cancel", "stuck_cancel", "hidden_pages", "stale_orders", "wrong_account"])
def test_an_account_that_answers_is_halted_and_refuses_the_next_order(seen, fault) -> None:
    assert (seen[fault].end.halted, seen[fault].refused_after) == (True, True)


def test_every_fault_of_the_venue_is_met_here() -> None:
    assert set(PROVABLE) == set(FAULTS)


def test_an_order_behind_a_stale_list_is_not_taken_for_gone(seen) -> None:
    """The list is as it was before the orders came, and their cancels stick: only their own ids tell."""
    case = seen["stale list, stuck cancel"]
    assert (case.end.verified, len(case.truly_open)) == (False, 4)
    assert len(case.end.left) == 4


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("configurations unreadable", "suspend_trade"),
        ("positions unreadable", "positions UNKNOWN"),
        ("account unreadable", "which account the key opens is UNKNOWN"),
    ],
)
def test_whatever_could_not_be_read_is_a_problem_though_nothing_is_open(seen, case, word) -> None:
    """Zero open now is not enough if a bot that ignores its switch could place the next order."""
    assert seen[case].truly_open == set()
    assert any(word in text for text in seen[case].end.problems)
    assert seen[case].end.verified is (case != "account unreadable")


class SellsProtect(AlpacaBrake):
    """Alpaca as if its sell orders were stops: the simulator knows limit and market orders only."""

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        return [replace(order, protective=order.side == "sell") for order in super().open_orders(newest_first)]


def test_what_was_there_is_told(here) -> None:
    """Others' orders are named before they are cancelled and counted after; positions and lost stops are listed."""
    here.order("a1-mine")
    here.order("a1-hold", type="market", limit_price=None)
    here.order("a1-stop", side="sell", limit_price="900")
    here.admin("orders", environment="live", symbol="AAPL", side="buy", qty="2", limit_price="99.00")
    (foreign,) = here.truly_open() - {"a1-mine", "a1-stop"}
    told: list[tuple[str, set[str]]] = []
    say = lambda text: told.append((text, here.truly_open()))  # noqa: E731
    end = Stopping(here.target("alpaca", "live"), say, opens=lambda kind, *more: SellsProtect(*more)).run()
    assert here.truly_open() == set()
    assert [text for text, _ in told] == [f"alpaca live: not ours, cancelled with the rest: {foreign} AAPL buy 2"]
    assert foreign in told[0][1], "it was still open when it was named"
    assert (end.verified, end.before, end.named, end.looked_up, end.foreign_left) == (True, 3, 3, 3, 0)
    assert (end.foreign, end.positions) == ([f"{foreign} AAPL buy 2"], ["AAPL 1"])
    assert end.unprotected == ["AAPL 1 (was: a1-stop AAPL sell 1)"]


BROKEN_KEYS = {
    "no such file": None,
    "a placeholder": "KEY=your_key\nSECRET=x\n",
    "half a pair": "KEY=AKXXXXXX\n",
    "not ASCII": "KEY=AK\u041a\u041b\nSECRET=x\n",
    "refused by the venue": "KEY=AKREFUSED\nSECRET=refused\n",
}


@pytest.mark.parametrize("broken", BROKEN_KEYS)
def test_the_bots_own_key_stands_in_for_a_kill_key_that_does_not_work_and_it_says_so(here, broken) -> None:
    file = key_file(here, BROKEN_KEYS[broken])
    end = here.stop(kill_file=str(file), observer_file=str(file))
    assert (end.verified, end.problems) == (True, [])
    said = {note for note in end.notes if "with the bot's credentials" in note}
    assert said == {"cancels with the bot's credentials", "reads with the bot's credentials"}
    assert not any("REFUSED" in note or "XXXX" in note for note in end.notes)


def test_a_pending_key_comes_before_the_bots(here) -> None:
    """One that was just made anew at the venue has put the one in force to death."""
    file = key_file(here, BROKEN_KEYS["refused by the venue"])
    store = Secrets(file.parent)
    store.put(file.stem, {"key": (pair := bot(here))[0], "secret": pair[1]}, "pending")
    end = here.stop(kill_file=str(file), observer_file=str(file), bot_files=())
    assert (end.verified, end.problems) == (True, [])
    assert "cancels with the kill pending credentials" in end.notes


def test_an_account_without_any_usable_key_is_unknown_and_says_why(here) -> None:
    file = key_file(here, None)
    end = here.stop(kill_file=str(file), observer_file=str(file), bot_files=())
    assert (end.state, end.sent) == ("UNKNOWN", False)
    assert end.problems[0].startswith("no usable key: the kill credentials: ")


def key_file(here: Scene, text: str | None) -> Path:
    """Another credentials file with this in it."""
    path = here.file("alpaca", "live", f"other-{time.monotonic_ns()}")
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    return path


def bot(here: Scene) -> tuple[str, str]:
    return Secrets(here.state / "secrets").credentials("alpaca-live-bot").values()


class Haltless(AlpacaBrake):
    """Alpaca as if it had no halt."""

    halt_name = ""


def test_where_the_venue_has_no_halt_zero_counts_only_once_the_bots_are_dealt_with(here) -> None:
    """An order that a bot had sent before it was tripped comes in after the first empty list."""
    here.venue("PATCH", "/account/configurations", "paper", json={"suspend_trade": False})
    quiet = Quiet(1)
    target = here.target("alpaca", "paper")
    stopping = Stopping(target, lambda text: None, quiet, opens=lambda kind, *more: Haltless(*more))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stopping.run)
        awaited(lambda: stopping.end.acknowledged, what="the first cancel")
        assert here.order("a1-late", "paper").status_code == 200
        quiet.one_less()
        end = running.result()
    assert (here.truly_open("paper"), end.named, end.verified, end.halted) == (set(), 1, True, None)


@dataclass
class Refusing:
    """A venue that takes no cancel; what it lists and how many bots trade there are given."""

    lists: Sequence[Seen] = ()
    halt_name: str = ""

    def account(self) -> str:
        return ""

    def cancel_all(self) -> Sequence[str]:
        raise VenueSilent("HTTP 403")

    def open_orders(self, newest_first: bool) -> Sequence[Seen]:
        shown, self.lists = self.lists, ()
        return shown

    def order(self, order_id: str) -> Seen:
        return Seen(order_id, "a1-1", "AAPL", "buy", "1", "filled", open=False)

    def positions(self) -> Sequence[str]:
        return ()


ONE = (Seen("1", "a1-1", "AAPL", "buy", "1", "new", open=True),)


@pytest.mark.parametrize(
    ("lists", "bots", "says"),
    [((), 0, "an empty list alone proves nothing"), (ONE, 1, "a bot may still be placing orders"), (ONE, 0, "")],
    ids=["nothing was ever seen", "its end was seen, a bot is not tripped", "its end was seen"],
)
def test_where_the_venue_refuses_every_cancel_an_empty_list_is_not_zero(here, lists, bots, says) -> None:
    target = replace(here.target("alpaca", "paper"), account="")
    end = Stopping(target, lambda text: None, Quiet(bots), 1.5, opens=lambda *given: Refusing(lists)).run()
    assert (end.verified, end.acknowledged, says in "; ".join(end.problems)) == (not says, False, True)
