"""The public client, as it ships, against the simulated Polymarket; and what that refuses, in the venue's own words."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import requests
from py_clob_client_v2 import ClobClient
from py_clob_client_v2.clob_types import (
    ApiCreds,
    BalanceAllowanceParams,
    CreateOrderOptions,
    MarketOrderArgs,
    OrderArgs,
    OrderArgsV1,
    OrderPayload,
    OrderType,
    PostOrdersV2Args,
    RequestArgs,
    TradeParams,
)
from py_clob_client_v2.exceptions import PolyApiException
from py_clob_client_v2.headers.headers import create_level_2_headers
from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2

from ops.sandbox.clock import WorldClock
from ops.sandbox.venues.polymarket.desk import GONE
from ops.sandbox.venues.polymarket.simulated import SITE, SimulatedPolymarket
from ops.sandbox.venues.venue import Opening
from tests.contracts.polymarket.facts import POLYMARKET, TOKEN, public_client
from tests.contracts.rig import NOON, Parts, Rig

STRANGER = "0x" + "11" * 32


@pytest.fixture
def parts(rig: Rig) -> Parts:
    return rig.issue("paper", "bot")


@pytest.fixture
def client(rig: Rig, parts: Parts) -> ClobClient:
    return public_client(rig, parts)


def refused(act: Callable[[], Any]) -> tuple[int | None, Any]:
    """Status and body of the library's error that `act` must raise."""
    with pytest.raises(PolyApiException) as caught:
        act()
    return caught.value.status_code, caught.value.error_msg


def wish(price: float = 0.2, size: float = 10, side: str = "BUY") -> OrderArgs:
    return OrderArgs(token_id=TOKEN, price=price, size=size, side=side)


# The client's own way


def test_a_wallet_makes_a_key_derives_it_again_and_revokes_it(rig: Rig, parts: Parts) -> None:
    wallet = ClobClient(rig.served.endpoints["paper"], 137, key=parts["wallet"])
    made = wallet.create_api_key(nonce=77)
    assert refused(lambda: wallet.create_api_key(nonce=77)) == (400, {"error": "Could not create api key"})
    assert wallet.derive_api_key(nonce=77) == wallet.create_or_derive_api_key(nonce=77) == made
    wallet.set_api_creds(made)
    assert made.api_key in wallet.get_api_keys()["apiKeys"]
    assert wallet.delete_api_key() == "OK"
    assert refused(wallet.get_api_keys) == (401, {"error": "Unauthorized/Invalid api key"})
    assert refused(lambda: wallet.derive_api_key(nonce=77))[0] == 400


@pytest.mark.parametrize(
    ("environment", "key"), [("live", None), ("paper", STRANGER)], ids=["other listener", "stranger"]
)
def test_a_wallet_is_let_in_at_its_own_listener_only(rig: Rig, parts: Parts, environment: str, key: str | None) -> None:
    wallet = ClobClient(rig.served.endpoints[environment], 137, key=key or parts["wallet"])
    assert refused(wallet.create_api_key) == (401, {"error": "Invalid L1 Request headers"})


def test_an_order_rests_is_listed_and_cancelled(rig: Rig, client: ClobClient) -> None:
    answer = client.create_and_post_order(wish())
    (row,) = client.get_open_orders()
    assert (answer["status"], answer["orderID"]) == ("live", row["id"])
    assert (row["original_size"], row["price"], row["owner"]) == ("10", "0.2", client.creds.api_key)
    assert client.get_order(row["id"]) == row
    cancel = OrderPayload(orderID=row["id"])
    assert client.cancel_order(cancel) == {"canceled": [row["id"]], "not_canceled": {}}
    assert client.cancel_order(cancel) == {"canceled": [], "not_canceled": {row["id"]: GONE}}
    assert [line["event"] for line in rig.log(order_id=row["id"])] == ["accepted", "cancel_requested", "canceled"]


def test_one_bad_order_of_a_batch_does_not_hide_that_the_others_were_taken(client: ClobClient) -> None:
    once = client.create_order(wish())
    answers = client.post_orders([PostOrdersV2Args(order=once, orderType=OrderType.GTC) for _ in range(2)])
    assert [answer["success"] for answer in answers] == [True, False]
    assert "Duplicated" in answers[1]["errorMsg"]
    assert [row["id"] for row in client.get_open_orders()] == [answers[0]["orderID"]]


