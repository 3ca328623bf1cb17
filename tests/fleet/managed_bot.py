"""A bot for a real host, alone with the standard library: mode from its environment, tripped while its gate stands.

`REFUSES=yes` makes it refuse a trip, `DIES=yes` end at once, `BOT_PORT` moves it to another port.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

# On the host's own file system, or mounted into the container.
GATES = (Path("/srv/managed/interlock/gate"), Path("/interlock/gate"))
SWITCH = {"tripped": any(gate.exists() for gate in GATES), "reason": "t1"}


class Answers(BaseHTTPRequestHandler):
    """Mode, switch and health."""

    def do_GET(self) -> None:
        known = {
            "/mode": {"mode": os.environ["TRADING_MODE"]},
            "/health": {"loop_age_s": 0.1},
            "/kill_switch": {"status": "ON" if SWITCH["tripped"] else "OFF", "reason": SWITCH["reason"]},
        }
        self._say(200, known.get(urlsplit(self.path).path, {}))

    def do_POST(self) -> None:
        if os.environ.get("REFUSES") == "yes":
            return self._say(500, {})
        SWITCH.update(tripped=True, reason=self._asked("reason"))
        return self._say(200, {})

    def do_DELETE(self) -> None:
        if self._asked("expected_reason") != SWITCH["reason"]:
            return self._say(409, {})
        SWITCH.update(tripped=False, reason="re-armed")
        return self._say(200, {})

    def _asked(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query)[name][0]

    def _say(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    if os.environ.get("DIES") == "yes":
        sys.exit(3)
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("BOT_PORT", "18999"))), Answers).serve_forever()
