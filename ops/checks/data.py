"""The bot's own audit trail."""

from __future__ import annotations

from datetime import timedelta

from ops.checks.sight import Params, Sight
from ops.model.canonical import utc_time
from ops.model.outcome import Finding


def audit_store(sight: Sight, params: Params) -> Finding:
    """Each order of the window was preceded by a recorded decision: coverage 1.0, and there is something to cover."""
    decisions, orders = sight.rows("decisions"), sight.rows("orders")
    if decisions is None or orders is None:
        return sight.finding("audit_store", None, "the audit databases cannot be read", "every decision recorded")
    decided = {row["client_order_id"] for row in decisions if row["client_order_id"]}
    uncovered = [row["client_order_id"] for row in orders if row["client_order_id"] not in decided]
    recent = [row for row in decisions if utc_time(row["at"]) >= sight.at - timedelta(hours=24)]
    ok = bool(recent) and not uncovered
    seen = f"{len(recent)} decisions in 24 h, {len(orders)} orders in the window, {len(uncovered)} without a decision"
    return sight.finding("audit_store", ok, seen, "coverage 1.0")
