from __future__ import annotations

from decimal import Decimal

from ops.sandbox.bots.venue import VenueUnknown

from .conftest import Rig, Start
from .test_every_bot import drilled, heartbeat


def _ledger(rig: Rig) -> list[dict[str, Decimal | str]]:
    names = ("symbol", "qty", "entry_price", "exit_price", "pnl_usd", "roi_pct", "capital_buffer", "drawdown_pct")
    return [dict(zip(names, row, strict=True)) for row in rig.rows(f"SELECT {', '.join(names)} FROM ledger")]


def test_each_loop_leaves_one_heartbeat_that_tells_all(start: Start) -> None:
    rig = start("kraken-bot")
    rig.run(3)
    assert heartbeat(rig) == {
        "at": "2026-11-20T15:00:10.000000Z",
        "mode": "paper",
        "account": "PAPER-1",
        "switch": "armed",
        "gate": "absent",
        "loop": "3",
        "size": "1",
        "reason": "",
    }
    assert rig.log_text().count(" heartbeat ") == 3
    rig.settings.gate_file.touch()
    rig.run(1)
    beat = heartbeat(rig)
    assert (beat["switch"], beat["gate"], beat["reason"]) == ("tripped", "present", "gate file present")


def test_every_closed_trade_has_its_capital_buffer(start: Start) -> None:
    rig = start("kraken-bot")
    rig.run(20)
    sells = rig.rows("SELECT count(*) FROM fills WHERE side = 'sell'")
    rows = _ledger(rig)
    assert [(len(rows),)] == sells
    assert len(rows) >= 4
    first = rows[0]
    assert (first["entry_price"], first["exit_price"], first["capital_buffer"]) == ("100.01", "99.99", "20000.00")
    assert Decimal(first["pnl_usd"]) < 0
    again = start("kraken-bot", armed=False)
    again.run(1)
    assert _ledger(again)[: len(rows)] == rows, "what is on record stays as it was"


def test_a_buy_may_not_reach_into_the_capital_buffer(start: Start) -> None:
    rig = start("kraken-bot", CAPITAL_BUFFER_PCT="99.9")
    rig.run(4)
    assert rig.submissions == []
    assert "capital buffer: 100.00 USD free, " in str(rig.rows("SELECT reason FROM decisions"))


def test_the_drawdown_guard_trips_and_begins_anew_at_a_rearm(start: Start) -> None:
    rig = start("kraken-bot", MAX_DAILY_LOSS_USD="1000000")
    rig.run(2)
    rig.venue.equity = Decimal("89000")
    rig.run(1)
    assert heartbeat(rig)["reason"] == "drawdown 11.00 % is beyond the limit 10"
    start("kraken-bot", armed=False, MAX_DAILY_LOSS_USD="1000000").run(1)
    assert heartbeat(rig)["switch"] == "tripped", "the highest equity survives a restart"
    rig.arm()
    rig.run(4)
    assert heartbeat(rig)["switch"] == "armed"
    assert drilled(rig, "drawdown")[0] == 200
    rig.run(1)
    assert heartbeat(rig)["switch"] == "tripped"


def test_a_restart_does_not_begin_the_days_loss_anew(start: Start) -> None:
    rig = start("kraken-bot")
    rig.run(1)
    rig.venue.equity = rig.venue.last_equity = Decimal("99000")  # what a new process reads first
    again = start("kraken-bot", armed=False)
    again.run(1)
    assert again.worker.pulse.pnl_usd == Decimal(-1000)
    assert heartbeat(again)["reason"].startswith("daily loss -1000")


def test_anomalies_have_a_file_of_their_own(start: Start) -> None:
    rig = start("kraken-bot")
    rig.run(2)
    rig.venue.broken["account"] = VenueUnknown("account: EService:Unavailable")
    rig.run(1)
    anomalies = (rig.settings.home / "logs" / "anomalies.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in anomalies] == ["WARNING bot venue: account: EService:Unavailable"]


def test_a_request_that_is_no_document_is_answered_and_taken_away(start: Start) -> None:
    rig = start("kraken-bot")
    request = rig.settings.home / "var" / "drill.request"
    request.write_text("replay")
    rig.run(2)
    assert not request.exists()
    assert '"status": 422' in (rig.settings.home / "var" / "drill.answer").read_text()
    assert heartbeat(rig)["switch"] == "armed"
