"""One HTTP request with its own deadline, answered as status and JSON. Standard library: the kill path uses it too."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

ANSWER_MAX_BYTES = 8_000_000


class NoAnswer(Exception):
    """Nothing came back that means anything: refused, timed out, cut off, or not JSON. The state behind is unknown."""


def ask(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: Any = None, seconds: float = 5.0
) -> tuple[int, Any]:
    """(HTTP status, parsed JSON or None for an empty body). Redirects are not followed. Raises NoAnswer.

    `seconds` bounds the whole exchange, not each read: a peer that drips bytes cannot hold a kill. The head is read
    inside the standard library, so a timer hangs up on a peer that drips that.
    """
    until = time.monotonic() + seconds
    parts = urlsplit(url)
    try:
        connection = _connection(parts, seconds)
    except (ValueError, http.client.HTTPException):
        raise NoAnswer("the address cannot be used") from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    data = None if body is None else json.dumps(body).encode()
    kinds = {} if data is None else {"Content-Type": "application/json"}
    timer = threading.Timer(seconds, _hang_up, (connection,))
    timer.daemon = True
    timer.start()
    try:
        connection.request(method, target, data, {**kinds, **(headers or {})})
        with contextlib.closing(connection.getresponse()) as answer:
            return answer.status, _parsed(_read(answer, connection, until))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoAnswer(type(error).__name__) from None
    finally:
        timer.cancel()
        connection.close()


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=seconds)
    return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """One for all calls: reading the machine's certificates takes longer than a call does."""
    return ssl.create_default_context()


def _hang_up(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError):
        if isinstance(connection.sock, socket.socket):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _read(answer: http.client.HTTPResponse, connection: http.client.HTTPConnection, until: float) -> bytes:
    data = b""
    while len(data) < ANSWER_MAX_BYTES:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if isinstance(connection.sock, socket.socket):
            connection.sock.settimeout(left)
        piece = answer.read1(65536)
        if not piece:
            if answer.length:
                raise http.client.IncompleteRead(data)
            return data
        data += piece
    raise NoAnswer("the answer is too large")


def _parsed(data: bytes) -> Any:
    if not data.strip():
        return None
    try:
        return json.loads(data)
    except ValueError:
        raise NoAnswer("the answer is not JSON") from None
