"""The venue contract, C30 to C41: whatever goes wrong at the venue is an error that says unknown, never an empty list.

Every fault of the simulator's catalogue is placed here: either its answer is refused, or it lies and is seen through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from ops.errors import VenueError
from ops.model.zero import ZeroProof
from ops.sandbox.venues.alpaca.faults import FAULTS
from ops.secrets import Credentials
from ops.venues.alpaca import ANSWER_MAX_SECONDS, Alpaca
from ops.venues.protocol import OrderView, PositionView
from tests.contracts.test_alpaca_adapter import opened, sent
from tests.peers import HEAD, dripping

REFUSED: Mapping[str, int | None] = {
    "rate_limit": 429,
    "server_error": 500,
    "html_error": 502,
    "maintenance": 503,
    "revoked_keys": 401,
    "empty_body": None,
    "truncated_json": None,
}
LOST_AFTER = ("hang_after", "gateway_timeout_after")
SILENT = ("hang_before", "hang_after")
SEEN_THROUGH = ("half_cancel", "stuck_cancel", "hidden_pages", "stale_orders", "wrong_account")
HELD = PositionView("AAPL", Decimal(1), Decimal(190))
OVERHEAD_SECONDS = 3.0

Act = Callable[[Alpaca, OrderView], Any]
READS: Mapping[str, Act] = {
    "account": lambda door, order: door.account(),
    "open orders": lambda door, order: door.open_orders(),
    "open orders from the oldest": lambda door, order: door.open_orders(newest_first=False),
    "order": lambda door, order: door.order(order.id),
    "order by client id": lambda door, order: door.order_by_client_id(order.client_id),
    "positions": lambda door, order: door.positions(),
    "fills": lambda door, order: door.fills_since(order.submitted_at - timedelta(days=1)),
}
CHANGES: Mapping[str, Act] = {
    "cancel all": lambda door, order: door.cancel_all(),
    "suspend": lambda door, order: door.set_suspended(True),
    "close position": lambda door, order: door.close_position(HELD, "c30-close"),
}


@pytest.fixture
def door(desk) -> Alpaca:
    return opened(desk)


def one_of_everything(desk, door) -> OrderView:
    """An open order, a position and a fill; returns the order."""
    desk.rest()
    desk.buy(1)
    desk.later(1)
    (order,) = door.open_orders()
    return order


def unknown(act: Callable[[], Any]) -> VenueError:
    with pytest.raises(VenueError) as caught:
        act()
    return caught.value


def test_c30_every_fault_of_the_catalogue_has_its_place_in_the_contract() -> None:
    assert {*REFUSED, *LOST_AFTER, *SILENT, *SEEN_THROUGH} == set(FAULTS)


@pytest.mark.parametrize("fault", REFUSED)
def test_c31_an_answer_that_proves_nothing_is_unknown_whatever_was_asked(desk, door, fault) -> None:
    order = one_of_everything(desk, door)
    desk.fault(fault)
    errors = {name: unknown(partial(act, door, order)) for name, act in {**READS, **CHANGES}.items()}
    assert {name: error.status for name, error in errors.items()} == dict.fromkeys(errors, REFUSED[fault])
    told = " ".join(map(str, errors.values()))
    assert not any(part in told for part in (desk.key_id, desk.secret))


@pytest.mark.parametrize("fault", REFUSED)
def test_c32_after_the_fault_the_same_door_answers_again(desk, door, fault) -> None:
    order = one_of_everything(desk, door)
    desk.fault(fault)
    unknown(door.open_orders)
    desk.no_fault(fault)
    assert [seen.id for seen in door.open_orders()] == [order.id]


@pytest.mark.parametrize(("fault", "status"), [("rate_limit", 429), ("gateway_timeout_after", 504)])
def test_c33_nothing_is_posted_twice_after_429_and_504(desk, door, fault, status) -> None:
    """alpaca-py as it ships re-sends every verb on both; the second post would be a second order, or hide the first."""
    desk.buy(1)
    desk.later(1)
    desk.fault(fault, methods=["POST"])
    before = sent(desk, "POST")
    assert unknown(lambda: door.close_position(HELD, f"c33-{fault}")).status == status
    assert sent(desk, "POST") - before == 1


def test_c34_a_close_whose_answer_was_lost_is_looked_up_and_not_sent_again(desk, door) -> None:
    desk.buy(1)
    desk.later(1)
    desk.fault("gateway_timeout_after")
    before = sent(desk, "POST")
    unknown(lambda: door.close_position(HELD, "c34"))
    desk.no_fault("gateway_timeout_after")
    desk.later(1)
    door.close_position(HELD, "c34")
    assert sent(desk, "POST") - before == 1
    assert desk.events("c34") == ["accepted", "fill"]


def test_c35_a_close_is_not_sent_while_it_cannot_be_looked_up(desk, door) -> None:
    desk.fault("server_error", methods=["GET"])
    before = sent(desk, "POST")
    unknown(lambda: door.close_position(HELD, "c35"))
    assert sent(desk, "POST") == before


@pytest.mark.parametrize("fault", ["gateway_timeout_after", "truncated_json"])
def test_c36_a_halt_whose_answer_was_lost_is_unknown_though_it_was_set(desk, door, fault) -> None:
    desk.fault(fault, methods=["PATCH"])
    unknown(lambda: door.set_suspended(True))
    desk.no_fault(fault)
    assert door.account().suspended is True


def test_c37_cancelled_is_what_the_order_itself_says(desk, door) -> None:
    """Half or all of the cancels stick: the venue has taken every one on, and the orders are still open."""
    made = [desk.rest() for _ in range(4)]
    desk.fault("half_cancel")
    assert door.cancel_all() == 4
    desk.later(30)
    assert {order.id for order in door.open_orders()} == {str(made[1].id), str(made[3].id)}
    desk.fault("stuck_cancel")
    assert door.cancel_all() == 2
    desk.later(30)
    assert {order.status for order in door.open_orders()} == {"pending_cancel"}


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_c38_a_list_that_hides_its_rest_never_looks_empty_and_contradicts_itself(desk, door, number) -> None:
    for _ in range(number):
        desk.rest()
        desk.later(1)
    desk.fault("hidden_pages")
    ends = [{order.id for order in door.open_orders(newest_first)} for newest_first in (True, False)]
    proof = ZeroProof().read(*ends).read(*ends)
    assert all(ends)
    assert not proof.proven
    assert number == 1 or "contradicts" in proof.problem


def test_c39_a_stale_list_does_not_hide_an_order_from_its_own_id(desk, door) -> None:
    desk.fault("stale_orders")
    order = desk.rest(client_order_id="c39")
    assert list(door.open_orders()) == []
    assert door.order(str(order.id)).status == "new"
    found = door.order_by_client_id("c39")
    assert found is not None
    assert found.status == "new"


def test_c40_another_account_behind_the_key_shows_another_number(desk, door) -> None:
    right = door.account().number
    desk.fault("wrong_account")
    assert door.account().number != right


def test_c41_a_silent_or_dripping_venue_is_unknown_within_the_doors_own_deadline(desk, live_desk) -> None:
    """All calls at once, each through a door of its own: alpaca-py itself would wait for ever."""
    order = one_of_everything(desk, opened(desk))
    desk.fault("hang_before")
    live_desk.fault("hang_after")
    with dripping(HEAD) as body, dripping(b"HTTP/1.1 200 OK\r\n") as head:
        calls = [partial(act, opened(desk), order) for act in {**READS, **CHANGES}.values()]
        calls.append(opened(live_desk).cancel_all)
        calls += [Alpaca(url, Credentials("under-test", "PKDRIP", "secret")).open_orders for url in (body, head)]
        began = time.monotonic()
        with ThreadPoolExecutor(len(calls)) as pool:
            errors = list(pool.map(unknown, calls))
        took = time.monotonic() - began
    live_desk.no_fault("hang_after")
    assert {error.status for error in errors} == {None}
    assert took < ANSWER_MAX_SECONDS + OVERHEAD_SECONDS
