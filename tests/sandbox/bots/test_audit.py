from __future__ import annotations

import sqlite3
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ops.sandbox.bots.audit import Audit, AuditRefused, Decision
from ops.sandbox.bots.venue import NewOrder, VenueFill

from .conftest import START


def _order(name: str = "a1-p-AAPL-1", side: str = "buy") -> NewOrder:
    return NewOrder(name, "AAPL", side, Decimal(2), Decimal("100.12"), "day", Decimal(100))


def _submit(audit: Audit, order: NewOrder) -> None:
    audit.decide(Decision(START, "alpaca", "AAPL", "AAPL-1", "buy", "submit", "", order))


def _fill(fill_id: str, order_id: str = "v1", side: str = "buy", price: str = "100.10") -> VenueFill:
    return VenueFill(fill_id, order_id, "AAPL", side, Decimal(2), Decimal(price), START)


def test_a_file_of_the_other_mode_or_account_is_refused(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "a.sqlite", "paper", "a1")
    audit.stamp_account("alpaca", "PA9OTHER", bind=False)
    audit.stamp_account("alpaca", "PA3TEST", bind=True)
    audit.stamp_account("alpaca", "PA3TEST", bind=True)
    with pytest.raises(AuditRefused, match="account PA3TEST, not PA4"):
        audit.stamp_account("alpaca", "PA4", bind=False)
    audit.close()
    with pytest.raises(AuditRefused, match="mode paper, not live"):
        Audit(tmp_path / "a.sqlite", "live", "a1")


def test_the_tables_are_the_documented_ones(tmp_path: Path) -> None:
    Audit(tmp_path / "a.sqlite", "paper", "a1").close()
    connection = sqlite3.connect(tmp_path / "a.sqlite")
    columns = {
        table: " ".join(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        for table in ("decisions", "orders", "fills", "loops")
    }
    connection.close()
    assert columns == {
        "decisions": "id at mode instance venue symbol signal_id action side qty price outcome reason client_order_id",
        "orders": "client_order_id order_id at mode venue symbol side qty limit_price status reference_price"
        " updated_at",
        "fills": "fill_id order_id client_order_id venue symbol side qty price reference_price at",
        "loops": "id started_at finished_at mode switch size_multiplier error",
    }


def test_a_decision_to_send_and_its_order_are_one_commit(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "a.sqlite", "paper", "a1")
    _submit(audit, _order())
    with pytest.raises(sqlite3.IntegrityError):
        _submit(audit, _order())
    reader = sqlite3.connect(tmp_path / "a.sqlite")
    assert reader.execute("SELECT count(*) FROM decisions").fetchone() == (1,)
    row = reader.execute("SELECT at, qty, limit_price, status, order_id FROM orders").fetchone()
    reader.close()
    assert row == ("2026-11-20T15:00:00.000000Z", "2", "100.12", "intent", None)


def test_an_order_is_unresolved_then_working_then_done(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "a.sqlite", "paper", "a1")
    _submit(audit, _order())
    seen = []
    for status in ("unknown", "new", "pending_cancel", "canceled"):
        audit.update_order("a1-p-AAPL-1", status, START, "v1" if status == "new" else "")
        seen.append((len(audit.unresolved()), [order.order_id for order in audit.working()]))
    assert seen == [(1, []), (0, ["v1"]), (0, ["v1"]), (0, [])]


def test_fills_are_stored_once_and_only_of_own_orders(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "a.sqlite", "paper", "a1")
    _submit(audit, _order())
    audit.update_order("a1-p-AAPL-1", "filled", START, "v1")
    assert audit.fills_awaited("alpaca", START)
    assert audit.record_fills([_fill("f1"), _fill("f1"), _fill("f2", order_id="somebody else's")]) == 1
    assert not audit.fills_awaited("alpaca", START)
    assert audit.held("AAPL") == 2
    assert audit.recent_slippage(20) == [Decimal("10.00")]
    assert audit.at_stake_usd() == Decimal("200.20")
    assert audit.recent_slippage(20, START) == [], "fills up to the re-arm are not judged again"
    audit.close()
    assert Audit(tmp_path / "a.sqlite", "paper", "a1").held("AAPL") == 2


def test_where_to_ask_for_fills_from(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "a.sqlite", "paper", "a1")
    assert audit.fills_known_until("alpaca") is None
    _submit(audit, _order())
    assert audit.fills_known_until("alpaca") == START
    assert audit.fills_known_until("another venue") is None


def test_counts_are_of_the_day(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "a.sqlite", "paper", "a1")
    _submit(audit, _order())
    assert audit.orders_since(START) == 1
    assert audit.orders_since(START + timedelta(seconds=1)) == 0
    assert audit.sent_signals(START, 10) == ["AAPL-1"]
