"""A trading bot that Interlock has never heard of: one file, standard library only, words of its own.

BOAT_MODE=sea with BOAT_MONEY=real is live, everything else is paper ("harbour")
GET  /                     {"mode": "harbour", "account": ..., "state": "under way"|"moored", "why": ..., "age_s": ...}
POST /moor?why=TEXT        stops trading; it stays so across restarts
POST /cast-off?why=TEXT    starts again, only if TEXT is why it lies moored
POST /storm                behaves as if today's loss were beyond its limit
GET  /metrics              for Prometheus
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).resolve().parents[1]
ENV = os.environ
LIVE = (ENV["BOAT_MODE"], ENV["BOAT_MONEY"]) == ("sea", "real")
MODE = "live" if LIVE else "paper"
SWITCH, GATE = ROOT / "var" / "switch.json", ROOT / "interlock" / "gate"
TABLES = """
CREATE TABLE IF NOT EXISTS loops (at TEXT, mode TEXT, error TEXT);
CREATE TABLE IF NOT EXISTS orders
  (name TEXT PRIMARY KEY, id TEXT, at TEXT, mode TEXT, side TEXT, qty TEXT, price TEXT, status TEXT);
CREATE TABLE IF NOT EXISTS fills (fill TEXT PRIMARY KEY, id TEXT, side TEXT, qty TEXT, price TEXT, at TEXT);
"""
OPENER = build_opener(ProxyHandler({}))
HEADERS = {"APCA-API-KEY-ID": ENV["BOAT_KEY"], "APCA-API-SECRET-KEY": ENV["BOAT_SECRET"]}
LOG = logging.getLogger("boat")
PACE = threading.Event()
SEEN: dict[str, Any] = {"account": None, "looped": time.monotonic(), "storm": False}


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def venue(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with OPENER.open(Request(ENV["BOAT_URL"] + path, data, HEADERS, method=method), timeout=4) as answer:
        return json.loads(answer.read() or b"null")


def switch() -> dict[str, Any]:
    return json.loads(SWITCH.read_text()) if SWITCH.exists() else {"moored": False, "why": ""}


def moor(why: str, moored: bool = True) -> None:
    LOG.warning("%s: %s", "moored" if moored else "cast off", why)
    SWITCH.with_suffix(".new").write_text(json.dumps({"moored": moored, "why": why}))
    SWITCH.with_suffix(".new").replace(SWITCH)


def shown() -> dict[str, Any]:
    state = "moored" if switch()["moored"] or GATE.exists() else "under way"
    age = round(time.monotonic() - SEEN["looped"], 3)
    mode = "sea" if LIVE else "harbour"
    return {"mode": mode, "account": SEEN["account"], "state": state, "why": switch()["why"], "age_s": age}


def loop_once(book: sqlite3.Connection, number: int) -> None:
    account = venue("GET", "/v2/account")
    SEEN["account"] = account["account_number"]
    if SEEN["storm"] or Decimal(account["last_equity"]) - Decimal(account["equity"]) > Decimal(ENV["BOAT_MAX_LOSS"]):
        SEEN["storm"] = False
        moor("loss of the day")
    for fill in venue("GET", "/v2/account/activities/FILL"):
        row = (fill["id"], fill["order_id"], fill["side"], fill["qty"], fill["price"], fill["transaction_time"])
        book.execute("INSERT OR IGNORE INTO fills VALUES (?, ?, ?, ?, ?, ?)", row)
    if shown()["state"] == "under way" and number % 6 == 0:
        trade(book)


def trade(book: sqlite3.Connection) -> None:
    """Buys, and the next time sells what it has."""
    quote = venue("GET", "/v2/stocks/quotes/latest?symbols=SPY")["quotes"]["SPY"]
    held = [position for position in venue("GET", "/v2/positions") if position["symbol"] == "SPY"]
    side, qty = ("sell", Decimal(held[0]["qty"])) if held else ("buy", 2 * Decimal(ENV["BOAT_SHARE"]))
    price = Decimal(str(quote["bp"])) - 1 if side == "sell" else Decimal(str(quote["ap"])) + 1
    if side == "buy" and qty * price > Decimal(ENV["BOAT_MAX_ORDER"]):
        return
    name = f"{ENV['BOAT_NAME']}-{MODE[0]}-{time.time_ns()}"
    wish = {"symbol": "SPY", "qty": str(qty), "side": side, "type": "limit", "limit_price": str(price)}
    row = (name, stamp(), MODE, side, str(qty), str(price))
    book.execute("INSERT INTO orders VALUES (?, '', ?, ?, ?, ?, ?, 'sent')", row)
    order = venue("POST", "/v2/orders", {**wish, "time_in_force": "day", "client_order_id": name})
    book.execute("UPDATE orders SET id = ?, status = ? WHERE name = ?", (order["id"], order["status"], name))


def sail() -> None:
    book = sqlite3.connect(ROOT / "var" / f"log-{MODE}.sqlite", isolation_level=None)
    book.executescript(TABLES)
    for number in range(10**9):
        error = None
        try:
            loop_once(book, number)
        except (OSError, ValueError, KeyError) as problem:
            error = type(problem).__name__
            LOG.error("loop failed: %s", error)
        book.execute("INSERT INTO loops VALUES (?, ?, ?)", (stamp(), MODE, error))
        SEEN["looped"] = time.monotonic()
        PACE.wait(0.5)


class Bridge(BaseHTTPRequestHandler):
    """The one HTTP switch."""

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.answer(200, f"boat_up 1\nboat_age_seconds {shown()['age_s']}\n".encode(), "text/plain; version=0.0.4")
        else:
            self.answer(200, json.dumps(shown()).encode())

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        why = parse_qs(parts.query).get("why", [""])[0]
        refused = parts.path == "/cast-off" and why != switch()["why"]
        if parts.path == "/storm":
            SEEN["storm"] = True
        elif not refused:
            moor(why, parts.path == "/moor")
        self.answer(409 if refused else 200, json.dumps(shown()).encode())

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


if __name__ == "__main__":
    (ROOT / "var").mkdir(exist_ok=True)
    logging.basicConfig(filename=ROOT / "var" / "boat.log", format="%(asctime)s %(levelname)s %(message)s")
    threading.Thread(target=sail, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(ENV["BOAT_PORT"])), Bridge).serve_forever()
