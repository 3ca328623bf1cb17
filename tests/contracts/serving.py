"""A simulated venue on loopback in a thread: HTTP or raw TCP, free ports, its clock pinned by the test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import uvicorn

from ops.sandbox.venues.venue import Listener, SimulatedVenue

Answer = TypeVar("Answer")
SETTLE_SECONDS = 0.05


class Served:
    """The venue, and where each environment of it listens. Change it through `do` only: it lives in another thread."""

    def __init__(self, venue: SimulatedVenue, loop: asyncio.AbstractEventLoop, endpoints: Mapping[str, str]) -> None:
        self.venue, self.endpoints, self._loop = venue, endpoints, loop

    def do(self, act: Callable[[], Answer]) -> Answer:
        """Runs `act` where the venue runs, between two requests; returns or raises what it does."""

        async def act_there() -> Answer:
            return act()

        return asyncio.run_coroutine_threadsafe(act_there(), self._loop).result(10)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def serving(make: Callable[[], SimulatedVenue]) -> Iterator[Served]:
    """The venue that `make` builds (in its own thread, as its files want it), until the block ends."""
    ready, served, failed = threading.Event(), [], []
    stop: list[Callable[[], None]] = []

    async def live() -> None:
        venue, over = make(), asyncio.Event()
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(venue.close)
            endpoints = {name: await _opened(stack, listener) for name, listener in venue.listeners().items()}
            settling = loop.create_task(_settle(venue))
            stack.callback(settling.cancel)
            served.append(Served(venue, loop, endpoints))
            stop.append(lambda: loop.call_soon_threadsafe(over.set))
            ready.set()
            await over.wait()

    def work() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    try:
        if not failed:
            yield served[0]
    finally:
        for end in stop if thread.is_alive() else ():
            end()
        thread.join(10)
        if failed:
            raise failed[0]


async def _settle(venue: SimulatedVenue) -> None:
    while True:
        venue.settle()
        await asyncio.sleep(SETTLE_SECONDS)


async def _opened(stack: contextlib.AsyncExitStack, listener: Listener) -> str:
    """Starts one listener; returns its address."""
    if listener.stream is not None:
        server = await asyncio.start_server(listener.stream, "127.0.0.1", 0)
        stack.callback(server.close)
        return f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    # The explicit protocol lets asyncio turn off Nagle's algorithm: ops/sandbox/world/world.py says why.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    bound.listen(128)
    bound.setblocking(False)
    assert listener.app is not None
    config = uvicorn.Config(
        listener.app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, log_level="error",
        access_log=False, timeout_keep_alive=300, timeout_graceful_shutdown=1,
    )  # fmt: skip
    http = _Server(config)
    task = asyncio.create_task(http.serve([bound]))

    async def close() -> None:
        http.should_exit = True
        await task

    stack.push_async_callback(close)
    while not http.started and not task.done():
        await asyncio.sleep(0.005)
    return f"http://127.0.0.1:{bound.getsockname()[1]}"