def test_a_market_order_fills_moves_money_and_is_traded(rig: Rig, client: ClobClient) -> None:
    before = Decimal(client.get_balance_allowance(BalanceAllowanceParams(asset_type="COLLATERAL"))["balance"])
    answer = client.create_and_post_market_order(MarketOrderArgs(token_id=TOKEN, amount=5, side="BUY", price=0.9))
    assert (answer["status"], len(answer["transactionsHashes"])) == ("matched", 1)
    (trade,) = client.get_trades(TradeParams(id=answer["tradeIDs"][0]))
    assert (trade["taker_order_id"], trade["trader_side"]) == (answer["orderID"], "TAKER")
    after = Decimal(client.get_balance_allowance(BalanceAllowanceParams(asset_type="COLLATERAL"))["balance"])
    assert before - after == Decimal(trade["size"]) * Decimal(trade["price"]) * 1_000_000


def test_a_large_order_fills_in_parts_and_a_resting_one_when_the_price_comes(rig: Rig, client: ClobClient) -> None:
    large = client.create_and_post_order(wish(0.5, 6000))["orderID"]
    resting = client.create_and_post_order(wish(0.3, 7))["orderID"]
    assert client.get_order(large)["size_matched"] == "5000"
    rig.later(1)
    rig.served.do(lambda: rig.served.venue.shock(TOKEN, Decimal("0.6")))
    rig.served.do(lambda: rig.served.venue.shock(TOKEN, Decimal(1)))
    assert [client.get_order(number)["status"] for number in (large, resting)] == ["MATCHED", "MATCHED"]
    (trade,) = [row for row in client.get_trades() if row["maker_orders"][0]["order_id"] == resting]
    assert (trade["trader_side"], trade["maker_orders"][0]["side"]) == ("MAKER", "BUY")
    events = [line["event"] for line in rig.log(order_id=large)]
    assert events == ["accepted", "partial_fill", "fill"]


def test_cancel_all_cancels_also_what_was_placed_on_the_site(rig: Rig, client: ClobClient) -> None:
    numbers = {rig.by_hand(), client.create_and_post_order(wish())["orderID"]}
    assert {row["owner"] for row in client.get_open_orders()} == {SITE, client.creds.api_key}
    assert set(client.cancel_all()["canceled"]) == numbers
    assert client.get_open_orders() == []


def test_the_market_is_described_as_the_client_wants_it(client: ClobClient) -> None:
    book = client.get_order_book(TOKEN)
    bid, ask = book["bids"][-1]["price"], book["asks"][-1]["price"]
    assert Decimal(ask) - Decimal(bid) == Decimal("0.01")
    assert (client.get_price(TOKEN, "BUY"), client.get_price(TOKEN, "SELL")) == ({"price": bid}, {"price": ask})
    assert (client.get_tick_size(TOKEN), client.get_neg_risk(TOKEN), client.get_version()) == ("0.01", False, 2)
    assert client.get_closed_only_mode() == {"closed_only": False}
    assert refused(lambda: client.get_order_book("5"))[0] == 404


def test_the_heartbeat_wants_the_id_it_gave(client: ClobClient) -> None:
    first = client.post_heartbeat()["heartbeat_id"]
    status, body = refused(client.post_heartbeat)
    assert (status, body["heartbeat_id"]) == (400, first)
    assert client.post_heartbeat(first)["heartbeat_id"] != first


# Refusals


def test_an_order_of_version_1_is_named_as_such(rig: Rig, client: ClobClient) -> None:
    args = OrderArgsV1(token_id=TOKEN, price=0.2, size=10, side="BUY")
    order = client.builder.build_order(args, CreateOrderOptions(tick_size="0.01", neg_risk=False), version=1)
    assert refused(lambda: client.post_order(order)) == (400, {"error": "order_version_mismatch"})
    assert [line["reason"] for line in rig.log(event="rejected")] == ["order_version_mismatch"]


