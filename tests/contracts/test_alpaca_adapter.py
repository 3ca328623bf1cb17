"""The venue contract, C01 to C25, as the Alpaca adapter keeps it against the simulated venue: what it says is so.

What it does when the venue does not answer as it should stands in `test_alpaca_adapter_faults.py`.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from ops.errors import VenueError
from ops.secrets import Credentials
from ops.venues.alpaca import Alpaca
from ops.venues.protocol import PositionView


@pytest.fixture
def door(desk) -> Alpaca:
    return opened(desk)


def opened(desk, key: str = "", secret: str = "") -> Alpaca:
    return Alpaca(desk.url, Credentials("under-test", key or desk.key_id, secret or desk.secret))


def sent(desk, method: str) -> int:
    """How many requests of that method reached the venue so far, whatever became of them."""
    lines = (desk.world.config.state / "requests.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return sum((row["method"], row["listener"]) == (method, f"alpaca-{desk.environment}") for row in rows)


# Who is asking


@pytest.mark.parametrize(
    ("environment", "number", "paper"), [("paper", "PA3SANDBOX01", True), ("live", "912345678", False)]
)
def test_c01_the_account_says_its_number_and_whether_it_is_paper(desk, live_desk, environment, number, paper) -> None:
    account = opened(desk if environment == "paper" else live_desk).account()
    assert (account.number, account.paper, account.blocked, account.suspended) == (number, paper, False, False)


def test_c02_money_is_exact(desk, door) -> None:
    account = door.account()
    assert {type(value) for value in (account.equity_usd, account.cash_usd, account.last_equity_usd)} == {Decimal}
    assert account.cash_usd > 0


@pytest.mark.parametrize("key", ["other environment", "wrong secret", "unknown", "swapped"])
def test_c03_a_key_that_is_not_of_this_account_is_refused_with_its_status(desk, live_desk, key) -> None:
    pairs = {
        "other environment": (live_desk.key_id, live_desk.secret),
        "wrong secret": (desk.key_id, "x" * 40),
        "unknown": ("PKUNKNOWN", desk.secret),
        "swapped": (desk.secret, desk.key_id),
    }
    with pytest.raises(VenueError) as caught:
        opened(desk, *pairs[key]).account()
    assert caught.value.status == 401
    assert not any(part in str(caught.value) for part in pairs[key])


def test_c04_a_refused_key_shows_no_list_at_all(desk) -> None:
    stranger = opened(desk, "PKUNKNOWN", "x" * 40)
    reads = (stranger.open_orders, stranger.positions, lambda: stranger.fills_since(desk.start))
    for read in reads:
        with pytest.raises(VenueError):
            read()


# Orders


def test_c05_an_open_order_is_seen_from_both_ends(desk, door) -> None:
    made = [str(desk.rest().id)]
    for _ in range(2):
        desk.later(1)
        made.append(str(desk.rest().id))
    assert [order.id for order in door.open_orders(newest_first=False)] == made
    assert [order.id for order in door.open_orders(newest_first=True)] == made[::-1]


def test_c06_an_order_is_shown_whole(desk, door) -> None:
    made = desk.rest(limit_price=150, qty=3, client_order_id="c06")
    (seen,) = door.open_orders()
    assert (seen.id, seen.client_id, seen.symbol, seen.side, seen.qty, seen.status, seen.submitted_at) == (
        str(made.id), "c06", "AAPL", "buy", Decimal(3), "new", desk.now,
    )  # fmt: skip


def test_c07_an_order_on_its_way_to_be_cancelled_is_still_open(desk, door) -> None:
    order = desk.rest()
    desk.client.cancel_order_by_id(order.id)
    assert [seen.status for seen in door.open_orders()] == ["pending_cancel"]
    desk.later(1)
    assert list(door.open_orders()) == []


@pytest.mark.parametrize("newest_first", [True, False], ids=["from the newest", "from the oldest"])
def test_c08_more_orders_than_fit_on_a_page_are_all_seen(desk, door, newest_first) -> None:
    """Two batches of 260, each at one instant: the end of the first page falls between orders of the same time."""
    made = {str(desk.rest(limit_price=1).id) for _ in range(260)}
    desk.later(1)
    made |= {str(desk.rest(limit_price=1).id) for _ in range(260)}
    assert {order.id for order in door.open_orders(newest_first)} == made


def test_c09_a_list_that_cannot_be_read_to_its_end_is_unknown(desk, door) -> None:
    """More orders at one instant than fit on a page: no bound on time can reach the rest."""
    for _ in range(501):
        desk.rest(limit_price=1)
    with pytest.raises(VenueError, match="to its end"):
        door.open_orders()


def test_c10_an_order_is_found_by_its_own_id_whatever_its_state(desk, door) -> None:
    order = desk.rest()
    assert door.order(str(order.id)).status == "new"
    desk.client.cancel_order_by_id(order.id)
    desk.later(1)
    assert door.order(str(order.id)).status == "canceled"
    with pytest.raises(VenueError) as caught:
        door.order("00000000-0000-4000-8000-000000000000")
    assert caught.value.status == 404


def test_c11_a_client_id_is_found_in_open_and_closed_orders(desk, door) -> None:
    desk.rest(client_order_id="c11-open")
    desk.rest(client_order_id="c11-closed")
    desk.client.cancel_order_by_id(desk.client.get_order_by_client_id("c11-closed").id)
    desk.later(1)
    found = [door.order_by_client_id(name) for name in ("c11-open", "c11-closed")]
    assert [order.status for order in found if order] == ["new", "canceled"]


def test_c12_a_client_id_that_was_never_used_is_none_and_not_an_error(door) -> None:
    assert door.order_by_client_id("c12-never") is None


# Positions and fills


def test_c13_a_position_is_a_signed_exact_quantity(desk, door) -> None:
    desk.submit("buy", 1.25, 250)
    desk.later(1)
    (held,) = door.positions()
    assert (held.symbol, held.qty) == ("AAPL", Decimal("1.25"))
    assert Decimal(180) < held.market_value_usd < Decimal(300)


def test_c14_a_flat_account_has_no_positions(door) -> None:
    assert list(door.positions()) == []


def test_c15_more_fills_than_fit_on_a_page_are_each_seen_once_oldest_first(desk, door) -> None:
    before = desk.now - timedelta(microseconds=1)
    made = []
    for _ in range(21):
        made += [str(desk.buy(1).id) for _ in range(5)]
        desk.later(1)
    fills = door.fills_since(before)
    assert [fill.order_id for fill in fills] == made
    assert all(one.at <= other.at for one, other in pairwise(fills))
    assert len({fill.id for fill in fills}) == 105


def test_c16_fills_before_the_instant_are_left_out(desk, door) -> None:
    desk.buy(1)
    desk.later(10)
    late = desk.buy(1)
    desk.later(1)
    assert [fill.order_id for fill in door.fills_since(desk.now - timedelta(seconds=5))] == [str(late.id)]


def test_c17_a_fill_is_exact_and_names_its_order(desk, door) -> None:
    order = desk.buy(2)
    desk.later(1)
    (fill,) = door.fills_since(desk.now - timedelta(seconds=5))
    assert (fill.order_id, fill.symbol, fill.side, fill.qty) == (str(order.id), "AAPL", "buy", Decimal(2))
    assert isinstance(fill.price, Decimal)


# Changes


def test_c18_cancel_all_says_how_many_were_taken_on_and_proves_nothing(desk, door) -> None:
    for _ in range(3):
        desk.rest()
    assert door.cancel_all() == 3
    assert len(door.open_orders()) == 3
    desk.later(1)
    assert list(door.open_orders()) == []
    assert door.cancel_all() == 0


def test_c19_a_suspended_account_refuses_new_orders_until_it_is_lifted(desk, door) -> None:
    door.set_suspended(True)
    assert door.account().suspended is True
    assert desk.refused(lambda: desk.rest(client_order_id="c19-no"))[0] == 403
    assert desk.events("c19-no") == ["rejected"]
    door.set_suspended(False)
    assert door.account().suspended is False
    assert desk.rest(client_order_id="c19-yes").client_order_id == "c19-yes"


def test_c20_suspending_leaves_every_other_setting_of_the_account_as_it_was(desk, door) -> None:
    configuration = desk.client.get_account_configurations()
    configuration.trade_confirm_email = "all"
    desk.client.set_account_configurations(configuration)
    before = desk.client.get("/account/configurations")
    door.set_suspended(True)
    assert desk.client.get("/account/configurations") == {**before, "suspend_trade": True}


def test_c21_suspending_twice_is_suspending_once(door) -> None:
    for wanted in (True, True, False, False):
        door.set_suspended(wanted)
        assert door.account().suspended is wanted


def test_c22_a_suspended_account_can_still_cancel_and_be_read(desk, door) -> None:
    desk.rest()
    door.set_suspended(True)
    assert door.cancel_all() == 1
    desk.later(1)
    assert list(door.open_orders()) == []


def test_c23_a_position_is_closed_by_one_order_of_the_given_id(desk, door) -> None:
    desk.buy(3)
    desk.later(1)
    (held,) = door.positions()
    door.close_position(held, "c23-close")
    desk.later(1)
    assert list(door.positions()) == []
    closing = door.order_by_client_id("c23-close")
    assert closing is not None
    assert (closing.side, closing.qty, closing.status) == ("sell", Decimal(3), "filled")


@pytest.mark.parametrize("state", ["open", "filled"])
def test_c24_closing_again_under_the_same_id_sends_nothing(desk, door, state) -> None:
    desk.buy(3)
    desk.later(1)
    (held,) = door.positions()
    if state == "open":
        desk.admin("hours", hours="regular")
        desk.later(12 * 3600)  # at night a market order waits
    client_id = f"c24-{state}"
    before = sent(desk, "POST")
    for _ in range(3):
        door.close_position(held, client_id)
        desk.later(1)
    assert sent(desk, "POST") - before == 1
    assert desk.events(client_id).count("accepted") == 1


def test_c25_closing_more_than_is_held_is_refused_with_the_venues_status(desk, door) -> None:
    with pytest.raises(VenueError) as caught:
        door.close_position(PositionView("AAPL", Decimal(5), Decimal(900)), "c25")
    assert caught.value.status == 403
    assert desk.events("c25") == ["rejected"]
