from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ops.sandbox.bots.environment import SettingsError
from ops.sandbox.bots.system import SYSTEMS, system_named

from .conftest import KEY_ID, LIVE, OWN, SECRET, environ_for

# system, mode variables (absent when empty), mode, whether they agree
MODES = [
    *((name, {}, "paper", True) for name in SYSTEMS),
    *((name, LIVE[name], "live", True) for name in SYSTEMS),
    ("alpaca-bot", {"ENABLE_LIVE_TRADING": "", "CONFIRM_LIVE_TRADING": ""}, "paper", True),
    ("alpaca-bot", {**LIVE["alpaca-bot"], "CONFIRM_LIVE_TRADING": "false"}, "paper", False),
    ("alpaca-bot", {**LIVE["alpaca-bot"], "ENABLE_LIVE_TRADING": "True"}, "paper", False),
    ("alpaca-bot", {**LIVE["alpaca-bot"], "TRADING_MODE": "LIVE"}, "paper", False),
    ("alpaca-bot", {"ENABLE_LIVE_TRADING": "true", "CONFIRM_LIVE_TRADING": "true"}, "paper", False),
    ("kraken-bot", {"IS_LIVE": ""}, "paper", True),
    ("kraken-bot", {"IS_LIVE": "True"}, "paper", False),
    ("kraken-bot", {"IS_LIVE": "1"}, "paper", False),
    ("kalshi-polymarket", {"LIVE_TRADING": "false         # Keep false for testing"}, "paper", False),
    ("kalshi-polymarket", {"LIVE_TRADING": "yes"}, "paper", False),
    ("smart-alpaca", {"ALPACA_PAPER": ""}, "paper", False),
    ("smart-alpaca", {"ALPACA_PAPER": "False"}, "paper", False),
    ("smart-alpaca", {"ALPACA_PAPER": "false", "NODE_ENV": "development"}, "paper", False),
    ("ibkr-assistant", {"ENV": "live"}, "paper", False),
    ("ibkr-assistant", {"ENV": "live", "IBKR_ACCOUNT": "U1", "IBKR_PORT": "7497"}, "paper", False),
    ("ibkr-assistant", {"ENV": "live", "IBKR_ACCOUNT": "U1", "IBKR_PORT": "4001"}, "live", True),
    ("ibkr-assistant", {"IBKR_PORT": "7496"}, "paper", False),
    ("ibkr-assistant", {"IBKR_ACCOUNT": "U1"}, "paper", False),
]


@pytest.mark.parametrize(("system", "changes", "mode", "agree"), MODES)
def test_live_takes_every_variable(
    tmp_path: Path, system: str, changes: dict[str, str], mode: str, agree: bool
) -> None:
    settings, _ = system_named(system).read(environ_for(tmp_path, system, **changes))
    assert (settings.mode, settings.agree) == (mode, agree)
    assert settings.order_prefix.strip("-").endswith(mode[0]), "the mode can be read in the id"


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_that_limits_money_has_a_default(tmp_path: Path, system: str) -> None:
    limits = [name for name in OWN[system] if name.startswith(("MAX_", "LIVE_TRADING_", "CAPITAL_"))]
    needed = [*(name for name in limits if name != "LIVE_TRADING_RESET_KEY"), "SIZE_MULTIPLIER", "INSTANCE", "SYMBOLS"]
    with pytest.raises(SettingsError) as refusal:
        system_named(system).read(environ_for(tmp_path, system, **dict.fromkeys(needed, "")))
    assert len(needed) >= 8
    assert [name for name in needed if f"{name} is missing" not in str(refusal.value)] == []


@pytest.mark.parametrize(
    ("system", "name", "value"),
    [
        ("alpaca-bot", "SIZE_MULTIPLIER", "1.01"),
        ("alpaca-bot", "SIZE_MULTIPLIER", "nan"),
        ("alpaca-bot", "SIZE_MULTIPLIER", "-0.5"),
        ("alpaca-bot", "MAX_DAILY_LOSS_USD", "0"),
        ("alpaca-bot", "MAX_SLIPPAGE_BPS", "Infinity"),
        ("alpaca-bot", "MAX_ORDERS_PER_DAY", "2.5"),
        ("alpaca-bot", "SYMBOLS", "AAPL,AAPL"),
        ("alpaca-bot", "SYMBOLS", "AAPL, MSFT"),
        ("alpaca-bot", "INSTANCE", "a-1"),
        ("alpaca-bot", "ALPACA_BASE_URL", "127.0.0.1:18401"),
        ("alpaca-bot", "ALPACA_SECRET_KEY", "with space"),
        ("alpaca-bot", "BOT_PORT", "65536"),
        ("alpaca-bot", "LOOP_SECONDS", "0"),
        ("kraken-bot", "MAX_DRAWDOWN_PCT", "100"),
        ("kalshi-polymarket", "SYMBOLS", "KXFED-26DEC-T4"),
        ("kalshi-polymarket", "SYMBOLS", "alpaca:AAPL"),
        ("kalshi-polymarket", "LIVE_TRADING_MIN_ROI", "-1"),
        ("smart-alpaca", "REDIS_URL", "http://127.0.0.1"),
        ("ibkr-assistant", "IBKR_ACCOUNT", "of paper"),
        ("ibkr-assistant", "IBKR_PORT", "x7497"),
    ],
)
def test_a_bad_value_is_refused_by_name(tmp_path: Path, system: str, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refusal:
        system_named(system).read(environ_for(tmp_path, system, **{name: value}))
    assert len(value) < 4 or value not in str(refusal.value)


@pytest.mark.parametrize(
    ("system", "default"),
    [("kalshi-polymarket", 5001), ("smart-alpaca", 3000), ("ibkr-assistant", 8000), ("kraken-bot", 0)],
)
def test_ports_default_to_the_seeds(tmp_path: Path, system: str, default: int) -> None:
    assert system_named(system).read(environ_for(tmp_path, system, BOT_PORT=""))[0].port == default


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_secret_in_any_text_of_the_settings(tmp_path: Path, system: str) -> None:
    settings, habits = system_named(system).read(environ_for(tmp_path, system))
    shown = f"{settings} {settings!r} {dataclasses.asdict(settings)} {vars(habits)}"
    assert SECRET not in shown
    assert KEY_ID not in shown
    assert "canary-reset-key" not in shown


def test_an_unknown_system_is_named() -> None:
    with pytest.raises(SettingsError, match=r"'other' \(expected one of: alpaca-bot"):
        system_named("other")
