"""What all five do alike, whatever their seeds call it."""

from __future__ import annotations

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.sandbox.bots.system import SYSTEMS
from ops.sandbox.bots.systems.kraken_bot.ledger import HEARTBEAT
from ops.sandbox.bots.venue import VenueUnknown

from .conftest import KEY_ID, LIVE, SECRET, WITH_HTTP, LocalHttp, Rig, Start

# system -> (what it calls the mode, the account, the switch, and their words for paper, live, armed, tripped)
READOUTS: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str, str, str]]] = {
    "alpaca-bot": (("/mode", "mode"), ("/kill_switch", "status"), ("paper", "live", "OFF", "ON")),
    "kalshi-polymarket": (
        ("/api/trading/mode", "mode"),
        ("/api/trading/state", "status"),
        ("paper", "real", "TRADING", "STOPPED"),
    ),
    "smart-alpaca": (
        ("/api/system/health", "mode"),
        ("/api/system/health", "trading"),
        ("PAPER", "LIVE", "RUNNING", "STOPPED"),
    ),
    "ibkr-assistant": (
        ("/api/v1/health", "env"),
        ("/api/v1/health", "kill_switch"),
        ("paper", "live", "ACTIVE", "TRIGGERED"),
    ),
}
HEALTH = {
    "alpaca-bot": "/health",
    "kalshi-polymarket": "/api/trading/state",
    "smart-alpaca": "/api/system/health",
    "ibkr-assistant": "/api/v1/health",
}


def heartbeat(rig: Rig) -> dict[str, str]:
    """What the last line of a bot without HTTP says."""
    found = [match.groupdict() for line in rig.log_text().splitlines() if (match := re.match(HEARTBEAT, line))]
    return found[-1]


def said(rig: Rig) -> tuple[str, str]:
    """(mode, switch) as the bot shows them, in Interlock's words."""
    if rig.settings.system == "kraken-bot":
        return heartbeat(rig)["mode"], heartbeat(rig)["switch"]
    mode, switch, (paper, live, armed, tripped) = READOUTS[rig.settings.system]
    words = {paper: "paper", live: "live", armed: "armed", tripped: "tripped"}
    shown = [rig.http().get(path).json()[name] for path, name in (mode, switch)]
    return words[shown[0]], words[shown[1]]


def drilled(rig: Rig, control: str) -> tuple[int, dict[str, object]]:
    """(status, answer) of a rehearsal, by the door that this bot has."""
    if rig.settings.system != "kraken-bot":
        answer = rig.http().post(f"/drill?control={control}")
        return answer.status_code, answer.json()
    folder = rig.settings.home / "var"
    (folder / "drill.request").write_text(json.dumps({"control": control, "id": "n1"}))
    rig.worker.run_once()
    answer = json.loads((folder / "drill.answer").read_text())
    assert answer["id"] == "n1"
    assert not (folder / "drill.request").exists()
    return answer["status"], answer["answer"]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("mode", ["paper", "live"])
def test_it_trades_when_armed_and_says_so(start: Start, system: str, mode: str) -> None:
    rig = start(system, **(LIVE[system] if mode == "live" else {}))
    rig.run(8)
    assert said(rig) == (mode, "armed")
    assert all(venue.submissions for venue in rig.venues.values())
    assert rig.worker.pulse.last_error is None
    prefix = rig.settings.order_prefix
    assert all(order.client_order_id.startswith(prefix) for order in rig.submissions)
    assert {row[0] for row in rig.rows("SELECT mode FROM orders")} == {mode}
    assert {row[0] for row in rig.rows("SELECT venue FROM fills")} == set(rig.venues)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_gate_halts_it_cancels_and_is_the_way_back(start: Start, system: str) -> None:
    rig = start(system)
    rig.run(8)
    before = len(rig.submissions)
    assert rig.open_orders()
    rig.settings.gate_file.touch()
    rig.run(4)
    assert said(rig) == ("paper", "tripped")
    assert (rig.open_orders(), len(rig.submissions)) == ([], before)
    rig.settings.gate_file.unlink()
    rig.run(4)
    assert said(rig) == ("paper", "armed")
    assert len(rig.submissions) > before


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("control", ["daily_loss", "slippage"])
def test_a_rehearsed_trigger_halts_it_until_it_is_armed_again(start: Start, system: str, control: str) -> None:
    rig = start(system)
    rig.run(2)
    assert drilled(rig, control) == (200, {"control": control, "injected": True})
    rig.worker.run_once()
    assert said(rig)[1] == "tripped"
    assert rig.worker.switch.state.reason.startswith(control.replace("_", " "))
    assert drilled(rig, "slippage")[0] == 409, "halted already"
    if rig.settings.own_switch:
        rig.run(4)
        assert said(rig)[1] == "tripped", "a bot with a switch waits for a person"
        rig.arm()
    rig.run(4)
    assert said(rig)[1] == "armed"


