"""Small parts: the tail never begins to grow. `sizes.json` lists what is longer than allowed; it only shrinks."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.house.tree import ROOT, functions, sources

HARD_STOP = {"functions": 50, "modules": 400, "parameters": 6}
# One file each by design: they are sent to hosts, byte for byte, and import nothing of ours there.
ONE_FILE_BY_DESIGN = {Path("playbooks/library/interlock_host.py"), Path("tests/hosts/probe.py")}
LISTED: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "sizes.json").read_text())


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    text = function.body[0]
    return lines - ((text.end_lineno or 0) - text.lineno + 1)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (bool(names) and names[0] in ("self", "cls"))


def measured(kind: str) -> dict[str, int]:
    if kind == "modules":
        return {
            str(path): len((ROOT / path).read_text().splitlines())
            for path in sources()
            if path not in ONE_FILE_BY_DESIGN
        }
    measure = body_lines if kind == "functions" else parameters
    return {f"{path}::{name}": measure(node) for path in sources() for name, node in functions(path)}


@pytest.mark.parametrize("kind", HARD_STOP)
def test_nothing_new_grows_past_the_hard_stop(kind: str) -> None:
    allowed = LISTED[kind]
    grown = {
        where: size for where, size in measured(kind).items() if size > max(HARD_STOP[kind], allowed.get(where, 0))
    }
    assert grown == {}, f"split it: at most {HARD_STOP[kind]}"


@pytest.mark.parametrize("kind", HARD_STOP)
def test_what_has_shrunk_may_not_grow_back(kind: str) -> None:
    found = measured(kind)
    loose = {where: found.get(where, 0) for where, size in LISTED[kind].items() if found.get(where, 0) < size}
    assert loose == {}, "write the smaller number into sizes.json, or take the line out"


def test_the_top_file_only_builds_the_namespace() -> None:
    assert len((ROOT / "tasks.py").read_text().splitlines()) <= 30
