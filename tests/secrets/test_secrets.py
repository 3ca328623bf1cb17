"""A file of credentials that is not exactly one sound set is named, with its line, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import InputError
from ops.secrets import Secrets


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("KEY=your_key\nSECRET=your_secret\n", 0o600, "KEY is still a placeholder"),
        ("KEY=[ALPACA KEY]\nSECRET=x\n", 0o600, "KEY is still a placeholder"),
        ("KEY=AKAKAK\n", 0o600, "SECRET is missing"),
        ("KEY=AKAKAK\nKEY=AKAKAL\nSECRET=x\n", 0o600, "alpaca-live.env:2: KEY stands twice"),
        ("AKAKAK\n", 0o600, "alpaca-live.env:1: not a credentials line"),
        ("KEY=AKAKAK\nSECRET=AKAKAS\n", 0o644, "may be read by others"),
    ],
    ids=["placeholder", "brackets", "half a pair", "a pair and a half", "no pair", "readable by others"],
)
def test_a_flaw_is_named_and_no_value_shown(tmp_path: Path, text: str, mode: int, says: str) -> None:
    path = tmp_path / "alpaca-live.env"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(InputError) as refused:
        Secrets(tmp_path).credentials("alpaca-live")
    assert says in str(refused.value)
    assert "AKAKA" not in str(refused.value)
