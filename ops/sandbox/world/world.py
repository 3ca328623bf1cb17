"""The simulated outside world in one process: `python -m ops.sandbox.world --config FILE`.

One system's venues (a paper and a live listener each), the admin API, Prometheus, Grafana, Slack and Telegram, each on
its own port, all in one asyncio loop; on loopback, the venues if need be in a network without a way out. Prints
`world is up` when every port accepts, and leaves cleanly on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ops.sandbox.channels.mailbox import Mailbox
from ops.sandbox.channels.slack import SlackApi
from ops.sandbox.channels.telegram import TelegramApi
from ops.sandbox.clock import WorldClock
from ops.sandbox.journal import JsonLines
from ops.sandbox.monitoring.grafana import GrafanaApi
from ops.sandbox.monitoring.prometheus import PrometheusApi
from ops.sandbox.monitoring.samples import SampleStore
from ops.sandbox.monitoring.scraper import Scraper
from ops.sandbox.venues.simulators import open_simulator
from ops.sandbox.venues.venue import Listener, Opening, SimulatedVenue, Stream
from ops.sandbox.world.admin import AdminApi
from ops.sandbox.world.config import ConfigError, WorldConfig, read_config
from ops.sandbox.world.faults import WorldFaults
from ops.sandbox.world.request_log import LoggedRequests

LOOPBACK = "127.0.0.1"
SETTLE_SECONDS = 0.2
KEEP_ALIVE_SECONDS = 300


ROUTES = Path("/proc/thread-self/net/route")


class PortBusy(Exception):
    """A listener's port is taken; the text says which and what to do."""


