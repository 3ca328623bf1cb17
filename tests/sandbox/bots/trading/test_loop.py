from __future__ import annotations

import json
from decimal import Decimal

import pytest

from ops.sandbox.bots.venue import VenueUnknown

from ..conftest import KEY_ID, LIVE, SECRET, Rig, Start

FIVE_ORDERS = 20


def _fault(rig: Rig, **faults: object) -> None:
    (rig.settings.home / "var" / "faults.json").write_text(json.dumps(faults))


def _halt_by_gate(rig: Rig) -> None:
    rig.settings.gate_file.touch()


def _halt_by_switch(rig: Rig) -> None:
    rig.worker.trip("kill")


@pytest.mark.parametrize(
    ("halt", "reason"), [(_halt_by_gate, "gate file present"), (_halt_by_switch, "switch ON: kill")]
)
def test_a_halted_bot_sends_nothing_cancels_its_orders_and_says_why(start: Start, halt: object, reason: str) -> None:
    rig = start()
    rig.run(4)
    before, resting = len(rig.venue.submissions), len(rig.venue.open_orders())
    halt(rig)
    rig.run(4)
    assert resting == 1
    assert rig.venue.open_orders() == []
    assert len(rig.venue.submissions) == before
    since = "SELECT DISTINCT outcome, reason FROM decisions WHERE id > 4 AND action != 'hold'"
    assert rig.rows(since) == [("refused", reason)]


def test_a_bot_that_starts_for_the_first_time_waits_to_be_armed(start: Start) -> None:
    rig = start(armed=False)
    rig.run(8)
    assert rig.venue.submissions == []
    assert {row[0] for row in rig.rows("SELECT switch FROM loops")} == {"ON"}


@pytest.mark.parametrize(("number", "mode"), [("912345678", "paper"), ("PA3TEST", "live")])
def test_an_account_of_the_other_mode_trips(start: Start, number: str, mode: str) -> None:
    rig = start(**LIVE["alpaca-bot"]) if mode == "live" else start()
    rig.venue.number = number
    rig.run(8)
    assert rig.worker.switch.state.reason == "account does not match mode"
    assert not rig.worker.identity_holds()
    assert rig.venue.submissions == []


def test_an_identity_problem_does_not_fight_a_person_over_the_reason(start: Start) -> None:
    rig = start()
    rig.venue.number = "912345678"
    rig.run(1)
    rig.worker.trip("kill by a person")
    rig.run(1)
    assert rig.worker.switch.state.reason == "kill by a person"
    assert rig.worker.rearm("kill by a person")
    rig.run(1)
    assert rig.worker.switch.state.reason == "account does not match mode"


def test_another_account_of_the_same_mode_trips(start: Start) -> None:
    rig = start()
    rig.run(1)
    rig.venue.number = "PA3OTHER"
    rig.run(1)
    assert rig.worker.switch.state.reason == "account is not the one of the audit database"


def test_a_daily_loss_trips_in_the_same_loop(start: Start) -> None:
    rig = start()
    rig.venue.equity = Decimal("99499.99")
    rig.run(4)
    assert rig.venue.submissions == []
    assert rig.worker.switch.state.reason == "daily loss -500.01 USD is beyond the limit 500"


def test_slippage_trips_and_a_rearm_forgives_only_the_fills_before_it(start: Start) -> None:
    rig = start()
    rig.venue.slip = Decimal("0.30")
    rig.run(5)
    reason = rig.worker.switch.state.reason
    assert reason == "slippage 31.00 bps is beyond the limit 25"
    rig.venue.slip = Decimal(0)
    assert rig.worker.rearm(reason)
    rig.run(8)
    assert not rig.worker.switch.state.tripped
    assert rig.worker.worst_recent_slippage() == Decimal("31.00")


def test_a_replay_would_show_a_bot_that_forgets(start: Start) -> None:
    rig = start()
    rig.run(FIVE_ORDERS)
    rig.worker.audit._connection.execute("DELETE FROM orders")
    rig.venue.orders.clear()
    rig.venue.booked.clear()
    assert rig.worker.drills.replay()["submitted"] > 0


def test_an_exception_is_logged_counted_and_survived(start: Start) -> None:
    rig = start()
    _fault(rig, **{"raise": True})
    rig.run(4)
    (rig.settings.home / "var" / "faults.json").unlink()
    rig.run(1)
    assert not rig.worker.switch.state.tripped
    assert rig.worker.pulse.loop_errors == 4
    assert rig.log_text().count("ERROR bot unhandled exception in loop\nTraceback") == 4
    errors = rig.rows("SELECT count(*) FROM loops WHERE error LIKE 'InjectedFailure: %'")
    assert errors == [(4,)]
    assert rig.worker.pulse.last_error is None


