from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ops.sandbox.bots.venue import VenueUnknown

from .conftest import LIVE, Rig, Start

KEY = {"X-Reset-Key": "canary-reset-key"}


def _state(rig: Rig) -> dict[str, object]:
    return rig.http().get("/api/trading/state").json()


def _data(rig: Rig, name: str = "paper_trading_data.json") -> dict[str, object]:
    return json.loads((rig.settings.home / name).read_text())


def test_the_mode_is_paper_or_real_and_the_log_says_so(start: Start) -> None:
    rig = start("kalshi-polymarket")
    assert rig.http().get("/api/trading/mode").json()["mode"] == "paper"
    assert "LIVE TRADING ENABLED" not in rig.log_text()
    real = start("kalshi-polymarket", **LIVE["kalshi-polymarket"])
    real.venues["kalshi"].number = real.venues["polymarket"].number = "LIVE-1"
    real.run(1)
    assert real.http().get("/api/trading/mode").json() == {
        "mode": "real",
        "live_trading": True,
        "accounts": {"kalshi": "LIVE-1", "polymarket": "LIVE-1"},
        "variables": {"LIVE_TRADING": "true"},
        "agree": True,
    }
    assert "INFO bot LIVE TRADING ENABLED" in real.log_text()
    assert real.settings.log_file.name == "app.log"


def test_each_mode_has_a_data_file_of_its_own(start: Start) -> None:
    rig = start("kalshi-polymarket")
    rig.run(8)
    data = _data(rig)
    trades = data["trades"]
    assert (data["mode"], data["last_reset"], data["errors"]) == ("paper", "2026-11-20", [])
    assert {trade["platform"] for trade in trades} == {"kalshi", "polymarket"}
    assert all(trade["timestamp"] for trade in trades)
    assert data["daily_trades"] == len(trades) > 2
    live = start("kalshi-polymarket", **LIVE["kalshi-polymarket"])
    live.run(1)
    assert _data(live, "real_trading_data.json")["trades"] == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"LIVE_TRADING_INITIAL_BALANCE": "20"}, "insufficient balance: 20.00 USD free"),
        ({"LIVE_TRADING_MIN_ROI": "150"}, "is below the minimum 150 %"),
        ({"LIVE_TRADING_MAX_POSITION_SIZE": "20"}, "limit: position would be"),
        ({"LIVE_TRADING_MAX_DAILY_TRADES": "0"}, "limit: 0 orders today"),
    ],
)
def test_each_control_refuses_on_record(start: Start, changes: dict[str, str], reason: str) -> None:
    rig = start("kalshi-polymarket", **changes)
    rig.run(4)
    assert rig.submissions == []
    assert reason in str(rig.rows("SELECT reason FROM decisions WHERE outcome = 'refused'"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SIZE_MULTIPLIER": "0"}, "size is zero"),
        ({"LIVE_TRADING_MAX_DAILY_TRADES": "2"}, "daily trade limit: 2 orders today"),
    ],
)
def test_the_state_says_why_it_cannot_trade(start: Start, changes: dict[str, str], reason: str) -> None:
    rig = start("kalshi-polymarket", **changes)
    rig.run(8)
    state = _state(rig)
    assert (state["status"], state["can_trade"], state["reason"]) == ("STOPPED", False, reason)


def test_the_days_loss_halts_it_until_midnight_utc(start: Start) -> None:
    rig = start("kalshi-polymarket")
    rig.run(4)
    for venue in rig.venues.values():
        venue.equity -= 150
    rig.run(2)
    state = _state(rig)
    assert (state["status"], state["daily_loss"]) == ("STOPPED", "300")
    assert str(state["reason"]).startswith("daily loss -300 USD")
    sent = len(rig.submissions)
    rig.clock.set(datetime(2026, 11, 20, 23, 59, 50, tzinfo=UTC))
    for venue in rig.venues.values():
        venue.last_equity = venue.equity
    rig.run(2)
    assert _state(rig)["status"] == "STOPPED", "the day is not over"
    rig.run(6)
    state = _state(rig)
    assert (state["status"], state["daily_loss"]) == ("TRADING", "0")
    assert "daily metrics reset: 2026-11-21" in rig.log_text()
    assert state["daily_trades"] == len(rig.submissions) - sent > 0


def test_a_reset_makes_the_data_file_anew_and_lifts_no_limit(start: Start) -> None:
    rig = start("kalshi-polymarket")
    rig.run(4)
    rig.venue.broken["account"] = VenueUnknown("account: HTTP 503")
    rig.run(1)
    rig.venue.broken.clear()
    rig.run(1)
    http = rig.http()
    assert [error["message"] for error in _data(rig)["errors"]] == ["venue: account: HTTP 503"]
    assert http.post("/api/trading/reset").status_code == 403
    assert http.post("/api/trading/reset", headers=KEY).status_code == 409, "it is trading"
    rig.settings.gate_file.touch()
    answer = http.post("/api/trading/reset", headers=KEY).json()
    assert answer["status"] == "STOPPED"
    assert json.loads((rig.settings.home / answer["snapshot"]).read_text())["errors"]
    data = _data(rig)
    assert data["errors"] == []
    assert data["daily_trades"] == len(data["trades"]) > 0, "what counts against the limits is the audit database"


def test_a_damaged_data_file_is_no_reason_not_to_start(start: Start) -> None:
    rig = start("kalshi-polymarket")
    (rig.settings.home / "paper_trading_data.json").write_text("{")
    again = start("kalshi-polymarket", LIVE_TRADING_RESET_KEY="")
    again.run(1)
    assert _data(again)["mode"] == "paper"
    again.settings.gate_file.touch()
    refused = again.http().post("/api/trading/reset", headers={"X-Reset-Key": ""})
    assert (refused.status_code, refused.json()["detail"]) == (403, "LIVE_TRADING_RESET_KEY is not set")


def test_prices_stay_inside_an_event_contract(start: Start) -> None:
    rig = start("kalshi-polymarket", LIVE_TRADING_MIN_ROI="0")
    for venue in rig.venues.values():
        venue.bid, venue.ask = Decimal("0.98"), Decimal("0.99")
    rig.run(8)
    assert rig.submissions
    assert all(0 < order.limit_price < 1 for order in rig.submissions)
