"""The simulated week through the real door to the real simulator, and what it leaves behind."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ops.sandbox.bots.brokers.alpaca import AlpacaBroker
from ops.sandbox.bots.clock import SystemClock
from ops.sandbox.bots.switch import Switch
from ops.sandbox.bots.system import system_named
from ops.sandbox.week import AdminControl, WeekBot, WeekFailed, WeekSummary, run_week

from .conftest import ADMIN_TOKEN, Outside, environ_for

END = datetime(2026, 11, 20, 17, 10, tzinfo=UTC)
DAYS = [date(2026, 11, 13) + timedelta(days=day) for day in range(8)]
NAMES = ("a1", "a2")


@dataclass
class Week:
    """A week that has been run: the homes, the summary, the days announced, and the venue it ran on."""

    homes: dict[str, Path]
    summary: WeekSummary
    days: list[date]
    outside: Outside
    environ: dict[str, str]

    def rows(self, name: str, query: str) -> list[tuple[str, ...]]:
        connection = sqlite3.connect(self.homes[name] / "var" / "audit-paper.sqlite")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def week(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Week:
    homes = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    environ = outside.account_environ(homes["a1"])
    bots = [WeekBot("alpaca-bot", environ | environ_for_host(homes[name], name)) for name in NAMES]
    days: list[date] = []
    control = AdminControl(outside.ports["admin"], ADMIN_TOKEN)
    summary = run_week(bots, control, END, on_day=lambda day: days.append(day.date()))
    return Week(homes, summary, days, outside, environ)


def environ_for_host(home: Path, name: str) -> dict[str, str]:
    return {"BOT_HOME": str(home), "GATE_FILE": str(home / "gate"), "INSTANCE": name}


def test_every_day_was_run_without_an_error(week: Week) -> None:
    assert week.days == DAYS
    assert week.summary.start == datetime(2026, 11, 13, tzinfo=UTC)
    for bot in week.summary.bots:
        assert bot.loops == week.summary.steps
        assert (bot.errors, bot.tripped) == (0, None)
        assert set(bot.orders) <= {"accepted", "refused"}


@pytest.mark.parametrize("name", NAMES)
def test_the_log_and_the_loops_cover_every_day(week: Week, name: str) -> None:
    loops = dict(week.rows(name, "SELECT substr(started_at, 1, 10), count(*) FROM loops GROUP BY 1"))
    lines = (week.homes[name] / "var" / "log" / "bot.log").read_text().splitlines()
    logged = Counter(line[:10] for line in lines)
    assert [str(day) for day in DAYS] == sorted(loops) == sorted(logged)
    assert min(loops.values()) >= 18
    assert not [line for line in lines if " INFO bot " not in line]
    assert week.rows(name, "SELECT count(*) FROM loops WHERE error IS NOT NULL OR finished_at IS NULL") == [(0,)]


@pytest.mark.parametrize("name", NAMES)
def test_the_records_agree_with_the_venues_own_log(week: Week, name: str) -> None:
    log = [line for line in week.outside.order_log() if line["client_order_id"].startswith(f"{name}-p-")]
    accepted = {line["client_order_id"] for line in log if line["event"] == "accepted"}
    assert accepted == {row[0] for row in week.rows(name, "SELECT client_order_id FROM orders")}
    assert len(accepted) == len([line for line in log if line["event"] == "accepted"]) > 40
    executed = {"fill", "partial_fill"}
    venue = sorted((li["order_id"], Decimal(li["qty"]), Decimal(li["price"])) for li in log if li["event"] in executed)
    own = week.rows(name, "SELECT order_id, qty, price FROM fills")
    assert venue == sorted((order_id, Decimal(qty), Decimal(price)) for order_id, qty, price in own)
    unsettled = "SELECT count(*) FROM orders WHERE status IN ('intent', 'unknown', 'pending_new', 'rejected')"
    assert week.rows(name, unsettled) == [(0,)]


@pytest.mark.parametrize("name", NAMES)
def test_positions_stay_small_and_something_rests_to_be_cancelled(week: Week, name: str) -> None:
    signed = "SELECT symbol, sum(CASE side WHEN 'buy' THEN qty ELSE -qty END) FROM fills GROUP BY symbol"
    assert all(0 <= qty <= 2 for _, qty in week.rows(name, signed))
    resting = week.rows(name, "SELECT symbol, count(*) FROM orders WHERE status IN ('new', 'accepted') GROUP BY symbol")
    assert dict(resting) == {"AAPL": 2, "MSFT": 2}


@pytest.mark.parametrize("name", NAMES)
def test_decisions_include_the_nights_and_precede_their_orders(week: Week, name: str) -> None:
    outcomes = dict(week.rows(name, "SELECT outcome, count(*) FROM decisions GROUP BY outcome"))
    assert set(outcomes) == {"hold", "refused", "submit"}
    closed = "SELECT count(*) FROM decisions WHERE outcome = 'submit' AND strftime('%w', at) IN ('0', '6')"
    assert week.rows(name, closed) == [(0,)]
    unexplained = (
        "SELECT count(*) FROM orders WHERE client_order_id NOT IN"
        " (SELECT client_order_id FROM decisions WHERE outcome = 'submit')"
    )
    assert week.rows(name, unexplained) == [(0,)]


@pytest.mark.parametrize("name", NAMES)
def test_the_bots_end_armed(week: Week, name: str) -> None:
    switch = Switch(week.homes[name] / "var" / "switch.sqlite", SystemClock())
    state = switch.state
    switch.close()
    assert (state.tripped, state.since) == (False, "2026-11-13T00:00:00.000000Z")


def test_the_venue_is_back_on_real_time_and_always_open(week: Week, tmp_path: Path) -> None:
    settings, _ = system_named("alpaca-bot").read(week.environ)
    broker = AlpacaBroker(settings.venues["alpaca"].access)
    assert broker.market_open()
    account = broker.account()
    assert abs(account.equity - 100_000) < 500


class BrokenControl:
    """Levers that note what was asked and fail at the third."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def set_clock(self, now: datetime | None) -> None:
        self.asked.append(now)
        if len(self.asked) == 3:
            raise WeekFailed("gone")

    def set_hours(self, hours: str) -> None:
        self.asked.append(hours)


def test_a_week_that_breaks_gives_the_venue_its_time_back(tmp_path: Path) -> None:
    control = BrokenControl()
    with pytest.raises(WeekFailed, match="gone"):
        run_week([WeekBot("alpaca-bot", environ_for(tmp_path))], control, END, days=1)
    assert control.asked[-2:] == [None, "always"]


@pytest.fixture
def nobody() -> Iterator[AdminControl]:
    yield AdminControl(9, ADMIN_TOKEN)


def test_levers_that_do_not_answer_or_refuse_say_so(nobody: AdminControl, outside: Outside) -> None:
    with pytest.raises(WeekFailed, match="did not answer"):
        nobody.set_clock(None)
    with pytest.raises(WeekFailed, match="refused hours: HTTP 401"):
        AdminControl(outside.ports["admin"], "wrong").set_hours("always")


def test_a_bot_that_ends_halted_fails_the_week(outside: Outside, tmp_path: Path) -> None:
    environ = outside.account_environ(tmp_path, INSTANCE="b1", MAX_SLIPPAGE_BPS="0.01")
    control = AdminControl(outside.ports["admin"], ADMIN_TOKEN)
    with pytest.raises(WeekFailed, match="b1: switch ON: slippage"):
        run_week([WeekBot("alpaca-bot", environ)], control, END, days=0)
