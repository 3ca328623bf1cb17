"""The world as a process: what it prints, how it fails, how it leaves, and what it remembers."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest

from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import DASHBOARD, embedded_world, free_ports_config
from ops.sandbox.venues.alpaca.exchange import Exchange
from ops.sandbox.world.world import main


def config_text(state: Path, **changes: Any) -> dict[str, Any]:
    return {
        "state": str(state),
        "seed": 7,
        "admin": {"port": 0, "token": "admin-token"},
        "venues": {
            "alpaca": {
                "kind": "alpaca",
                "paper": {"port": 0, "number": "PA3SANDBOX01", "cash": "100000"},
                "live": {"port": 0, "number": "912345678", "cash": "25000"},
                "symbols": {"AAPL": "190.00"},
            }
        },
        "prometheus": {"port": 0, "jobs": {"bot": ["127.0.0.1:9"]}, "scrape_seconds": 1},
        "grafana": {"port": 0, "token": "g", "dashboards": [str(DASHBOARD)]},
        "slack": {"port": 0, "token": "s", "channel": "#ops", "acknowledge_after_seconds": 1},
        "telegram": {"port": 0, "token": "t", "chat_id": "42", "acknowledge_after_seconds": 1},
        **changes,
    }


def write(path: Path, config: object, mode: int = 0o600) -> Path:
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    path.chmod(mode)
    return path


def start(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "ops.sandbox.world", "--config", str(config)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_says_when_it_is_up_and_leaves_on_sigterm(tmp_path: Path) -> None:
    process = start(write(tmp_path / "world.json", config_text(tmp_path / "state")))
    assert process.stdout is not None
    assert process.stdout.readline() == "world is up\n"
    ports = json.loads((tmp_path / "state" / "ports.json").read_text())
    health = requests.get(
        f"http://127.0.0.1:{ports['admin']}/admin/health",
        headers={"X-Sandbox-Token": "admin-token"},
        timeout=5,
    )
    assert health.json()["status"] == "ok"
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, errors) == (0, "", "")


def test_it_leaves_even_while_a_request_hangs(tmp_path: Path) -> None:
    process = start(write(tmp_path / "world.json", config_text(tmp_path / "state")))
    assert process.stdout is not None
    assert process.stdout.readline() == "world is up\n"
    ports = json.loads((tmp_path / "state" / "ports.json").read_text())
    token = {"X-Sandbox-Token": "admin-token"}
    fault = {"environment": "paper", "fault": "hang_before", "on": True}
    requests.post(f"http://127.0.0.1:{ports['admin']}/admin/faults", json=fault, headers=token, timeout=5)
    with socket.create_connection(("127.0.0.1", ports["alpaca_paper"])) as hanging:
        hanging.sendall(b"GET /v2/clock HTTP/1.1\r\nHost: x\r\n\r\n")
        hanging.settimeout(0.2)
        with pytest.raises(TimeoutError):
            hanging.recv(1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_every_listener_is_on_loopback_only(tmp_path: Path) -> None:
    with embedded_world(free_ports_config(tmp_path / "state"), random.Random(1), WorldClock()) as world:
        table = Path("/proc/net/tcp").read_text().splitlines()[1:]
        wanted = {f"{port:04X}" for port in world.ports.values()}
        local = [row.split()[1].split(":") for row in table if row.split()[3] == "0A"]
        assert {host for host, port in local if port in wanted} == {"0100007F"}
        assert len([port for _, port in local if port in wanted]) == 7


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        busy = config_text(tmp_path / "state", slack={"port": port, "token": "s", "channel": "#ops"})
        process = start(write(tmp_path / "world.json", busy))
        out, errors = process.communicate(timeout=10)
    assert (process.returncode, out) == (2, "")
    assert errors.startswith(f"slack: port {port} on 127.0.0.1 cannot be used")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "mode", "words"),
    [
        ("{", 0o600, "is not JSON"),
        ({}, 0o600, "state: Field required"),
        ({"colour": "red"}, 0o600, "colour: Extra inputs"),
        ({"admin": {"port": 70000, "token": "canary-secret"}}, 0o600, "admin.port"),
        ({"admin": {"port": 0, "token": ["canary-secret"]}}, 0o600, "admin.token"),
        ({}, 0o644, "chmod 600"),
    ],
)
def test_a_wrong_configuration_is_one_line_without_secrets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], config: object, mode: int, words: str
) -> None:
    if isinstance(config, dict) and config:
        config = config_text(tmp_path / "state", **config)
    code = main(["--config", str(write(tmp_path / "world.json", config, mode))])
    out, errors = capfd.readouterr()
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert words in errors
    assert "canary" not in errors


def test_it_remembers_everything_across_a_restart(tmp_path: Path) -> None:
    config = free_ports_config(tmp_path / "state")
    with embedded_world(config, random.Random(1), WorldClock()) as world:
        key_id, secret = world.venues["alpaca"].issue_key("paper", "bot").values()
        before = _look(world.ports, key_id, secret, trade=True)
        admin(world.ports, "hours", hours="regular")
        admin(world.ports, "price", symbol="MSFT", factor="0.5")
        admin(world.ports, "faults", environment="live", fault="maintenance", on=True)
        before["account"] = _look(world.ports, key_id, secret)["account"]
    with embedded_world(config, random.Random(2), WorldClock()) as world:
        after = _look(world.ports, key_id, secret)
        assert world.venues["alpaca"].market.hours == "regular"
        assert world.venues["alpaca"].faults.is_on("maintenance", "live")
        assert float(world.venues["alpaca"].market.prices.shocks["MSFT"]) == 0.5
        client = _client(world.ports, key_id, secret)
        with pytest.raises(Exception, match="client_order_id must be unique"):
            client.submit_order(_rest())
    assert after["account"] == before["account"]
    assert after["orders"] == before["orders"]
    assert after["fills"] == before["fills"]
    files = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "state").rglob("*")}
    assert {name for name, others in files.items() if others} <= {"ports.json"}
    assert secret not in (tmp_path / "state" / "alpaca" / "venue.sqlite").read_bytes().decode("latin-1")


def admin(ports: dict[str, int], path: str, **body: object) -> None:
    url, token = f"http://127.0.0.1:{ports['admin']}/admin/{path}", {"X-Sandbox-Token": "admin-token"}
    requests.post(url, json=body, headers=token, timeout=5).raise_for_status()


def _client(ports: dict[str, int], key_id: str, secret: str) -> TradingClient:
    return TradingClient(key_id, secret, raw_data=True, url_override=f"http://127.0.0.1:{ports['alpaca_paper']}")


def _rest() -> LimitOrderRequest:
    return LimitOrderRequest(
        symbol="AAPL", qty=1.5, side="buy", time_in_force="day", limit_price=150, client_order_id="kept-1"
    )


def _look(ports: dict[str, int], key_id: str, secret: str, trade: bool = False) -> dict[str, Any]:
    client = _client(ports, key_id, secret)
    if trade:
        client.submit_order(_rest())
        client.submit_order(MarketOrderRequest(symbol="MSFT", qty=2.25, side="buy", time_in_force="day"))
        configuration = client.get("/account/configurations")
        client.patch("/account/configurations", {**configuration, "suspend_trade": True})
    steady = (
        "id",
        "account_number",
        "cash",
        "last_equity",
        "created_at",
        "trade_suspended_by_user",
        "buying_power",
    )
    account = client.get_account()
    return {
        "account": {name: account[name] for name in steady},
        "orders": client.get("/orders", {"status": "all"}),
        "fills": client.get("/account/activities/FILL"),
    }


def test_every_listener_logs_its_requests_without_tokens(tmp_path: Path) -> None:
    with embedded_world(free_ports_config(tmp_path / "state"), random.Random(1), WorldClock()) as world:
        ports = world.ports
        asked = {
            "admin": "/admin/health",
            "prometheus": "/api/v1/query?query=up",
            "grafana": "/api/health",
            "slack": "/api/auth.test?token=slack-token",
            "telegram": "/bot1:tg/getMe",
        }
        for listener, path in asked.items():
            requests.get(f"http://127.0.0.1:{ports[listener]}{path}", timeout=5)
    lines = [json.loads(line) for line in (tmp_path / "state" / "requests.jsonl").read_text().splitlines()]
    assert [(line["listener"], line["path"], line["query"], line["status"]) for line in lines] == [
        ("admin", "/admin/health", "", 401),
        ("prometheus", "/api/v1/query", "query=up", 200),
        ("grafana", "/api/health", "", 200),
        ("slack", "/api/auth.test", "", 200),
        ("telegram", "/bot***/getMe", "", 200),
    ]


def test_the_request_limit_is_real_and_per_account(tmp_path: Path) -> None:
    config = free_ports_config(tmp_path / "state")
    alpaca = config.venues["alpaca"].model_copy(update={"requests_per_minute": 3})
    tight = config.model_copy(update={"venues": {"alpaca": alpaca}})
    with embedded_world(tight, random.Random(1), WorldClock()) as world:
        admin(world.ports, "clock", now="2026-11-20T17:00:00Z")
        key_id, secret = world.venues["alpaca"].issue_key("paper", "bot").values()
        headers = {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}
        url = f"http://127.0.0.1:{world.ports['alpaca_paper']}/v2/clock"
        answers = [requests.get(url, headers=headers, timeout=5) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        other = requests.get(url.replace(str(world.ports["alpaca_paper"]), str(world.ports["alpaca_live"])), timeout=5)
        assert other.status_code == 401
        admin(world.ports, "clock", now="2026-11-20T17:01:00Z")
        assert requests.get(url, headers=headers, timeout=5).status_code == 200


def test_a_broken_world_stops_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(exchange: Exchange) -> None:
        raise RuntimeError("books do not balance")

    monkeypatch.setattr(Exchange, "settle", broken)
    with (
        pytest.raises(ExceptionGroup) as caught,
        embedded_world(free_ports_config(tmp_path / "state"), random.Random(1), WorldClock()),
    ):
        pass
    assert "books do not balance" in repr(caught.value.exceptions)


def test_the_request_log_holds_no_secret_and_no_body(tmp_path: Path) -> None:
    with embedded_world(free_ports_config(tmp_path / "state"), random.Random(1), WorldClock()) as world:
        key_id, secret = world.venues["alpaca"].issue_key("paper", "bot").values()
        _look(world.ports, key_id, secret, trade=True)
    lines = [json.loads(line) for line in (tmp_path / "state" / "requests.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["listener"].startswith("alpaca")]
    assert set(lines[0]) == {"time", "listener", "method", "path", "query", "key_id", "status"}
    assert (lines[0]["listener"], lines[0]["path"], lines[0]["key_id"]) == (
        "alpaca-paper",
        "/v2/orders",
        key_id,
    )
    text = json.dumps(lines)
    assert secret not in text
    assert "kept-1" not in text
    assert (tmp_path / "state" / "requests.jsonl").stat().st_mode & 0o077 == 0
