"""The bot of the benchmarks, on the hosts: the standard library alone, it answers with what its environment says.

Words: the port, and the gate file with which it starts tripped.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answers(BaseHTTPRequestHandler):
    """One place that shows everything, and a call that trips."""

    tripped = False

    def do_GET(self) -> None:
        """Mode, size and switch."""
        shown = {"mode": os.environ["TRADING_MODE"], "size": os.environ["SIZE_MULTIPLIER"], "loop_age_s": 0.1}
        self._answer({**shown, "switch": "ON" if Answers.tripped else "OFF", "reason": "bench"})

    def do_POST(self) -> None:
        """Trips."""
        Answers.tripped = True
        self._answer({"switch": "ON"})

    def _answer(self, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    Answers.tripped = os.path.exists(sys.argv[2])  # noqa: PTH110 (starts faster without pathlib)
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever(poll_interval=0.05)
