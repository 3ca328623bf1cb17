"""The strategy of the reference bot: what it wants to do in a symbol is a pure function of the time.

Time is cut into buckets of SIGNAL_SECONDS. Four in a row are: buy, sell what is held, hold, and one
resting order far from the market. So positions revert to flat, and there is always something to cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from zlib import crc32

from .venue import NewOrder, Quote

BASE_QTY = Decimal(2)
RESTING_MAX = 2

_INTENTS = ("buy", "sell", "hold", "rest")
_SHARE = Decimal(1)
_LOT = Decimal("0.01")
_CENT = Decimal("0.01")
_CROSS = Decimal("0.001")
"""How far a marketable limit order reaches over the quote: 10 basis points."""
_AWAY = Decimal("0.95")
_COMPACT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Signal:
    """What is wanted in one symbol and bucket; the same bucket always yields the same signal."""

    symbol: str
    bucket: datetime
    intent: str

    @property
    def signal_id(self) -> str:
        return f"{self.symbol}-{self.bucket.strftime(_COMPACT)}"


@dataclass(frozen=True)
class Holding:
    """What the bot holds in a symbol by its own fills, and how many of its orders rest there."""

    qty: Decimal
    resting: int


def signal_at(symbol: str, moment: datetime, signal_seconds: int) -> Signal:
    """The signal of the bucket that `moment` falls into."""
    index = int(moment.timestamp()) // signal_seconds
    bucket = datetime.fromtimestamp(index * signal_seconds, UTC)
    return Signal(symbol, bucket, _INTENTS[(index + crc32(symbol.encode())) % len(_INTENTS)])


def signal_again(signal_id: str, signal_seconds: int) -> Signal:
    """A signal rebuilt from its recorded id, for a replay."""
    symbol, _, bucket = signal_id.rpartition("-")
    return signal_at(symbol, datetime.strptime(bucket, _COMPACT).replace(tzinfo=UTC), signal_seconds)


def propose(signal: Signal, quote: Quote, holding: Holding, size_multiplier: Decimal, prefix: str) -> NewOrder | str:
    """The order a signal leads to, or the reason to hold."""
    size = (BASE_QTY * size_multiplier).quantize(_LOT, ROUND_DOWN)
    if size <= 0:
        return "size is zero"  # a way to stop the bot, so it stops the sells too
    if signal.intent == "buy":
        limit = (quote.ask * (1 + _CROSS)).quantize(_CENT, ROUND_UP)
        return _order(signal, prefix, "buy", size, limit, quote.mid)
    if signal.intent == "sell":
        limit = (quote.bid * (1 - _CROSS)).quantize(_CENT, ROUND_DOWN)
        held = holding.qty > 0
        return _order(signal, prefix, "sell", holding.qty, limit, quote.mid) if held else "nothing to sell"
    if signal.intent == "rest":
        if holding.resting >= RESTING_MAX:
            return f"{holding.resting} orders rest already"
        whole = size.quantize(_SHARE, ROUND_DOWN)  # the venue takes fractions for the day only (Alpaca docs)
        limit = (quote.bid * _AWAY).quantize(_CENT, ROUND_DOWN)
        return _order(signal, prefix, "buy", whole, limit, limit) if whole > 0 else "size is below one share"
    return "no signal"


def _order(signal: Signal, prefix: str, side: str, qty: Decimal, limit: Decimal, reference: Decimal) -> NewOrder:
    return NewOrder(
        client_order_id=client_order_id(signal, prefix),
        symbol=signal.symbol,
        side=side,
        qty=qty,
        limit_price=limit,
        time_in_force="gtc" if signal.intent == "rest" else "day",
        reference_price=reference,
    )


def client_order_id(signal: Signal, prefix: str) -> str:
    """The one id an order of this signal can ever have: what makes a second submission a refused duplicate.

    At most 8 + 3 + 10 + 17 characters; the venue takes 48 (Alpaca docs of the stricter years).
    """
    return f"{prefix}{signal.signal_id}"
