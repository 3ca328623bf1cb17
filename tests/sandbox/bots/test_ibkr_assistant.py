from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from ops.sandbox.bots.environment import SettingsError
from ops.sandbox.bots.switch import FIRST_START
from ops.sandbox.bots.system import STARTED, system_named
from ops.sandbox.bots.systems.ibkr_assistant import system as ibkr

from .conftest import Rig, Start, environ_for

POLICIES = Path(ibkr.__file__).parent


def _word(rig: Rig) -> str:
    return (rig.settings.home / "data" / "kill_switch_state.txt").read_text()


def _shown(rig: Rig) -> tuple[str, str]:
    state = rig.http().get("/api/v1/kill-switch").json()
    return state["state"], state["reason"]


def test_it_starts_halted_every_time_and_the_word_is_triggered(start: Start) -> None:
    rig = start("ibkr-assistant", armed=False)
    assert (_word(rig), _shown(rig)) == ("TRIGGERED\n", ("TRIGGERED", FIRST_START))
    rig.arm()
    rig.run(2)
    assert (_word(rig), _shown(rig)[0]) == ("ACTIVE\n", "ACTIVE")
    again = start("ibkr-assistant", armed=False)
    again.run(4)
    assert (_word(again), _shown(again)) == ("TRIGGERED\n", ("TRIGGERED", STARTED))
    assert again.submissions == rig.submissions


BODY = {"reason": "manual", "message": "Planned shutdown", "activated_by": "operator"}


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("", BODY, "manual, Planned shutdown, by operator"),
        ("?reason=rollback", None, "rollback"),
        ("", None, "no reason given"),
        ("", {}, "no reason given"),
    ],
)
def test_activate_stops_it_in_whatever_form(start: Start, path: str, body: object, reason: str) -> None:
    rig = start("ibkr-assistant")
    rig.run(4)
    content = {} if body is None else {"json": body}
    assert rig.http().post(f"/api/v1/kill-switch/activate{path}", **content).status_code == 200
    assert (_word(rig), _shown(rig)) == ("TRIGGERED\n", ("TRIGGERED", reason))
    rig.run(1)
    assert rig.open_orders() == []
    assert rig.http().post("/api/v1/kill-switch/reset?expected_reason=other").status_code == 409
    assert rig.http().post(f"/api/v1/kill-switch/reset?expected_reason={reason}").status_code == 200
    assert _word(rig) == "ACTIVE\n"


def test_a_dry_activation_changes_nothing(start: Start) -> None:
    rig = start("ibkr-assistant")
    answer = rig.http().post("/api/v1/kill-switch/activate?reason=drill&dry=true").json()
    assert (answer["would_trip"], answer["state"], _word(rig)) == (True, "ACTIVE", "ACTIVE\n")


def _remove(path: Path) -> None:
    path.unlink()


