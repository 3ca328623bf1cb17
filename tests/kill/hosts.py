"""Two hosts with a real service manager and a bot that really trades on the scene's live account."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ops.kill.targets import HostTarget
from ops.secrets import Secrets
from tests.field import awaited
from tests.kill.worlds import Scene, host_request

CONF = """
[unix_http_server]
file={root}/s.sock
[supervisord]
nodaemon=true
logfile={root}/supervisord.log
pidfile={root}/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:bot]
command={command}
directory={root}
startsecs=0
stopwaitsecs=1
stdout_logfile={root}/bot.log
redirect_stderr=true
"""
TRADER = Path(__file__).with_name("trader.py")


@dataclass
class Host:
    """One host: a folder, a manager, a bot."""

    name: str
    root: Path
    port: int
    manager: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def target(self) -> HostTarget:
        return HostTarget(
            self.name, {**host_request(self.root, f"http://127.0.0.1:{self.port}", "s.sock"), "host": self.name}
        )

    @property
    def gate(self) -> Path:
        return self.root / "interlock" / "gate"

    def start(self) -> None:
        """The manager, which starts the bot."""
        (self.root / "s.sock").unlink(missing_ok=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.root / "supervisord.conf")]
        self.manager = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        ]
        awaited(lambda: self.answers("GET"), what="the bot")

    def answers(self, method: str) -> bool:
        """Whether the bot's API answers at all."""
        with suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/kill_switch"
            urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5).close()
            return True
        return False

    def rearm(self) -> None:
        self.gate.unlink(missing_ok=True)
        if not self.answers("DELETE"):
            self.end()
            self.start()

    def end(self) -> None:
        """SIGKILL for the manager, so that it restarts nothing, then for the bot."""
        for process in self.manager:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            process.kill()
            process.wait(timeout=30)
            for child in children:
                os.kill(int(child), signal.SIGKILL)
        self.manager = []
        awaited(lambda: not self.answers("GET"), what="the bot's end")


@contextmanager
def hosts(here: Scene, folder: Path) -> Iterator[tuple[Host, ...]]:
    """The hosts, and a kill target that aims at them."""
    key, secret = Secrets(here.state / "secrets").credentials("alpaca-live-bot").values()
    made = tuple(Host(name, folder / name, free_port()) for name in ("host-1", "host-2"))
    for host in made:
        (host.root / "interlock").mkdir(parents=True, mode=0o700)
        host.root.chmod(0o700)
        command = f"{sys.executable} {TRADER} {host.port} {here.endpoint('alpaca', 'live')} {key} {secret}"
        (host.root / "supervisord.conf").write_text(CONF.format(root=host.root, command=command))
        (host.root / "keys.env").write_text("TRADING_MODE=live\n")
        (host.root / "keys.env").chmod(0o600)
    here.aim("alpaca-bot", tuple(host.target for host in made))
    try:
        for host in made:
            host.start()
        yield made
    finally:
        for host in made:
            host.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
