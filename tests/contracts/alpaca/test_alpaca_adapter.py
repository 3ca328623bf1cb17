"""What only Alpaca's adapter must keep: pages by time, a halt that is a setting, market closes, no second post."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.errors import VenueError
from ops.model.zero import ZeroProof
from ops.venues.protocol import Keys, PositionView, VenueActor
from tests.contracts.alpaca.desk import Desk
from tests.contracts.clauses import held, unknown
from tests.contracts.rig import Rig, credentials
from tests.peers import answering

Act = Callable[[VenueActor], Any]
ORDER = b'{"id":"1","client_order_id":"c","symbol":"AAPL","side":"buy","qty":"1","submitted_at":"2026-11-20T17:00:00Z"}'
ODD: dict[str, tuple[str, bytes, Act]] = {
    "an object for a list": ("/orders", b"{}", lambda door: door.open_orders()),
    "null for a list": ("/orders", b"null", lambda door: door.open_orders()),
    "a row that is no order": ("/orders", b"[{}]", lambda door: door.open_orders()),
    "an order without a status": ("/orders", b"[" + ORDER + b"]", lambda door: door.open_orders()),
    "a position without a price": ("/positions", b'[{"symbol":"AAPL","qty":"1"}]', lambda door: door.positions()),
    "a fill without a time": ("/account/activities/FILL", b'[{"id":"1"}]', lambda door: door.fills_since(EPOCH)),
    "an account without a number": ("/account", b'{"cash":"1"}', lambda door: door.account()),
    "a word for a truth": ("/clock", b'{"is_open":"false"}', lambda door: door.status()),
    "a day without hours": ("/calendar", b'[{"date":"2026-11-20"}]', lambda door: door.windows(EPOCH, EPOCH)),
}
EPOCH = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def door(desk: Desk) -> VenueActor:
    return desk.rig.door()


def bought(desk: Desk, door: VenueActor, qty: float = 1) -> PositionView:
    desk.buy(qty)
    desk.rig.later(1)
    return held(door, "AAPL")


# Reading


def test_a_door_needs_a_key(rig: Rig) -> None:
    with pytest.raises(VenueError, match="without a key"):
        rig.door(keys=Keys())
    with pytest.raises(VenueError, match="half a key"):
        rig.door(keys=Keys(credentials({"key": "PK1", "secret": ""})))


def test_an_order_on_its_way_to_be_cancelled_is_still_open(desk: Desk, door: VenueActor) -> None:
    order = desk.rest()
    door.cancel(str(order.id))
    assert [seen.status for seen in door.open_orders()] == ["pending_cancel"]
    desk.rig.later(1)
    assert list(door.open_orders()) == []
    door.cancel(str(order.id))  # too late, and done


def test_a_list_that_cannot_be_read_to_its_end_is_unknown(desk: Desk, door: VenueActor) -> None:
    """More orders at one instant than fit on a page: no bound on time can reach the rest."""
    for _ in range(501):
        desk.rig.by_hand()
    for newest_first in (True, False):
        with pytest.raises(VenueError, match="to its end"):
            door.open_orders(newest_first)


def test_a_position_is_a_signed_exact_quantity(desk: Desk, door: VenueActor) -> None:
    position = bought(desk, door, 1.25)
    assert position.qty == Decimal("1.25")
    assert Decimal(180) < position.market_value_usd < Decimal(300)


def test_the_session_ends_early_on_a_half_day_and_not_at_all_on_a_holiday(desk: Desk, door: VenueActor) -> None:
    desk.hours("regular")
    assert door.status().state == "open"
    desk.at("2026-11-27T18:00:00+00:00")
    assert door.status().state == "closed"
    windows = door.windows(datetime(2026, 11, 26, tzinfo=UTC), datetime(2026, 11, 28, tzinfo=UTC))
    assert [f"{window.begins:%d %H:%M} {window.ends:%d %H:%M}" for window in windows] == ["27 14:30 27 18:00"]


@pytest.mark.parametrize("what", ODD)
def test_an_answer_of_another_shape_is_unknown(rig: Rig, what: str) -> None:
    """Some of them could pass for an empty account."""
    path, body, act = ODD[what]
    with answering({f"GET /v2{path}": (200, body)}) as url:
        assert unknown(lambda: act(rig.door(endpoint=url))).status is None


@pytest.mark.parametrize("body", [b"{}", b"", b"[]", b"<html>404</html>", b'{"code":404100'])
def test_a_404_that_is_not_alpacas_proves_nothing(rig: Rig, body: bytes) -> None:
    """What a proxy does not know may well be an order at the venue."""
    with answering({"GET /v2/orders:by_client_order_id": (404, body)}) as url:
        assert unknown(lambda: rig.door(endpoint=url).order_by_client_id("any")).status is None


# Changing


def test_a_cancel_that_was_not_taken_on_is_an_error(desk: Desk, door: VenueActor) -> None:
    order = str(desk.rest().id)
    desk.fault("server_error", methods=["DELETE"])
    assert unknown(lambda: door.cancel(order)).status == 500
    answers = {"DELETE /v2/orders/1": (422, b"{}"), "GET /v2/orders/1": (200, ORDER[:-1] + b',"status":"new"}')}
    with answering(answers) as url, pytest.raises(VenueError, match="the order is new"):
        desk.rig.door(endpoint=url).cancel("1")


def test_suspending_leaves_every_other_setting_of_the_account_as_it_was(desk: Desk, door: VenueActor) -> None:
    desk.ask("PATCH", "/account/configurations", json={"trade_confirm_email": "all"})
    before = desk.client.get("/account/configurations")
    door.set_suspended(True)
    assert desk.client.get("/account/configurations") == {**before, "suspend_trade": True}


def test_a_suspended_account_can_still_cancel_and_be_read(desk: Desk, door: VenueActor) -> None:
    desk.rest()
    door.set_suspended(True)
    assert door.cancel_all() == 1
    desk.rig.later(1)
    assert list(door.open_orders()) == []


@pytest.mark.parametrize("fault", ["gateway_timeout_after", "truncated_json"])
def test_a_halt_whose_answer_was_lost_is_unknown_though_it_was_set(desk: Desk, door: VenueActor, fault: str) -> None:
    desk.fault(fault, methods=["PATCH"])
    unknown(lambda: door.set_suspended(True))
    desk.no_fault(fault)
    assert door.account().suspended is True


def test_a_halt_that_does_not_read_back_is_an_error(rig: Rig) -> None:
    config = (200, b'{"suspend_trade":true}')
    account = b'{"account_number":"1","equity":"1","cash":"1","last_equity":"1","trading_blocked":false,'
    answers = {
        "GET /v2/account/configurations": config,
        "PATCH /v2/account/configurations": config,
        "GET /v2/account": (200, account + b'"account_blocked":false,"trade_suspended_by_user":false}'),
    }
    with answering(answers) as url, pytest.raises(VenueError, match="read back"):
        rig.door(endpoint=url).set_suspended(True)


def test_a_close_that_waits_for_the_open_is_not_sent_again(desk: Desk, door: VenueActor) -> None:
    position = bought(desk, door, 3)
    desk.hours("regular")
    desk.rig.later(12 * 3600)  # at night a market order waits
    client_id, before = desk.rig.client_id(), desk.posts()
    for _ in range(3):
        door.close_position(position, client_id)
        desk.rig.later(1)
    assert desk.posts() - before == 1
    assert desk.rig.events(client_id) == ["accepted"]


def test_closing_more_than_is_held_is_refused_with_the_venues_status(desk: Desk, door: VenueActor) -> None:
    client_id, position = desk.rig.client_id(), bought(desk, door)
    assert unknown(lambda: door.close_position(replace(position, qty=Decimal(5)), client_id)).status == 403
    assert desk.rig.events(client_id) == ["rejected"]


@pytest.mark.parametrize(("fault", "status"), [("rate_limit", 429), ("gateway_timeout_after", 504)])
def test_nothing_is_posted_twice(desk: Desk, door: VenueActor, fault: str, status: int) -> None:
    """alpaca-py as it ships re-sends every verb on both; the second post would be a second order, or hide the first."""
    position, client_id = bought(desk, door), desk.rig.client_id()
    desk.fault(fault, methods=["POST"])
    before = desk.posts()
    assert unknown(lambda: door.close_position(position, client_id)).status == status
    assert desk.posts() - before == 1


def test_a_close_whose_answer_was_lost_is_looked_up_and_not_sent_again(desk: Desk, door: VenueActor) -> None:
    position, client_id = bought(desk, door), desk.rig.client_id()
    desk.fault("gateway_timeout_after")
    before = desk.posts()
    unknown(lambda: door.close_position(position, client_id))
    desk.no_fault("gateway_timeout_after")
    desk.rig.later(1)
    door.close_position(position, client_id)
    assert desk.posts() - before == 1
    assert desk.rig.events(client_id) == ["accepted", "fill"]


def test_nothing_is_sent_while_it_cannot_be_looked_up(desk: Desk, door: VenueActor) -> None:
    position, wish = bought(desk, door), desk.rig.wish()
    desk.fault("server_error", methods=["GET"])
    before = desk.posts()
    unknown(lambda: door.close_position(position, wish.client_id))
    unknown(lambda: door.place(wish))
    assert desk.posts() == before


# What lies


def test_a_cancel_that_sticks_leaves_the_order_open(desk: Desk, door: VenueActor) -> None:
    """Half or all of the cancels stick: the venue has taken every one on, and the orders are still open."""
    made = [desk.rig.by_hand() for _ in range(4)]
    desk.fault("half_cancel")
    assert door.cancel_all() == 4
    desk.rig.later(30)
    assert {order.id for order in door.open_orders()} == {made[1], made[3]}
    desk.fault("stuck_cancel")
    assert door.cancel_all() == 2
    desk.rig.later(30)
    assert {order.status for order in door.open_orders()} == {"pending_cancel"}


@pytest.mark.parametrize("number", [1, 2, 7])
def test_a_list_that_hides_its_rest_never_looks_empty_and_contradicts_itself(
    desk: Desk, door: VenueActor, number: int
) -> None:
    for _ in range(number):
        desk.rig.by_hand()
        desk.rig.later(1)
    desk.fault("hidden_pages")
    ends = [{order.id for order in door.open_orders(newest_first)} for newest_first in (True, False)]
    proof = ZeroProof().read(*ends).read(*ends)
    assert all(ends)
    assert not proof.proven
    assert number == 1 or "contradicts" in proof.problem


def test_fills_at_one_instant_across_a_page_come_in_the_order_of_the_orders(desk: Desk, door: VenueActor) -> None:
    before, made = desk.rig.now - timedelta(microseconds=1), []
    for _ in range(21):
        made += [desk.rig.by_hand(price=Decimal(250)) for _ in range(5)]
        desk.rig.later(1)
    seen = [fill.order_id for fill in door.fills_since(before) if fill.at <= desk.rig.now]  # others jumped ahead
    assert seen == made
