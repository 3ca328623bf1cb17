"""What must be true on the venue's order log after whatever happened."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from tests.field import Field

# I1: an order in flight when the halt was acknowledged may still arrive; later ones may not.
GRACE = timedelta(seconds=2)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def tripped_spans(records: list[dict[str, Any]]) -> list[tuple[datetime, datetime]]:
    """From each proven trip to the next intent to re-arm (or drill, which re-arms), or to the end of time."""
    spans, since = [], None
    for record in records:
        body, at = record["body"], moment(record["at"])
        if record["kind"] == "step.done" and body["step"] == "trip":
            since = since or at
        elif record["kind"] == "step.intended" and body["step"] == "rearm" and since:
            spans.append((since, at))
            since = None
    return [*spans, (since, datetime.max.replace(tzinfo=moment(records[-1]["at"]).tzinfo))] if since else spans


def assert_order_log_is_clean(field: Field) -> None:
    """No order accepted while tripped, none in the wrong mode, none twice."""
    accepted = field.orders(event="accepted")
    spans = tripped_spans(field.ledger())
    late = [
        (order["time"], order["client_order_id"])
        for order in accepted
        for begin, end in spans
        if begin + GRACE < moment(order["time"]) < end
    ]
    assert not late, f"accepted while tripped: {late[:5]}"
    wrong = [o["client_order_id"] for o in accepted if o["client_order_id"].split("-")[1] != o["environment"][0]]
    assert not wrong, f"in the wrong mode: {wrong[:5]}"
    keys = [
        o["client_order_id"]
        for o in accepted
        if not o["key_id"].startswith({"paper": "PK", "live": "AK"}[o["environment"]])
    ]
    assert not keys, f"with the other mode's key: {keys[:5]}"
    twice = [name for name, count in Counter(o["client_order_id"] for o in accepted).items() if count > 1]
    assert not twice, f"accepted twice: {twice[:5]}"


def open_orders(field: Field, environment: str) -> set[str]:
    """The orders that are open by the log."""
    found: set[str] = set()
    for row in field.orders(environment):
        if row["event"] in ("accepted",):
            found.add(row["order_id"])
        elif row["event"] in ("fill", "canceled", "replaced"):
            found.discard(row["order_id"])
    return found


def assert_paper_and_tripped(field: Field) -> None:
    """By the hosts' files and processes."""
    for host in ("host-1", "host-2"):
        text = (field.root(host) / "keys.env").read_text()
        assert "TRADING_MODE=paper\n" in text
        assert "ENABLE_LIVE_TRADING=false\n" in text
        assert "CONFIRM_LIVE_TRADING=false\n" in text
        assert (field.root(host) / "interlock" / "gate").exists()
    row = field.ask("status", "--env=sandbox")["systems"][0]
    assert (row["mode"], row["switch"], row["stage"], row["disagreements"]) == ("paper", "tripped", "paper", [])
