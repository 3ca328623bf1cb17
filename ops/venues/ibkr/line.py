"""The line to an IBKR gateway: ib_async, or ib_insync where only that is installed, behind one blocking call.

Both libraries are the same below their names, but for what is said here. They live in one thread of their own with one
event loop, so that any thread may ask, whatever `asyncio.run` did before (venues 1). What is taken away from them
(venues 6.2, 6.3, 6.11):

- Their start-up reads positions and orders and only logs what did not come. Here nothing is read at the start; each
  question asks for what it needs.
- A message that they cannot decode is logged and left out, and a list without it looks whole. Here it ends the
  question.
- Errors become empty lists, 321 is a mere warning to ib_async, a lost connection can wait for ever. Here each error
  that concerns a question ends it, and every question has a deadline.
- A connection on which anything went wrong is given up; the next question makes a new one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ops.errors import VenueError

Answer = TypeVar("Answer")

FIRST_CLIENT_ID, CLIENT_IDS = 7401, 24
"""Ours; bots count from lower numbers. Several of us may be connected at once."""
GRACE_SECONDS = 0.5
IMPORT_MAX_SECONDS = 30.0
GOODBYE_MAX_SECONDS = 0.3

LINK_LOST, LINK_BACK = (1100, 2110), (1101, 1102)
_ID_IN_USE = 326
# Not about a question: 2100 to 2199 are notices, 202 is a cancel that was done, 399 an order that waits for the open,
# 10167 delayed market data (venues 6.13).
_NOTICES = frozenset({202, 399, 10167, *LINK_LOST, *LINK_BACK, *range(2100, 2200)})


class IdInUse(Exception):
    """Another connection has that client id."""


class Refused(VenueError):
    """The gateway understood and said no. `code` is its error code."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(f"IBKR refused: {code} {text[:200]}")


class _Witness(logging.Logger):
    """Stands in for the decoder's logger: a message that cannot be decoded is not forgotten."""

    def __init__(self, saw: Callable[[], None]) -> None:
        super().__init__("decoder")
        self._saw = saw

    def exception(self, *_: object, **__: object) -> None:
        self._saw()


class Talk:
    """One connection, used inside the loop only. `ib` is the library's client, `lost` what it said of a lost link."""

    def __init__(self, library: ModuleType, client_id: int) -> None:
        self.library, self.client_id = library, client_id
        self.lost = ""
        self.news = asyncio.Event()
        self._trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._concerned: set[int] = set()
        self.ib = library.IB()
        self.ib.TimezoneTWS = "UTC"
        self.ib.RaiseRequestErrors = True
        self.ib.client.MaxRequests = 0  # a wait in here would look like a silent venue; too much is its error 100
        self.ib.client.decoder.logger = _Witness(lambda: self._end(VenueError("IBKR sent what cannot be decoded")))
        self.ib.errorEvent.clear()  # the library's own listener opens subscriptions that nobody wants
        self.ib.errorEvent += self._error
        self.ib.updateEvent += self.news.set
        self.ib.client.conn.disconnected += lambda *_: self._end(VenueError("the IBKR gateway closed the connection"))

    async def connect(self, host: str, port: int) -> None:
        """Handshake and start. Raises IdInUse, VenueError, OSError."""
        self.ib.wrapper.clientId = self.client_id
        await self.until_trouble(self.ib.client.connectAsync(host, port, self.client_id, None))

    async def until_trouble(self, work: Awaitable[Answer]) -> Answer:
        """What `work` gives, unless the connection gets into trouble before that is taken up."""
        task = asyncio.ensure_future(work)
        try:
            both: set[asyncio.Future[Any]] = {task, self._trouble}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._trouble.done():
                self._trouble.result()
            return task.result()
        finally:
            task.cancel()
            if task.done() and not task.cancelled():
                task.exception()  # seen: what is raised is the trouble

    async def answer(self, asked: Awaitable[Answer]) -> Answer:
        """What was asked for, unless the gateway has lost IBKR: what it remembers proves nothing. Raises VenueError."""
        given = await asked
        if self.lost:
            raise VenueError(f"the gateway has lost IBKR: {self.lost}")
        return given

    async def ask(self, question: Callable[[Talk], Awaitable[Answer]]) -> Answer:
        """The answer to one question; from here on the errors of its own requests are its trouble."""
        self._concerned = set()
        self._floor = self.ib.client.getReqId()
        return await self.until_trouble(question(self))

    def concerns(self, order_id: int) -> None:
        """Errors about this order of an earlier question are trouble too."""
        self._concerned.add(order_id)

    async def flush(self) -> None:
        """Waits for the answer to a question without consequence: what was to be refused before it has been by then."""
        await self.answer(self.ib.reqCurrentTimeAsync())

    @property
    def usable(self) -> bool:
        """Whether the next question may go over it."""
        return not self._trouble.done() and bool(self.ib.client.isReady())

    def close(self) -> None:
        """Gives the connection up; never raises."""
        if not self._trouble.done():
            self._trouble.cancel()
        with suppress(OSError, RuntimeError):
            self.ib.client.disconnect()

    _floor = 0

    def _error(self, request: int, code: int, text: str, *_: object) -> None:
        if code in LINK_LOST:
            self.lost = f"{code} {text}"
        elif code in LINK_BACK:
            self.lost = ""
        elif code == _ID_IN_USE:
            self._end(IdInUse())
        concerned = request == -1 or request >= self._floor or request in self._concerned
        if (code not in _NOTICES or (code in LINK_LOST and request != -1)) and concerned:
            self._end(Refused(code, text))
        self.news.set()

    def _end(self, trouble: Exception) -> None:
        if not self._trouble.done():
            self._trouble.set_exception(trouble)
            self._trouble.exception()  # it may never be waited for


