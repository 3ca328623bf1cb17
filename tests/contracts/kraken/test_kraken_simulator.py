"""The simulated Kraken: ccxt, unmodified, works against it, and it refuses what the venue refuses, in its words."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from itertools import count
from typing import Any

import ccxt
import pytest

from ops.sandbox.clock import WorldClock
from ops.sandbox.venues.kraken.keys import PERMISSIONS
from ops.sandbox.venues.kraken.simulated import SimulatedKraken
from ops.sandbox.venues.venue import Opening
from tests.contracts.kraken.facts import KRAKEN, posted
from tests.contracts.rig import NOON, Parts, Rig

_NONCES = count(10**15)
ORDER = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "30000", "volume": "0.01"}


def client(rig: Rig, parts: Parts, environment: str = "paper") -> ccxt.kraken:
    """ccxt as it is shipped; only its rate limiter, which would sleep for seconds, is off."""
    base = rig.served.endpoints[environment]
    keys = {"apiKey": parts["key"], "secret": parts["secret"]}
    return ccxt.kraken({**keys, "enableRateLimit": False, "urls": {"api": {"public": base, "private": base}}})


@pytest.fixture
def bot(rig: Rig) -> Parts:
    return rig.issue("paper", "bot")


@pytest.fixture
def kraken(rig: Rig, bot: Parts) -> ccxt.kraken:
    return client(rig, bot)


def asked(rig: Rig, parts: Parts, method: str, **params: Any) -> dict[str, Any]:
    return posted(rig.served.endpoints["paper"], method, parts, next(_NONCES), **params)


def errors(rig: Rig, parts: Parts, method: str, **params: Any) -> list[str]:
    return asked(rig, parts, method, **params)["error"]


# The public client


def test_ccxt_reads_markets_state_prices_and_funds(rig: Rig, kraken: ccxt.kraken) -> None:
    assert set(kraken.load_markets()) == {"BTC/USD", "ETH/USD"}
    steps = kraken.market("BTC/USD")["precision"]
    assert (steps["price"], steps["amount"]) == (0.1, 1e-8)
    assert kraken.fetch_status()["status"] == "ok"
    ticker = kraken.fetch_ticker("BTC/USD")
    assert 50_000 < ticker["bid"] < ticker["ask"] < 70_000
    assert kraken.fetch_balance()["USD"]["total"] > 0
    assert kraken.privatePostGetApiKeyInfo()["result"]["iban"] == "AA51N84GPAPR0001"


def test_ccxt_trades_lists_and_cancels(rig: Rig, kraken: ccxt.kraken) -> None:
    resting = kraken.create_order("BTC/USD", "limit", "buy", 0.01, 30_000, {"clientOrderId": "k1p01"})
    market = kraken.create_order("BTC/USD", "market", "buy", 0.02)
    rig.later(1)
    (seen,) = kraken.fetch_open_orders("BTC/USD", params={"clientOrderId": "k1p01"})
    assert (seen["id"], seen["clientOrderId"], seen["price"], seen["side"]) == (resting["id"], "k1p01", 30_000, "buy")
    assert kraken.fetch_order(market["id"])["status"] == "closed"
    assert kraken.fetch_my_trades()[-1]["amount"] == 0.02
    kraken.cancel_order(resting["id"])
    rig.later(1)
    assert kraken.fetch_open_orders() == []
    assert resting["id"] in {order["id"] for order in kraken.fetch_closed_orders()}
    kraken.create_order("BTC/USD", "limit", "buy", 0.01, 30_000)
    kraken.cancel_all_orders()
    rig.later(1)
    assert kraken.fetch_open_orders() == []


def test_ccxt_validates_without_an_order_if_it_is_told_so_in_lowercase(rig: Rig, kraken: ccxt.kraken) -> None:
    order = kraken.create_order("BTC/USD", "limit", "buy", 0.01, 30_000, {"validate": "true"})
    assert (order["id"], kraken.fetch_open_orders()) == (None, [])
    with pytest.raises(ccxt.ExchangeError, match="validate"):
        kraken.create_order("BTC/USD", "limit", "buy", 0.01, 30_000, {"validate": True})


def test_ccxts_sandbox_switch_leaves_the_live_address_in_place() -> None:
    """Why nothing of ours ever calls it."""
    shipped = ccxt.kraken()
    with pytest.raises(TypeError):
        shipped.set_sandbox_mode(True)
    assert shipped.urls["api"]["private"] == "https://api.kraken.com"


def test_ccxts_dead_mans_switch_of_less_than_a_second_disarms_it(rig: Rig, kraken: ccxt.kraken) -> None:
    """Why the adapter refuses anything below five seconds and reads the answer."""
    kraken.cancel_all_orders_after(60_000)
    assert rig.served.venue.desks["paper"].account.dead_man_at == rig.now + timedelta(seconds=60)
    kraken.cancel_all_orders_after(500)
    assert rig.served.venue.desks["paper"].account.dead_man_at is None


CCXT_ERRORS: dict[str, tuple[type[Exception], Callable[[ccxt.kraken], Any]]] = {
    "EOrder:Insufficient funds": (
        ccxt.InsufficientFunds,
        lambda k: k.create_order("BTC/USD", "limit", "buy", 1000, 30_000),
    ),
    "EOrder:Unknown order": (ccxt.OrderNotFound, lambda k: k.cancel_order("OAAAAA-AAAAA-AAAAAA")),
    "EOrder:Order minimum not met": (
        ccxt.InvalidOrder,
        lambda k: k.create_order("BTC/USD", "limit", "buy", 0.00001, 30_000),
    ),
    "EGeneral:Permission denied": (ccxt.PermissionDenied, lambda k: k.privatePostWithdrawMethods({"asset": "XBT"})),
}


@pytest.mark.parametrize("said", CCXT_ERRORS)
def test_ccxt_maps_the_venues_refusals(kraken: ccxt.kraken, said: str) -> None:
    kind, act = CCXT_ERRORS[said]
    with pytest.raises(kind, match=said):
        act(kraken)


# Who is asking


def test_a_signature_covers_the_path_the_nonce_and_every_byte_of_the_body(rig: Rig, bot: Parts) -> None:
    base, nonce = rig.served.endpoints["paper"], next(_NONCES)
    assert posted(base, "BalanceEx", bot, nonce, sign_as=str(nonce + 1))["error"] == ["EAPI:Invalid signature"]
    assert posted(base, "BalanceEx", {**bot, "secret": "QUJD"}, next(_NONCES))["error"] == ["EAPI:Invalid signature"]
    assert posted(base, "BalanceEx", {**bot, "key": "nobody"}, next(_NONCES))["error"] == ["EAPI:Invalid key"]
    assert posted(base, "BalanceEx", bot, nonce)["error"] == []


def test_a_key_belongs_to_one_environment(rig: Rig, bot: Parts) -> None:
    assert bot["key"].startswith("paper")
    assert posted(rig.served.endpoints["live"], "BalanceEx", bot, next(_NONCES))["error"] == ["EAPI:Invalid key"]


def test_nonces_rise_and_none_is_taken_twice(rig: Rig, bot: Parts) -> None:
    """Within the key's window requests may overtake each other; a refused signature uses no nonce up."""
    base, high = rig.served.endpoints["paper"], 10**15
    tried = [(high, True), (high, False), (high - 9_000, True), (high - 9_000, False), (high - 10_000, False)]
    for nonce, taken in [*tried, ("", False), ("-1", False), ("x", False), (2**64, False), (2**64 - 1, True)]:
        assert posted(base, "GetApiKeyInfo", bot, nonce)["error"] == ([] if taken else ["EAPI:Invalid nonce"]), nonce


