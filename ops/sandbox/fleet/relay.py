"""The agent that a monitored host has: it shows `GET /metrics` of a bot, which listens on loopback, to the network.

`python -m ops.sandbox.fleet.relay NAMESPACE/ADDRESS:PORT=BOTPORT ...`: one process serves all hosts of a system, each
from inside its own network. It forwards nothing else.
"""

from __future__ import annotations

import http.client
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ops.sandbox.fleet.network import move_to

PORT = 9464
TIMEOUT_SECONDS = 1.5


def spec(namespace: str, address: str, bot_port: int) -> str:
    """The word of the command line for one host."""
    return f"{namespace}/{address}:{PORT}={bot_port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], bot_port: int) -> None:
        self.bot_port = bot_port
        super().__init__(address, _Metrics)


class _Metrics(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """The bot's own answer; 404 for any other path, 502 while it does not answer."""
        if self.path != "/metrics":
            self.send_error(404)
            return
        try:
            body = _fetched(self.server.bot_port)
        except (OSError, http.client.HTTPException):
            self.send_error(502)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def _fetched(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"HTTP {answer.status}")
        return body
    finally:
        connection.close()


def _serve(word: str) -> None:
    """In a thread of its own: its sockets, and those of the threads that it starts, are in the host's network."""
    namespace, _, rest = word.partition("/")
    address, _, bot_port = rest.partition("=")
    host, _, port = address.partition(":")
    move_to(namespace)
    _Server((host, int(port)), int(bot_port)).serve_forever()


def main(words: list[str]) -> int:
    """Serves until it is ended."""
    threads = [threading.Thread(target=_serve, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