@pytest.mark.parametrize("system", ["kraken-bot", "kalshi-polymarket", "smart-alpaca"])
def test_a_halt_that_no_drill_has_caused_stays_until_the_gate_was_set_and_lifted(start: Start, system: str) -> None:
    rig = start(system)
    rig.worker.trip("slippage 600 bps is beyond the limit 500")
    rig.run(10)
    assert said(rig)[1] == "tripped"
    again = start(system, armed=False)
    again.run(2)
    assert said(again)[1] == "tripped", "a halt survives a restart"
    assert drilled(again, "end") == (200, {"ended": False})
    again.arm()
    again.run(1)
    assert said(again)[1] == "armed"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_replay_sends_nothing(start: Start, system: str) -> None:
    rig = start(system)
    rig.run(20)
    sent = len(rig.submissions)
    status, answer = drilled(rig, "replay")
    assert status == 200
    assert answer["replayed"] == answer["refused_duplicates"] >= sent > 5
    assert answer["submitted"] == 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_live_bot_only_says_what_a_trip_would_do(start: Start, system: str) -> None:
    rig = start(system, **LIVE[system])
    rig.run(2)
    assert [drilled(rig, control)[0] for control in ("replay", "daily_loss", "slippage", "end")] == [409] * 4
    status, answer = drilled(rig, "would_trigger")
    assert (status, answer["would_trip"]) == (200, True)
    assert drilled(rig, "other")[0] == 422
    rig.run(2)
    assert said(rig)[1] == "armed"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_restart_sends_nothing_twice(start: Start, system: str) -> None:
    rig = start(system)
    rig.run(4)
    rig.clock.advance(-1)
    start(system).run(2, seconds=0)
    ids = [order.client_order_id for order in rig.submissions]
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_size_zero_stops_it(start: Start, system: str) -> None:
    rig = start(system, SIZE_MULTIPLIER="0")
    rig.run(8)
    assert rig.submissions == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_account_that_it_was_not_told_halts_it(start: Start, system: str) -> None:
    rig = start(system)
    rig.run(1)
    for venue in rig.venues.values():
        venue.number = "DU2" if system == "ibkr-assistant" else "PA3OTHER"
    rig.run(1)
    assert said(rig)[1] == "tripped"
    assert not rig.worker.identity_holds()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_bot_told_to_lie_reports_the_other_mode(start: Start, system: str) -> None:
    rig = start(system)
    (rig.settings.home / "var" / "faults.json").write_text(json.dumps({"mode_lie": "live"}))
    rig.run(1)
    assert said(rig)[0] == "live"
    assert rig.settings.mode == "paper"


@pytest.mark.parametrize("system", WITH_HTTP)
def test_health_is_the_age_of_the_last_loop(start: Start, system: str) -> None:
    rig = start(system)
    rig.worker.run_once()
    rig.clock.advance(7)
    assert rig.http().get(HEALTH[system]).json()["loop_age_s"] == 7.0


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_surface_and_no_file_holds_a_secret(start: Start, system: str) -> None:
    rig = start(system)
    rig.run(4)
    rig.venue.broken["account"] = RuntimeError(f"header {SECRET} in an exception")
    rig.run(1)
    paths = (*HEALTH.values(), *(part[0] for readout in READOUTS.values() for part in readout[:2]), "/metrics")
    shown = "" if system == "kraken-bot" else "".join(rig.http().get(path).text for path in paths)
    files = [path.read_bytes() for path in rig.settings.home.rglob("*") if path.is_file()]
    if system != "ibkr-assistant":
        assert "header **** in an exception" in rig.log_text()
        for secret in (SECRET, KEY_ID, "canary-reset-key"):
            assert secret not in shown
            assert secret.encode() not in b"".join(files)


@pytest.mark.parametrize("system", WITH_HTTP)
def test_a_foreign_host_name_is_refused(start: Start, system: str) -> None:
    assert LocalHttp(start(system).worker, host="bot.example").get(HEALTH[system]).status_code == 400


@pytest.mark.parametrize("system", WITH_HTTP)
def test_metrics_leave_out_what_is_unknown(start: Start, system: str) -> None:
    rig = start(system, armed=False)

    def read() -> dict[str, float]:
        families = text_string_to_metric_families(rig.http().get("/metrics").text)
        return {sample.name: sample.value for family in families for sample in family.samples}

    before = read()
    assert not {"bot_daily_pnl_usd", "bot_slippage_bps", "bot_last_loop_timestamp_seconds"} & set(before)
    assert before["bot_switch_tripped"] == (rig.worker.stopped_by() is not None)
    rig.arm()
    rig.run(4)
    after = read()
    assert after["bot_loops_total"] >= 4
    assert after["bot_fills_total"] > 0
    assert {"bot_info", "bot_up", "bot_orders_total", "bot_daily_pnl_usd", "bot_slippage_bps"} <= set(after)


def test_one_venue_that_is_away_does_not_spare_the_other_its_cancels(start: Start) -> None:
    rig = start("kalshi-polymarket")
    rig.run(8)
    other = rig.venues["polymarket"]
    assert other.open_orders()
    for method in ("open_orders", "cancel"):
        rig.venue.broken[method] = VenueUnknown(f"{method}: timed out")
    rig.settings.gate_file.touch()
    rig.run(1)
    assert other.open_orders() == []