def test_without_a_window_a_nonce_must_rise(rig: Rig, bot: Parts) -> None:
    rig.served.venue.keys.issued[bot["key"]].nonce_window = 0
    base = rig.served.endpoints["paper"]
    said = [posted(base, "GetApiKeyInfo", bot, nonce)["error"] for nonce in (100, 99, 101)]
    assert said == [[], ["EAPI:Invalid nonce"], []]


MATRIX = {
    "BalanceEx": {"bot", "observer"},
    "TradeBalance": {"bot", "observer"},
    "OpenOrders": {"bot", "observer", "kill"},
    "ClosedOrders": {"bot", "observer"},
    "QueryOrders": {"bot", "observer", "kill"},
    "TradesHistory": {"bot", "observer", "kill"},
    "AddOrder": {"bot"},
    "CancelOrder": {"bot", "kill"},
    "CancelAll": {"bot", "kill"},
    "CancelAllOrdersAfter": {"bot", "kill"},
    "GetApiKeyInfo": {"bot", "observer", "kill"},
    "AmendOrder": {"bot"},
    "CancelOrderBatch": {"bot", "kill"},
    "DepositAddresses": set(),
    "WithdrawAddresses": set(),
    "WithdrawMethods": set(),
    "Withdraw": set(),
    "GetWebSocketsToken": set(),
}


