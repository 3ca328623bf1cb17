"""What every bot is told at its start; the names of the variables are each system's own (`systems/*/system.py`).

Common to all five systems: BOT_HOME, BOT_PORT (where there is HTTP), GATE_FILE, LOOP_SECONDS, SIGNAL_SECONDS, INSTANCE,
SYMBOLS, SIZE_MULTIPLIER, MAX_SLIPPAGE_BPS, and, unless the seed has names of its own: MAX_DAILY_LOSS_USD,
MAX_ORDER_NOTIONAL_USD, MAX_POSITION_USD, MAX_ORDERS_PER_DAY.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from .environment import Reader, between, matching, whole
from .trading.risk import Limits
from .venue import Access

_SYMBOL = re.compile(r"[A-Za-z0-9._/\-]{1,90}")


@dataclass(frozen=True)
class Sizing:
    """How big a full-size order is: so many units of the symbol, or as many as so much money buys.

    `resting_lot`: what an order that outlives the day must be a multiple of, where that differs from the grid's lot.
    """

    units: Decimal | None = None
    money_usd: Decimal | None = None
    resting_lot: Decimal | None = None


@dataclass(frozen=True)
class VenueAccess:
    """One venue of the bot: which client speaks to it, and with what."""

    kind: str
    access: Access = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """`variables` holds the mode variables as they stand, absent ones as empty text; `agree` whether they say one
    thing. `symbols` maps each symbol to the name of its venue. `order_prefix` is what every client order id of this
    bot in this mode begins with: how it knows its own orders. `own_switch` is false where the gate is the only switch,
    `keeps_openings` true where the venue does not say what the day began with.
    """

    system: str
    home: Path
    port: int
    gate_file: Path
    loop_seconds: float
    signal_seconds: int
    instance: str
    mode: str
    variables: Mapping[str, str]
    agree: bool
    venues: Mapping[str, VenueAccess]
    symbols: Mapping[str, str]
    order_prefix: str
    size_multiplier: Decimal
    sizing: Sizing
    limits: Limits
    log_file: Path
    anomalies_file: Path | None = None
    own_switch: bool = True
    starts_tripped: bool = False
    keeps_openings: bool = False
    further_secrets: tuple[str, ...] = field(default=(), repr=False)

    def symbols_of(self, venue: str) -> tuple[str, ...]:
        """The symbols that are traded at a venue."""
        return tuple(symbol for symbol, name in self.symbols.items() if name == venue)

    def secrets(self) -> tuple[str, ...]:
        """What must never stand in a log line."""
        parts = [(v.access.secret, v.access.passphrase, v.access.wallet, v.access.key) for v in self.venues.values()]
        revealed = (text for part in parts for secret in part if (text := secret.reveal()))
        return (*revealed, *self.further_secrets)

    def blotted(self, text: str) -> str:
        """The text without any of those: an exception of a library may carry one to where people look."""
        for secret in self.secrets():
            text = text.replace(secret, "****")
        return text


@dataclass(frozen=True)
class Frame:
    """The part of the settings that has the same names in every system."""

    home: Path
    port: int
    gate_file: Path
    loop_seconds: float
    signal_seconds: int
    instance: str
    size_multiplier: Decimal

    @classmethod
    def read(cls, reader: Reader, default_port: int) -> Frame:
        """`default_port` is the seed's, or 0 where it names none and the port must be given; -1: there is no HTTP."""
        seconds, share = between(Decimal("0.05"), Decimal(3600)), between(Decimal(0), Decimal(1))
        return cls(
            home=reader.read("BOT_HOME", Path, "a folder", Path()),
            port=_port(reader, default_port),
            gate_file=reader.read("GATE_FILE", Path, "a path", Path()),
            loop_seconds=float(reader.optional("LOOP_SECONDS", "1", seconds, "0.05 to 3600 seconds")),
            signal_seconds=reader.optional("SIGNAL_SECONDS", "5", whole(1, 86400), "1 to 86400 seconds"),
            instance=reader.read("INSTANCE", matching(r"[a-z0-9]{1,8}"), "1 to 8 of a-z 0-9", ""),
            size_multiplier=reader.read("SIZE_MULTIPLIER", share, "0 to 1", Decimal(0)),
        )


def _port(reader: Reader, default: int) -> int:
    if default < 0:
        return 0
    if default:
        return reader.optional("BOT_PORT", str(default), whole(0, 65535), "a port")
    return reader.read("BOT_PORT", whole(0, 65535), "a port", 0)


def usual_limits(reader: Reader) -> Limits:
    """The five limits under their usual names; none has a default."""
    return Limits(
        loss_daily_max_usd=reader.amount("MAX_DAILY_LOSS_USD"),
        slippage_max_bps=reader.amount("MAX_SLIPPAGE_BPS", "basis points above 0"),
        order_notional_max_usd=reader.amount("MAX_ORDER_NOTIONAL_USD"),
        position_max_usd=reader.amount("MAX_POSITION_USD"),
        orders_per_day_max=reader.read("MAX_ORDERS_PER_DAY", whole(0, 10**9), "a whole number", 0),
    )


def read_symbols(reader: Reader, venues: tuple[str, ...]) -> dict[str, str]:
    """SYMBOLS: names separated by commas, each as `venue:name` where the bot has several venues."""

    def parse(text: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for item in text.split(","):
            venue, sign, symbol = item.partition(":") if len(venues) > 1 else (venues[0], ":", item)
            if not sign or venue not in venues or _SYMBOL.fullmatch(symbol) is None or symbol in found:
                raise ValueError
            found[symbol] = venue
        return found

    form = "distinct symbols separated by commas"
    return reader.read("SYMBOLS", parse, form if len(venues) == 1 else f"{form}, as {venues[0]}:SYMBOL", {})
