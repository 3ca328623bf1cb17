"""The listed outcome tokens and their prices: one market per token, prices between 0 and 1 in ticks of a cent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from eth_utils.crypto import keccak

from ops.sandbox.venues.prices import Prices

TICK = Decimal("0.01")
SIZE_MIN = Decimal(1)
DEPTH = Decimal(5000)
"""Shares that trade at one touch; a larger order fills in several executions."""
_LEVELS = 3


class Market:
    """Quotes by token id. Raises ValueError for symbols that cannot be token ids or probabilities."""

    def __init__(self, base: Mapping[str, Decimal], seed: int) -> None:
        for token, price in base.items():
            if not (token.isdecimal() and token.isascii()) or not 0 < price < 1:
                raise ValueError(
                    f"Polymarket lists token ids (a decimal number) at 0 to 1 pUSD, got {token!r}: {price}"
                )
        self.prices = Prices(base, seed)
        self.tokens = {token: "0x" + keccak(text=f"condition {token}").hex() for token in base}
        self._latest: dict[str, tuple[tuple[datetime, Decimal | None], tuple[Decimal, Decimal]]] = {}

    def quote(self, token: str, at: datetime) -> tuple[Decimal, Decimal]:
        """Best bid and ask, one tick apart, inside [0.01, 0.99]."""
        key = (at, self.prices.shocks.get(token))
        known = self._latest.get(token)
        if known is None or known[0] != key:
            low = self.prices.mid(token, at).quantize(TICK, ROUND_FLOOR)
            bid = min(max(low, TICK), 1 - 2 * TICK)
            known = self._latest[token] = (key, (bid, bid + TICK))
        return known[1]

    def mid(self, token: str, at: datetime) -> Decimal:
        return sum(self.quote(token, at), Decimal(0)) / 2

    def book(self, token: str, at: datetime) -> dict[str, object]:
        """As GET /book shows it: the best prices come last."""
        bid, ask = self.quote(token, at)
        bids = [bid - TICK * step for step in range(_LEVELS) if bid - TICK * step >= TICK]
        asks = [ask + TICK * step for step in range(_LEVELS) if ask + TICK * step <= 1 - TICK]
        return {
            "market": self.tokens[token],
            "asset_id": token,
            "timestamp": str(int(at.timestamp() * 1000)),
            "hash": keccak(text=f"{token} {at.isoformat()}").hex()[:40],
            "bids": [{"price": str(price), "size": str(DEPTH)} for price in reversed(bids)],
            "asks": [{"price": str(price), "size": str(DEPTH)} for price in reversed(asks)],
            "min_order_size": str(SIZE_MIN),
            "tick_size": str(TICK),
            "neg_risk": False,
            "last_trade_price": str(bid),
        }