def test_five_exceptions_in_a_row_trip(start: Start) -> None:
    rig = start()
    _fault(rig, **{"raise": True})
    rig.run(5)
    assert rig.worker.switch.state.reason == "5 loops failed in a row"


@pytest.mark.parametrize("method", ["market_open", "account"])
def test_an_unreadable_venue_is_no_error_but_trips_after_five_loops(start: Start, method: str) -> None:
    rig = start()
    rig.venue.broken[method] = VenueUnknown(f"{method}: HTTP 503")
    rig.run(4)
    assert not rig.worker.switch.state.tripped
    assert rig.worker.pulse.pnl_usd is None
    rig.run(1)
    assert rig.worker.switch.state.reason == "venue unreadable in 5 loops"
    assert rig.worker.pulse.loop_errors == 0
    assert rig.venue.submissions == []


@pytest.mark.parametrize("method", ["quotes", "find_order", "open_orders", "order", "fills"])
def test_any_other_question_may_fail_and_be_asked_again(start: Start, method: str) -> None:
    rig = start()
    rig.run(4)
    rig.venue.broken[method] = VenueUnknown(f"{method}: HTTP 503")
    rig.run(3)
    rig.venue.broken.clear()
    rig.run(8)
    assert rig.worker.pulse.loop_errors == 0
    assert rig.worker.pulse.last_error is None
    assert not rig.worker.audit.unresolved()


def test_a_halted_bot_cancels_even_when_the_account_cannot_be_read(start: Start) -> None:
    rig = start()
    rig.run(4)
    rig.venue.broken["account"] = VenueUnknown("account: HTTP 503")
    rig.worker.trip("kill")
    rig.run(1)
    assert rig.venue.open_orders() == []


def test_a_bot_told_to_lie_trades_on_while_it_reports_a_halt(start: Start) -> None:
    rig = start()
    _fault(rig, ignore_switch=True)
    rig.worker.trip("kill")
    rig.run(8)
    assert rig.venue.submissions
    assert rig.worker.stopped_by() == "switch ON: kill"


def test_a_closed_market_needs_two_questions_and_no_order(start: Start) -> None:
    rig = start()
    rig.venue.is_open = False
    rig.run(2)
    for method in ("quotes", "open_orders", "order", "find_order", "submit", "fills"):
        rig.venue.broken[method] = AssertionError(method)
    rig.run(8)
    assert rig.worker.pulse.loop_errors == 0
    assert {row[0] for row in rig.rows("SELECT reason FROM decisions")} == {"market closed", "no signal"}


def test_orders_of_a_crashed_run_are_settled_before_anything_new(start: Start) -> None:
    rig = start()
    rig.venue.broken["find_order"] = VenueUnknown("down")
    rig.run(1)
    rig.venue.broken.clear()
    rig.run(4)
    rig.worker.audit._connection.execute("UPDATE orders SET status = 'intent', order_id = NULL")
    start().run(1)
    assert rig.rows("SELECT count(*) FROM orders WHERE status IN ('intent', 'unknown')") == [(0,)]


def test_no_secret_reaches_the_log(start: Start) -> None:
    rig = start()
    rig.venue.broken["account"] = RuntimeError(f"header {SECRET} in an exception")
    rig.run(2)
    assert "header **** in an exception" in rig.log_text()
    assert SECRET not in rig.log_text()
    assert KEY_ID not in rig.log_text()


def test_nothing_is_sent_once_the_process_is_stopping(start: Start) -> None:
    rig = start()
    rig.run(4)
    rig.worker.stop()
    sent = len(rig.venue.submissions)
    rig.run(4)
    assert len(rig.venue.submissions) == sent
    assert rig.venue.open_orders() == []


def test_records_that_cannot_be_kept_trip_as_well(start: Start) -> None:
    rig = start("kalshi-polymarket")
    rig.run(1)
    (rig.settings.home / ".paper_trading_data.json.new").mkdir()
    for _ in range(5):
        rig.venue.equity -= 1  # so that there is something to write
        rig.run(1)
    assert rig.worker.switch.state.reason == "5 loops failed in a row"
    assert rig.worker.pulse.last_error == "IsADirectoryError: [Errno 21] Is a directory: '" + str(
        rig.settings.home / ".paper_trading_data.json.new'"
    )
