"""The canonical env file: what is fit to be written, and nothing else is. (tests/playbooks tries every reader.)"""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.envfile import render, unfit
from tests.model.properties import tried

FIT = "".join(sorted(set(string.printable[:94]) - set("#$'\"\\`&;|<>()~")))
keys = st.text(string.ascii_letters + string.digits + "_", min_size=1).filter(lambda key: not key[0].isdigit())
values = st.text(FIT)
pairs = st.dictionaries(keys, values, max_size=8)

UNFIT_VALUES = {
    "space": "a b",
    "leading space": " zz",
    "inline comment": "true#paper",
    "inline comment after a space": "true # paper",
    "dollar": "$HOME",
    "braces": "${HOME}",
    "back-tick": "`id`",
    "single quote": "'a'",
    "double quote": '"a"',
    "backslash": "a\\nb",
    "line feed": "a\nLIVE=true",
    "line feed at the end": "true\n",
    "carriage return": "true\r",
    "NUL": "a\0b",
    "tab": "a\tb",
    "no-break space": "true\u00a0",
    "zero-width space": "true\u200b",
    "shell command": "a;reboot",
    "shell background": "a&b",
    "shell pipe": "a|b",
    "shell redirection": "a>b",
    "shell array": "(a)",
    "shell home": "~root",
    "smart quote": "\u201ctrue\u201d",
    "accent": "\u00e9",
    "homoglyph": "tru\u0435",
    "line separator": "a\u2028b",
    "escape": "\x1b[2J",
    "delete": "a\x7f",
}
UNFIT_KEYS = {
    "empty": "",
    "digit first": "1KEY",
    "space": "A B",
    "export": "export KEY",
    "equals sign": "A=B",
    "dot": "A.B",
    "dash": "A-B",
    "line feed": "A\n",
    "homoglyph": "LIV\u0415",
    "byte order mark": "\ufeffKEY",
    "comment": "#KEY",
}


@pytest.mark.parametrize("value", UNFIT_VALUES.values(), ids=UNFIT_VALUES)
def test_a_value_on_which_readers_disagree_is_refused_and_never_shown(value: str) -> None:
    with pytest.raises(ValueError, match="the value of SECRET") as refused:
        render({"SECRET": value})
    assert value not in str(refused.value)


@pytest.mark.parametrize("key", UNFIT_KEYS.values(), ids=UNFIT_KEYS)
def test_a_key_that_is_no_plain_name_is_refused(key: str) -> None:
    assert unfit(key, "value")
    with pytest.raises(ValueError, match="plain ASCII"):
        render({key: "value"})


@tried(300)
@given(pairs)
def test_what_is_written_is_one_plain_line_for_each_pair(wanted: dict[str, str]) -> None:
    text = render(wanted)
    assert text.isascii()
    assert dict(line.split("=", 1) for line in text.splitlines()) == wanted
    assert text.count("\n") == len(wanted)


@tried(300)
@given(keys, st.text())
def test_any_value_is_either_fit_or_refused(key: str, value: str) -> None:
    assert (unfit(key, value) is None) == (set(value) <= set(FIT))


def test_one_bad_pair_keeps_the_whole_file_from_being_written() -> None:
    with pytest.raises(ValueError, match="B"):
        render({"A": "1", "B": "two words", "C": "3"})


def test_no_pairs_make_an_empty_file() -> None:
    assert render({}) == ""
