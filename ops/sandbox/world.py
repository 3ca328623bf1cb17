"""The simulated outside world in one process: `python -m ops.sandbox.world --config FILE`.

Two Alpaca listeners, the admin API, Prometheus, Grafana, Slack and Telegram, each on its own loopback port,
all in one asyncio loop. Prints `world is up` when every port accepts, and leaves cleanly on SIGTERM.
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
from decimal import Decimal
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
from ops.sandbox.request_log import LoggedRequests
from ops.sandbox.venues.alpaca.exchange import Exchange, Opening
from ops.sandbox.venues.alpaca.http import AlpacaListener
from ops.sandbox.venues.alpaca.store import Store
from ops.sandbox.world_admin import AdminApi
from ops.sandbox.world_config import ConfigError, WorldConfig, read_config

LOOPBACK = "127.0.0.1"
SETTLE_SECONDS = 0.2
KEEP_ALIVE_SECONDS = 300


class PortBusy(Exception):
    """A listener's port is taken; the text says which and what to do."""


class _Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the world, which stops all listeners together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class World:
    """Everything outside the bots. Build it, then `async with world.running()`."""

    def __init__(self, config: WorldConfig, clock: WorldClock, entropy: random.Random) -> None:
        self.config = config
        self.clock = clock
        self.ports: dict[str, int] = {}
        self.stopping = asyncio.Event()
        config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._orders = JsonLines(config.state / "orders.jsonl")
        self._requests = JsonLines(config.state / "requests.jsonl")
        self._mailbox = Mailbox(config.state / "messages.jsonl", clock)
        self._store = Store(config.state / "venue.sqlite")
        self.exchange = Exchange(_opening(config), clock, self._store, self._orders.append, entropy)
        self._samples = SampleStore()
        self._scraper = Scraper(self._samples, config.prometheus, clock, self.exchange.faults)

    def _apps(self) -> dict[str, tuple[int, ASGIApp]]:
        """Listener name -> (wanted port, application). All log their requests, Alpaca's by themselves."""
        config, faults = self.config, self.exchange.faults
        admin = AdminApi(self.exchange, config.admin.token.get_secret_value(), self.ports)
        prometheus = PrometheusApi(self._samples, self._scraper, self.clock)
        grafana = GrafanaApi(config.grafana, self._samples, self.clock, faults)
        alpaca = {"paper": config.alpaca.paper, "live": config.alpaca.live}
        venues: dict[str, tuple[int, ASGIApp]] = {
            f"alpaca_{name}": (account.port, AlpacaListener(self.exchange, name, self._requests))
            for name, account in alpaca.items()
        }
        others: dict[str, tuple[int, ASGIApp]] = {
            "admin": (config.admin.port, admin.app()),
            "prometheus": (config.prometheus.port, prometheus.app()),
            "grafana": (config.grafana.port, grafana.app()),
            "slack": (config.slack.port, SlackApi(config.slack, self._mailbox, faults).app()),
            "telegram": (config.telegram.port, TelegramApi(config.telegram, self._mailbox, faults).app()),
        }
        logged = {
            name: (port, LoggedRequests(app, name, self._requests, self.clock)) for name, (port, app) in others.items()
        }
        return {**venues, **logged}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All listeners accept inside the block. Raises PortBusy before anything is served."""
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._close_files)
            apps = self._apps()
            sockets = {name: cleanup.enter_context(_bound(name, port)) for name, (port, _) in apps.items()}
            self.ports.update({name: bound.getsockname()[1] for name, bound in sockets.items()})
            servers = {name: _server(app) for name, (_, app) in apps.items()}
            async with asyncio.TaskGroup() as group:
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
            self.exchange.settle()
            await asyncio.sleep(SETTLE_SECONDS)

    def _close_files(self) -> None:
        self._store.close()
        for journal in (self._orders, self._requests, self._mailbox):
            journal.close()


def _opening(config: WorldConfig) -> Opening:
    alpaca = config.alpaca
    accounts = {"paper": alpaca.paper, "live": alpaca.live}
    return Opening(
        accounts={name: (account.number, Decimal(account.cash)) for name, account in accounts.items()},
        symbols=alpaca.symbols,
        seed=config.seed,
        requests_per_minute=alpaca.requests_per_minute,
    )


def _bound(name: str, port: int) -> socket.socket:
    # The explicit protocol matters: asyncio turns off Nagle's algorithm only for sockets that name TCP, and
    # with it on, an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortBusy(
            f"{name}: port {port} on {LOOPBACK} cannot be used ({error.strerror}); "
            "stop what holds it (another sandbox?) or set another port in the configuration"
        ) from None
    listener.setblocking(False)
    return listener


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


if __name__ == "__main__":
    sys.exit(main())
