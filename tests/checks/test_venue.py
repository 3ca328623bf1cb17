"""What the venue says about key, account, money and orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from ops.checks.registry import ask
from ops.checks.sight import Sight
from ops.doors import Doors
from ops.hosts.fleet import Fleet
from ops.inventory import Place, load_environment, load_profile
from ops.ledger.store import Ledger
from ops.model.history import History
from ops.secrets import Secrets
from ops.venues.protocol import KeyView, PositionView, StatusView, Window
from tests.checks.sights import NOW, account, open_order, outcome, place
from tests.field import ROOT


def answered(good: Sight, **asked: Any) -> Sight:
    return replace(good, _asked={**good._asked, **{place(name): value for name, value in asked.items()}})


@pytest.mark.parametrize(
    ("changes", "wanted"), [({}, "pass"), ({"number": "912345699"}, "fail"), ({"blocked": True}, "fail")]
)
def test_the_key_opens_the_pinned_account_and_no_other(good: Sight, changes: Mapping[str, Any], wanted: str) -> None:
    finding = ask("venue.auth", answered(good, account_live=account("live", **changes)), {"env": "live"})
    assert (outcome(finding), finding.expected) == (wanted, "account 912345678")


def test_without_a_name_the_slot_in_force_is_meant(good: Sight, live: Sight) -> None:
    assert ask("venue.auth", good, {}).expected == "account PA3SANDBOX01"
    assert ask("venue.auth", live, {}).expected == "account 912345678"


def test_a_paper_account_behind_the_live_key_is_refused(good: Sight) -> None:
    crossed = answered(good, account_live=account("live", number="PA0", paper=True))
    finding = ask("venue.key_class", crossed, {"slot": "live"})
    assert (outcome(finding), "the live key opens a paper account" in finding.seen) == ("fail", True)


def test_one_key_in_both_slots_is_refused(good: Sight) -> None:
    secrets = good.doors.secrets
    (key, secret), (paper_key, paper_secret) = (secrets.credentials(f"alpaca-{s}").values() for s in ("live", "paper"))
    secrets.put("alpaca-live", {"key": paper_key, "secret": paper_secret})
    finding = ask("venue.key_class", good, {"slot": "live"})
    secrets.put("alpaca-live", {"key": key, "secret": secret})
    assert (outcome(finding), "the same key is in both slots" in finding.seen) == ("fail", True)


@pytest.mark.parametrize("state", ["previous", "revoked"])
def test_a_key_that_was_in_use_before_is_refused(good: Sight, state: str) -> None:
    mark = good.doors.credentials("alpaca", "live").fingerprint("salt")
    good.history.keys.append({"slot": "live", "fingerprint": mark, "state": state, "at": "2026-11-01T00:00:00Z"})
    finding = ask("venue.key_class", good, {"slot": "live"})
    assert (outcome(finding), "this key was in use before" in finding.seen) == ("fail", True)


@pytest.mark.parametrize(("equity", "wanted"), [("10000", "pass"), ("9999.99", "fail"), ("0", "fail")])
def test_the_planned_money_is_there_to_the_cent(good: Sight, equity: str, wanted: str) -> None:
    poor = answered(good, account_live=account("live", equity_usd=Decimal(equity)))
    assert outcome(ask("venue.funded", poor, {"env": "live"})) == wanted


def test_an_open_order_that_is_not_ours_is_named(good: Sight) -> None:
    ours, foreign = [open_order("a1-p-1"), open_order("a2-p-9")], open_order("by-hand", symbol="MSFT")
    assert outcome(ask("venue.open_orders", answered(good, orders_paper=ours), {})) == "pass"
    finding = ask("venue.open_orders", answered(good, orders_paper=[*ours, foreign]), {})
    assert (outcome(finding), finding.seen) == ("fail", "3 open, 1 not ours: MSFT buy 1 (by-hand)")


def test_positions_matter_only_where_flat_is_expected(good: Sight) -> None:
    held = answered(good, positions_paper=[PositionView("AAPL", Decimal(2), Decimal(380))])
    assert outcome(ask("venue.portfolio", held, {})) == "pass"
    finding = ask("venue.portfolio", held, {"expect": "flat"})
    assert (outcome(finding), finding.seen) == ("fail", "AAPL 2")


def test_a_key_that_is_missing_is_a_fail_with_its_remedy(good: Sight) -> None:
    path = good.doors.secrets.path(good.profile.bot_keys("alpaca", "live")["host-1"])
    away = path.rename(path.with_suffix(".away"))
    sight = replace(good, _asked={}, doors=replace(good.doors, _venues={}))
    finding = ask("venue.auth", sight, {"env": "live"})
    away.rename(path)
    assert (outcome(finding), "there is no such secret" in finding.seen, finding.remedy) == (
        "fail", True, "put it there, mode 0600",
    )  # fmt: skip


# Several venues


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    """The good sight of a system that trades at two venues, one of which keeps no client ids."""
    folder = tmp_path_factory.mktemp("events")
    place_, secrets = Place("sandbox", ROOT / "inventory" / "sandbox", folder), Secrets(folder / "secrets")
    profile = load_profile(place_, "kalshi-polymarket")
    for venue, slot in product(profile.venues, ("paper", "live")):
        setting = profile.venues[venue].slot(slot)
        for name in (setting.credentials, setting.observer, setting.kill):
            parts = {"key": f"key-of-{name}", "secret": f"secret-of-{name}"}
            secrets.put(str(name), parts)
    secrets.store(secrets.folder / "fingerprint.salt", "salt\n")
    ledger = Ledger(folder / "ledger.sqlite", "tester", lambda: NOW)
    fleet = Fleet(place_, profile, "salt")
    opened = Doors(place_, load_environment(place_), profile, {}, ledger, fleet, secrets, "x", clock=lambda: NOW)
    asked: dict[str, Any] = {}
    for venue, slot in product(profile.venues, ("paper", "live")):
        paper = slot == "paper" if venue == "kalshi" else None
        number = profile.venues[venue].slot(slot).account
        asked[f"account/{venue}/{slot}"] = account("live", number=number, paper=paper)
        asked |= {f"orders/{venue}/{slot}": [], f"bot-account/{venue}-{slot}": number}
        asked[f"status/{venue}/{slot}"] = StatusView("open", "active")
        asked[f"key/{venue}/{slot}"] = KeyView(frozenset({"read", "write::trade"}), True, False)
    return Sight(opened, NOW, NOW, {}, History("kalshi-polymarket"), asked)


def with_answers(sight: Sight, **asked: Any) -> Sight:
    """`kalshi_orders=[...]` is what Kalshi shows of the paper account; `gone` is a venue that is silent."""
    new = {f"{name.split('_')[1]}/{name.split('_')[0]}/paper": value for name, value in asked.items()}
    return replace(sight, _asked={k: v for k, v in {**sight._asked, **new}.items() if v != "gone"})


BOTH = ["venue.auth", "venue.account", "venue.key_class", "venue.key_permissions", "venue.funded", "venue.status"]


@pytest.mark.parametrize("probe", [*BOTH, "venue.open_orders", "venue.conditions"])
@pytest.mark.parametrize("slot", ["paper", "live"])
def test_on_two_good_venues_it_passes_and_names_both(events: Sight, probe: str, slot: str) -> None:
    """Polymarket does not tell paper from live: there the pinned number and a key of its own are enough."""
    finding = ask(probe, events, {"env": slot})
    assert (outcome(finding), "kalshi: " in finding.seen, "polymarket: " in finding.seen) == ("pass", True, True)


def test_one_venue_that_is_silent_hides_nothing_that_the_other_shows(events: Sight) -> None:
    silent = with_answers(events, kalshi_orders="gone")
    assert outcome(ask("venue.open_orders", silent, {})) == "unknown"
    foreign = with_answers(silent, polymarket_orders=[open_order("another-key:0xabc", id="0xabc")])
    finding = ask("venue.open_orders", foreign, {})
    assert (outcome(finding), "polymarket: 1 open, 1 not ours: AAPL buy 1 (0xabc)" in finding.seen) == ("fail", True)
    assert outcome(ask("venue.open_orders", silent, {"venues": ["polymarket"]})) == "pass", "only that one was asked"


def test_an_order_without_client_id_is_ours_by_the_key_that_owns_it(events: Sight) -> None:
    ours = with_answers(events, polymarket_orders=[open_order("key-of-polymarket-paper:0xdef")])
    assert outcome(ask("venue.open_orders", ours, {})) == "pass"


def test_a_key_that_serves_both_slots_is_refused_where_the_venue_does_not_tell_them_apart(events: Sight) -> None:
    secrets = events.doors.secrets
    before = secrets.credentials("polymarket-live")
    secrets.put("polymarket-live", {"key": "key-of-polymarket-paper", "secret": "x"})
    finding = ask("venue.key_class", events, {"slot": "live"})
    secrets.put("polymarket-live", {name: before.part(name) for name in ("key", "secret")})
    assert (outcome(finding), "polymarket: the same key is in both slots" in finding.seen) == ("fail", True)


def test_a_venue_that_the_profile_does_not_have_is_a_fail(events: Sight) -> None:
    assert outcome(ask("venue.auth", events, {"venue": "kraken"})) == "fail"


RIGHTS = {
    "nobody says": (KeyView(None, None, None), "unknown"),
    "nobody says whether it withdraws": (KeyView(frozenset({"x"}), True, None), "unknown"),
    "it withdraws": (KeyView(frozenset({"withdraw-funds"}), True, True), "fail"),
    "it may not trade": (KeyView(frozenset({"read"}), False, False), "fail"),
}


@pytest.mark.parametrize(("view", "wanted"), RIGHTS.values(), ids=RIGHTS)
def test_a_bots_key_trades_and_never_withdraws(events: Sight, view: KeyView, wanted: str) -> None:
    assert outcome(ask("venue.key_permissions", with_answers(events, kalshi_key=view), {})) == wanted


@pytest.mark.parametrize(
    ("state", "wanted"),
    [("open", "pass"), ("closed", "pass"), ("unknown", "unknown"), ("cancel_only", "fail"), ("maintenance", "fail")],
)
def test_a_venue_out_of_order_keeps_the_gate_shut(events: Sight, state: Any, wanted: str) -> None:
    seen = with_answers(events, polymarket_status=StatusView(state, "its own word"))
    assert outcome(ask("venue.status", seen, {})) == outcome(ask("venue.conditions", seen, {})) == wanted


def test_an_index_that_no_venue_shows_is_unknown(events: Sight) -> None:
    assert outcome(ask("venue.conditions", events, {"index": "VIX", "halts": 0})) == "unknown"


def test_a_maintenance_that_is_near_keeps_the_gate_shut(good: Sight) -> None:
    def calendar(**windows: Any) -> str:
        return outcome(ask("venue.calendar", answered(good, windows_paper=list(windows.values())), {}))

    near, far = NOW + timedelta(minutes=20), NOW + timedelta(hours=5)
    session = Window("session", NOW, NOW + timedelta(hours=6), "today")
    assert calendar(session=session, work=Window("maintenance", far, far + timedelta(hours=1), "")) == "pass"
    assert calendar(session=session, work=Window("restart", near, far, "nightly")) == "fail"
    assert calendar() == "unknown", "a calendar without a session says nothing"


@pytest.mark.parametrize(
    ("told", "restarts", "wanted"), [(False, True, "fail"), (False, False, "pass"), (True, False, "fail")]
)
def test_an_unannounced_restart_counts_unless_the_profile_says_that_there_is_none(
    good: Sight, told: bool, restarts: bool, wanted: str
) -> None:
    near = NOW + timedelta(minutes=20)
    session = Window("session", NOW, NOW + timedelta(hours=6), "")
    windows = [session, Window("restart", near, near + timedelta(hours=1), "", told)]
    venues = {name: venue.model_copy(update={"restarts": restarts}) for name, venue in good.profile.venues.items()}
    profile = good.profile.model_copy(update={"venues": venues})
    sight = replace(answered(good, windows_paper=windows), doors=replace(good.doors, profile=profile))
    assert outcome(ask("venue.calendar", sight, {})) == wanted
