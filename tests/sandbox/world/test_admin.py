"""The admin API: guarded, and clear about what is wrong with a request."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ops.sandbox.faults import WORLD_FAULTS
from ops.sandbox.venues.alpaca.faults import FAULTS

ROUTES = ["health", "faults"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("token", ["", "wrong", "admin-token2"])
def test_every_route_needs_the_token(outside, path: str, token: str) -> None:
    answer = outside.admin(path, token=token)
    assert answer.status_code == 401
    assert "X-Sandbox-Token" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("keys", {"environment": "prod"}, 422, "paper, live"),
        ("keys", {}, 422, "paper, live"),
        ("clock", {"now": "yesterday"}, 422, "Invalid isoformat"),
        ("clock", {"now": "2026-11-20T12:00:00"}, 422, "needs a time with a zone"),
        ("clock", {"now": 5}, 422, "ISO-8601"),
        ("hours", {"hours": "never"}, 422, "regular, always"),
        ("price", {"symbol": "NOPE", "factor": "1"}, 422, "AAPL, MSFT, NVDA, SPY"),
        ("price", {"symbol": "AAPL", "factor": "0"}, 422, "above zero"),
        ("price", {"symbol": "AAPL", "factor": "x"}, 422, "factor must be a number"),
        ("price", {"symbol": "AAPL"}, 422, "factor must be a number"),
        ("faults", {"environment": "paper", "fault": "gremlins", "on": True}, 422, "unknown fault"),
        ("faults", {"fault": "rate_limit", "on": True}, 422, "needs an environment"),
        ("faults", {"environment": "paper", "fault": "rate_limit"}, 422, "true or false"),
        ("faults", {"environment": "paper", "fault": "rate_limit", "on": True, "often": 1}, 422, "often"),
        ("faults", {"environment": "paper", "fault": "rate_limit", "on": True, "times": "2"}, 422, "times"),
        (
            "orders",
            {"environment": "paper", "symbol": "AAPL", "side": "sell", "qty": 1},
            422,
            "insufficient qty",
        ),
        ("orders", {"environment": "paper", "symbol": "AAPL", "side": "buy"}, 422, "qty is required"),
    ],
)
def test_wrong_requests_get_one_clear_sentence(outside, path: str, body: dict, status: int, words: str) -> None:
    answer = outside.admin(path, body)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_health_tells_clock_hours_and_ports(outside) -> None:
    health = outside.admin("health").json()
    assert (health["status"], health["pinned"]) == ("ok", False)
    assert health["now"] == outside.wall.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert health["ports"] == outside.world.ports
    pinned = outside.admin("clock", {"now": "2026-11-13T00:00:00+01:00"}).json()
    assert pinned == {"now": "2026-11-12T23:00:00.000000Z", "pinned": True}
    assert outside.admin("clock", {"now": None}).json()["pinned"] is False


def test_the_catalogue_lists_every_fault_and_where_it_is_on(outside) -> None:
    outside.admin("faults", {"environment": "live", "fault": "maintenance", "on": True})
    outside.admin("faults", {"fault": "slack_down", "on": True})
    listed = {entry["fault"]: entry for entry in outside.admin("faults").json()["faults"]}
    assert {name: entry["text"] for name, entry in listed.items()} == {**FAULTS, **WORLD_FAULTS}
    assert {name: entry["on"] for name, entry in listed.items() if entry["on"]} == {
        "maintenance": ["live"],
        "slack_down": ["world"],
    }
    outside.admin("faults", {"environment": "live", "fault": "maintenance", "on": False})
    assert outside.admin("faults").json()["faults"][0]["on"] == []


def test_listing_faults_imports_no_framework() -> None:
    code = "import sys, ops.sandbox.faults; print({'starlette', 'pydantic', 'httpx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