@pytest.mark.parametrize("purpose", PERMISSIONS)
def test_each_method_asks_for_its_permission(rig: Rig, purpose: str) -> None:
    parts = rig.issue("paper", purpose)
    allowed = {m for m in MATRIX if errors(rig, parts, m, timeout=0) != ["EGeneral:Permission denied"]}
    assert allowed == {method for method, purposes in MATRIX.items() if purpose in purposes}


def test_what_is_not_a_method_is_refused(rig: Rig, bot: Parts) -> None:
    assert errors(rig, bot, "Nonsense") == ["EGeneral:Unknown method"]
    base = rig.served.endpoints["paper"]
    shipped = ccxt.kraken({"urls": {"api": {"public": base, "private": base}}, "enableRateLimit": False})
    with pytest.raises(ccxt.ExchangeError, match="Unknown asset pair"):
        shipped.publicGetTicker({"pair": "NONEUSD"})


def test_a_busy_account_is_told_to_wait(rig: Rig, bot: Parts) -> None:
    limit = rig.served.venue.limits["paper"]
    before, limit.per_minute = limit.per_minute, 0
    assert errors(rig, bot, "BalanceEx") == ["EAPI:Rate limit exceeded"]
    limit.per_minute = before


# Orders

INVALID = "EGeneral:Invalid arguments"
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "pair": ({"pair": "NONEUSD"}, "EQuery:Unknown asset pair"),
    "side": ({"type": "hold"}, f"{INVALID}:type"),
    "type": ({"ordertype": "magic"}, f"{INVALID}:ordertype"),
    "no volume": ({"volume": ""}, f"{INVALID}:volume"),
    "not a number": ({"volume": "NaN"}, f"{INVALID}:volume"),
    "negative": ({"price": "-1"}, f"{INVALID}:price"),
    "between ticks": (
        {"price": "30000.05"},
        "EOrder:Invalid price:XBTUSD price can only be specified up to 1 decimals.",
    ),
    "too few": ({"volume": "0.00001"}, "EOrder:Order minimum not met"),
    "too cheap": ({"price": "1"}, "EOrder:Cost minimum not met"),
    "no funds": ({"volume": "1000"}, "EOrder:Insufficient funds"),
    "nothing to sell": ({"type": "sell", "pair": "ETHUSD"}, "EOrder:Insufficient funds"),
    "long id": ({"cl_ord_id": "a" * 19}, f"{INVALID}:cl_ord_id"),
    "capitals": ({"cl_ord_id": "K1P"}, f"{INVALID}:cl_ord_id"),
    "dash": ({"cl_ord_id": "k1-p"}, f"{INVALID}:cl_ord_id"),
    "two references": ({"cl_ord_id": "k1p", "userref": "1"}, f"{INVALID}:cl_ord_id and userref are mutually exclusive"),
    "large reference": ({"userref": str(2**31)}, f"{INVALID}:userref"),
    "time in force": ({"timeinforce": "DAY"}, f"{INVALID}:timeinforce"),
    "post only": ({"price": "63000", "oflags": "post"}, "EOrder:Post only order"),
    "late": ({"deadline": "2020-01-01T00:00:00Z"}, "EService:Deadline elapsed"),
    "far deadline": ({"deadline": "2126-01-01T00:00:00Z"}, f"{INVALID}:deadline"),
    "no deadline": ({"deadline": "soon"}, f"{INVALID}:deadline"),
    # What would make another order of it is not passed over.
    **{name: ({name: "2"}, f"{INVALID}:{name}") for name in ("leverage", "starttm", "reduce_only", "close[ordertype]")},
    "volume in dollars": ({"oflags": "viqc"}, f"{INVALID}:oflags"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_order_is_refused_in_the_venues_words_and_the_log_says_so(rig: Rig, bot: Parts, what: str) -> None:
    changed, said = REFUSED[what]
    assert errors(rig, bot, "AddOrder", **{**ORDER, **changed}) == [said]
    assert [line["event"] for line in rig.log()] == ["rejected"]
    assert (rig.log()[0]["reason"], rig.log()[0]["key_id"]) == (said, bot["key"])


def test_what_open_orders_hold_cannot_be_spent_twice(rig: Rig, bot: Parts) -> None:
    funds = rig.served.venue.desks["paper"].balance("USD")
    most = {**ORDER, "volume": str((funds / 30_000 * Decimal("0.6")).quantize(Decimal("0.0001")))}
    assert [errors(rig, bot, "AddOrder", **most) for _ in range(2)] == [[], ["EOrder:Insufficient funds"]]
    rig.by_hand(price=Decimal(63_000))
    asset = rig.served.venue.desks["paper"].balance("BTC")
    sell = {**ORDER, "type": "sell", "price": "90000", "volume": str(asset * Decimal("0.6"))}
    assert [errors(rig, bot, "AddOrder", **sell) for _ in range(2)] == [[], ["EOrder:Insufficient funds"]]
    held = asked(rig, bot, "BalanceEx")["result"]["XXBT"]
    assert Decimal(held["hold_trade"]) == Decimal(sell["volume"]).quantize(Decimal("0.00000001"), ROUND_DOWN)


def test_a_client_id_is_unique_among_open_orders_only(rig: Rig, bot: Parts) -> None:
    wish = {**ORDER, "cl_ord_id": "k1pdup"}
    assert errors(rig, bot, "AddOrder", **wish) == []
    assert errors(rig, bot, "AddOrder", **wish) == [f"{INVALID}:cl_ord_id not unique"]
    asked(rig, bot, "CancelOrder", cl_ord_id="k1pdup")
    rig.later(1)
    assert errors(rig, bot, "AddOrder", **wish) == []
    assert rig.events("k1pdup") == ["accepted", "rejected", "cancel_requested", "canceled", "accepted"]


def test_a_large_order_fills_in_parts_at_prices_no_better_than_the_touch(rig: Rig, bot: Parts) -> None:
    bid, ask = rig.served.venue.market.quote("BTC/USD", rig.now)
    asked(rig, bot, "AddOrder", **{**ORDER, "price": "63000", "volume": "12"})
    rig.later(1)
    lines = [line for line in rig.log() if "fill" in line["event"]]
    assert [line["event"] for line in lines] == ["partial_fill", "fill"]
    assert sum(Decimal(line["qty"]) for line in lines) == 12
    assert all(ask * Decimal("0.99") <= Decimal(line["price"]) <= 63_000 for line in lines)
    assert bid < ask
    asked(rig, bot, "AddOrder", **{**ORDER, "type": "sell", "ordertype": "market", "volume": "12"})
    rig.later(1)


def test_no_order_fills_beyond_its_limit(rig: Rig, bot: Parts) -> None:
    bid, ask = rig.served.venue.market.quote("BTC/USD", rig.now)
    for _ in range(8):
        asked(rig, bot, "AddOrder", **{**ORDER, "price": str(ask)})
        asked(rig, bot, "AddOrder", **{**ORDER, "type": "sell", "price": str(bid)})
    prices = {(line["side"], Decimal(line["price"])) for line in rig.log(event="fill")}
    assert prices == {("buy", ask), ("sell", bid)}


def test_hidden_pages_show_a_third_and_count_the_whole(rig: Rig, bot: Parts) -> None:
    made = [rig.by_hand() for _ in range(7)]
    rig.fault("hidden_pages")
    assert list(asked(rig, bot, "OpenOrders")["result"]["open"]) == made[:3:-1]
    for _ in range(7):
        rig.by_hand(price=Decimal(63_000))
    page = asked(rig, bot, "TradesHistory", start=str(rig.start.timestamp() - 1))["result"]
    assert (len(page["trades"]), page["count"]) == (3, 7)


def test_immediate_orders_expiries_and_stops(rig: Rig, bot: Parts) -> None:
    asked(rig, bot, "AddOrder", **{**ORDER, "cl_ord_id": "ioc", "timeinforce": "IOC"})
    asked(rig, bot, "AddOrder", **{**ORDER, "cl_ord_id": "gtd", "timeinforce": "GTD", "expiretm": "+60"})
    asked(rig, bot, "AddOrder", **{**ORDER, "ordertype": "market", "volume": "1"})
    asked(rig, bot, "AddOrder", **{**ORDER, "cl_ord_id": "stop", "type": "sell", "ordertype": "stop-loss"})
    rig.later(90)
    assert rig.events("ioc") == ["accepted", "canceled"]
    assert rig.events("gtd") == ["accepted", "expired"]
    assert rig.events("stop") == ["accepted"]
    rig.served.do(lambda: rig.served.venue.shock("BTC/USD", Decimal("0.4")))
    assert rig.events("stop") == ["accepted", "fill"]
    rig.served.do(lambda: rig.served.venue.shock("BTC/USD", Decimal(1)))


def test_an_order_by_hand_has_no_key_and_a_bad_one_says_why(rig: Rig) -> None:
    made = rig.by_hand()
    assert [(line["order_id"], line["key_id"]) for line in rig.log(event="accepted")] == [(made, "website")]
    with pytest.raises(ValueError, match="Insufficient funds"):
        rig.by_hand(qty=Decimal(10_000))
    for bad in (
        lambda v: v.set_hours("never"),
        lambda v: v.shock("X", Decimal(1)),
        lambda v: v.issue_key("paper", "x"),
    ):
        with pytest.raises(ValueError):
            rig.served.do(lambda bad=bad: bad(rig.served.venue))


def test_the_request_log_names_keys_and_never_a_secret(rig: Rig, bot: Parts) -> None:
    asked(rig, bot, "BalanceEx")
    posted(rig.served.endpoints["paper"], "BalanceEx", {**bot, "key": bot["secret"]}, next(_NONCES))
    mine = rig.requests[-2:]
    assert [line["key_id"] for line in mine] == [bot["key"], "unknown"]
    assert bot["secret"] not in str(rig.requests)


# Memory


def opening(folder: Any, lines: list[dict[str, Any]], clock: WorldClock) -> Opening:
    accounts = {name: (number, Decimal(100_000)) for name, number in KRAKEN.numbers.items()}
    return Opening(
        accounts=accounts,
        symbols=KRAKEN.symbols,
        seed=3,
        state=folder,
        clock=clock,
        entropy=random.Random(5),
        record=lines.append,
        request=lambda line: None,
    )


def test_a_restart_forgets_nothing_that_matters(tmp_path: Any) -> None:
    lines: list[dict[str, Any]] = []
    clock = WorldClock()
    clock.pin(NOON)
    venue = SimulatedKraken(opening(tmp_path, lines, clock))
    key = venue.keys.issued[venue.issue_key("paper", "bot")["key"]]
    key.take(500)
    order = {"symbol": "BTC/USD", "side": "buy", "qty": "0.5"}
    resting = venue.place_by_hand("paper", {**order, "limit_price": "30000"})["id"]
    venue.place_by_hand("paper", order)
    venue.desks["paper"].account.dead_man_at = NOON + timedelta(seconds=60)
    venue.desks["paper"].account_changed = True
    venue.switch_fault("live", "cancel_only", True, {})
    venue.shock("ETH/USD", Decimal("1.5"))
    venue.close()
    again = SimulatedKraken(opening(tmp_path, lines, clock))
    kept = again.keys.issued[key.key_id]
    assert replace(kept, floor=0, dirty=False, recent=set()) == replace(key, floor=0, dirty=False, recent=set())
    assert (kept.may_take(500), kept.may_take(499), kept.may_take(501)) == (False, False, True)
    old, new = venue.desks["paper"], again.desks["paper"]
    assert (new.account, new.orders, new.fills) == (old.account, old.orders, old.fills)
    assert (again.faults.active, again.market.prices.shocks) == (venue.faults.active, venue.market.prices.shocks)
    clock.pin(NOON + timedelta(seconds=61))
    again.pin_clock(clock.now())
    assert new.orders[resting].status == "canceled"
    again.close()


def test_two_runs_of_one_seed_are_the_same(tmp_path: Any) -> None:
    logs: list[list[dict[str, Any]]] = []
    for name in ("one", "other"):
        clock, lines = WorldClock(), []
        clock.pin(NOON)
        (tmp_path / name).mkdir()
        venue = SimulatedKraken(opening(tmp_path / name, lines, clock))
        for price in ("30000", "63000"):
            venue.place_by_hand("live", {"symbol": "BTC/USD", "side": "buy", "qty": "0.5", "limit_price": price})
        venue.close()
        logs.append(lines)
    assert logs[0] == logs[1]
    assert [line["event"] for line in logs[0]] == ["accepted", "accepted", "fill"]
