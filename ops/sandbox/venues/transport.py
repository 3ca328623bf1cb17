"""How a simulated venue answers over HTTP: bytes under a status, or nothing until the client is gone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Send

BAD_GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>502 Bad Gateway</body>\r\n</html>\r\n"
"""As a load balancer in front of the venue answers."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes to send. `silent`: send nothing and wait until the client is gone."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = b"application/json"
    silent: bool = False


SILENCE = Wire(0, silent=True)


def as_json(status: int, payload: Any) -> Wire:
    """The payload as compact JSON."""
    return Wire(status, json.dumps(payload, separators=(",", ":")).encode())


async def deliver(wire: Wire, receive: Receive, send: Send, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send it, with `more` headers before its own; a 204 has no length."""
    if wire.silent:
        while (await receive())["type"] != "http.disconnect":
            continue
        return
    headers = [*more, (b"content-type", wire.content_type)]
    if wire.status != 204:
        headers.append((b"content-length", str(len(wire.body)).encode()))
    await send({"type": "http.response.start", "status": wire.status, "headers": headers})
    await send({"type": "http.response.body", "body": wire.body})
