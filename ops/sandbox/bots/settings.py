"""What the bot is told at its start, read once from the environment and checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

from .risk import Limits

MODE_VARIABLES = ("TRADING_MODE", "ENABLE_LIVE_TRADING", "CONFIRM_LIVE_TRADING")
LIVE = ("live", "true", "true")

_Value = TypeVar("_Value")


class SettingsError(Exception):
    """The environment cannot be used; names every variable at fault and never a value."""


class Secret:
    """A text that shows itself only when asked to."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(****)"


@dataclass(frozen=True)
class Settings:
    """`variables` holds the three mode variables as they stand, absent ones as empty text."""

    home: Path
    port: int
    gate_file: Path
    loop_seconds: float
    signal_seconds: int
    instance: str
    symbols: tuple[str, ...]
    mode: str
    variables: Mapping[str, str]
    base_url: str
    data_url: str
    key_id: Secret = field(repr=False)
    secret_key: Secret = field(repr=False)
    size_multiplier: Decimal
    limits: Limits

    @property
    def order_prefix(self) -> str:
        """What every client order id of this bot in this mode begins with: how it knows its own orders."""
        return f"{self.instance}-{self.mode[0]}-"

    @property
    def variables_agree(self) -> bool:
        """Whether the three variables say one thing: all of live, or nothing of it."""
        values = tuple(self.variables[name] for name in MODE_VARIABLES)
        return values == LIVE or (values[0] == "paper" and set(values[1:]) <= {"false", ""})


def mode_of(environ: Mapping[str, str]) -> str:
    """`live` only for exactly live, true, true; any other combination or spelling is paper (seed 000)."""
    return "live" if tuple(environ.get(name, "") for name in MODE_VARIABLES) == LIVE else "paper"


class _Reader:
    """Reads variables and collects the problems, so that one start names all of them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], _Value], expected: str, fallback: _Value) -> _Value:
        """The parsed value; on a problem it is noted and `fallback` stands in until the whole is refused."""
        text = self._environ.get(name)
        if text is None or text == "":
            self.problems.append(f"{name} is missing (expected {expected})")
            return fallback
        try:
            return parse(text)
        except (ValueError, InvalidOperation):
            self.problems.append(f"{name} is invalid (expected {expected})")
            return fallback

    def optional(self, name: str, default: str, parse: Callable[[str], _Value], expected: str) -> _Value:
        if self._environ.get(name, "") == "":
            return parse(default)
        return self.read(name, parse, expected, parse(default))


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError
        return text

    return parse


def _between(low: Decimal, high: Decimal) -> Callable[[str], Decimal]:
    def parse(text: str) -> Decimal:
        value = Decimal(text)
        if not value.is_finite() or not low <= value <= high:
            raise ValueError
        return value

    return parse


def _symbols(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if len(set(names)) != len(names) or any(re.fullmatch(r"[A-Z.]{1,10}", name) is None for name in names):
        raise ValueError
    return names


def _whole(low: int, high: int) -> Callable[[str], int]:
    check = _between(Decimal(low), Decimal(high))

    def parse(text: str) -> int:
        return int(check(_matching(r"[0-9]+")(text)))

    return parse


_POSITIVE = _between(Decimal("0.01"), Decimal("1000000000"))
_URL = _matching(r"https?://[A-Za-z0-9.:\-\[\]]+/?")


def _limits(reader: _Reader) -> Limits:
    money, nothing = "an amount above 0", Decimal(0)
    return Limits(
        loss_daily_max_usd=reader.read("MAX_DAILY_LOSS_USD", _POSITIVE, money, nothing),
        slippage_max_bps=reader.read("MAX_SLIPPAGE_BPS", _POSITIVE, "basis points above 0", nothing),
        order_notional_max_usd=reader.read("MAX_ORDER_NOTIONAL_USD", _POSITIVE, money, nothing),
        position_max_usd=reader.read("MAX_POSITION_USD", _POSITIVE, money, nothing),
        orders_per_day_max=reader.read("MAX_ORDERS_PER_DAY", _whole(0, 10**9), "a whole number", 0),
    )


def read_settings(environ: Mapping[str, str]) -> Settings:
    """All settings, or SettingsError naming each variable that is missing or invalid.

    `ALPACA_DATA_URL` is optional: Alpaca serves market data from another host, the sandbox from the same.
    """
    reader = _Reader(environ)
    base_url = reader.read("ALPACA_BASE_URL", _URL, "http(s)://host[:port]", "").rstrip("/")
    seconds, share = _between(Decimal("0.05"), Decimal(3600)), _between(Decimal(0), Decimal(1))
    settings = Settings(
        home=reader.read("BOT_HOME", Path, "a folder", Path()),
        port=reader.read("BOT_PORT", _whole(0, 65535), "a port", 0),
        gate_file=reader.read("GATE_FILE", Path, "a path", Path()),
        loop_seconds=float(reader.optional("LOOP_SECONDS", "1", seconds, "0.05 to 3600 seconds")),
        signal_seconds=reader.optional("SIGNAL_SECONDS", "5", _whole(1, 86400), "1 to 86400 seconds"),
        instance=reader.read("INSTANCE", _matching(r"[a-z0-9]{1,8}"), "1 to 8 of a-z 0-9", ""),
        symbols=reader.read("SYMBOLS", _symbols, "distinct symbols separated by commas", ()),
        mode=mode_of(environ),
        variables={name: environ.get(name, "") for name in MODE_VARIABLES},
        base_url=base_url,
        data_url=reader.optional("ALPACA_DATA_URL", base_url or "http://absent", _URL, "http(s)://host[:port]"),
        key_id=Secret(reader.read("ALPACA_API_KEY", _matching(r"[!-~]+"), "a key id", "")),
        secret_key=Secret(reader.read("ALPACA_SECRET_KEY", _matching(r"[!-~]+"), "a secret", "")),
        size_multiplier=reader.read("SIZE_MULTIPLIER", share, "0 to 1", Decimal(0)),
        limits=_limits(reader),
    )
    if reader.problems:
        raise SettingsError("; ".join(reader.problems))
    return settings
