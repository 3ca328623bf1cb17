"""Prices as a pure function of symbol, time and seed: two runs of the sandbox see the same market.

Integer arithmetic and hashes only, so that no platform's floating point can change a fill.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

_CENT = Decimal("0.01")
_MILLION = Decimal(1_000_000)
_HALF_SPREAD = Decimal("0.0001")
_SLIPPAGE_MAX_TENTHS_BPS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WAVES = ((20_000, 600), (600_000, 2_500), (21_600_000, 6_000))  # (period in ms, amplitude in millionths)


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask in USD, two decimals, never crossed and at least one cent apart."""

    symbol: str
    at: datetime
    bid: Decimal
    ask: Decimal


@lru_cache(maxsize=65_536)
def _draw(*key: str | int) -> int:
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _wave(seed: int, symbol: str, period_ms: int, at_ms: int) -> int:
    """Smoothed noise in -1000..1000: straight lines between one draw per period, so it reverts to zero."""
    bucket, offset = divmod(at_ms, period_ms)
    here, there = (_draw(seed, symbol, period_ms, n) % 2001 - 1000 for n in (bucket, bucket + 1))
    return here + (there - here) * offset // period_ms


class Prices:
    """The market of all listed symbols. `shocks` multiplies a symbol's price, for drills of loss."""

    def __init__(self, base: Mapping[str, Decimal], seed: int) -> None:
        self.base = dict(base)
        self.seed = seed
        self.shocks: dict[str, Decimal] = {}

    def mid(self, symbol: str, at: datetime) -> Decimal:
        """Mid price in USD, unrounded. Raises KeyError for a symbol that is not listed."""
        at_ms = (at - _EPOCH) // timedelta(milliseconds=1)
        drift = sum(_wave(self.seed, symbol, period, at_ms) * size // 1000 for period, size in _WAVES)
        return self.base[symbol] * (1 + drift / _MILLION) * self.shocks.get(symbol, Decimal(1))

    def quote(self, symbol: str, at: datetime) -> Quote:
        mid = self.mid(symbol, at)
        bid = max((mid * (1 - _HALF_SPREAD)).quantize(_CENT, ROUND_FLOOR), _CENT)
        ask = max((mid * (1 + _HALF_SPREAD)).quantize(_CENT, ROUND_CEILING), bid + _CENT)
        return Quote(symbol, at, bid, ask)

    def worsened(self, price: Decimal, side: str, fill_id: str) -> Decimal:
        """`price` moved against the trader by 0 to 3 bps, the same for the same fill in every run."""
        tenths = _draw(self.seed, "slippage", fill_id) % (_SLIPPAGE_MAX_TENTHS_BPS + 1)
        move = price * Decimal(tenths) / Decimal(100_000)
        moved = price + move if side == "buy" else price - move
        return moved.quantize(_CENT, ROUND_CEILING if side == "buy" else ROUND_FLOOR)
