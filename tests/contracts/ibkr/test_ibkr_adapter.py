"""What is special to IBKR's adapter: whose orders it can cancel, in which thread it lives, what it must not say."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops.errors import VenueError
from ops.venues.ibkr.adapter import Ibkr
from ops.venues.ibkr.hours import listed, merged, restarts
from ops.venues.ibkr.line import FIRST_CLIENT_ID
from ops.venues.ibkr.questions import executions
from ops.venues.protocol import Keys, KeyView
from tests.contracts.clauses import held, unknown
from tests.contracts.ibkr.facts import IBKR
from tests.contracts.rig import Rig, rigged
from tests.field import awaited
from tests.house.tree import ROOT


def sessions(rig: Rig) -> list[int]:
    """The client ids that the paper gateway believes to be connected."""
    return rig.served.do(lambda: sorted(rig.served.venue.gateways["paper"].sessions))


@pytest.fixture
def regular(rig: Rig) -> Iterator[Rig]:
    rig.served.do(lambda: rig.served.venue.set_hours("regular"))
    yield rig
    rig.served.do(lambda: rig.served.venue.set_hours("always"))


def test_the_trading_right_is_asked_for_without_placing_anything(rig: Rig) -> None:
    assert rig.door().key() == KeyView(None, True, False)
    rig.fault("read_only")
    door = rig.door()
    assert door.key() == KeyView(None, False, False)
    assert "Read-Only" in str(unknown(door.cancel_all))
    assert rig.log(event="accepted") == []


def test_an_order_is_cancelled_in_the_name_of_the_client_that_placed_it(rig: Rig) -> None:
    bots, ours = rig.door(), rig.door()
    order = bots.place(rig.wish())
    assert "is connected" in str(unknown(lambda: ours.cancel(order.id)))
    bots.close()
    awaited(lambda: sessions(rig) == [FIRST_CLIENT_ID + 1], what="a free client id")
    ours.cancel(order.id)
    rig.later(1)
    assert ours.order(order.id).status == "Cancelled"
    ours.cancel(order.id)
    assert "no order" in str(unknown(lambda: ours.cancel("12345")))


def test_only_the_global_cancel_reaches_what_was_typed_in_by_hand(rig: Rig) -> None:
    door, order = rig.door(), rig.by_hand()
    assert "by hand" in str(unknown(lambda: door.cancel(order)))
    assert door.cancel_all() == 1
    rig.later(1)
    assert not door.order(order).open


def test_a_stop_is_known_to_be_protective(rig: Rig) -> None:
    door = rig.door()
    door.place(rig.wish(crossing=True))
    rig.later(1)
    stop = {"symbol": "AAPL", "side": "sell", "qty": "1", "stop_price": "50"}
    rig.served.do(lambda: rig.served.venue.place_by_hand("paper", stop))
    assert [(order.protective, order.status, order.client_id) for order in door.open_orders()] == [
        (True, "PreSubmitted", "")
    ]


def test_an_order_of_unknown_fate_is_not_sent_again_on_a_late_list(rig: Rig) -> None:
    """The lists are five seconds behind, and IBKR itself would take the same orderRef twice."""
    door, wish = rig.door(timeout_seconds=1.5), rig.wish()
    door.status()  # connected: the time is for the order
    rig.fault("hang_after")
    unknown(lambda: door.place(wish))
    rig.fault("hang_after", on=False)
    rig.fault("stale_orders")
    assert "sent before" in str(unknown(lambda: door.place(wish)))
    rig.fault("stale_orders", on=False)
    assert door.place(wish).client_id == wish.client_id
    assert rig.events(wish.client_id) == ["accepted"]


def test_a_refused_order_may_be_sent_again(rig: Rig) -> None:
    door, wish = rig.door(), rig.wish()
    rig.fault("cancel_only")
    assert "201" in str(unknown(lambda: door.place(wish)))
    rig.fault("cancel_only", on=False)
    assert door.place(wish).open


def test_prices_go_through_exactly(rig: Rig) -> None:
    wish = replace(rig.wish(), limit_price=Decimal("1.2E+2"), qty=Decimal("1E+1"))
    rig.door().place(wish)
    (line,) = rig.log(client_order_id=wish.client_id, event="accepted")
    assert (line["price"], line["qty"]) == ("120", "10")
    uneven = replace(rig.wish(), limit_price=Decimal("100.001"))
    assert "110" in str(unknown(lambda: rig.door().place(uneven)))


def test_a_position_that_has_shrunk_is_closed_for_what_is_left(rig: Rig) -> None:
    door = rig.door()
    door.place(rig.wish(crossing=True))
    rig.later(1)
    meant = held(door, "AAPL")
    rig.by_hand("sell", Decimal(100), meant.qty - 1)
    rig.later(1)
    for _ in range(2):
        door.close_position(meant, rig.client_id())
        rig.later(1)
    assert held(door, "AAPL").qty == 0


def test_silence_about_positions_is_not_an_empty_account(rig: Rig) -> None:
    rig.fault("silent_positions")
    door = rig.door(timeout_seconds=0.3)
    assert "did not answer" in str(unknown(door.positions))
    assert rig.door().account().number == "DU1234567"


def test_a_gateway_with_paper_and_live_accounts_proves_neither(tmp_path: Path) -> None:
    facts = replace(IBKR, numbers={**IBKR.numbers, "paper": "DU1,U2"})
    with rigged(facts, tmp_path) as rig:
        assert "at once" in str(unknown(rig.door().account))


def test_another_account_is_shown_and_nothing_else_of_it(rig: Rig) -> None:
    door = Ibkr(rig.served.endpoints["paper"], "DU0000001", Keys())
    assert door.account().number == "DU1234567"
    for read in (door.open_orders, door.positions, door.cancel_all, lambda: door.place(rig.wish())):
        assert "does not manage" in str(unknown(read))
    door.close()


# Where it lives


def test_it_works_in_any_thread_whatever_asyncio_did_before(rig: Rig) -> None:
    asyncio.run(asyncio.sleep(0))
    doors = [rig.door(timeout_seconds=5) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda door: door.account().number, [*doors, *doors]))
    assert set(numbers) == {"DU1234567"}
    assert len(sessions(rig)) >= 4

    async def inside() -> str:
        return doors[0].account().number

    assert asyncio.run(inside()) == "DU1234567"
    assert threading.active_count() < 20


LEAVING = """
import sys, time
from ops.venues.ibkr.adapter import Ibkr
from ops.venues.protocol import Keys
door = Ibkr(sys.argv[1], "DU1234567", Keys(), timeout_seconds=20)
print(door.account().number, file=sys.stderr)
{end}
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)"], ids=["at its end", "on its way out"])
def test_a_process_leaves_at_once_and_its_client_id_is_free(rig: Rig, end: str) -> None:
    words = [sys.executable, "-c", LEAVING.format(end=end), rig.served.endpoints["paper"]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (3 if end else 0, "DU1234567\n")
    awaited(lambda: sessions(rig) == [], what="an end of all sessions")


def test_who_is_not_there_is_known_at_once() -> None:
    began = time.monotonic()
    assert "no IBKR gateway answers" in str(unknown(Ibkr("tcp://127.0.0.1:9", "DU1", Keys()).account))
    assert time.monotonic() - began < 2
    for address in ("http://127.0.0.1:1", "tcp://127.0.0.1", ""):
        with pytest.raises(VenueError, match="not at an address"):
            Ibkr(address, "DU1", Keys())


# Hours


def test_the_week_is_sessions_closed_days_and_restarts(regular: Rig) -> None:
    door, friday_night = regular.door(), datetime(2026, 11, 20, 21, 30, tzinfo=UTC)
    assert door.status().state == "open"
    regular.served.do(lambda: regular.served.venue.pin_clock(friday_night))
    assert door.status().state == "closed"
    windows = door.windows(friday_night, friday_night + timedelta(days=7))
    told = [(w.kind, f"{w.begins:%a %H:%M}", f"{w.ends:%a %H:%M}") for w in windows]
    assert told[:4] == [
        ("maintenance", "Sat 04:00", "Sat 08:00"),
        ("closed", "Sat 05:00", "Mon 05:00"),
        ("restart", "Sun 04:45", "Sun 05:45"),
        ("restart", "Mon 04:45", "Mon 05:45"),
    ]
    assert ("closed", "Thu 05:00", "Fri 05:00") in told, "Thanksgiving"
    assert ("session", "Fri 14:30", "Fri 18:00") in told, "a half day"
    assert "some days only" in str(unknown(lambda: door.windows(friday_night, friday_night + timedelta(days=60))))
    held_over = door.place(regular.wish())
    assert (held_over.status, held_over.open) == ("PreSubmitted", True)


def test_hours_that_are_not_understood_are_unknown() -> None:
    for hours, zone in (("20261120:0930", "US/Eastern"), ("garbage:1-2", "US/Eastern"), ("", "Mars/North")):
        with pytest.raises(VenueError):
            listed(hours, zone)
    old = listed("20261120:0700-1830,1900-2330;20261121:CLOSED;20261122:CLOSED", "Europe/Berlin")
    assert [f"{w.begins:%H:%M}-{w.ends:%H:%M}" for w in merged(old)] == ["06:00-17:30", "18:00-22:30", "23:00-23:00"]
    summer = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert [f"{w.begins:%H:%M}" for w in restarts(summer, summer + timedelta(days=1))] == ["03:45"]


def test_the_last_correction_of_an_execution_counts() -> None:
    def fill(exec_id: str) -> SimpleNamespace:
        return SimpleNamespace(execution=SimpleNamespace(execId=exec_id))

    async def said() -> list[SimpleNamespace]:
        return [fill("a.01.01"), fill("b.01.02"), fill("a.01.02"), fill("b.01.01")]

    async def answer(asked):
        return await asked

    talk = SimpleNamespace(answer=answer, ib=SimpleNamespace(reqExecutionsAsync=said))
    assert {f.execution.execId for f in asyncio.run(executions(talk))} == {"a.01.02", "b.01.02"}