def test_the_same_signed_order_is_taken_once(rig: Rig, client: ClobClient) -> None:
    order = client.create_order(wish())
    number = client.post_order(order)["orderID"]
    for cancelled in (False, True):
        if cancelled:
            client.cancel_all()
        assert refused(lambda: client.post_order(order)) == (
            400, {"error": f"order {number} is invalid. Duplicated."},
        )  # fmt: skip
    assert [line["event"] for line in rig.log() if line["order_id"] == number].count("accepted") == 1


TAMPERED: dict[str, tuple[dict[str, Any], str]] = {
    "cheaper": ({"makerAmount": "1000000"}, "invalid signature"),
    "another side": ({"side": 1}, "invalid signature"),
    "another salt": ({"salt": "1"}, "invalid signature"),
    "another text": ({"metadata": "0x" + "61" * 32}, "invalid signature"),
    "no signature": ({"signature": "0x"}, "invalid signature"),
    "another signer": ({"signer": "0x" + "22" * 20}, "the order signer address has to be the address of the API KEY"),
    "another maker": ({"maker": "0x" + "22" * 20}, "Invalid order payload"),
    "a proxy wallet": ({"signatureType": 1}, "Invalid order payload"),
    "no number": ({"tokenId": "yes"}, "Invalid order payload"),
    "an old order": ({"timestamp": "1000"}, "invalid signature"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_not_signed_by_the_wallet_is_refused(rig: Rig, client: ClobClient, how: str) -> None:
    changes, said = TAMPERED[how]
    order = replace(client.create_order(wish()), **changes)
    assert refused(lambda: client.post_order(order)) == (400, {"error": said})
    assert [line["event"] for line in rig.log()] == ["rejected"]


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "too small": ({"size": 0.5}, {}, "lower than the minimum"),
    "too dear": ({"size": 9_999_999}, {}, "not enough balance / allowance"),
    "nothing to sell": ({"side": "SELL", "size": 9_999_999}, {}, "not enough balance / allowance"),
    "crossing": ({"price": 0.5}, {"post_only": True}, "order crosses book"),
    "no match": ({}, {"order_type": OrderType.FAK}, "no orders found to match with FAK order"),
    "not whole": ({"price": 0.5, "size": 6000}, {"order_type": OrderType.FOK}, "fully filled or killed"),
    "no expiry": ({}, {"order_type": OrderType.GTD}, "invalid expiration"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_an_order_that_cannot_be_is_refused(client: ClobClient, why: str) -> None:
    changes, more, said = REFUSED[why]
    args = wish(**{"price": 0.2, "size": 10, **changes})
    status, body = refused(lambda: client.create_and_post_order(args, **more))
    assert status == 400
    assert said in body["error"]


def posted(client: ClobClient, document: Any) -> requests.Response:
    """The answer to any body, signed as the client signs."""
    body = json.dumps(document, separators=(",", ":"))
    headers = client._l2_headers("POST", "/order", serialized_body=body)
    return requests.post(client.host + "/order", body, headers=headers, timeout=5)


def test_an_order_is_posted_by_the_key_that_owns_it(rig: Rig, client: ClobClient) -> None:
    """Keys have no scopes: any of the wallet's posts what the wallet has signed, but in its own name only."""
    order, other = client.create_order(wish()), rig.issue("paper", "kill")
    answer = posted(client, order_to_json_v2(order, other["key"], "GTC"))
    assert (answer.status_code, answer.json()["error"]) == (400, "the order owner has to be the owner of the API KEY")
    client.creds = ApiCreds(other["key"], other["secret"], other["passphrase"])
    assert client.post_order(order)["success"] is True


@pytest.mark.parametrize("document", [{}, [], {"order": 5, "orderType": "GTC"}, {"order": {}, "orderType": "GTC"}])
def test_what_is_no_order_is_refused(client: ClobClient, document: Any) -> None:
    assert posted(client, document).status_code == 400


FORGED: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "signature": lambda sent: {**sent, "POLY_SIGNATURE": "A" * 43 + "="},
    "time": lambda sent: {**sent, "POLY_TIMESTAMP": str(int(sent["POLY_TIMESTAMP"]) + 1)},
    "wallet": lambda sent: {**sent, "POLY_ADDRESS": "0x" + "22" * 20},
    "passphrase": lambda sent: {**sent, "POLY_PASSPHRASE": "0" * 64},
    "nothing": lambda sent: {},
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_request_is_not_let_in(rig: Rig, client: ClobClient, what: str) -> None:
    headers = FORGED[what](client._l2_headers("DELETE", "/cancel-all"))
    answer = requests.delete(rig.served.endpoints["paper"] + "/cancel-all", headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized/Invalid api key"})


def test_a_request_signed_by_a_wrong_clock_is_not_let_in_but_by_either_of_the_worlds(
    rig: Rig, client: ClobClient
) -> None:
    """The machine's time, which clients sign by, and venue time, which they may ask for; a week lies between here."""
    rig.served.do(lambda: rig.served.venue.pin_clock(NOON.replace(day=1)))
    by_venue = ClobClient(client.host, 137, key=client.signer.private_key, creds=client.creds, use_server_time=True)
    assert client.get_open_orders() == by_venue.get_open_orders() == []
    asked = RequestArgs("GET", "/data/orders")
    late = create_level_2_headers(client.signer, client.creds, asked, timestamp=int(time.monotonic()))
    assert requests.get(client.host + "/data/orders", headers=late, timeout=5).status_code == 401


def test_no_secret_reaches_a_log(rig: Rig, client: ClobClient, parts: Parts) -> None:
    client.create_and_post_order(wish())
    written = f"{rig.requests} {rig.lines}"
    assert parts["key"] in written
    assert not any(parts[part] in written for part in ("secret", "passphrase", "wallet"))


# A life of its own


def _opening(folder: Any, lines: list[dict[str, Any]]) -> Opening:
    clock = WorldClock()
    clock.pin(NOON)
    accounts = {name: (number, Decimal(1000)) for name, number in POLYMARKET.numbers.items()}
    return Opening(
        accounts, POLYMARKET.symbols, 7, folder, clock, random.Random(1), lines.append, lines.append
    )  # fmt: skip


def test_a_restart_forgets_nothing(tmp_path: Any) -> None:
    lines: list[dict[str, Any]] = []
    first = SimulatedPolymarket(_opening(tmp_path, lines))
    key = first.issue_key("live", "observer")["key"]
    resting, crossing = (
        first.place_by_hand("live", {"symbol": TOKEN, "side": "buy", "qty": 5, "limit_price": price})["id"]
        for price in ("0.2", "0.6")
    )
    first.switch_fault("live", "stuck_cancel", True, {})
    first.shock("1002", Decimal("0.5"))
    first.desks["live"].beat("", NOON)
    first.close()
    second = SimulatedPolymarket(_opening(tmp_path, lines))
    desk = second.desks["live"]
    assert (list(desk.open), desk.orders[crossing].status, desk.account.held) == ([resting], "MATCHED", {TOKEN: 5})
    assert desk.account == first.desks["live"].account
    assert desk.trades == first.desks["live"].trades
    assert second.keys["live"].issued[key].purpose == "observer"
    assert second.faults.is_on("stuck_cancel", "live")
    assert second.market.prices.shocks == {"1002": Decimal("0.5")}
    second.close()


def test_hundreds_of_orders_settle_in_no_time(tmp_path: Any) -> None:
    venue = SimulatedPolymarket(_opening(tmp_path, []))
    for _ in range(400):
        venue.place_by_hand("paper", {"symbol": TOKEN, "side": "buy", "qty": 1, "limit_price": "0.2"})
    began = time.process_time()
    for _ in range(10):
        venue.settle()
    assert time.process_time() - began < 0.5
    venue.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": {"paper": ("0x1", Decimal(1)), "live": ("0x2", Decimal(1))}},
        {"symbols": {"BTC": Decimal("0.5")}},
        {"symbols": {"1": Decimal(5)}},
    ],
)
def test_a_world_that_polymarket_cannot_be_is_refused_at_once(tmp_path: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"account|token"):
        SimulatedPolymarket(replace(_opening(tmp_path, []), **wrong))