class Line:
    """Questions to one gateway at `tcp://host:port`, one after the other, from any thread."""

    def __init__(self, endpoint: str, timeout_seconds: float) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme != "tcp" or not parts.hostname or not parts.port:
            raise VenueError(f"the IBKR gateway is not at an address like tcp://127.0.0.1:4002: {endpoint}")
        self._host, self._port = parts.hostname, parts.port
        self._endpoint, self._timeout = endpoint, timeout_seconds
        self._open: list[Talk] = []
        self._turn = threading.Lock()
        # At the end of the process too: a gateway keeps the client id of a connection that it believes in.
        self._finalizer = weakref.finalize(self, _say_goodbye, self._open)

    def ask(self, question: Callable[[Talk], Awaitable[Answer]]) -> Answer:
        """The answer within the deadline, connecting included. Raises VenueError; then nothing is known."""
        _in_loop(_library).result(IMPORT_MAX_SECONDS)
        if not self._turn.acquire(timeout=self._timeout):
            raise VenueError(f"the line to the IBKR gateway was busy for {self._timeout:g} s")
        try:
            return _in_loop(lambda: self._asked(question)).result(self._timeout + GRACE_SECONDS)
        except NotInTime:
            raise VenueError(f"the IBKR gateway did not answer within {self._timeout:g} s") from None
        finally:
            self._turn.release()

    def as_client(self, client_id: int, question: Callable[[Talk], Awaitable[Answer]]) -> Answer:
        """The same as another client, over a short connection. Raises VenueError if that one is connected itself."""

        async def visit() -> Answer:
            talk = Talk(await _library(), client_id)
            try:
                await talk.connect(self._host, self._port)
                return await talk.ask(question)
            finally:
                talk.close()

        try:
            return _in_loop(lambda: self._in_time(visit())).result(self._timeout + GRACE_SECONDS)
        except NotInTime:
            raise VenueError(f"the IBKR gateway did not answer within {self._timeout:g} s") from None
        except IdInUse:
            raise VenueError(f"client {client_id} is connected: only itself can do that") from None

    def close(self) -> None:
        """Disconnects; the next question connects again."""
        _say_goodbye(self._open)

    async def _asked(self, question: Callable[[Talk], Awaitable[Answer]]) -> Answer:
        try:
            return await self._in_time(self._over_a_good_connection(question))
        except BaseException:
            self._drop()
            raise

    async def _in_time(self, work: Awaitable[Answer]) -> Answer:
        """The one place where the libraries' exceptions become ours."""
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except (TimeoutError, asyncio.CancelledError):
            raise VenueError(f"the IBKR gateway did not answer within {self._timeout:g} s") from None
        except OSError as error:
            raise VenueError(f"no IBKR gateway answers at {self._endpoint}: {type(error).__name__}") from None
        except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError) as error:
            raise VenueError(f"IBKR's answer lacks what it should hold: {type(error).__name__}") from None

    async def _over_a_good_connection(self, question: Callable[[Talk], Awaitable[Answer]]) -> Answer:
        if not (self._open and self._open[0].usable):
            self._drop()
            self._open.append(await self._connected())
        return await self._open[0].ask(question)

    async def _connected(self) -> Talk:
        """Under the first client id of ours that is free."""
        for client_id in range(FIRST_CLIENT_ID, FIRST_CLIENT_ID + CLIENT_IDS):
            talk = Talk(await _library(), client_id)
            try:
                await talk.connect(self._host, self._port)
                return talk
            except IdInUse:
                talk.close()
            except BaseException:
                talk.close()
                raise
        raise VenueError(f"the IBKR gateway says that client ids {FIRST_CLIENT_ID} and the next are all in use")

    def _drop(self) -> None:
        while self._open:
            self._open.pop().close()


_THREAD = "ibkr"
_SILENT = logging.CRITICAL + 1
"""The library logs as an error what is raised here anyway, and on standard error if nobody takes it."""
_loop_guard = threading.Lock()
_loops: list[asyncio.AbstractEventLoop] = []
_libraries: list[ModuleType] = []


def _in_loop(work: Callable[[], Awaitable[Answer]]) -> Future[Answer]:
    """Starts `work` in the one thread in which the library lives."""

    async def there() -> Answer:
        return await work()

    return asyncio.run_coroutine_threadsafe(there(), _loop())


def _loop() -> asyncio.AbstractEventLoop:
    with _loop_guard:
        if not _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=_live, args=(loop,), daemon=True, name=_THREAD).start()
            _loops.append(loop)
        return _loops[0]


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)  # ib_insync's eventkit looks for it when it is imported
    loop.run_forever()


async def _library() -> ModuleType:
    """Imported here, in its thread: eventkit 1 takes the loop of the importing thread. Raises VenueError if missing."""
    if not _libraries:
        _libraries.append(_imported())
        logging.getLogger(_libraries[0].__name__).setLevel(_SILENT)
    return _libraries[0]


def _imported() -> ModuleType:
    try:
        import ib_async

        return ib_async
    except ImportError:
        pass
    try:
        import ib_insync  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise VenueError("IBKR needs ib_async (or ib_insync, extra `insync`): neither is installed") from None
    library: ModuleType = ib_insync
    return library


def _say_goodbye(talks: list[Talk]) -> None:
    async def leave() -> None:
        while talks:
            talks.pop().close()

    if talks:
        left = _in_loop(leave)
        if threading.current_thread().name != _THREAD:  # garbage is collected in any thread, in that one too
            with suppress(NotInTime):
                left.result(GOODBYE_MAX_SECONDS)
