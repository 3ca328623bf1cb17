"""Env files as people leave them: what readers disagree on is refused with its line, and no value is ever shown."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.playbooks.bench import KEY, PAPER, SECRET, Bench, code, sha256

LINES = PAPER.encode()
Problem = tuple[int | None, str]


@dataclass(frozen=True)
class Shape:
    """A file's bytes, and the problems that must be told. `mode` is what the mode variable may still be read as."""

    data: bytes
    problems: tuple[Problem, ...]
    mode: str | None = None


def third(line: bytes, problem: str) -> Shape:
    """The mode on the first line, one bad line of the secret after it."""
    return Shape(b"TRADING_MODE=paper\nALPACA_API_KEY=" + KEY.encode() + b"\n" + line + b"\n", ((3, problem),), "paper")


S = SECRET.encode()
DISAGREE = "readers disagree on"
SHAPES = {
    "canonical": Shape(LINES, (), "paper"),
    "comments and empty lines": Shape(b"# the keys\n\n" + LINES, (), "paper"),
    "empty": Shape(b"", ()),
    "byte order mark": Shape(b"\xef\xbb\xbf" + LINES, ((1, "byte order mark"),), "paper"),
    "CRLF": Shape(LINES.replace(b"\n", b"\r\n"), tuple((n, "carriage return") for n in (1, 2, 3))),
    "CR alone": Shape(LINES.replace(b"\n", b"\r"), ((1, "no line feed"), (1, "carriage return"))),
    "no final line feed": Shape(LINES[:-1], ((3, "no line feed"),), "paper"),
    "the same line twice": Shape(LINES + b"TRADING_MODE=paper\n", ((4, "TRADING_MODE stands twice"),), "paper"),
    "two values for one key": Shape(LINES + b"TRADING_MODE=live\n", ((4, "TRADING_MODE stands twice"),), "paper"),
    "double quotes": third(b'ALPACA_SECRET_KEY="' + S + b'"', "is quoted"),
    "single quotes": third(b"ALPACA_SECRET_KEY='" + S + b"'", "is quoted"),
    "an open quote": third(b'ALPACA_SECRET_KEY="' + S, "is quoted"),
    "smart quotes": third("ALPACA_SECRET_KEY=\u201c".encode() + S, DISAGREE),
    "inline comment": third(b"ALPACA_SECRET_KEY=" + S + b" # do not share", "inline comment"),
    "comment without a space": third(b"ALPACA_SECRET_KEY=" + S + b"#1", "inline comment"),
    "export": third(b"export ALPACA_SECRET_KEY=" + S, "begins with export"),
    "space before the sign": third(b"ALPACA_SECRET_KEY =" + S, "not a plain ASCII name"),
    "space after the sign": third(b"ALPACA_SECRET_KEY= " + S, DISAGREE),
    "space before the key": third(b" ALPACA_SECRET_KEY=" + S, "not a plain ASCII name"),
    "space at the end": third(b"ALPACA_SECRET_KEY=" + S + b" ", DISAGREE),
    "tab at the end": third(b"ALPACA_SECRET_KEY=" + S + b"\t", DISAGREE),
    "no-break space at the end": third(b"ALPACA_SECRET_KEY=" + S + b"\xc2\xa0", DISAGREE),
    "NUL": third(b"ALPACA_SECRET_KEY=" + S + b"\0", DISAGREE),
    "latin-1": third(b"ALPACA_SECRET_KEY=" + S + b"\xe9", DISAGREE),
    "dollar": third(b"ALPACA_SECRET_KEY=$" + S, DISAGREE),
    "dollar and braces": third(b"ALPACA_SECRET_KEY=${" + S + b"}", DISAGREE),
    "back-tick": third(b"ALPACA_SECRET_KEY=`" + S + b"`", DISAGREE),
    "continuation": Shape(LINES + b"SIZE_MULTIPLIER=1\\\n", ((4, DISAGREE),), "paper"),
    "tilde": third(b"ALPACA_SECRET_KEY=~" + S, DISAGREE),
    "semicolon": third(b"ALPACA_SECRET_KEY=" + S + b";id", DISAGREE),
    "ampersand": third(b"ALPACA_SECRET_KEY=" + S + b"&id", DISAGREE),
    "pipe": third(b"ALPACA_SECRET_KEY=" + S + b"|id", DISAGREE),
    "redirection": third(b"ALPACA_SECRET_KEY=" + S + b">f", DISAGREE),
    "parentheses": third(b"ALPACA_SECRET_KEY=(" + S + b")", DISAGREE),
    "homoglyph in the key": third("ALPACA_SECRET_K\u0415Y=".encode() + S, "not a plain ASCII name"),
    "a key with a dash": third(b"ALPACA-SECRET-KEY=" + S, "not a plain ASCII name"),
    "a line without a sign": third(S, "is not KEY=value"),
    "a line of spaces": third(b"   ", "is not KEY=value"),
    "one megabyte": Shape(LINES + b"# " + b"x" * 1_000_000 + b"\n", ((None, "larger than 64 KiB"),), "paper"),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_shape_is_told_by_its_line_and_never_by_its_value(bench: Bench, shape: Shape) -> None:
    bench.write_env(shape.data)
    answer = bench.look()
    env = answer["look"]["env"]
    found = [(problem["line"], problem["text"]) for problem in env["problems"]]
    assert [line for line, _ in found] == [line for line, _ in shape.problems], found
    assert all(said in text for (_, text), (_, said) in zip(found, shape.problems, strict=True)), found
    assert env["variables"]["TRADING_MODE"] == shape.mode
    assert SECRET not in json.dumps(answer)
    assert KEY not in json.dumps(answer)


REFUSED = [name for name, shape in SHAPES.items() if shape.problems]


@pytest.mark.parametrize("name", REFUSED[:6] + REFUSED[-2:])
def test_a_file_that_is_not_canonical_is_not_what_anybody_planned(bench: Bench, name: str) -> None:
    bench.write_env(SHAPES[name].data)
    before = bench.env.read_bytes()
    answer = bench.ask("flip", env_text="A=1\n", compare_sha256=sha256(bench.env))
    assert code(answer) == "unfit"
    assert bench.env.read_bytes() == before


def test_the_way_down_takes_any_file_away(bench: Bench) -> None:
    bench.write_env(SHAPES["two values for one key"].data)
    bench.ask("flip", env_text=PAPER, compare_sha256=None)
    assert bench.env.read_text() == PAPER
