"""What the application of seed 002 is told (.env).

Mode: LIVE_TRADING, live only for exactly `true`. It calls the two modes `paper` and `real`.
Its limits have the seed's names: LIVE_TRADING_BET_AMOUNT (one order, and the size of a full one),
LIVE_TRADING_MAX_POSITION_SIZE, LIVE_TRADING_MAX_DAILY_TRADES, LIVE_TRADING_DAILY_LOSS_LIMIT, and two of its own:
LIVE_TRADING_INITIAL_BALANCE (what all bets together may bind) and LIVE_TRADING_MIN_ROI (percent, if the bet wins); only
MAX_SLIPPAGE_BPS is ours. LIVE_TRADING_RESET_KEY is optional: without it `/api/trading/reset` is refused.
Kalshi: KALSHI_API_KEY (the key's id), KALSHI_PRIVATE_KEY, KALSHI_API_URL, KALSHI_ACCOUNT. Polymarket:
POLYMARKET_API_KEY, POLYMARKET_API_SECRET, POLYMARKET_PASSPHRASE, POLYMARKET_WALLET_KEY, POLYMARKET_API_URL,
POLYMARKET_ACCOUNT (the wallet's address), and POLYMARKET_DATA_URL, which is optional (another host tells positions
than takes orders, in the sandbox the same). SYMBOLS names the venue of each: `kalshi:TICKER,polymarket:TOKEN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from ...environment import Reader, between, matching, whole
from ...settings import Frame, Settings, Sizing, VenueAccess, read_symbols
from ...system import System
from ...trading.habits import Habits
from ...trading.risk import Limits
from ...venue import Access, Secret
from .controls import RiskControls

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ...trading.loop import Worker

VENUES = ("kalshi", "polymarket")
_NONE = Secret("")


def _kalshi(reader: Reader, mode: str) -> VenueAccess:
    access = Access(
        mode=mode,
        endpoint=reader.url("KALSHI_API_URL"),
        data_url="",
        account=_account(reader, "KALSHI_ACCOUNT"),
        key=reader.secret("KALSHI_API_KEY"),
        secret=reader.secret("KALSHI_PRIVATE_KEY"),
        passphrase=_NONE,
        wallet=_NONE,
    )
    return VenueAccess("kalshi", access)


def _polymarket(reader: Reader, mode: str) -> VenueAccess:
    endpoint = reader.url("POLYMARKET_API_URL", "https://clob.polymarket.com")
    access = Access(
        mode=mode,
        endpoint=endpoint,
        data_url=reader.url("POLYMARKET_DATA_URL", endpoint),
        account=_account(reader, "POLYMARKET_ACCOUNT"),
        key=reader.secret("POLYMARKET_API_KEY"),
        secret=reader.secret("POLYMARKET_API_SECRET"),
        passphrase=reader.secret("POLYMARKET_PASSPHRASE"),
        wallet=reader.secret("POLYMARKET_WALLET_KEY"),
    )
    return VenueAccess("polymarket", access)


def _account(reader: Reader, name: str) -> str:
    return reader.read(name, matching(r"[!-~]+"), "an account", "")


def _limits(reader: Reader) -> Limits:
    return Limits(
        loss_daily_max_usd=reader.amount("LIVE_TRADING_DAILY_LOSS_LIMIT"),
        slippage_max_bps=reader.amount("MAX_SLIPPAGE_BPS", "basis points above 0"),
        order_notional_max_usd=reader.amount("LIVE_TRADING_BET_AMOUNT"),
        position_max_usd=reader.amount("LIVE_TRADING_MAX_POSITION_SIZE"),
        orders_per_day_max=reader.read("LIVE_TRADING_MAX_DAILY_TRADES", whole(0, 10**9), "a whole number", 0),
    )


def read(environ: Mapping[str, str]) -> tuple[Settings, Habits]:
    """Raises SettingsError naming each variable that is missing or invalid."""
    reader, word = Reader(environ), environ.get("LIVE_TRADING", "")
    frame = Frame.read(reader, default_port=5001)
    mode = "live" if word == "true" else "paper"
    limits = _limits(reader)
    settings = Settings(
        **vars(frame),
        system="kalshi-polymarket",
        mode=mode,
        variables={"LIVE_TRADING": word},
        agree=word in ("true", "false", ""),
        venues={"kalshi": _kalshi(reader, mode), "polymarket": _polymarket(reader, mode)},
        symbols=read_symbols(reader, VENUES),
        order_prefix=f"{frame.instance}-{mode[0]}-",
        sizing=Sizing(money_usd=limits.order_notional_max_usd),
        limits=limits,
        log_file=frame.home / "app.log",
        own_switch=False,
        keeps_openings=True,
    )
    balance = reader.amount("LIVE_TRADING_INITIAL_BALANCE")
    roi = reader.read("LIVE_TRADING_MIN_ROI", between(Decimal(0), Decimal(10**6)), "percent", Decimal(0))
    key = reader.optional("LIVE_TRADING_RESET_KEY", "", matching(r"[!-~]*"), "a secret")
    reader.refuse()
    return settings, RiskControls(balance, roi, Secret(key))


def app(worker: Worker) -> FastAPI:
    """Its HTTP surface."""
    from .api import create_app

    return create_app(worker)


SYSTEM = System("kalshi-polymarket", read, app)
