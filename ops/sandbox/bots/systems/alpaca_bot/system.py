"""What the bot of seed 000 is told (keys.env).

Mode: TRADING_MODE=live, ENABLE_LIVE_TRADING=true and CONFIRM_LIVE_TRADING=true, exactly so and all three; anything
else is paper. Alpaca: ALPACA_API_KEY, ALPACA_SECRET_KEY, ALPACA_BASE_URL, and ALPACA_DATA_URL, which is optional
(Alpaca serves market data from another host, the sandbox from the same). The limits have their usual names.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from ...environment import Reader
from ...settings import Frame, Settings, Sizing, VenueAccess, read_symbols, usual_limits
from ...system import System
from ...trading.habits import Habits
from ...venue import Access, Secret

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ...trading.loop import Worker

MODE_VARIABLES = ("TRADING_MODE", "ENABLE_LIVE_TRADING", "CONFIRM_LIVE_TRADING")
LIVE = ("live", "true", "true")
SHARES = Sizing(units=Decimal(2), resting_lot=Decimal(1))
"""Two shares; Alpaca takes fractions of a share for the day only (Alpaca docs)."""


def alpaca_access(reader: Reader, mode: str) -> VenueAccess:
    """One Alpaca account, under the variable names that seeds 000 and 003 share."""
    endpoint = reader.url("ALPACA_BASE_URL")
    access = Access(
        mode=mode,
        endpoint=endpoint,
        data_url=reader.url("ALPACA_DATA_URL", endpoint or "http://absent"),
        account="",
        key=reader.secret("ALPACA_API_KEY"),
        secret=reader.secret("ALPACA_SECRET_KEY"),
        passphrase=Secret(""),
        wallet=Secret(""),
    )
    return VenueAccess("alpaca", access)


def mode_of(environ: Mapping[str, str]) -> tuple[str, bool]:
    """(mode, whether the three variables say one thing: all of live, or nothing of it)."""
    values = tuple(environ.get(name, "") for name in MODE_VARIABLES)
    agree = values == LIVE or (values[0] == "paper" and set(values[1:]) <= {"false", ""})
    return ("live" if values == LIVE else "paper"), agree


def read(environ: Mapping[str, str]) -> tuple[Settings, Habits]:
    """Raises SettingsError naming each variable that is missing or invalid."""
    reader = Reader(environ)
    frame = Frame.read(reader, default_port=0)
    mode, agree = mode_of(environ)
    settings = Settings(
        **vars(frame),
        system="alpaca-bot",
        mode=mode,
        variables={name: environ.get(name, "") for name in MODE_VARIABLES},
        agree=agree,
        venues={"alpaca": alpaca_access(reader, mode)},
        symbols=read_symbols(reader, ("alpaca",)),
        order_prefix=f"{frame.instance}-{mode[0]}-",
        sizing=SHARES,
        limits=usual_limits(reader),
        log_file=frame.home / "var" / "log" / "bot.log",
    )
    reader.refuse()
    return settings, Habits()


def app(worker: Worker) -> FastAPI:
    """Its HTTP surface."""
    from .api import create_app

    return create_app(worker)


SYSTEM = System("alpaca-bot", read, app)
