"""One client's connection: handshake, start, and then what it asks for, one message after the other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from ops.sandbox.venues.ibkr.book import Book
from ops.sandbox.venues.ibkr.frames import NotAFrame, body, fields_of, framed, read_frame
from ops.sandbox.venues.ibkr.messages import Fields, error

HELLO = b"API\0"
VERSION_MIN, VERSION_MAX = 157, 178
"""The clients decode exactly up to their own maximum (venues.md 6.2)."""
_RANGE = re.compile(rb"v(\d{2,4})\.\.(\d{2,4})( .*)?")
_START_API, _START_API_VERSION = "71", "2"
_NOTICES = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


class Gateway(Protocol):
    """What a session needs of the gateway that it is connected to."""

    book: Book

    @property
    def number(self) -> str:
        """The account that the gateway manages."""

    def stands(self, session: Session) -> bool:
        """Whether connections are let in; answers for itself where not."""

    def enter(self, session: Session) -> bool:
        """Takes the session in under its client id; False if that id is in use."""

    def leave(self, session: Session) -> None:
        """Forgets the session."""

    def serve(self, session: Session, fields: Sequence[str]) -> None:
        """Answers one request."""

    def greet(self, session: Session) -> None:
        """Says what a new session must know at once."""

    def local_time(self) -> str:
        """`20261120 12:00:00 EST`, for the handshake."""


class Session:
    """`client_id` is None until the API is started. Subscriptions live as long as the session."""

    def __init__(self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gateway = gateway
        self.client_id: int | None = None
        self.version = VERSION_MAX
        self.deaf = False
        self.watches_positions = False
        self.watches_account = False
        self.binds_manual_orders = False
        self.summaries: dict[int, tuple[str, ...]] = {}
        self.tickers: dict[int, tuple[str, tuple[Decimal, Decimal] | None]] = {}
        self._reader, self._writer = reader, writer
        self._held: list[bytes] | None = None

    async def converse(self) -> None:
        """Until one side closes."""
        try:
            if self.gateway.stands(self) and await self._greeted() and await self._started():
                await self._requests()
        except (ConnectionError, asyncio.IncompleteReadError, NotAFrame, asyncio.CancelledError):
            return  # cancelled when the world ends, which is an end like any other
        finally:
            self.gateway.leave(self)
            self._writer.close()

    async def _greeted(self) -> bool:
        if await self._reader.readexactly(len(HELLO)) != HELLO:
            return False
        offered = _RANGE.fullmatch(await read_frame(self._reader))
        if self.deaf:
            await self._until_gone()
        if offered is None or int(offered[2]) < VERSION_MIN:
            return False
        self.version = min(int(offered[2]), VERSION_MAX)
        self.send((self.version, self.gateway.local_time()))
        return True

    async def _started(self) -> bool:
        fields = fields_of(await read_frame(self._reader))
        if fields[:2] != [_START_API, _START_API_VERSION] or not re.fullmatch(r"\d{1,9}", "".join(fields[2:3])):
            return False
        self.client_id = int(fields[2])
        if not self.gateway.enter(self):
            self.send(error(-1, 326, "Unable to connect as the client id is already in use. Retry with a unique id."))
            return False
        self.send((15, 1, self.gateway.number))
        self.send((9, 1, self.gateway.book.next_id(self.client_id)))
        for code, text in _NOTICES:
            self.send(error(-1, code, text))
        self.gateway.greet(self)
        return True

    async def _requests(self) -> None:
        while True:
            fields = fields_of(await read_frame(self._reader))
            if not self.deaf:
                self.gateway.serve(self, fields)
                await self._writer.drain()

    async def _until_gone(self) -> None:
        while await self._reader.read(65536):
            continue
        raise ConnectionAbortedError

    def send(self, fields: Fields) -> None:
        """One message; kept back while an answer is being held."""
        self.send_bytes(framed(body(fields)))

    def send_bytes(self, frame: bytes) -> None:
        if self.deaf or self._writer.is_closing():
            return
        if self._held is not None:
            self._held.append(frame)
        else:
            self._writer.write(frame)

    def hold(self) -> None:
        """Keep what is sent from now on until `release`."""
        self._held = []

    def release(self) -> list[bytes]:
        """The frames held back; sending goes on at once again."""
        held, self._held = self._held or [], None
        return held

    def drop(self) -> None:
        """Close the connection from this side."""
        self._writer.close()
