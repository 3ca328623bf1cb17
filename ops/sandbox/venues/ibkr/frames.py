"""The wire: after a raw `API\\0`, frames of a four-byte length and fields that each end with NUL (venues.md 6.2)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from decimal import Decimal

FRAME_MAX_BYTES = 1 << 20


class NotAFrame(Exception):
    """What came is not this protocol."""


def text(value: object) -> str:
    """A field: numbers without exponent, booleans as 1 and 0, nothing as empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def body(fields: Iterable[object]) -> bytes:
    return "".join(f"{text(field)}\0" for field in fields).encode()


def framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame's content. Raises NotAFrame for a length that no client sends."""
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    if length > FRAME_MAX_BYTES:
        raise NotAFrame(f"a frame of {length} bytes")
    return await reader.readexactly(length)


def fields_of(payload: bytes) -> list[str]:
    """Raises NotAFrame where the last field does not end."""
    if not payload.endswith(b"\0"):
        raise NotAFrame("the last field has no end")
    return payload[:-1].decode(errors="replace").split("\0")
