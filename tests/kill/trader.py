"""A bot as small as can be, run as a script: while it is armed and no gate stands, it places an order on each turn.

Words: port, the venue's address, the key, the secret.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.parse
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, VENUE, KEY, SECRET = sys.argv[1:5]
HEADERS = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET, "Content-Type": "application/json"}
ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "100", "time_in_force": "gtc"}
switch = {"status": "OFF", "reason": ""}
may_place, turn = threading.Lock(), threading.Event()


class Answers(BaseHTTPRequestHandler):
    """Its API: the switch, and what every bot shows."""

    def do_GET(self) -> None:
        known = {"/mode": {"mode": "live"}, "/health": {"loop_age_s": 0.1}, "/kill_switch": switch}
        self.answer(known[urllib.parse.urlsplit(self.path).path])

    def do_POST(self) -> None:
        with may_place:
            switch.update(
                status="ON", reason=urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["reason"][0]
            )
        self.answer(switch)

    def do_DELETE(self) -> None:
        switch.update(status="OFF", reason="")
        self.answer(switch)

    def answer(self, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def trade() -> None:
    while True:
        with may_place:
            if switch["status"] == "OFF" and not Path("interlock/gate").exists():
                body = json.dumps({**ORDER, "client_order_id": f"a1-{time.time_ns()}"}).encode()
                with suppress(OSError):
                    request = urllib.request.Request(f"{VENUE}/v2/orders", body, HEADERS)
                    urllib.request.urlopen(request, timeout=5).close()
        turn.wait(0.1)


if __name__ == "__main__":
    if Path("interlock/gate").exists():
        switch.update(status="ON", reason="the gate")
    threading.Thread(target=trade, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(PORT)), Answers).serve_forever(poll_interval=0.05)
