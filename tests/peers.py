"""Peers that no shipped simulator plays: servers on loopback that drip, stay silent, or answer one fixed thing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@contextmanager
def dripping(start: bytes, every_seconds: float = 0.1) -> Iterator[str]:
    """The address of a server that sends `start`, then one byte at a time for ever: no single read ever times out."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=_drip, args=(listener, start, every_seconds, over))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def _drip(listener: socket.socket, start: bytes, every_seconds: float, over: threading.Event) -> None:
    held: list[socket.socket] = []
    while not over.wait(every_seconds):
        try:
            peer, _ = listener.accept()
            peer.recv(65536)
            peer.sendall(start)
            held.append(peer)
        except TimeoutError:
            pass
        held = [peer for peer in held if _sent(peer)]
    for peer in held:
        peer.close()


def _sent(peer: socket.socket) -> bool:
    try:
        return peer.send(b" ") == 1
    except OSError:
        peer.close()
        return False


@contextmanager
def answering(answers: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """The address of a server that gives `METHOD /path` (query left out) its fixed status and body, 404 otherwise."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers.get(f"{self.command} {self.path.split('?')[0]}", (404, b"{}"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_PATCH = answer

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
