"""What Kraken's adapter adds to the clauses: ccxt's traps, nonces, and answers that say too little."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ops.errors import VenueError
from ops.secrets import Credentials
from ops.venues.kraken.adapter import Kraken
from ops.venues.protocol import Keys, PositionView
from tests.contracts.clauses import CHANGES, READS, unknown
from tests.contracts.rig import NOON, Rig, credentials
from tests.peers import answering

ROOT = Path(__file__).resolve().parents[3]


def paths(rig: Rig, act: Callable[[], Any]) -> list[str]:
    """The requests that `act` sends, in order."""
    before = len(rig.requests)
    act()
    return [line["path"].rpartition("/")[2] for line in rig.requests[before:]]


def test_an_order_that_may_be_on_its_way_is_not_sent_again(rig: Rig) -> None:
    """Its id is free again once it has filled: sent twice, it would fill twice."""
    door, wish = rig.door(), rig.wish(crossing=True)
    rig.fault("hang_before", path_prefix="/0/private/AddOrder", times=1)
    quick = rig.door(timeout_seconds=0.3)
    assert unknown(lambda: quick.place(wish)).status is None
    assert "may still reach" in str(unknown(lambda: quick.place(wish)))
    assert rig.events(wish.client_id) == []
    for fault, status in (("rate_limit", 429), ("cancel_only", 503)):
        rig.fault(fault, path_prefix="/0/private/AddOrder")
        refused = rig.wish()
        assert unknown(lambda: door.place(refused)).status == status  # noqa: B023
        rig.fault(fault, on=False)
        assert door.place(refused).open  # what was refused is not under way


# The library's traps


def test_nothing_of_ours_calls_the_sandbox_switch() -> None:
    sources = [
        *ROOT.glob("ops/venues/kraken/*.py"),
        ROOT / "ops/kill/kraken.py",
        ROOT / "ops/sandbox/bots/brokers/kraken.py",
    ]
    assert [path.name for path in sources if re.search(r"set_sandbox_mode\(|\.sandbox\b", path.read_text())] == []


@pytest.mark.parametrize("which", ["public", "private"])
def test_a_client_that_points_elsewhere_sends_nothing(rig: Rig, which: str) -> None:
    door = rig.door()
    assert isinstance(door, Kraken)
    door._observer._ccxt.urls["api"][which] = "https://api.kraken.com"
    assert paths(rig, lambda: unknown(door.account)) == []
    assert "elsewhere" in str(unknown(door.status))


@pytest.mark.parametrize(
    ("act", "sent"),
    [
        (lambda door: door.cancel_all(), ["CancelAll"]),
        (lambda door: door.set_dead_man(60), ["CancelAllOrdersAfter"]),
        (lambda door: door.set_dead_man(None), ["CancelAllOrdersAfter"]),
        (lambda door: door.status(), ["SystemStatus"]),
        (lambda door: door.key(), ["GetApiKeyInfo"]),
        (lambda door: door.open_orders(), ["OpenOrders"]),
        (lambda door: door.windows(None, None), []),
    ],
)
def test_what_must_be_quick_is_one_request_and_loads_no_markets(rig: Rig, act: Any, sent: list[str]) -> None:
    assert paths(rig, lambda: act(rig.door())) == sent


@pytest.mark.parametrize("seconds", [4, 1, 0, -1])
def test_a_short_dead_mans_switch_is_refused_before_it_is_sent(rig: Rig, seconds: int) -> None:
    assert paths(rig, lambda: unknown(lambda: rig.door().set_dead_man(seconds))) == []


@pytest.mark.parametrize(
    ("seconds", "due"),
    [(60, "0"), (60, "2026-11-20T17:00:00Z"), (60, None), (60, "soon"), (None, "2026-11-20T17:01:00Z")],
)
def test_a_dead_mans_switch_is_what_the_answer_confirms(seconds: int | None, due: str | None) -> None:
    result = {"currentTime": "2026-11-20T17:00:00Z", "triggerTime": due}
    body = json.dumps({"error": [], "result": result}).encode()
    with answering({"POST /0/private/CancelAllOrdersAfter": (200, body)}) as url:
        unknown(lambda: door(url).set_dead_man(seconds))


# Nonces


def test_many_doors_of_one_process_share_a_key(rig: Rig) -> None:
    """No nonce is used twice, so none is refused and nothing is asked again."""
    doors = [rig.door() for _ in range(4)]

    def read() -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda door: [door.open_orders() for _ in range(10)], doors))

    assert paths(rig, read) == ["OpenOrders"] * 40


def test_a_nonce_that_was_overtaken_is_tried_again_for_reads_and_cancels_never_for_orders(rig: Rig) -> None:
    door = rig.door()
    for act in (door.open_orders, door.cancel_all):
        rig.fault("invalid_nonce", times=2)
        assert len(paths(rig, act)) == 3
    door.positions()
    rig.fault("invalid_nonce", times=1, path_prefix="/0/private/AddOrder")
    sent = paths(rig, lambda: unknown(lambda: door.place(rig.wish())))
    assert sent.count("AddOrder") == 1
    assert rig.log(event="accepted") == []


# Keys and accounts


@pytest.mark.parametrize(
    ("more", "may_withdraw"),
    [
        ("withdraw-funds", True),
        ("add-withdraw-address", True),
        ("update-withdraw-address", True),
        ("something-new", None),
        ("export-data", False),
    ],
)
def test_a_key_that_may_withdraw_or_might_says_so(rig: Rig, more: str, may_withdraw: bool | None) -> None:
    ring, held = rig.served.venue.keys, ("query-funds", more)
    key = rig.served.do(lambda: ring.issue("paper", "odd", held, rig.now))
    odd = Credentials("odd", {"key": key.key_id, "secret": key.secret})
    seen = rig.door(keys=Keys(odd, odd, odd)).key()
    assert (seen.permissions, seen.may_trade, seen.may_withdraw) == (frozenset(held), False, may_withdraw)


def test_no_secret_is_in_an_errors_whole_traceback(rig: Rig) -> None:
    parts = rig.issue("paper", "bot")
    for flawed in ({**parts, "secret": "A" * 86 + "=="}, {**parts, "secret": "not base64!"}, parts):
        wrong = credentials(flawed)
        opened = rig.door(keys=Keys(wrong, wrong, wrong), endpoint="http://127.0.0.1:9" if flawed is parts else "")
        error = unknown(opened.account)
        told = "".join(traceback.format_exception(error)) + repr(opened.__dict__)
        assert [part for part in flawed.values() if part in told] == []


def test_without_a_key_nothing_is_asked(rig: Rig) -> None:
    assert "no kill key" in str(unknown(rig.door(keys=Keys(bot=rig.keys().bot)).cancel_all))


# Orders and positions


def test_an_id_that_kraken_does_not_take_becomes_one_that_it_does_and_is_found_again(rig: Rig) -> None:
    wish, name = rig.wish(), "il-0f3a-flatten-BTC/USD"
    made = rig.door().place(type(wish)(name, wish.symbol, "buy", wish.qty, wish.limit_price))
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made.client_id)
    assert rig.door().order_by_client_id(name) == made
    assert rig.door().place(type(wish)(name, wish.symbol, "buy", wish.qty, wish.limit_price)) == made


def test_a_list_begins_at_the_end_that_was_asked_for(rig: Rig) -> None:
    made = []
    for _ in range(3):
        made.append(rig.by_hand())
        rig.later(1)
    assert [order.id for order in rig.door().open_orders(newest_first=False)] == made
    assert [order.id for order in rig.door().open_orders(newest_first=True)] == made[::-1]


def test_a_stop_is_protective_and_other_orders_are_not(rig: Rig) -> None:
    rig.by_hand(price=Decimal(63_000))
    rig.by_hand()
    stop = {"symbol": "BTC/USD", "side": "sell", "qty": "0.001", "stop_price": "20000"}
    made = rig.served.do(lambda: rig.served.venue.place_by_hand("paper", stop))["id"]
    for newest_first in (True, False):
        seen = {order.id: order.protective for order in rig.door().open_orders(newest_first)}
        assert (sorted(seen.values()), seen[made]) == ([False, True], True)


def test_what_orders_hold_back_contradicts_a_list_that_hides_them(rig: Rig) -> None:
    """Three buys, one shown; then none shown: the second read of a zero proof asks another book."""
    for _ in range(3):
        rig.by_hand()
    rig.fault("hidden_pages")
    assert len(rig.door().open_orders(newest_first=True)) == 1
    assert "does not show" in str(unknown(lambda: rig.door().open_orders(newest_first=False)))
    rig.fault("hidden_pages", on=False)
    rig.fault("stale_orders")
    assert list(rig.door().open_orders()) == []
    assert "does not show" in str(unknown(lambda: rig.door().open_orders(newest_first=False)))


def test_pages_that_show_a_part_are_read_until_the_count_is_reached(rig: Rig) -> None:
    made = {rig.by_hand(price=Decimal(63_000)) for _ in range(4)}
    rig.later(1)
    rig.fault("hidden_pages")
    assert {fill.order_id for fill in rig.door().fills_since(rig.start - timedelta(seconds=1))} == made


def test_an_instant_cuts_fills_finer_than_the_venues_seconds(rig: Rig) -> None:
    made = []
    for _ in range(3):
        made.append(rig.by_hand(price=Decimal(63_000)))
        rig.later(0.2)
    since = rig.start + timedelta(seconds=0.2)  # exclusive: the second fill is at that very instant
    assert [fill.order_id for fill in rig.door().fills_since(since)] == made[2:]
    assert list(rig.door().fills_since(rig.start + timedelta(hours=1))) == []


def test_fills_that_are_counted_but_never_shown_are_unknown() -> None:
    body = b'{"error":[],"result":{"trades":{},"count":3}}'
    with answering({"POST /0/private/TradesHistory": (200, body)}) as url:
        assert "to their end" in str(unknown(lambda: door(url).fills_since(NOON)))


@pytest.mark.parametrize(
    ("position", "status"),
    [
        (PositionView("BTC/USD", Decimal("0.00001"), Decimal(1)), 400),
        (PositionView("XYZ/USD", Decimal(1), Decimal(1)), 404),
    ],
)
def test_a_position_that_cannot_be_closed_is_said_so(rig: Rig, position: PositionView, status: int) -> None:
    assert unknown(lambda: rig.door().close_position(position, rig.client_id())).status == status


def test_what_has_no_market_is_shown_and_worth_nothing() -> None:
    """Fee credits, a delisted coin, staked and earning forms; the number as people write it, in groups."""
    balances = {name: {"balance": "2", "hold_trade": "0"} for name in ("ZUSD", "XXBT", "XBT.F", "KFEE", "USD.F")}
    results = {"BalanceEx": balances, "GetApiKeyInfo": {"iban": "AA51 N84G PAPR 0001"}}
    answers = {f"POST /0/private/{name}": (200, result_of(json.dumps(result))) for name, result in results.items()}
    answers["GET /0/public/AssetPairs"] = (200, result_of(PAIRS[:-1].decode() + ',"XBTUSD.d":{"altname":"XBTUSD.d"}}'))
    answers["GET /0/public/Ticker"] = (200, result_of('{"XXBTZUSD":{"a":["101"],"b":["99"]}}'))
    with answering(answers) as url:
        account, positions = door(url).account(), door(url).positions()
    assert (account.number, account.cash_usd, account.equity_usd) == ("AA51N84GPAPR0001", Decimal(2), Decimal(404))
    worth = {position.symbol: position.market_value_usd for position in positions}
    assert worth == {"BTC/USD": 200, "BTC.F/USD": 200, "KFEE/USD": 0, "USD.F/USD": 2}


# Answers of a wrong shape


def result_of(result: str) -> bytes:
    return f'{{"error":[],"result":{result}}}'.encode()


def door(url: str) -> Kraken:
    key = credentials({"key": "K", "secret": "QUJD"})
    return Kraken(url, "N", Keys(key, key, key), timeout_seconds=1)


PAIRS = b'{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD"}}'
ODD = {
    "null": b"null",
    "a number": b"7",
    "a list": b"[]",
    "a text": b'"x"',
    "nothing in it": b"{}",
    "rows that are lists": b'{"open":[],"closed":[],"trades":[],"count":1,"iban":7,"permissions":"all"}',
    "rows that are texts": b'{"open":{"O":"x"},"closed":{"O":"x"},"trades":{"T":"x"},"count":1,"ZUSD":"x","O":"x"}',
    "rows without fields": b'{"open":{"O":{}},"closed":{"O":{}},"trades":{"T":{}},"count":1,"ZUSD":{},"O":{}}',
    "half an order": b'{"open":{"O":{"descr":{"pair":"XBTUSD","ordertype":"limit"},"status":"open"}},"count":"many"}',
}


@pytest.mark.parametrize("shape", ODD)
def test_an_answer_of_another_shape_is_unknown_and_never_an_empty_list(rig: Rig, shape: str) -> None:
    order = rig.door().place(rig.wish())
    methods = ("GetApiKeyInfo", "BalanceEx", "OpenOrders", "ClosedOrders", "QueryOrders", "TradesHistory", "AddOrder",
               "CancelAll", "CancelAllOrdersAfter")  # fmt: skip
    body = b'{"error":[],"result":' + ODD[shape] + b"}"
    answers = {f"POST /0/private/{method}": (200, body) for method in methods}
    answers["GET /0/public/AssetPairs"] = (200, b'{"error":[],"result":' + PAIRS + b"}")
    acts = {**READS, **CHANGES, "key": lambda door, _: door.key(), "dead man": lambda door, _: door.set_dead_man(60)}
    del acts["cancel"]  # it reads nothing from its answer: whatever comes, the order is looked at again
    with answering(answers) as url:
        for name, act in acts.items():
            try:
                act(door(url), order)
            except VenueError:
                continue
            assert (shape, name) in HONEST, (shape, name)


HONEST = {("nothing in it", "positions"), *((shape, "cancel all") for shape in ODD if shape.startswith("rows"))}
"""No balance at all is no position; and there the answer to CancelAll is good: count 1."""


def test_an_order_in_a_state_that_is_not_known_could_still_trade() -> None:
    row = '{"status":"thinking","vol":"1","opentm":1.5,"descr":{"pair":"XBTUSD","type":"buy","ordertype":"limit"}}'
    answers = {"POST /0/private/OpenOrders": (200, result_of(f'{{"open":{{"O":{row}}}}}'))}
    with answering({**answers, "GET /0/public/AssetPairs": (200, result_of(PAIRS.decode()))}) as url:
        (order,) = door(url).open_orders()
    assert (order.status, order.open) == ("thinking", True)


GOOD = b'{"error":[],"result":{"open":{}}}'


@pytest.mark.parametrize(
    "answer",
    [(200, b"<html></html>"), (200, b""), (200, b"{"), (302, GOOD), (404, GOOD), (500, GOOD), (200, b'{"result":{}}')],
)
def test_what_is_no_answer_of_kraken_is_unknown(answer: tuple[int, bytes]) -> None:
    with answering({"POST /0/private/OpenOrders": answer}) as url:
        unknown(door(url).open_orders)
