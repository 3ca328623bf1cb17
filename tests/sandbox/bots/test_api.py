from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.sandbox.bots.api import create_app

from .conftest import KEY_ID, SECRET, Rig, Start

LIVE = {"TRADING_MODE": "live", "ENABLE_LIVE_TRADING": "true", "CONFIRM_LIVE_TRADING": "true"}


class LocalHttp:
    """The application called in this process, without a socket."""

    def __init__(self, rig: Rig, host: str = "127.0.0.1") -> None:
        self._transport = httpx.ASGITransport(create_app(rig.worker))
        self._base = f"http://{host}"

    def _call(self, method: str, path: str) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=self._base) as http:
                return await http.request(method, path)

        return asyncio.run(call())

    def get(self, path: str) -> httpx.Response:
        return self._call("GET", path)

    def post(self, path: str) -> httpx.Response:
        return self._call("POST", path)

    def delete(self, path: str) -> httpx.Response:
        return self._call("DELETE", path)


Client = Callable[[Rig], LocalHttp]


@pytest.fixture
def client() -> Client:
    return LocalHttp


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
    [({}, "paper", True), (LIVE, "live", True), ({**LIVE, "CONFIRM_LIVE_TRADING": "yes"}, "paper", False)],
)
def test_mode(start: Start, client: Client, changes: dict[str, str], mode: str, agree: bool) -> None:
    rig = start(**changes)
    rig.venue.number = "912345678" if mode == "live" else "PA3TEST"
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
    rig.worker.drill("slippage")
    assert http.get("/kill_switch").json()["triggers"] == {
        "daily_loss": {"value_usd": "0", "limit_usd": "500", "would_trip": False},
        "slippage": {"value_bps": "26", "limit_bps": "25", "would_trip": True},
    }


def test_drills(start: Start, client: Client) -> None:
    rig = start()
    rig.run(8)
    http = client(rig)
    replay = http.post("/drill?control=replay").json()
    assert replay["replayed"] == replay["refused_duplicates"] > 0
    assert http.post("/drill?control=daily_loss").json() == {"control": "daily_loss", "injected": True}
    rig.worker.run_once()
    assert http.get("/kill_switch").json()["reason"].startswith("daily loss -501 USD")
    assert http.post("/drill?control=slippage").status_code == 409, "tripped already"
    assert http.post("/drill?control=other").status_code == 422


@pytest.mark.parametrize("control", ["daily_loss", "slippage", "replay"])
def test_no_drill_in_live_mode(start: Start, client: Client, control: str) -> None:
    rig = start(**LIVE)
    assert client(rig).post(f"/drill?control={control}").status_code == 409
    rig.venue.number = "912345678"
    rig.run(2)
    assert not rig.worker.switch.state.tripped


def test_metrics_are_valid_and_leave_out_what_is_unknown(start: Start, client: Client) -> None:
    rig = start(armed=False)
    http = client(rig)

    def read() -> dict[str, float]:
        families = text_string_to_metric_families(http.get("/metrics").text)
        return {sample.name: sample.value for family in families for sample in family.samples}

    before = read()
    assert not {"bot_daily_pnl_usd", "bot_slippage_bps", "bot_last_loop_timestamp_seconds"} & set(before)
    assert before["bot_switch_tripped"] == 1
    rig.worker.rearm("first start")
    rig.run(4)
    after = read()
    assert after["bot_loops_total"] == 4
    assert after["bot_fills_total"] == 2
    assert after["bot_switch_tripped"] == 0
    assert after["bot_slippage_bps"] == 1
    assert {"bot_info", "bot_up", "bot_orders_total", "bot_daily_pnl_usd"} <= set(after)
    assert after["bot_size_multiplier"] == 1


def test_a_bot_told_to_lie_reports_the_other_mode(start: Start, client: Client) -> None:
    rig = start()
    http = client(rig)
    (rig.settings.home / "var" / "faults.json").write_text(json.dumps({"mode_lie": "live"}))
    assert (http.get("/mode").json()["mode"], http.get("/health").json()["mode"]) == ("live", "live")
    assert rig.settings.mode == "paper"


def test_no_answer_holds_a_secret(start: Start, client: Client) -> None:
    rig = start()
    rig.worker.run_once()
    http = client(rig)
    shown = "".join(http.get(path).text for path in ("/health", "/mode", "/kill_switch", "/metrics"))
    assert SECRET not in shown
    assert KEY_ID not in shown


def test_a_foreign_host_name_is_refused(start: Start) -> None:
    assert LocalHttp(start(), host="bot.example").post("/kill_switch?reason=x").status_code == 400
