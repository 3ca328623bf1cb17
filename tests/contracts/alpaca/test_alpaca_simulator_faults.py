"""What the faults of the simulated venue look like to the unmodified alpaca-py: traps that our door has to know.

That each fault is unknown to the adapter is said by the clauses.
"""

from __future__ import annotations

import json

import pytest
import requests
from alpaca.trading.enums import OrderStatus

from tests.contracts.alpaca.desk import Desk, error, refused
from tests.field import awaited

ORDER = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": 150}


def test_a_html_error_breaks_the_clients_own_error_parsing(desk: Desk) -> None:
    desk.fault("html_error")
    seen = error(desk.client.get_account)
    assert seen.status_code == 502
    with pytest.raises(json.JSONDecodeError):
        _ = seen.code


def test_rate_limit_fault_says_so_in_headers(desk: Desk) -> None:
    desk.fault("rate_limit")
    answer = desk.ask("GET", "/clock")
    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (429, "0")


def test_an_empty_body_is_not_an_empty_list(desk: Desk) -> None:
    desk.rest()
    desk.fault("empty_body")
    assert desk.client.get("/orders") is None


def test_truncated_json_is_carried_out_all_the_same(desk: Desk) -> None:
    desk.fault("truncated_json")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        desk.rest(client_order_id="cut-1")
    with pytest.raises(json.JSONDecodeError):  # a refusal is cut in half too
        _ = error(lambda: desk.client.get_order_by_client_id("never-sent")).code
    desk.no_fault("truncated_json")
    assert desk.client.get_order_by_client_id("cut-1").status is OrderStatus.NEW


@pytest.mark.parametrize(("fault", "accepted"), [("hang_before", []), ("hang_after", ["accepted"])])
def test_hangs_before_and_after_acceptance(desk: Desk, fault: str, accepted: list[str]) -> None:
    desk.fault(fault)
    with pytest.raises(requests.exceptions.ReadTimeout):
        desk.ask("POST", "/orders", json={**ORDER, "client_order_id": f"h-{fault}"}, timeout=0.3)
    desk.no_fault(fault)
    assert desk.rig.events(f"h-{fault}") == accepted


def test_the_repost_trap(desk: Desk) -> None:
    """alpaca-py as it ships posts again after a 504; the venue takes the first and refuses the second."""
    desk.client._retry, desk.client._retry_wait = 3, 0
    desk.fault("gateway_timeout_after")
    status, body = refused(lambda: desk.rest(client_order_id="trap-1"))
    desk.no_fault("gateway_timeout_after")
    assert (status, body["message"]) == (422, "client_order_id must be unique")
    assert desk.rig.events("trap-1") == ["accepted", "rejected"]
    assert desk.client.get_order_by_client_id("trap-1").status is OrderStatus.NEW


def test_half_cancelled(desk: Desk) -> None:
    orders = [desk.rest() for _ in range(4)]
    desk.fault("half_cancel")
    assert {item.status for item in desk.client.cancel_orders()} == {200}
    desk.rig.later(30)
    left = desk.client.get_orders()
    assert [order.id for order in left] == [orders[3].id, orders[1].id]
    assert {order.status for order in left} == {OrderStatus.PENDING_CANCEL}
    desk.no_fault("half_cancel")
    desk.rig.later(30)
    assert len(desk.client.get_orders()) == 2
    desk.client.cancel_orders()
    desk.rig.later(1)
    assert desk.client.get_orders() == []


def test_hidden_pages(desk: Desk) -> None:
    orders = [desk.rest() for _ in range(7)]
    desk.fault("hidden_pages")
    assert [order.id for order in desk.client.get_orders()] == [order.id for order in orders[:3:-1]]


def test_stale_orders(desk: Desk) -> None:
    order = desk.rest()
    desk.rig.later(10)
    desk.fault("stale_orders")
    desk.client.cancel_order_by_id(order.id)
    young = desk.rest()
    desk.rig.later(1)
    assert [(known.id, known.status) for known in desk.client.get_orders()] == [(order.id, OrderStatus.NEW)]
    desk.rig.later(5)
    assert [(known.id, known.status) for known in desk.client.get_orders()] == [(young.id, OrderStatus.NEW)]


def test_wrong_account(desk: Desk) -> None:
    right = desk.client.get_account()
    desk.fault("wrong_account")
    wrong = desk.client.get_account()
    assert wrong.account_number != right.account_number
    assert wrong.account_number.startswith("PA")
    assert wrong.id != right.id


def test_a_fault_stays_in_its_environment_and_counts_its_hits(desk: Desk) -> None:
    live = Desk(desk.rig, "live")
    desk.fault("server_error", times=2, methods=["GET"], path_prefix="/v2/account")
    assert live.client.get_account()
    assert desk.client.get_clock()
    for _ in range(2):
        assert error(desk.client.get_account).status_code == 500
    assert desk.client.get_account()


def test_cancels_complete_by_the_machines_clock_too(desk: Desk) -> None:
    desk.rig.served.do(lambda: (desk.rig.clock.pin(None), desk.venue.pin_clock(None)))
    order = desk.rest()
    desk.client.cancel_order_by_id(order.id)
    awaited(lambda: desk.client.get_order_by_id(order.id).status is OrderStatus.CANCELED)