def _say(word: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(word)


@pytest.mark.parametrize("change", [_say(b"TRIGGERED"), _say(b""), _say(b"active\n"), _say(b"\xff"), _remove])
def test_any_other_word_in_the_file_halts_it(start: Start, change: Callable[[Path], object]) -> None:
    rig = start("ibkr-assistant")
    change(rig.settings.home / "data" / "kill_switch_state.txt")
    rig.run(2)
    assert _shown(rig)[0] == "TRIGGERED"
    assert _shown(rig)[1].startswith("kill_switch_state.txt: ")
    assert (_word(rig).strip(), rig.submissions) == ("TRIGGERED", [])


def test_the_word_active_written_by_hand_arms_nothing(start: Start) -> None:
    rig = start("ibkr-assistant", armed=False)
    (rig.settings.home / "data" / "kill_switch_state.txt").write_text("ACTIVE\n")
    rig.run(2)
    assert (_word(rig), _shown(rig)) == ("TRIGGERED\n", ("TRIGGERED", FIRST_START))


def test_a_halt_with_a_reason_keeps_it_over_a_restart(start: Start) -> None:
    """Whoever halted it re-arms it by that reason: a new process that took its place would lock them out."""
    start("ibkr-assistant").worker.trip("a person's reason")
    assert _shown(start("ibkr-assistant", armed=False)) == ("TRIGGERED", "a person's reason")


def _policy(home: Path, name: str, old: str, new: str) -> str:
    text = (POLICIES / name).read_text()
    assert old in text
    path = home / name
    path.write_text(text.replace(old, new))
    return str(path)


RULES = [
    ("max_order_usd: 2500", "max_order_usd: 50", "R1: order in USD 200.24, at most 50"),
    ("max_order_shares: 100", "max_order_shares: 1", "R2: shares of the order"),
    ("max_position_usd: 10000", "max_position_usd: 60", "R3: position in USD 200.24, at most 60"),
    ("max_trade_pct: 4.9", "max_trade_pct: 0.1", "R4: order in % of the equity 0.20, at most 0.1"),
    ("max_exposure_pct: 90", "max_exposure_pct: 0.15", "R5: exposure in % of the equity 0.20, at most 0.15"),
    ("max_orders_per_day: 100000", "max_orders_per_day: 0.5", None),
    ('symbols: "*"', "symbols: [MSFT]", "R7: symbol not allowed"),
]


@pytest.mark.parametrize(("old", "new", "reason"), RULES, ids=lambda value: str(value)[:12])
def test_each_rule_refuses_on_record(start: Start, tmp_path: Path, old: str, new: str, reason: str | None) -> None:
    rig = start("ibkr-assistant", RISK_POLICY=_policy(tmp_path, "risk_policy.yml", old, new))
    rig.run(4)
    refused = str(rig.rows("SELECT reason FROM decisions WHERE outcome = 'refused'"))
    assert (reason or "R6: orders today") in refused
    assert len(rig.submissions) <= (0 if reason else 1)


def test_prices_that_range_too_far_are_left_alone(start: Start) -> None:
    rig = start("ibkr-assistant")
    rig.run(8)
    rig.venue.bid, rig.venue.ask = Decimal("120"), Decimal("120.02")
    rig.run(16)
    assert "R9: prices range over" in str(rig.rows("SELECT reason FROM decisions"))


@pytest.mark.parametrize(
    ("equity", "reason"), [("94000", "loss 6.38 % is beyond the limit 5"), ("85000", "loss 17.65 %")]
)
def test_the_loss_of_the_day_in_percent_trips(start: Start, equity: str, reason: str) -> None:
    rig = start("ibkr-assistant", MAX_DAILY_LOSS_USD="1000000")
    rig.run(1)
    rig.venue.equity = Decimal(equity)
    rig.run(1)
    assert _shown(rig)[1].startswith(reason)


def test_drawdown_and_errors_trip_and_a_rearm_begins_anew(start: Start) -> None:
    rig = start("ibkr-assistant")
    rig.run(1)
    rig.venue.equity = rig.venue.last_equity = Decimal("89000")
    rig.run(1)
    assert _shown(rig)[1] == "drawdown 11.00 % is beyond the limit 10"
    rig.arm()
    faults = rig.settings.home / "var" / "faults.json"
    for _ in range(5):  # never two in a row, so that it is the rate that trips
        faults.write_text(json.dumps({"raise": True}))
        rig.run(1)
        faults.unlink()
        rig.run(1)
    assert _shown(rig)[1] == "errors 5 in 10 min is beyond the limit 5"
    rig.arm()
    rig.run(2)
    assert _shown(rig)[0] == "ACTIVE"


def test_no_order_without_a_token_and_each_token_is_used_once(start: Start) -> None:
    rig = start("ibkr-assistant")
    rig.run(12)
    tokens = rig.rows("SELECT client_order_id, state, decided_by FROM approvals ORDER BY client_order_id")
    sent = sorted(order.client_order_id for order in rig.submissions)
    assert tokens == [(name, "used", "approval_policy.yml") for name in sent]
    assert rig.log_text().count(" used, granted by approval_policy.yml") == len(sent) > 3
    assert rig.http().get("/api/v1/approvals/pending").json() == {"pending": []}


def test_beyond_the_caps_a_proposal_waits_and_then_expires(start: Start, tmp_path: Path) -> None:
    caps = _policy(tmp_path, "approval_policy.yml", "max_order_usd: 2500", "max_order_usd: 50")
    rig = start("ibkr-assistant", APPROVAL_POLICY=caps)
    rig.run(4)
    pending = rig.http().get("/api/v1/approvals/pending").json()["pending"]
    assert rig.submissions == []
    assert {proposal["symbol"] for proposal in pending} == {"AAPL"}
    assert "approval: AT-" in str(rig.rows("SELECT reason FROM decisions WHERE outcome = 'refused'"))
    rig.clock.advance(120)
    rig.settings.gate_file.touch()
    rig.run(1)
    assert rig.http().get("/api/v1/approvals/pending").json() == {"pending": []}


@pytest.mark.parametrize("text", ["", "R1: {max_order_usd: lots}", "[", "R1: {max_order_usd: 0}"])
def test_a_policy_that_is_not_complete_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "risk_policy.yml").write_text(text)
    with pytest.raises(SettingsError, match=r"risk_policy\.yml"):
        system_named("ibkr-assistant").read(
            environ_for(tmp_path, "ibkr-assistant", RISK_POLICY=str(tmp_path / "risk_policy.yml"))
        )


