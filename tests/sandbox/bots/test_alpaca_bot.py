from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from .conftest import KEY_ID, LIVE, LocalHttp, Rig, Start

Client = Callable[[Rig], LocalHttp]


@pytest.fixture
def client() -> Client:
    return lambda rig: LocalHttp(rig.worker)


def _status(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    body = body.get("detail", body)
    return answer.status_code, body["status"], body["reason"]


def test_health(start: Start, client: Client) -> None:
    rig = start()
    http = client(rig)
    assert http.get("/health").json()["status"] == "degraded", "no loop yet"
    rig.worker.run_once()
    rig.clock.advance(2)
    health = http.get("/health").json()
    assert health.pop("pid") > 0
    assert health == {
        "status": "ok",
        "instance": "a1",
        "mode": "paper",
        "switch": "OFF",
        "last_loop_at": "2026-11-20T15:00:00.000000Z",
        "loop_age_s": 2.0,
        "started_at": "2026-11-20T15:00:00.000000Z",
        "size_multiplier": "1",
        "last_error": None,
    }
    rig.clock.advance(9)
    assert http.get("/health").json()["status"] == "degraded", "the loop is late"


@pytest.mark.parametrize(
    ("changes", "mode", "agree"),
    [
        ({}, "paper", True),
        (LIVE["alpaca-bot"], "live", True),
        ({**LIVE["alpaca-bot"], "CONFIRM_LIVE_TRADING": "yes"}, "paper", False),
    ],
)
def test_mode(start: Start, client: Client, changes: dict[str, str], mode: str, agree: bool) -> None:
    rig = start(**changes)
    rig.worker.run_once()
    answer = client(rig).get("/mode").json()
    assert (answer["mode"], answer["agree"], answer["account"]) == (mode, agree, rig.venue.number)
    assert answer["key_id_last4"] == KEY_ID[-4:]
    assert answer["variables"]["CONFIRM_LIVE_TRADING"] == changes.get("CONFIRM_LIVE_TRADING", "false")


def test_an_account_of_the_other_mode_disagrees(start: Start, client: Client) -> None:
    rig = start()
    rig.venue.number = "912345678"
    rig.worker.run_once()
    assert client(rig).get("/mode").json()["agree"] is False


def test_the_kill_switch_trips_once_and_cancels(start: Start, client: Client) -> None:
    rig = start()
    rig.run(4)
    http = client(rig)
    first = http.post("/kill_switch?reason=rollback")
    assert _status(first) == (200, "ON", "rollback")
    rig.clock.advance(60)
    assert http.post("/kill_switch?reason=rollback").json()["since"] == first.json()["since"]
    rig.worker.run_once()
    assert rig.venue.open_orders() == []


def test_a_kill_without_a_reason_is_a_kill(start: Start, client: Client) -> None:
    assert _status(client(start()).post("/kill_switch")) == (200, "ON", "no reason given")


def test_a_dry_trip_changes_nothing(start: Start, client: Client) -> None:
    rig = start()
    answer = client(rig).post("/kill_switch?reason=x&dry=true").json()
    assert (answer["would_trip"], answer["status"]) == (True, "OFF")
    assert not rig.worker.switch.state.tripped


def test_rearming_takes_the_present_reason_and_no_gate(start: Start, client: Client) -> None:
    rig = start(armed=False)
    http = client(rig)
    assert _status(http.delete("/kill_switch?expected_reason=other")) == (409, "ON", "first start")
    rig.settings.gate_file.touch()
    assert http.delete("/kill_switch?expected_reason=first start").status_code == 409
    rig.settings.gate_file.unlink()
    assert _status(http.delete("/kill_switch?expected_reason=first start")) == (200, "OFF", "re-armed")
    assert _status(http.delete("/kill_switch?expected_reason=re-armed")) == (409, "OFF", "re-armed")
    assert http.delete("/kill_switch").status_code == 422


def test_a_gate_file_alone_reads_as_on(start: Start, client: Client) -> None:
    rig = start()
    rig.settings.gate_file.touch()
    answer = client(rig).get("/kill_switch").json()
    assert (answer["status"], answer["gate"]) == ("ON", True)


def test_the_triggers_are_shown(start: Start, client: Client) -> None:
    rig = start()
    http = client(rig)
    unknown = {"value_usd": None, "limit_usd": "500", "would_trip": False}
    assert http.get("/kill_switch").json()["triggers"]["daily_loss"] == unknown
    rig.worker.run_once()
    rig.worker.drills.inject("slippage")
    assert http.get("/kill_switch").json()["triggers"] == {
        "daily_loss": {"value_usd": "0", "limit_usd": "500", "would_trip": False},
        "slippage": {"value_bps": "26", "limit_bps": "25", "would_trip": True},
    }
