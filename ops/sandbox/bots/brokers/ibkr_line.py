"""One line to an IBKR gateway: ib_async (or ib_insync) in a thread of its own, asked from any other.

Of the libraries' habits these are not wanted: they throttle silently, turn errors into empty lists, leave out what they
cannot decode, and read positions and orders at the start, logging what did not come. So nothing is read at the start,
whatever concerns a question ends it, and after any trouble the connection is made anew.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..venue import VenueError, VenueRefused, VenueUnknown

Answer = TypeVar("Answer")
Question = Callable[["Talk"], Coroutine[Any, Any, Answer]]

CLIENT_IDS = range(101, 133)
"""A bot takes the first that is free. An order belongs to the client id under which it was sent."""
_IMPORT_SECONDS, _GRACE_SECONDS, _GOODBYE_SECONDS = 30.0, 0.5, 0.3
_ID_IN_USE = 326
_LINK_LOST, _LINK_BACK = (1100, 2110), (1101, 1102)
_NOTICES = frozenset({202, 399, 10167, *_LINK_BACK, *range(2100, 2200)})
_THREAD = "ibkr-bot"


class Taken(VenueRefused):
    """Another connection has that client id."""


class _Decoding(logging.Logger):
    """The decoder's logger, which is all that hears of a message that cannot be read."""

    def __init__(self, failed: Callable[[], None]) -> None:
        super().__init__("decoding")
        self._failed = failed

    def exception(self, *_: object, **__: object) -> None:
        self._failed()


class Talk:
    """One connection; lives in the loop's thread."""

    def __init__(self, library: ModuleType, client_id: int) -> None:
        self.library, self.client_id, self.lost = library, client_id, ""
        self.news = asyncio.Event()
        self._first, self._trouble = 0, asyncio.get_running_loop().create_future()
        self.ib = library.IB()
        self.ib.RaiseRequestErrors, self.ib.TimezoneTWS = True, "UTC"
        self.ib.wrapper.clientId = client_id
        self.client = self.ib.client
        self.client.MaxRequests = 0
        self.client.decoder.logger = _Decoding(lambda: self._fail(VenueUnknown("a message cannot be read")))
        self.ib.errorEvent.clear()
        self.ib.errorEvent += self._heard
        self.ib.updateEvent += self.news.set
        self.client.conn.disconnected += lambda *_: self._fail(VenueUnknown("the gateway closed the connection"))

    async def unless_trouble(self, work: Awaitable[Answer]) -> Answer:
        """What `work` gives, or the trouble that came first."""
        task = asyncio.ensure_future(work)
        both: set[asyncio.Future[Any]] = {task, self._trouble}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._trouble.done():
                self._trouble.result()
            return task.result()
        finally:
            task.cancel()
            if task.done() and not task.cancelled():
                task.exception()

    async def ask(self, question: Question[Answer]) -> Answer:
        """One question. A refusal ends it, not the connection. While the gateway has lost IBKR nothing is believed."""
        self._first = self.client.getReqId()
        try:
            answer = await self.unless_trouble(question(self))
        except VenueRefused:
            self._trouble = asyncio.get_running_loop().create_future()
            raise
        if self.lost:
            raise VenueUnknown(self.lost)
        return answer

    @property
    def good(self) -> bool:
        return not self._trouble.done() and bool(self.client.isReady())

    def close(self) -> None:
        self._trouble.cancel()
        with suppress(OSError, RuntimeError):
            self.client.disconnect()

    def _heard(self, request: int, code: int, text: str, *_: object) -> None:
        if code in _LINK_LOST:
            self.lost = f"{code} {text}"
        elif code in _LINK_BACK:
            self.lost = ""
        elif code == _ID_IN_USE:
            self._fail(Taken(f"client id {self.client_id} is in use"))
        elif code not in _NOTICES and request == -1:
            self._fail(VenueUnknown(f"{code} {text[:200]}"))
        elif code not in _NOTICES and request >= self._first:
            self._fail(VenueRefused(f"{code} {text[:200]}"))
        if code in _LINK_LOST and request >= self._first:
            self._fail(VenueUnknown(self.lost))

    def _fail(self, trouble: VenueError) -> None:
        if not self._trouble.done():
            self._trouble.set_exception(trouble)
            self._trouble.exception()


