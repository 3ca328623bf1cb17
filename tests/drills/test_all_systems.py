"""Five systems, five venues, ten hosts: all of them go live, are killed, rolled back and armed again, by one engine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.drills.canary import found_secrets
from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import Field, awaited, opened

SYSTEMS = ("alpaca-bot", "kraken-bot", "kalshi-polymarket", "smart-alpaca", "ibkr-assistant")
ALL = "--system=all"
EACH = pytest.mark.parametrize("system", SYSTEMS)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with opened(tmp_path_factory.mktemp("all"), SYSTEMS) as field:
        yield field


def accepted(field: Field, environment: str, system: str) -> int:
    return len(field.orders(environment, "accepted", system))


def trades_again(field: Field, system: str, count: int) -> bool:
    return accepted(field, "paper", system) > count


def test_all_of_them_go_live(field: Field) -> None:
    done = field.invoke("go-live", "--env=sandbox", ALL, seconds=900)
    assert done.code == 0, done.out
    for system in SYSTEMS:
        assert f"{system} is LIVE at stage live-1" in done.out


@EACH
def test_each_of_them_trades_live(field: Field, system: str) -> None:
    awaited(lambda: accepted(field, "live", system) >= 2, what=f"two live orders of {system}")


def test_kill_stops_all_of_them_and_proves_it(field: Field) -> None:
    done = field.invoke("kill", "--reason=all systems")
    assert done.code == 0, done.out
    assert {system: open_orders(field, slot, system) for system in SYSTEMS for slot in ("live", "paper")} == {
        system: set() for system in SYSTEMS
    }


def test_rollback_without_arguments_brings_all_of_them_back(field: Field) -> None:
    done = field.invoke("rollback", seconds=600)
    assert done.code == 0, done.out
    for system in SYSTEMS:
        assert_paper_and_tripped(field, system)


def test_rearm_lets_all_of_them_trade_on_paper_again(field: Field) -> None:
    before = {system: accepted(field, "paper", system) for system in SYSTEMS}
    done = field.invoke("rearm", "--env=sandbox", ALL, seconds=600)
    assert done.code == 0, done.out
    for system in SYSTEMS:
        awaited(partial(trades_again, field, system, before[system]), what=f"a paper order of {system}")


@EACH
def test_no_order_log_shows_what_must_not_be(field: Field, system: str) -> None:
    assert_order_log_is_clean(field, system)


def test_no_secret_is_anywhere_but_where_it_belongs(field: Field) -> None:
    assert found_secrets(field) == []
    assert field.invoke("ledger.verify", "--env=sandbox").code == 0
