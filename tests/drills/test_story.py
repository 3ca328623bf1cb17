"""The story that an operator lives through: up, trade, kill, rearm, down, trade on paper; judged by the venue's log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills.canary import found_secrets
from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import Field, awaited, opened


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with opened(tmp_path_factory.mktemp("story")) as field:
        yield field


def orders_after(field: Field, environment: str, count: int) -> bool:
    return len(field.orders(environment, "accepted")) > count


def test_go_live_on_a_fresh_machine_trades_at_half_size(field: Field) -> None:
    done = field.invoke("go-live", "--env=sandbox")
    assert done.code == 0, done.out
    assert "alpaca-bot is LIVE at stage live-1 (50 % size) on 2 hosts" in done.last
    assert "signed by ana (risk) and raj (operator)" in done.last
    awaited(lambda: len(field.orders("live", "accepted")) >= 4, what="four live orders")
    sizes = {order["qty"] for order in field.orders("live", "accepted") if order["side"] == "buy"}
    assert sizes <= {"1", "1.00"}, "base size is 2 shares: half of it is 1"


def test_running_it_again_says_that_nothing_is_to_do(field: Field) -> None:
    before = len(field.ledger())
    done = field.invoke("go-live", "--env=sandbox")
    assert done.code == 0 and "nothing to do" in done.last
    assert len(field.ledger()) == before


def test_kill_stops_it_and_proves_it(field: Field) -> None:
    awaited(lambda: bool(open_orders(field, "live")), what="an open live order")
    done = field.invoke("kill", "--reason=story")
    assert done.code == 0, done.out
    assert open_orders(field, "live") == set()
    assert open_orders(field, "paper") == set()
    assert "tripped" in field.ask("status", "--env=sandbox")["systems"][0]["switch"]


def test_rearm_lets_it_trade_live_again(field: Field) -> None:
    done = field.invoke("rearm", "--env=sandbox")
    assert done.code == 0, done.out
    count = len(field.orders("live", "accepted"))
    awaited(lambda: orders_after(field, "live", count), what="a live order after the rearm")


def test_rollback_without_arguments_brings_it_to_proven_paper(field: Field) -> None:
    done = field.invoke("rollback")
    assert done.code == 0, done.out
    assert "PAPER and tripped" in done.last
    assert_paper_and_tripped(field)
    assert open_orders(field, "live") == set()


def test_a_second_rollback_has_nothing_to_do(field: Field) -> None:
    done = field.invoke("rollback")
    assert done.code == 0 and "nothing to do" in done.last


def test_rearm_lets_it_trade_on_paper_again(field: Field) -> None:
    count = len(field.orders("paper", "accepted"))
    assert field.invoke("rearm").code == 0
    awaited(lambda: orders_after(field, "paper", count), what="a paper order after the rearm")


def test_the_key_is_rotated_under_paper_trading_and_the_old_one_is_dead(field: Field) -> None:
    assert field.invoke("rotate-keys", "--slot=paper").code == 4, "without a new key it waits for a person"
    assert field.invoke("sandbox.new-key", "--slot=paper").code == 0
    done = field.invoke("rotate-keys", "--slot=paper")
    assert done.code == 0, done.out
    states = [r["body"]["state"] for r in field.ledger() if r["kind"] == "key.changed" and r["body"]["slot"] == "paper"]
    assert states == ["pending", "tested", "previous", "deployed", "current", "revoked"]
    assert field.invoke("rearm").code == 0


def test_restart_comes_back_tripped_in_the_same_mode(field: Field) -> None:
    done = field.invoke("restart")
    assert done.code == 0, done.out
    assert_paper_and_tripped(field)


def test_no_secret_is_anywhere_but_where_it_belongs(field: Field) -> None:
    assert found_secrets(field) == []


def test_the_order_log_is_clean_and_the_ledger_verifies(field: Field) -> None:
    assert_order_log_is_clean(field)
    assert field.invoke("ledger.verify", "--env=sandbox").code == 0