def test_the_portfolio(start: Start) -> None:
    rig = start("ibkr-assistant")
    rig.run(5)
    held = rig.worker.audit.held("AAPL")
    portfolio = rig.http().get("/api/v1/portfolio").json()
    assert (portfolio["account"], portfolio["equity_usd"]) == ("DU1", "100000")
    assert portfolio["positions"] == ([{"symbol": "AAPL", "qty": str(held)}] if held else [])


# the services beside it


class _Api(BaseHTTPRequestHandler):
    """Answers as the API would, and notes what it was asked."""

    asked: list[tuple[str, str, str]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        type(self).asked.append((self.command, self.path, body))
        text = json.dumps({"state": "TRIGGERED", "env": "paper<script>"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def api() -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    handler = type("Handler", (_Api,), {"asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, handler.asked
        server.shutdown()
        thread.join()


def _call(app: FastAPI, method: str, path: str, **content: object) -> httpx.Response:
    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            return await http.request(method, path, **content)

    return asyncio.run(call())


def _rpc(app: FastAPI, method: str, **params: object) -> dict[str, object]:
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    answer = _call(app, "POST", "/mcp", json=message).json()
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer


def test_the_mcp_server_reads_and_stops_and_cannot_order(api: tuple[int, list[tuple[str, str, str]]]) -> None:
    port, asked = api
    app, own_port = ibkr.mcp_server({"BOT_PORT": str(port), "ENV": "paper"})
    assert own_port == 8090
    assert _call(app, "GET", "/health").json() == {"status": "ok", "service": "mcp_server", "env": "paper"}
    assert _rpc(app, "initialize")["result"]["serverInfo"]["name"] == "ibkr-assistant"
    tools = {tool["name"] for tool in _rpc(app, "tools/list")["result"]["tools"]}
    assert tools == {"health", "portfolio", "pending_approvals", "stop_trading"}
    assert not _rpc(app, "tools/call", name="portfolio")["result"]["isError"]
    assert not _rpc(app, "tools/call", name="stop_trading", arguments={"reason": "odd"})["result"]["isError"]
    assert _rpc(app, "tools/call", name="submit_order")["result"]["isError"]
    assert _rpc(app, "orders/submit")["error"]["code"] == -32601
    assert asked == [
        ("GET", "/api/v1/portfolio", ""),
        ("POST", "/api/v1/kill-switch/activate", '{"reason": "odd", "activated_by": "mcp_server"}'),
    ]


def test_the_dashboard_shows_and_stops(api: tuple[int, list[tuple[str, str, str]]]) -> None:
    port, asked = api
    app, own_port = ibkr.dashboard({"BOT_PORT": str(port), "ENV": "live", "DASHBOARD_PORT": "8081"})
    assert own_port == 8081
    assert _call(app, "GET", "/health").json()["status"] == "ok"
    page = _call(app, "GET", "/").text
    assert "Assistant: LIVE" in page
    assert "paper&lt;script&gt;" in page
    assert _call(app, "POST", "/kill-switch").json()["state"] == "TRIGGERED"
    assert asked[-1][:2] == ("POST", "/api/v1/kill-switch/activate")


def test_beside_an_api_that_is_down_they_say_so() -> None:
    nobody = {"BOT_PORT": "9", "ENV": "paper"}
    page, _ = ibkr.dashboard(nobody)
    assert _call(page, "GET", "/health").status_code == 503
    assert _call(page, "POST", "/kill-switch").status_code == 503
    assert "the API does not answer" in _call(page, "GET", "/").text
    server, _ = ibkr.mcp_server(nobody)
    assert _rpc(server, "tools/call", name="health")["result"]["isError"]
