"""What must be true on the venue's order log after whatever happened."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from tests.field import Field

# I1: an order in flight when the halt was acknowledged may still arrive; later ones may not.
GRACE = timedelta(seconds=2)
# The key id in the log of an order that a person typed into the venue's site.
BY_HAND = "dashboard"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def tripped_spans(records: list[dict[str, Any]], system: str) -> list[tuple[datetime, datetime]]:
    """From each proven trip to the next intent to re-arm (or drill, which re-arms), or to the end of time."""
    spans, since = [], None
    for record in records:
        body, at = record["body"], moment(record["at"])
        if body.get("system") != system:
            continue
        if record["kind"] == "step.done" and body["step"] == "trip":
            since = since or at
        elif record["kind"] == "step.intended" and body["step"] == "rearm" and since:
            spans.append((since, at))
            since = None
    return [*spans, (since, datetime.max.replace(tzinfo=moment(records[-1]["at"]).tzinfo))] if since else spans


def assert_order_log_is_clean(field: Field, system: str = "") -> None:
    """Of a system's bots: no order accepted while tripped, none in the wrong mode or with its key, none twice."""
    system = system or field.systems[0]
    accepted = [order for order in field.orders(event="accepted", system=system) if order["key_id"] != BY_HAND]
    assert accepted, f"{system} never traded: a clean log proves nothing"
    _none_while_tripped(field, system, accepted)
    wrong = [name(o) for o in accepted if mode_letter(field, system, o) not in ("", o["environment"][0])]
    assert not wrong, f"in the wrong mode: {wrong[:5]}"
    held = {slot: keys_of(field, system, slot) for slot in ("paper", "live")}
    other = {"paper": "live", "live": "paper"}
    crossed = [name(o) for o in accepted if o["key_id"] and o["key_id"] in held[other[o["environment"]]]]
    assert not crossed, f"with the other mode's key: {crossed[:5]}"
    twice = [
        who for who, count in Counter((o["venue"], o["environment"], name(o)) for o in accepted).items() if count > 1
    ]
    assert not twice, f"accepted twice: {twice[:5]}"


def _none_while_tripped(field: Field, system: str, accepted: list[dict[str, Any]]) -> None:
    spans = tripped_spans(field.ledger(), system)
    late = [
        (order["time"], name(order))
        for order in accepted
        for begin, end in spans
        if begin + GRACE < moment(order["time"]) < end
    ]
    assert not late, f"accepted while tripped: {late[:5]}"


def name(order: dict[str, Any]) -> str:
    """Its client id, or the venue's own where the venue keeps none (Polymarket)."""
    return str(order["client_order_id"] or order["order_id"])


def mode_letter(field: Field, system: str, order: dict[str, Any]) -> str:
    """The letter of the mode in a client id, behind the instance's prefix; empty where there is no client id."""
    for host in field.read_profile(system)["hosts"].values():
        prefix = str(host["order_prefix"])
        if order["client_order_id"].startswith(prefix):
            return str(order["client_order_id"].removeprefix(prefix)[:1])
    assert not order["client_order_id"], f"an order that is nobody's: {order}"
    return ""


def keys_of(field: Field, system: str, slot: str) -> set[str]:
    """The ids of the keys that the bots hold or held in a slot, as they lie in the store of secrets."""
    profile, found = field.read_profile(system), set()
    for venue in profile["venues"].values():
        base = str(venue[slot].get("credentials") or "")
        for key_name in {base.replace("{host}", host) for host in profile["hosts"]} if base else ():
            for path in (field.state / "secrets").glob(f"{key_name}*.env"):
                found |= {line[4:] for line in path.read_text().splitlines() if line.startswith("KEY=")}
    return found


def open_orders(field: Field, environment: str, system: str = "") -> set[str]:
    """The orders that are open by the log."""
    found: set[str] = set()
    for row in field.orders(environment, system=system):
        if row["event"] in ("accepted",):
            found.add(row["order_id"])
        elif row["event"] in ("fill", "canceled", "expired", "replaced"):
            found.discard(row["order_id"])
    return found


def assert_paper_and_tripped(field: Field, system: str = "") -> None:
    """By the hosts' files and processes."""
    system = system or field.systems[0]
    profile = field.read_profile(system)
    for host in profile["hosts"]:
        lines = (field.root(host) / profile["env_file"]).read_text().splitlines()
        for variable, two in profile["mode"]["variables"].items():
            assert f"{variable}={two['paper']}" in lines
        assert (field.root(host) / profile["gate_file"]).exists()
    rows = {row["system"]: row for row in field.ask("status", f"--env={field.env}")["systems"]}
    row = rows[system]
    assert (row["mode"], row["switch"], row["stage"], row["disagreements"]) == ("paper", "tripped", "paper", [])
