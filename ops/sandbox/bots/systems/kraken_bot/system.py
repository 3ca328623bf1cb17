"""What the bot of seed 001 is told (.env).

Mode: IS_LIVE, live only for exactly `true`; absent or anything else is paper (the code's default is False).
Kraken: KRAKEN_API_KEY, KRAKEN_API_SECRET, KRAKEN_ACCOUNT, and optionally KRAKEN_API_URL. No answer of Kraken tells
paper from live, so the account that it was told is the only one it trades on. The common limits have their usual names;
its own are CAPITAL_BUFFER_PCT (how much of the equity stays out of trades) and MAX_DRAWDOWN_PCT (below the highest
equity so far). ORDER_USD is the size of a full order. There is no HTTP and no switch: the gate file and the process are
its brakes, `logs/system.log` is what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ...environment import Reader, between, matching
from ...settings import Frame, Settings, Sizing, VenueAccess, read_symbols, usual_limits
from ...system import System
from ...trading.habits import Habits
from ...venue import Access, Secret
from .ledger import TradeLedger


def kraken_access(reader: Reader, mode: str) -> VenueAccess:
    """The account on Kraken spot."""
    access = Access(
        mode=mode,
        endpoint=reader.url("KRAKEN_API_URL", "https://api.kraken.com"),
        data_url="",
        account=reader.read("KRAKEN_ACCOUNT", matching(r"[!-~]+"), "an account", ""),
        key=reader.secret("KRAKEN_API_KEY"),
        secret=reader.secret("KRAKEN_API_SECRET"),
        passphrase=Secret(""),
        wallet=Secret(""),
    )
    return VenueAccess("kraken", access)


def read(environ: Mapping[str, str]) -> tuple[Settings, Habits]:
    """Raises SettingsError naming each variable that is missing or invalid."""
    reader, word = Reader(environ), environ.get("IS_LIVE", "")
    frame = Frame.read(reader, default_port=-1)
    mode = "live" if word == "true" else "paper"
    percent = between(Decimal("0.01"), Decimal("99.99"))
    buffer_pct = reader.read("CAPITAL_BUFFER_PCT", percent, "0.01 to 99.99 percent", Decimal(0))
    drawdown_max_pct = reader.read("MAX_DRAWDOWN_PCT", percent, "0.01 to 99.99 percent", Decimal(0))
    order_usd = reader.optional("ORDER_USD", "200", between(Decimal(1), Decimal(10**9)), "an amount")
    settings = Settings(
        **vars(frame),
        system="kraken-bot",
        mode=mode,
        variables={"IS_LIVE": word},
        agree=word in ("true", "false", ""),
        venues={"kraken": kraken_access(reader, mode)},
        symbols=read_symbols(reader, ("kraken",)),
        # Kraken takes at most 18 lowercase letters and digits, so there is no dash between instance and mode.
        order_prefix=f"{frame.instance}{mode[0]}",
        sizing=Sizing(money_usd=order_usd),
        limits=usual_limits(reader),
        log_file=frame.home / "logs" / "system.log",
        anomalies_file=frame.home / "logs" / "anomalies.log",
        own_switch=False,
        keeps_openings=True,
    )
    reader.refuse()
    return settings, TradeLedger(buffer_pct, drawdown_max_pct)


SYSTEM = System("kraken-bot", read)
