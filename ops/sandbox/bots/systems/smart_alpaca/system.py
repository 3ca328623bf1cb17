"""What the server of seed 003 is told.

Mode: ALPACA_PAPER, which is inverted: `false` is the dangerous value (contradiction C27). Live only for exactly
ALPACA_PAPER=false with NODE_ENV=production; NODE_ENV is `production` in both modes and says nothing by itself.
Alpaca and the limits: as in seed 000. REDIS_URL and DATABASE_URL are optional: job queue and stored decisions.
The seed has no interface for the emergency stop: the gate file and the process are its brakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ...environment import Reader, matching
from ...settings import Frame, Settings, read_symbols, usual_limits
from ...system import System
from ...trading.habits import Habits
from ..alpaca_bot.system import SHARES, alpaca_access
from .records import ServerRecords

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ...trading.loop import Worker

MODE_VARIABLES = ("ALPACA_PAPER", "NODE_ENV")


def mode_of(environ: Mapping[str, str]) -> tuple[str, bool]:
    """(mode, whether the variables say one thing)."""
    paper, node = (environ.get(name, "") for name in MODE_VARIABLES)
    live = paper == "false" and node == "production"
    return ("live" if live else "paper"), paper in ("true", "false") and node == "production"


def read(environ: Mapping[str, str]) -> tuple[Settings, Habits]:
    """Raises SettingsError naming each variable that is missing or invalid."""
    reader = Reader(environ)
    frame = Frame.read(reader, default_port=3000)
    mode, agree = mode_of(environ)
    redis = reader.optional("REDIS_URL", "", matching(r"(rediss?://\S+)?"), "redis(s)://host[:port]")
    database = reader.optional("DATABASE_URL", "", matching(r"(postgres(ql)?://\S+)?"), "postgresql://...")
    settings = Settings(
        **vars(frame),
        system="smart-alpaca",
        mode=mode,
        variables={name: environ.get(name, "") for name in MODE_VARIABLES},
        agree=agree,
        venues={"alpaca": alpaca_access(reader, mode)},
        symbols=read_symbols(reader, ("alpaca",)),
        order_prefix=f"{frame.instance}-{mode[0]}-",
        sizing=SHARES,
        limits=usual_limits(reader),
        log_file=frame.home / "logs" / "server.log",
        own_switch=False,
        further_secrets=tuple(part for url in (redis, database) for part in _passwords(url)),
    )
    reader.refuse()
    return settings, ServerRecords(redis, database)


def _passwords(url: str) -> tuple[str, ...]:
    """The password in an address, as it stands there and as it is meant."""
    login, at, _ = url.partition("://")[2].rpartition("@")
    password = login.partition(":")[2] if at else ""
    return tuple({password, unquote(password)} - {""})


def app(worker: Worker) -> FastAPI:
    """Its HTTP surface."""
    from .api import create_app

    return create_app(worker)


SYSTEM = System("smart-alpaca", read, app)
