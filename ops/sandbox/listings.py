"""What is listed at each kind of simulated venue, at which base price in USD, and what the accounts begin with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Listing:
    """Symbols with their base price, and each account's cash, in USD; decimals as text."""

    symbols: dict[str, str]
    paper_cash: str
    live_cash: str
    always_open: bool = False


SHARES = {"AAPL": "190.00", "MSFT": "410.00", "NVDA": "140.00", "SPY": "580.00"}
LISTINGS: dict[str, Listing] = {
    "alpaca": Listing(SHARES, "100000", "25000"),
    "ibkr": Listing(SHARES, "100000", "25000"),
    "kraken": Listing({"BTC/USD": "90000", "ETH/USD": "3000"}, "100000", "25000", always_open=True),
    "kalshi": Listing({"KXFED-26DEC-T4": "0.40", "KXCPI-26NOV-T3": "0.55"}, "100000", "25000", always_open=True),
    "polymarket": Listing({"1001": "0.40", "1002": "0.55"}, "100000", "25000", always_open=True),
}
"""By the venue's kind. Prices of event contracts lie between 0 and 1."""
