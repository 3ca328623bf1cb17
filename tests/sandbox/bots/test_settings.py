from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ops.sandbox.bots.settings import SettingsError, mode_of, read_settings

from .conftest import KEY_ID, SECRET, environ_for

MODES = [
    (("live", "true", "true"), "live", True),
    (("paper", "false", "false"), "paper", True),
    (("paper", "", ""), "paper", True),
    (("live", "true", "false"), "paper", False),
    (("live", "True", "true"), "paper", False),
    (("LIVE", "true", "true"), "paper", False),
    (("live", "1", "1"), "paper", False),
    (("paper", "true", "true"), "paper", False),
    (("", "true", "true"), "paper", False),
    (("live ", "true", "true"), "paper", False),
]


@pytest.mark.parametrize(("words", "mode", "agree"), MODES)
def test_live_takes_three_words(tmp_path: Path, words: tuple[str, ...], mode: str, agree: bool) -> None:
    names = ("TRADING_MODE", "ENABLE_LIVE_TRADING", "CONFIRM_LIVE_TRADING")
    environ = environ_for(tmp_path, **dict(zip(names, words, strict=True)))
    assert mode_of(environ) == mode
    assert read_settings(environ).variables_agree is agree


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIZE_MULTIPLIER", ""),
        ("SIZE_MULTIPLIER", "1.01"),
        ("SIZE_MULTIPLIER", "nan"),
        ("SIZE_MULTIPLIER", "-0.5"),
        ("MAX_DAILY_LOSS_USD", "0"),
        ("MAX_SLIPPAGE_BPS", "Infinity"),
        ("MAX_ORDERS_PER_DAY", "2.5"),
        ("SYMBOLS", "AAPL,AAPL"),
        ("SYMBOLS", "AAPL, MSFT"),
        ("INSTANCE", "a-1"),
        ("ALPACA_BASE_URL", "127.0.0.1:18401"),
        ("ALPACA_API_KEY", ""),
        ("ALPACA_SECRET_KEY", "with space"),
        ("BOT_PORT", "65536"),
        ("BOT_HOME", ""),
        ("LOOP_SECONDS", "0"),
    ],
)
def test_a_bad_value_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refusal:
        read_settings(environ_for(tmp_path, **{name: value}))
    assert len(value) < 4 or value not in str(refusal.value)


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"BOT_PORT is missing.*MAX_POSITION_USD is invalid"):
        read_settings(environ_for(tmp_path, BOT_PORT="", MAX_POSITION_USD="many"))


def test_no_secret_in_any_text_of_the_settings(tmp_path: Path) -> None:
    settings = read_settings(environ_for(tmp_path))
    shown = f"{settings} {settings!r} {dataclasses.asdict(settings)}"
    assert SECRET not in shown
    assert KEY_ID not in shown
