"""Approval tokens: no order is sent without one, each is good for one order, once, and all of it is on record.

The table `approvals` of the audit database: pending -> granted -> used, or pending -> expired.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ...clock import stamp
from ...trading.habits import Proposal
from .policy import ApprovalPolicy

if TYPE_CHECKING:
    from ...trading.loop import Worker

EXPIRES_AFTER = timedelta(seconds=60)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS approvals (
    token TEXT PRIMARY KEY, at TEXT NOT NULL, client_order_id TEXT NOT NULL UNIQUE, symbol TEXT NOT NULL,
    side TEXT NOT NULL, qty TEXT NOT NULL, limit_price TEXT NOT NULL, state TEXT NOT NULL,
    decided_by TEXT, decided_at TEXT
);
CREATE INDEX IF NOT EXISTS approvals_pending ON approvals (state) WHERE state = 'pending';
"""
_COLUMNS = ("token", "at", "client_order_id", "symbol", "side", "qty", "limit_price")


class Approvals:
    """The desk where proposals wait."""

    def __init__(self, policy: ApprovalPolicy) -> None:
        self._policy = policy

    def open(self, worker: Worker) -> None:
        """Makes the table."""
        with worker.audit.own_tables(_SCHEMA):
            return

    def use_token(self, worker: Worker, proposal: Proposal) -> str | None:
        """Asks for a token and uses it up; None if the order may be sent now, else why not."""
        token = f"AT-{proposal.order.client_order_id}"
        self._propose(worker, proposal, token)
        if self._policy.grants(proposal):
            self._move(worker, token, "pending", "granted")
        if not self._move(worker, token, "granted", "used"):
            return f"approval: {token} is not granted"
        worker.log.info("approval: %s used, granted by %s", token, self._policy.approver)
        return None

    def _propose(self, worker: Worker, proposal: Proposal, token: str) -> None:
        order = proposal.order
        row = (token, stamp(worker.clock.now()), order.client_order_id, order.symbol, order.side)
        with worker.audit.own_tables() as connection:
            connection.execute(
                "INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', NULL, NULL) ON CONFLICT DO NOTHING",
                (*row, str(order.qty), str(order.limit_price)),
            )

    def _move(self, worker: Worker, token: str, before: str, after: str) -> bool:
        """One step of one token; False if it is not in the state before."""
        update = "UPDATE approvals SET state = ?, decided_by = ?, decided_at = ? WHERE token = ? AND state = ?"
        values = (after, self._policy.approver, stamp(worker.clock.now()), token, before)
        with worker.audit.own_tables() as connection:
            return connection.execute(update, values).rowcount == 1

    def pending(self, worker: Worker) -> list[dict[str, Any]]:
        """The proposals that wait for a person, oldest first."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM approvals WHERE state = 'pending' ORDER BY at"
        with worker.audit.own_tables() as connection:
            return [dict(zip(_COLUMNS, row, strict=True)) for row in connection.execute(query)]

    def expire(self, worker: Worker) -> None:
        """A proposal is for its moment: one that nobody took up is closed."""
        update = "UPDATE approvals SET state = 'expired' WHERE state = 'pending' AND at < ?"
        with worker.audit.own_tables() as connection:
            connection.execute(update, (stamp(worker.clock.now() - EXPIRES_AFTER),))
