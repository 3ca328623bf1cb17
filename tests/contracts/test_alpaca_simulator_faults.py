"""Every fault of the simulated venue, as the unmodified alpaca-py meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from alpaca.trading.enums import OrderStatus

from ops.sandbox.venues.alpaca.faults import FAULTS

# Faults


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("rate_limit", 429),
        ("server_error", 500),
        ("html_error", 502),
        ("maintenance", 503),
        ("revoked_keys", 401),
    ],
)
def test_faults_that_refuse_accept_nothing(desk, fault: str, status: int) -> None:
    desk.fault(fault)
    assert desk.error(lambda: desk.rest(client_order_id=f"f-{fault}")).status_code == status
    desk.no_fault(fault)
    assert desk.events(f"f-{fault}") == []


def test_a_html_error_breaks_the_clients_own_error_parsing(desk) -> None:
    desk.fault("html_error")
    error = desk.error(desk.client.get_account)
    with pytest.raises(json.JSONDecodeError):
        _ = error.code


def test_rate_limit_fault_says_so_in_headers(desk) -> None:
    desk.fault("rate_limit")
    answer = desk.get("/v2/clock")
    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (429, "0")


def test_an_empty_body_is_not_an_empty_list(desk) -> None:
    desk.rest()
    desk.fault("empty_body")
    assert desk.client.get("/orders") is None


def test_truncated_json(desk) -> None:
    desk.fault("truncated_json")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        desk.rest(client_order_id="cut-1")
    desk.no_fault("truncated_json")
    assert desk.client.get_order_by_client_id("cut-1").status is OrderStatus.NEW


@pytest.mark.parametrize(("fault", "accepted"), [("hang_before", []), ("hang_after", ["accepted"])])
def test_hangs_before_and_after_acceptance(desk, fault: str, accepted: list[str]) -> None:
    desk.fault(fault)
    body = {
        "symbol": "AAPL",
        "qty": 1,
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": 150,
    }
    headers = {"APCA-API-KEY-ID": desk.key_id, "APCA-API-SECRET-KEY": desk.secret}
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(
            desk.url + "/v2/orders",
            json={**body, "client_order_id": f"h-{fault}"},
            headers=headers,
            timeout=0.3,
        )
    desk.no_fault(fault)
    assert desk.events(f"h-{fault}") == accepted


def test_the_repost_trap(desk) -> None:
    """alpaca-py as it ships posts again after a 504; the venue takes the first and refuses the second."""
    eager = desk.new_client()
    eager._retry, eager._retry_wait = 3, 0
    desk.client = eager
    desk.fault("gateway_timeout_after")
    status, body = desk.refused(lambda: desk.rest(client_order_id="trap-1"))
    desk.no_fault("gateway_timeout_after")
    assert (status, body["message"]) == (422, "client_order_id must be unique")
    assert desk.events("trap-1") == ["accepted", "rejected"]
    assert desk.client.get_order_by_client_id("trap-1").status is OrderStatus.NEW


def test_half_cancelled(desk) -> None:
    orders = [desk.rest() for _ in range(4)]
    desk.fault("half_cancel")
    assert {item.status for item in desk.client.cancel_orders()} == {200}
    desk.later(30)
    left = desk.client.get_orders()
    assert [order.id for order in left] == [orders[3].id, orders[1].id]
    assert {order.status for order in left} == {OrderStatus.PENDING_CANCEL}
    desk.no_fault("half_cancel")
    desk.later(30)
    assert len(desk.client.get_orders()) == 2
    desk.client.cancel_orders()
    desk.later(1)
    assert desk.client.get_orders() == []


def test_stuck_cancel(desk) -> None:
    order = desk.rest()
    desk.fault("stuck_cancel")
    desk.client.cancel_order_by_id(order.id)
    desk.later(30)
    assert [known.status for known in desk.client.get_orders()] == [OrderStatus.PENDING_CANCEL]


def test_hidden_pages(desk) -> None:
    orders = [desk.rest() for _ in range(7)]
    desk.fault("hidden_pages")
    assert [order.id for order in desk.client.get_orders()] == [order.id for order in orders[:3:-1]]


def test_stale_orders(desk) -> None:
    order = desk.rest()
    desk.later(10)
    desk.fault("stale_orders")
    desk.client.cancel_order_by_id(order.id)
    young = desk.rest()
    desk.later(1)
    assert [(known.id, known.status) for known in desk.client.get_orders()] == [(order.id, OrderStatus.NEW)]
    desk.later(5)
    assert [(known.id, known.status) for known in desk.client.get_orders()] == [(young.id, OrderStatus.NEW)]


def test_wrong_account(desk) -> None:
    right = desk.client.get_account()
    desk.fault("wrong_account")
    wrong = desk.client.get_account()
    assert wrong.account_number != right.account_number
    assert wrong.account_number.startswith("PA")
    assert wrong.id != right.id


def test_every_fault_is_tried_here() -> None:
    text = Path(__file__).read_text()
    assert [name for name in FAULTS if f'"{name}"' not in text] == []


def test_a_fault_stays_in_its_environment_and_counts_its_hits(desk, live_desk) -> None:
    desk.fault("server_error", times=2, methods=["GET"], path_prefix="/v2/account")
    assert live_desk.client.get_account()
    assert desk.client.get_clock()
    for _ in range(2):
        assert desk.error(desk.client.get_account).status_code == 500
    assert desk.client.get_account()


def test_cancels_complete_by_the_machines_clock_too(desk) -> None:
    desk.admin("clock", now=None)
    order = desk.rest()
    desk.client.cancel_order_by_id(order.id)
    desk.eventually(lambda: desk.client.get_order_by_id(order.id).status is OrderStatus.CANCELED)
