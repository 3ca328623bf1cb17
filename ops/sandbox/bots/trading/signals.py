"""The strategy of the reference bot: what it wants to do in a symbol is a pure function of the time.

Time is cut into buckets of SIGNAL_SECONDS. Four in a row are: buy, sell what is held, hold, and one
resting order far from the market. So positions revert to flat, and there is always something to cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from hashlib import sha256
from zlib import crc32

from ..settings import Sizing
from ..venue import Grid, NewOrder, Quote

RESTING_MAX = 2

_INTENTS = ("buy", "sell", "hold", "rest")
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

    @property
    def digest(self) -> str:
        """The signal as hex: the one client order id that an order of it can ever have is made from this."""
        return sha256(self.signal_id.encode()).hexdigest()


@dataclass(frozen=True)
class Holding:
    """What the bot holds in a symbol by its own fills, and how many of its orders rest there."""

    qty: Decimal
    resting: int


@dataclass(frozen=True)
class Ticket:
    """How an order is written: its id, the steps of price and quantity, how big, and how big at most."""

    client_order_id: str
    grid: Grid
    sizing: Sizing
    size_multiplier: Decimal
    notional_max_usd: Decimal

    def price(self, wanted: Decimal, rounding: str) -> Decimal:
        """On the grid, and inside the bounds of an event contract."""
        tick = self.grid.tick
        price = (wanted / tick).quantize(Decimal(1), rounding) * tick
        highest = price if self.grid.price_max is None else self.grid.price_max - tick
        return max(tick, min(price, highest))

    def qty(self, price: Decimal, resting: bool = False) -> Decimal:
        """The full size times the multiplier, rounded down to the lot; may be zero."""
        full = self.sizing.units if self.sizing.units is not None else (self.sizing.money_usd or Decimal(0)) / price
        lot = (self.sizing.resting_lot if resting else None) or self.grid.lot
        return _lots(full * self.size_multiplier, lot)

    def part_of(self, held: Decimal, price: Decimal) -> Decimal:
        """As much of a holding as one order may sell: the rest is left for the next ones."""
        largest = _lots(self.notional_max_usd / price, self.grid.lot)
        return held if held <= largest else largest


def signal_at(symbol: str, moment: datetime, signal_seconds: int) -> Signal:
    """The signal of the bucket that `moment` falls into."""
    index = int(moment.timestamp()) // signal_seconds
    bucket = datetime.fromtimestamp(index * signal_seconds, UTC)
    return Signal(symbol, bucket, _INTENTS[(index + crc32(symbol.encode())) % len(_INTENTS)])


def signal_again(signal_id: str, signal_seconds: int) -> Signal:
    """A signal rebuilt from its recorded id, for a replay."""
    symbol, _, bucket = signal_id.rpartition("-")
    return signal_at(symbol, datetime.strptime(bucket, _COMPACT).replace(tzinfo=UTC), signal_seconds)


def propose(signal: Signal, quote: Quote, holding: Holding, ticket: Ticket) -> NewOrder | str:
    """The order a signal leads to, or the reason to hold."""
    if ticket.size_multiplier <= 0:
        return "size is zero"  # a way to stop the bot, so it stops the sells too
    if signal.intent == "buy":
        limit = ticket.price(quote.ask * (1 + _CROSS), ROUND_UP)
        return _order(signal, ticket, "buy", ticket.qty(limit), limit, quote.mid)
    if signal.intent == "sell":
        limit = ticket.price(quote.bid * (1 - _CROSS), ROUND_DOWN)
        qty = ticket.part_of(holding.qty, limit)
        return _order(signal, ticket, "sell", qty, limit, quote.mid) if holding.qty > 0 else "nothing to sell"
    if signal.intent == "rest":
        if holding.resting >= RESTING_MAX:
            return f"{holding.resting} orders rest already"
        limit = ticket.price(quote.bid * _AWAY, ROUND_DOWN)
        return _order(signal, ticket, "buy", ticket.qty(limit, resting=True), limit, limit)
    return "no signal"


def _lots(qty: Decimal, lot: Decimal) -> Decimal:
    return (qty / lot).quantize(Decimal(1), ROUND_DOWN) * lot


def _order(
    signal: Signal, ticket: Ticket, side: str, qty: Decimal, limit: Decimal, reference: Decimal
) -> NewOrder | str:
    if qty <= 0:
        return "size is below one lot"
    return NewOrder(
        client_order_id=ticket.client_order_id,
        symbol=signal.symbol,
        side=side,
        qty=qty,
        limit_price=limit,
        time_in_force="gtc" if signal.intent == "rest" else "day",
        reference_price=reference,
    )