class _Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the world, which stops all listeners together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class World:
    """Everything outside one system's bots. Build it, then `async with world.running()`."""

    def __init__(self, config: WorldConfig, clock: WorldClock, entropy: random.Random) -> None:
        self.config = config
        self.clock = clock
        self.ports: dict[str, int] = {}
        self.stopping = asyncio.Event()
        config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._orders = JsonLines(config.state / "orders.jsonl")
        self._requests = JsonLines(config.state / "requests.jsonl")
        self._mailbox = Mailbox(config.state / "messages.jsonl", clock)
        self.venues = {name: self._venue(name, entropy) for name in config.venues}
        self.faults = WorldFaults(config.state / "faults.json")
        self._samples = SampleStore()
        self._scraper = Scraper(self._samples, config.prometheus, clock, self.faults.board)

    def _venue(self, name: str, entropy: random.Random) -> SimulatedVenue:
        setting, state = self.config.venues[name], self.config.state / name
        state.mkdir(exist_ok=True, mode=0o700)
        accounts = {"paper": setting.paper, "live": setting.live}
        opening = Opening(
            accounts={slot: (account.number, account.cash) for slot, account in accounts.items()},
            symbols=setting.symbols,
            seed=self.config.seed,
            state=state,
            clock=self.clock,
            entropy=entropy,
            record=self._orders.append,
            request=self._requests.append,
            requests_per_minute=setting.requests_per_minute,
        )
        return open_simulator(setting.kind, opening)

    def _listeners(self) -> dict[str, tuple[int, Listener]]:
        """Name -> (wanted port, listener). All log their requests, a venue's by themselves."""
        found: dict[str, tuple[int, Listener]] = {}
        for name, venue in self.venues.items():
            ports = {"paper": self.config.venues[name].paper.port, "live": self.config.venues[name].live.port}
            found |= {f"{name}_{slot}": (ports[slot], listener) for slot, listener in venue.listeners().items()}
        for name, (port, app) in self._own_apps().items():
            found[name] = (port, Listener(app=LoggedRequests(app, name, self._requests, self.clock)))
        return found

    def _address(self, listener: str) -> str:
        """Where a listener listens: what is not a venue's never leaves loopback."""
        of_a_venue = any(listener in (f"{name}_paper", f"{name}_live") for name in self.venues)
        return self.config.venues_address if of_a_venue else LOOPBACK

    def _own_apps(self) -> dict[str, tuple[int, ASGIApp]]:
        config, faults = self.config, self.faults.board
        admin = AdminApi(config, self.venues, self.faults, self.clock, self.ports)
        prometheus = PrometheusApi(self._samples, self._scraper, self.clock)
        grafana = GrafanaApi(config.grafana, self._samples, self.clock, faults)
        apps: dict[str, tuple[int, ASGIApp]] = {
            "admin": (config.admin.port, admin.app()),
            "prometheus": (config.prometheus.port, prometheus.app()),
            "grafana": (config.grafana.port, grafana.app()),
        }
        if config.slack is not None:
            apps["slack"] = (config.slack.port, SlackApi(config.slack, self._mailbox, faults).app())
        if config.telegram is not None:
            apps["telegram"] = (config.telegram.port, TelegramApi(config.telegram, self._mailbox, faults).app())
        return apps

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All listeners accept inside the block. Raises PortBusy before anything is served."""
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._close_files)
            wanted = self._listeners()
            sockets = {n: cleanup.enter_context(_bound(n, self._address(n), port)) for n, (port, _) in wanted.items()}
            self.ports.update({name: bound.getsockname()[1] for name, bound in sockets.items()})
            servers = {name: _server(one.app) for name, (_, one) in wanted.items() if one.app is not None}
            streams = {name: one.stream for name, (_, one) in wanted.items() if one.stream is not None}
            async with contextlib.AsyncExitStack() as conversations, asyncio.TaskGroup() as group:
                for name, stream in streams.items():
                    await conversations.enter_async_context(_conversing(stream, sockets[name]))
                serving = [group.create_task(servers[name].serve([sockets[name]])) for name in servers]
                background = [group.create_task(self._settle()), group.create_task(self._scraper.run())]
                try:
                    await _all_started(list(servers.values()))
                    (self.config.state / "ports.json").write_text(json.dumps(self.ports) + "\n")
                    yield
                finally:
                    for server in servers.values():
                        server.should_exit = True
                    for task in background:
                        task.cancel()
                    await asyncio.wait(serving)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self.stopping.set)
        async with self.running():
            sys.stdout.write("world is up\n")
            sys.stdout.flush()
            await self.stopping.wait()

    async def _settle(self) -> None:
        """Fills and cancels reach the order log even when nobody asks the venue."""
        while True:
            for venue in self.venues.values():
                venue.settle()
            await asyncio.sleep(SETTLE_SECONDS)

    def _close_files(self) -> None:
        for venue in self.venues.values():
            venue.close()
        for journal in (self._orders, self._requests, self._mailbox):
            journal.close()


@contextlib.asynccontextmanager
async def _conversing(stream: Stream, listener: socket.socket) -> AsyncIterator[None]:
    """Serves raw TCP inside the block; at its end conversations that are still going on are cut."""
    talking: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await stream(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(converse(reader, writer))
        talking.add(task)
        task.add_done_callback(talking.discard)

    server = await asyncio.start_server(accepted, sock=listener)
    try:
        yield
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


def _bound(name: str, address: str, port: int) -> socket.socket:
    if address != LOOPBACK and _has_a_way_out(ROUTES.read_text()):
        raise PortBusy(f"{name}: {address} can be reached from outside; venues here need a network without a way out")
    # The explicit protocol matters: asyncio turns off Nagle's algorithm only for sockets that name TCP, and
    # with it on, an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortBusy(
            f"{name}: port {port} on {address} cannot be used ({error.strerror}); "
            "stop what holds it (another sandbox?) or set another port in the configuration"
        ) from None
    listener.setblocking(False)
    return listener


def _has_a_way_out(routes: str) -> bool:
    """Whether the kernel's table of routes has one to everywhere (destination 0.0.0.0)."""
    return any(line.split()[1:2] == ["00000000"] for line in routes.splitlines()[1:])


def _server(app: ASGIApp) -> _Listener:
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    return _Listener(config)


async def _all_started(servers: list[_Listener]) -> None:
    """A listener that fails instead takes the whole task group down, and this wait with it."""
    while not all(server.started for server in servers):
        await asyncio.sleep(0.005)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after SIGTERM, 2 when the configuration or a port cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m ops.sandbox.world", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the world's JSON configuration, mode 0600")
    options = parser.parse_args(arguments)
    try:
        config = read_config(options.config)
        asyncio.run(_serve(config))
    except (ConfigError, PortBusy, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


async def _serve(config: WorldConfig) -> None:
    await World(config, WorldClock(), secrets.SystemRandom()).run()
