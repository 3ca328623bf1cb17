"""What is listed, and the three names that Kraken has for everything: wire (XXBT), alternative (XBT), common (BTC)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ops.sandbox.venues.prices import Prices

_LEGACY = {
    "BTC": ("XXBT", "XBT"),
    "ETH": ("XETH", "ETH"),
    "LTC": ("XLTC", "LTC"),
    "XRP": ("XXRP", "XRP"),
    "DOGE": ("XXDG", "XDG"),
    "USD": ("ZUSD", "USD"),
}
"""Assets of Kraken's first years carry a class letter, X or Z, on the wire; later ones have one name."""
_LOT_DECIMALS, _LOT = 8, Decimal("0.00000001")
_MIN_USD = Decimal(5)
_COST_MIN = Decimal("0.5")
CASH = "USD"


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset by its common code."""

    code: str
    wire: str
    altname: str

    def body(self) -> dict[str, object]:
        decimals, shown = (4, 2) if self.code == CASH else (10, 5)
        about = {"altname": self.altname, "decimals": decimals, "display_decimals": shown}
        return {"aclass": "currency", **about, "status": "enabled"}


@dataclass(frozen=True, slots=True)
class Pair:
    """One market against USD. `ordermin` in units of the base, `costmin` in USD."""

    symbol: str
    base: Asset
    quote: Asset
    tick: Decimal
    ordermin: Decimal
    lot: Decimal = _LOT
    costmin: Decimal = _COST_MIN

    @property
    def name(self) -> str:
        legacy = self.base.wire != self.base.code
        return self.base.wire + (self.quote.wire if legacy else self.quote.altname)

    @property
    def altname(self) -> str:
        return self.base.altname + self.quote.altname

    @property
    def price_decimals(self) -> int:
        return -int(self.tick.as_tuple().exponent)

    def body(self) -> dict[str, object]:
        """As in AssetPairs; without fees, since this venue takes none."""
        names = {"altname": self.altname, "wsname": f"{self.base.altname}/{self.quote.altname}"}
        sides = {"aclass_base": "currency", "base": self.base.wire, "aclass_quote": "currency"}
        steps = {"cost_decimals": 5, "pair_decimals": self.price_decimals, "lot_decimals": _LOT_DECIMALS}
        margin = {"leverage_buy": [], "leverage_sell": [], "margin_call": 80, "margin_stop": 40}
        fees = {"fees": [[0, 0]], "fees_maker": [[0, 0]], "fee_volume_currency": "ZUSD"}
        least = {"ordermin": str(self.ordermin), "costmin": str(self.costmin), "tick_size": str(self.tick)}
        lots = {"lot": "unit", "lot_multiplier": 1, "status": "online"}
        return {**names, **sides, "quote": self.quote.wire, **steps, **margin, **fees, **least, **lots}


def asset(code: str) -> Asset:
    return Asset(code, *_LEGACY.get(code, (code, code)))


def _pair(symbol: str, price: Decimal) -> Pair:
    base, slash, quote = symbol.partition("/")
    if not base or not slash or quote != CASH:
        raise ValueError(f"Kraken's symbols are written BASE/{CASH}, got {symbol!r}")
    tick = Decimal("0.1") if price >= 10_000 else Decimal("0.01")
    return Pair(symbol, asset(base), asset(quote), tick, (_MIN_USD / price).quantize(Decimal("0.00001"), ROUND_CEILING))


class Market:
    """All pairs and their prices. Raises ValueError for a symbol that is no pair against USD."""

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.pairs = {symbol: _pair(symbol, price) for symbol, price in prices.base.items()}
        self.assets = {code: asset(code) for code in (CASH, *(pair.base.code for pair in self.pairs.values()))}
        self._names = {name: pair for pair in self.pairs.values() for name in (pair.name, pair.altname, pair.symbol)}
        self._latest: dict[str, tuple[tuple[datetime, Decimal | None], tuple[Decimal, Decimal]]] = {}

    def named(self, name: str) -> Pair | None:
        """The pair meant by its wire, alternative or common name."""
        return self._names.get(name)

    def quote(self, symbol: str, at: datetime) -> tuple[Decimal, Decimal]:
        """(bid, ask) in whole ticks. The latest per symbol is kept: many orders ask at the same instant."""
        key = (at, self.prices.shocks.get(symbol))
        known = self._latest.get(symbol)
        if known is None or known[0] != key:
            quote, tick = self.prices.quote(symbol, at), self.pairs[symbol].tick
            bid = quote.bid.quantize(tick, ROUND_FLOOR)
            ask = max(quote.ask.quantize(tick, ROUND_CEILING), bid + tick)
            known = self._latest[symbol] = (key, (max(bid, tick), ask))
        return known[1]

    def worth(self, code: str, qty: Decimal, at: datetime) -> Decimal:
        """USD value of a quantity of an asset, at the mid price."""
        if code == CASH:
            return qty
        bid, ask = self.quote(f"{code}/{CASH}", at)
        return qty * (bid + ask) / 2
