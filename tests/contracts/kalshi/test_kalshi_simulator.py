"""Kalshi's simulator is as strict as the venue: signatures, scopes, numbers as text, ids for ever, order groups."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ops.sandbox.clock import WorldClock
from ops.sandbox.venues.kalshi.simulated import SimulatedKalshi
from ops.sandbox.venues.venue import Opening
from ops.web import ask
from tests.contracts.kalshi.facts import KALSHI, OTHER, TICKER, secret_of_nobody
from tests.contracts.kalshi.signed import ROOT, Hand, code
from tests.contracts.rig import NOON, Rig, credentials


@pytest.fixture
def rig(running: Rig) -> Iterator[Rig]:
    running.begin()
    yield running
    running.served.do(lambda: running.served.venue.set_hours("always"))
    running.served.do(lambda: running.served.venue.shock(TICKER, Decimal(1)))
    running.no_faults()


@pytest.fixture
def hand(rig: Rig) -> Hand:
    return Hand.of(rig)


# Signatures


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another's key": ({"private": None}, "INCORRECT_API_KEY_SIGNATURE"),
    "another salt": ({"salt": 20}, "INCORRECT_API_KEY_SIGNATURE"),
    "more than the path": ({"signs": "{}?limit=1"}, "INCORRECT_API_KEY_SIGNATURE"),
    "unknown id": ({"key_id": "de300000-0000-4000-8000-000000000000"}, "NOT_FOUND"),
    "30 s old": ({"skew_ms": -30_000}, "header_timestamp_expired"),
    "5 min ahead": ({"skew_ms": 300_000}, "header_timestamp_expired"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_signature_that_is_not_exactly_right_is_refused(hand: Hand, what: str) -> None:
    flaw, word = WRONG[what]
    for name, value in flaw.items():
        made = Hand(hand.url, {"key": hand.key_id, "secret": secret_of_nobody()}).private if value is None else value
        setattr(hand, name, made)
    status, body = hand("GET", "/portfolio/balance")
    assert (status, word in str(body)) == (401, True)


def test_a_clock_that_is_five_seconds_off_is_accepted_and_a_query_is_not_signed(hand: Hand) -> None:
    for hand.skew_ms in (-5000, 5000):
        assert hand("GET", "/portfolio/orders", query="?limit=1")[0] == 200


def test_no_signature_opens_public_doors_only(rig: Rig, hand: Hand) -> None:
    paths = ("/exchange/status", "/exchange/schedule", "/markets", f"/markets/{TICKER}", f"/markets/{TICKER}/orderbook",
             "/historical/cutoff")  # fmt: skip
    assert {ask("GET", hand.url + ROOT + path)[0] for path in paths} == {200}
    assert code(ask("GET", f"{hand.url}{ROOT}/portfolio/balance")) == (401, "signature_is_missing_from_headers")
    assert ask("GET", f"{hand.url}/portfolio/balance")[0] == 404


def test_a_key_says_nothing_of_its_environment_but_serves_only_there(rig: Rig) -> None:
    hands = {name: Hand.of(rig, environment=name) for name in ("paper", "live")}
    for one, other in (("paper", "live"), ("live", "paper")):
        stranger = Hand.of(rig, environment=one)
        stranger.url = hands[other].url
        status, body = stranger("GET", "/portfolio/balance")
        assert (status, body["error"]["details"]) == (401, "NOT_FOUND")
    assert {name: hand.key_id[:4] for name, hand in hands.items()} == {"paper": "de30", "live": "11fe"}


# Scopes and keys


REQUESTS: dict[str, tuple[str, str, Any]] = {
    "read": ("GET", "/portfolio/orders", None),
    "balance": ("GET", "/portfolio/balance", None),
    "trade": ("POST", "/portfolio/events/orders", {}),
    "cancel": ("DELETE", "/portfolio/events/orders", None),
    "group": ("POST", "/portfolio/order_groups/create", {"contracts_limit": 5}),
    "transfer": ("POST", "/portfolio/subaccounts/transfer", {}),
    "keys": ("POST", "/api_keys/generate", {"name": ""}),
    "own public key": ("POST", "/api_keys", {"name": "x", "public_key": "y"}),
}
GRANTS: dict[str, tuple[list[str], set[str]]] = {
    "observer": (["read"], {"read", "balance"}),
    "bot": (["read", "write::trade"], {"read", "balance", "trade", "cancel", "group"}),
    "balance only": (["read::portfolio_balance"], {"balance"}),
    "transfer only": (["write::transfer"], {"transfer"}),
    "full": (["read", "write"], set(REQUESTS) - {"own public key"}),
}


@pytest.mark.parametrize("whose", GRANTS)
def test_a_key_may_do_what_its_scopes_grant(rig: Rig, whose: str) -> None:
    """Refused is 403; anything else, also a complaint about the body, is past the gate."""
    scopes, granted = GRANTS[whose]
    hand = new_hand(rig, scopes)
    answers = {what: hand(*request)[0] for what, request in REQUESTS.items()}
    assert {what for what, status in answers.items() if status != 403} == granted


def test_keys_are_made_listed_and_revoked_through_the_api(rig: Rig) -> None:
    manager = new_hand(rig, ["read", "write"])
    status, made = manager("POST", "/api_keys/generate", {"name": "next bot", "scopes": ["read", "write::trade"]})
    assert (status, made["private_key"][:11]) == (201, "-----BEGIN ")
    secret = "".join(made["private_key"].splitlines()[1:-1])
    bot = Hand(manager.url, {"key": made["api_key_id"], "secret": secret})
    assert bot("GET", "/portfolio/balance")[0] == 200
    listed = {row["api_key_id"]: row["scopes"] for row in manager("GET", "/api_keys")[1]["api_keys"]}
    assert listed[bot.key_id] == ["read", "write::trade"]
    assert manager("DELETE", f"/api_keys/{bot.key_id}") == (204, None)
    assert bot("GET", "/portfolio/balance")[0] == 401
    assert manager("DELETE", f"/api_keys/{bot.key_id}")[0] == 404


def test_a_key_of_one_subaccount_may_not_ask_for_keys(rig: Rig) -> None:
    restricted = new_hand(rig, ["read", "write::trade"], subaccount=0)
    assert restricted("GET", "/api_keys")[0] == 401
    assert restricted("GET", "/portfolio/balance")[0] == 200


# Orders


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "count as a number": ({"count": 2}, (400, "bad_request")),
    "price as a number": ({"price": 0.2}, (400, "bad_request")),
    "no price": ({"price": None}, (400, "msg")),
    "no client id": ({"client_order_id": None}, (400, "msg")),
    "no prevention type": ({"self_trade_prevention_type": None}, (400, "msg")),
    "yes for bid": ({"side": "yes"}, (400, "msg")),
    "between the ticks": ({"price": "0.2050"}, (400, "invalid_price")),
    "one dollar": ({"price": "1.0000"}, (400, "invalid_price")),
    "nothing": ({"count": "0.00"}, (400, "invalid_order")),
    "unknown ticker": ({"ticker": "KXNONE"}, (404, "market_not_found")),
    "post only that crosses": ({"price": "0.9000", "post_only": True}, (400, "invalid_order")),
    "reduce only that rests": ({"reduce_only": True}, (400, "invalid_order")),
    "more than there is": ({"count": "99999999.00"}, (400, "insufficient_balance")),
    "fill or kill that rests": (
        {"time_in_force": "fill_or_kill"},
        (409, "fill_or_kill_insufficient_resting_volume"),
    ),
    "unknown group": ({"order_group_id": "none"}, (404, "order_group_not_found")),
    "already over": ({"expiration_time": 1}, (400, "invalid_order")),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_order_that_is_not_exactly_right_is_refused_in_the_venues_own_words(rig: Rig, hand: Hand, what: str) -> None:
    flaw, told = REFUSED[what]
    assert code(hand.create(**flaw)) == told
    assert rig.log(event="accepted") == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/portfolio/orders"),
        ("POST", "/portfolio/orders/batched"),
        ("DELETE", "/portfolio/orders/x"),
        ("POST", "/portfolio/orders/x/amend"),
    ],
)
def test_the_first_version_of_order_writes_is_gone(hand: Hand, method: str, path: str) -> None:
    assert code(hand(method, path, {})) == (410, "deprecated_v1_order_endpoint")


def test_a_client_id_is_taken_for_ever_also_after_a_cancel(hand: Hand) -> None:
    _, made = hand.create(client_order_id="once")
    assert code(hand.create(client_order_id="once")) == (409, "order_already_exists")
    assert hand("DELETE", f"/portfolio/events/orders/{made['order_id']}")[1]["reduced_by"] == "2.00"
    assert code(hand.create(client_order_id="once")) == (409, "order_already_exists")


def test_the_read_side_learns_late_of_a_cancel_and_a_second_one_knows(rig: Rig, hand: Hand) -> None:
    _, made = hand.create()
    path = f"/portfolio/events/orders/{made['order_id']}"
    assert hand("DELETE", path, query=f"?market_ticker={OTHER}")[0] == 404
    assert hand("DELETE", path, query=f"?market_ticker={TICKER}")[0] == 200
    assert order_status(hand, made) == "resting"
    assert code(hand("DELETE", path)) == (404, "not_found")
    rig.later(1)
    assert order_status(hand, made) == "canceled"


def test_time_in_force(rig: Rig, hand: Hand) -> None:
    _, killed = hand.create(time_in_force="immediate_or_cancel")
    assert (killed["fill_count"], killed["remaining_count"]) == ("0.00", "0.00")
    _, filled = hand.create(time_in_force="fill_or_kill", price="0.9900")
    assert (filled["fill_count"], filled["remaining_count"]) == ("2.00", "0.00")
    _, timed = hand.create(expiration_time=int((rig.now + timedelta(seconds=30)).timestamp()))
    rig.later(31)
    assert order_status(hand, timed) == "canceled"
    assert [line["event"] for line in rig.log(order_id=timed["order_id"])] == ["accepted", "expired"]


def test_a_large_order_fills_in_parts_and_a_resting_one_when_the_price_comes(rig: Rig, hand: Hand) -> None:
    _, large = hand.create(count="6000.00", price="0.6000")
    assert (large["fill_count"], large["remaining_count"]) == ("5000.00", "1000.00")
    _, waiting = hand.create(price="0.3000")
    rig.served.do(lambda: rig.served.venue.shock(TICKER, Decimal("0.5")))
    rig.later(1)
    assert [order_status(hand, order) for order in (large, waiting)] == ["executed", "executed"]
    (fill,) = rig.log(order_id=waiting["order_id"], event="fill")
    assert fill["price"] == "0.3000"


def test_an_order_never_trades_with_our_own(hand: Hand) -> None:
    hand.create(price="0.4000")
    status, killed = hand.create(side="ask", price="0.3000")
    assert (status, killed["fill_count"], killed["remaining_count"]) == (201, "0.00", "0.00")


def test_a_yes_and_a_no_together_are_one_dollar(rig: Rig, hand: Hand) -> None:
    """Bought, sold twice as many, bought back: the cash lost is the spread and the fees, nothing else."""

    def cash() -> Decimal:
        return Decimal(hand("GET", "/portfolio/balance")[1]["balance_dollars"])

    before = cash()
    for side, count in (("bid", "100.00"), ("ask", "200.00"), ("bid", "100.00")):
        price = "0.9900" if side == "bid" else "0.0100"
        assert hand.create(side=side, count=count, price=price, time_in_force="immediate_or_cancel")[0] == 201
    fills = hand("GET", "/portfolio/fills", query=f"?min_ts={int(rig.start.timestamp())}")[1]["fills"]
    fees = sum(Decimal(fill["fee_cost"]) for fill in fills)
    spread = Decimal("0.01") * 200
    assert before - cash() == spread + fees
    assert fees > 0


def test_pages_end_with_an_empty_cursor_and_a_strange_cursor_finds_nothing(rig: Rig, hand: Hand) -> None:
    made = {rig.by_hand() for _ in range(5)}
    seen, cursor = [], ""
    for _ in range(3):
        page = hand("GET", "/portfolio/orders", query=f"?status=resting&limit=2&cursor={cursor}")[1]
        seen += [row["order_id"] for row in page["orders"]]
        cursor = page["cursor"]
    assert (set(seen), len(seen), cursor) == (made, 5, "")
    assert hand("GET", "/portfolio/orders", query="?cursor=nonsense")[1] == {"cursor": "", "orders": []}
    for path in ("/portfolio/orders", "/portfolio/positions"):
        assert code(hand("GET", path, query="?limit=1001")) == (400, "msg")


def test_positions_come_in_pages_too(hand: Hand) -> None:
    for ticker in (TICKER, OTHER):
        assert hand.create(ticker=ticker, price="0.9900", time_in_force="immediate_or_cancel")[0] == 201
    first = hand("GET", "/portfolio/positions", query="?limit=1")[1]
    last = hand("GET", "/portfolio/positions", query=f"?limit=1&cursor={first['cursor']}")[1]
    assert {page["market_positions"][0]["ticker"] for page in (first, last)} == {TICKER, OTHER}
    assert (bool(first["cursor"]), last["cursor"]) == (True, "")


# Order groups


def test_a_triggered_group_holds_no_order_and_takes_none_until_it_is_reset(rig: Rig, hand: Hand) -> None:
    group = hand("POST", "/portfolio/order_groups/create", {"contracts_limit_fp": "10.00"})[1]["order_group_id"]
    _, inside = hand.create(order_group_id=group)
    _, outside = hand.create()
    assert hand("GET", f"/portfolio/order_groups/{group}")[1]["orders"] == [inside["order_id"]]
    assert hand("PUT", f"/portfolio/order_groups/{group}/trigger")[0] == 400  # a body is wanted
    assert hand("PUT", f"/portfolio/order_groups/{group}/trigger", {}) == (200, {})
    rig.later(1)
    assert [order_status(hand, order) for order in (inside, outside)] == ["canceled", "resting"]
    assert code(hand.create(order_group_id=group)) == (409, "order_group_triggered")
    assert hand.create()[0] == 201  # it binds only the orders that name it
    assert hand("PUT", f"/portfolio/order_groups/{group}/reset", {}) == (200, {})
    assert hand.create(order_group_id=group)[0] == 201
    assert hand("DELETE", f"/portfolio/order_groups/{group}")[0] == 200


def test_a_group_triggers_itself_when_too_much_fills_within_fifteen_seconds(rig: Rig, hand: Hand) -> None:
    group = hand("POST", "/portfolio/order_groups/create", {"contracts_limit": 5})[1]["order_group_id"]
    wish = {"order_group_id": group, "price": "0.9900", "time_in_force": "immediate_or_cancel"}
    assert [hand.create(**wish)[0] for _ in range(2)] == [201, 201]
    rig.later(16)
    assert [hand.create(**wish)[0] for _ in range(4)] == [201, 201, 201, 409]
    assert hand("GET", f"/portfolio/order_groups/{group}")[1]["is_auto_cancel_enabled"] is True
    hand("DELETE", f"/portfolio/order_groups/{group}")


# Time, faults, restart


def test_the_weekly_pause_takes_cancels_but_no_orders(rig: Rig, hand: Hand) -> None:
    _, resting = hand.create()
    rig.served.do(lambda: rig.served.venue.set_hours("regular"))
    thursday = datetime(2026, 11, 26, 8, 30, tzinfo=NOON.tzinfo)  # 03:30 in New York
    rig.later((thursday - rig.now).total_seconds())
    door = rig.door()
    assert door.status().state == "cancel_only"
    assert code(hand.create()) == (409, "trading_is_paused")
    assert hand("DELETE", f"/portfolio/events/orders/{resting['order_id']}")[0] == 200
    windows = door.windows(thursday, thursday + timedelta(hours=2))
    assert [(w.kind, w.begins.hour, w.ends.hour) for w in windows] == [("maintenance", 8, 10), ("session", 10, 5)]


def test_an_exchange_pause_takes_no_cancels_either(rig: Rig, hand: Hand) -> None:
    _, resting = hand.create()
    rig.fault("exchange_pause")
    assert code(hand("DELETE", f"/portfolio/events/orders/{resting['order_id']}")) == (409, "exchange_is_paused")
    assert code(hand("DELETE", "/portfolio/events/orders")) == (409, "exchange_is_paused")


def test_a_stale_list_shows_what_was(rig: Rig, hand: Hand) -> None:
    old = rig.by_hand()
    rig.later(10)
    new = rig.by_hand()
    rig.fault("stale_orders", lag_seconds=5)
    shown = {row["order_id"] for row in hand("GET", "/portfolio/orders", query="?status=resting")[1]["orders"]}
    assert shown & {old, new} == {old}


def test_what_was_stands_again_after_a_restart(tmp_path: Any) -> None:
    clock = WorldClock()
    clock.pin(NOON)
    opening = Opening(
        accounts={name: (number, Decimal(1000)) for name, number in KALSHI.numbers.items()},
        symbols=KALSHI.symbols, seed=7, state=tmp_path, clock=clock, entropy=random.Random(1),
        record=lambda line: None, request=lambda line: None,
    )  # fmt: skip
    first = SimulatedKalshi(opening)
    parts = first.issue_key("live", "bot")
    first.place_by_hand("live", {"symbol": TICKER, "side": "buy", "qty": "3", "limit_price": "0.2000"})
    first.place_by_hand("live", {"symbol": TICKER, "side": "sell", "qty": "2"})
    group = first.desks["live"].create_group(Decimal(5))
    first.desks["live"].trigger(group, NOON)
    first.switch_fault("live", "stuck_latch", True, {})
    first.shock(OTHER, Decimal("0.9"))
    first.close()
    again = SimulatedKalshi(replace(opening, entropy=random.Random(2)))
    assert again.desks["live"].account == first.desks["live"].account
    assert list(again.desks["live"].orders.values()) == list(first.desks["live"].orders.values())
    assert again.desks["live"].fills == first.desks["live"].fills
    assert again.keys.issued[parts["key"]] == first.keys.issued[parts["key"]]
    assert again.faults.active == first.faults.active
    assert again.market.prices.shocks == {OTHER: Decimal("0.9")}
    again.close()


def test_hundreds_of_resting_orders_settle_in_no_time(rig: Rig) -> None:
    """Counted in work, not in seconds: one quote per ticker and instant, whatever rests there."""
    for _ in range(300):
        rig.by_hand()
    desk = rig.served.venue.desks["paper"]
    assert len(desk.open) == 300
    rig.later(1)
    assert (desk.dirty, desk.new_fills, desk.account_changed) == ({}, [], False)


def test_a_request_is_logged_without_a_secret(rig: Rig, hand: Hand) -> None:
    stranger = Hand(hand.url, {"key": "a secret pasted into the wrong place", "secret": secret_of_nobody()})
    stranger("GET", "/portfolio/balance")
    hand("GET", "/portfolio/balance")
    assert [line["key_id"] for line in rig.requests[-2:]] == ["unknown", hand.key_id]
    assert set(rig.requests[-1]) == {"time", "listener", "method", "path", "query", "key_id", "status"}


def test_a_secret_fits_on_one_line_of_an_env_file(rig: Rig) -> None:
    """Base64 of the DER: its letters are all in what the host program takes as a value (`ENV_VALUE`)."""
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[3] / "playbooks" / "library" / "interlock_host.py"
    spec = importlib.util.spec_from_file_location("host_program", path)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    parts = rig.issue("paper", "bot")
    assert all(program.ENV_VALUE.match(part.encode()) for part in parts.values())
    assert base64.b64decode(parts["secret"], validate=True)[0] == 0x30


def order_status(hand: Hand, made: dict[str, Any]) -> str:
    return str(hand("GET", f"/portfolio/orders/{made['order_id']}")[1]["order"]["status"])


def new_hand(rig: Rig, scopes: list[str], subaccount: int | None = None) -> Hand:
    issue: Callable[[], Any] = lambda: rig.served.venue.keys.issue("paper", "test", scopes, subaccount)  # noqa: E731
    key, secret = rig.served.do(issue)
    return Hand(rig.served.endpoints["paper"], credentials({"key": key.key_id, "secret": secret})._parts)