class Line:
    """Questions to one gateway, one after the other, from any thread."""

    def __init__(self, endpoint: str, timeout_seconds: float) -> None:
        parts = urlsplit(endpoint)
        self._address, self._timeout = (parts.hostname or "", parts.port or 0), timeout_seconds
        self._open: list[Talk] = []
        self._turn = threading.Lock()
        weakref.finalize(self, _leave, self._open)

    def ask(self, question: Question[Answer]) -> Answer:
        """The answer within the deadline. Raises VenueRefused or VenueUnknown."""
        _run(_library()).result(_IMPORT_SECONDS)
        if not self._turn.acquire(timeout=self._timeout):
            raise VenueUnknown("the line is busy")
        try:
            return self._wait(_run(self._asked(question)))
        finally:
            self._turn.release()

    def ask_as(self, client_id: int, question: Question[Answer]) -> Answer:
        """The same as another client: over its own connection if this process holds it, else over a new one."""
        return self._wait(_run(self._asked_as(client_id, question)))

    def _wait(self, future: Future[Answer]) -> Answer:
        try:
            return future.result(self._timeout + _GRACE_SECONDS)
        except NotInTime:
            raise VenueUnknown("no answer in time") from None

    async def _asked(self, question: Question[Answer]) -> Answer:
        try:
            return await self._in_time(self._over_good(question))
        except VenueRefused:
            raise
        except BaseException:
            while self._open:
                _forget(self._address, self._open.pop())
            raise

    async def _asked_as(self, client_id: int, question: Question[Answer]) -> Answer:
        sibling = _talks.get((*self._address, client_id))
        if sibling is not None and sibling.good:
            return await self._in_time(question(sibling))
        talk = Talk(await _library(), client_id)

        async def visit() -> Answer:
            await self._connected(talk)
            answer = await talk.ask(question)
            await talk.ib.reqCurrentTimeAsync()  # what was sent has been heard when this is answered
            return answer

        try:
            return await self._in_time(visit())
        finally:
            talk.close()

    async def _in_time(self, work: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except (TimeoutError, asyncio.CancelledError):
            raise VenueUnknown("no answer in time") from None
        except (OSError, ValueError, TypeError, AttributeError, KeyError, ArithmeticError) as error:
            raise VenueUnknown(type(error).__name__) from None

    async def _over_good(self, question: Question[Answer]) -> Answer:
        if self._open and not self._open[0].good:
            _forget(self._address, self._open.pop())
        for client_id in () if self._open else CLIENT_IDS:
            talk = Talk(await _library(), client_id)
            try:
                await self._connected(talk)
            except Taken:
                talk.close()
                continue
            except BaseException:
                talk.close()
                raise
            self._open.append(talk)
            _talks[(*self._address, client_id)] = talk
            break
        if not self._open:
            raise VenueUnknown("no client id is free")
        return await self._open[0].ask(question)

    async def _connected(self, talk: Talk) -> None:
        await talk.unless_trouble(talk.client.connectAsync(*self._address, talk.client_id, None))


_guard = threading.Lock()
_loops: list[asyncio.AbstractEventLoop] = []
_libraries: list[ModuleType] = []
_talks: dict[tuple[str, int, int], Talk] = {}


def _run(work: Coroutine[Any, Any, Answer]) -> Future[Answer]:
    with _guard:
        if not _loops:
            _loops.append(asyncio.new_event_loop())
            threading.Thread(target=_live, args=(_loops[0],), daemon=True, name=_THREAD).start()
    return asyncio.run_coroutine_threadsafe(work, _loops[0])


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)  # before the import: eventkit 1 takes the loop of the thread that imports it
    loop.run_forever()


async def _library() -> ModuleType:
    if not _libraries:
        try:
            import ib_async as library
        except ImportError:
            import ib_insync as library  # type: ignore[import-not-found, no-redef, unused-ignore]
        logging.getLogger(library.__name__).setLevel(logging.CRITICAL + 1)  # what matters is raised, and logged there
        _libraries.append(library)
    return _libraries[0]


def _forget(address: tuple[str, int], talk: Talk) -> None:
    talk.close()
    if _talks.get((*address, talk.client_id)) is talk:
        del _talks[(*address, talk.client_id)]


def _leave(talks: list[Talk]) -> None:
    async def leave() -> None:
        while talks:
            talk = talks.pop()
            _forget((talk.client.host, talk.client.port), talk)

    if talks:
        left = _run(leave())
        if threading.current_thread().name != _THREAD:
            with suppress(NotInTime):
                left.result(_GOODBYE_SECONDS)
