"""The tree as somebody else receives it: no trace of the machine it was made on, one version everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.house.tree import ROOT, files

# Written with a class around one letter, so that this file does not accuse itself.
MACHINE_PATH = re.compile(r"(?<![\w.}>*-])/(?:[h]ome|[r]oot|[U]sers|[w]ork|[t]mp|[m]nt)/[\w.-]+")
REGISTRY_HOST = re.compile(
    r"[p]ypi\.|[p]ythonhosted\.|[a]rtifactory|[d]evpi|[j]frog|--(extra-)?[i]ndex-url|[g]alaxy\.ansible\.com|"
    r"[r]egistry\.npmjs|[g]hcr\.io|[d]ocker\.io",
    re.IGNORECASE,
)
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bxox[bp]-[0-9A-Za-z-]{20,}|\bgh[pous]_\w{30,}"
)
VERSION = re.compile(r"^## \[?(\d+\.\d+\.\d+)\]?", re.MULTILINE)


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in files():
        try:
            found.append((path, (ROOT / path).read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATH, REGISTRY_HOST, SECRET], ids=["a machine's path", "a package registry", "a secret"]
)
def test_the_tree_does_not_name(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path}:{number}: {match[0]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert found == []


def test_no_run_leaves_its_traces_in_the_tree() -> None:
    traces = {".hypothesis", ".pytest_cache", "__pycache__", ".interlock", ".ruff_cache", ".mypy_cache"}
    assert [str(path) for path in files() if traces & set(path.parts)] == []


def test_every_text_ends_with_one_line_feed_and_has_no_trailing_space() -> None:
    untidy = [
        str(path)
        for path, text in texts()
        if text and (not text.endswith("\n") or text.endswith("\n\n") or re.search(r"[ \t]+$", text, re.MULTILINE))
    ]
    assert untidy == []


def test_the_changelog_begins_with_the_version_that_is_shipped() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert VERSION.findall((ROOT / "CHANGELOG.md").read_text())[:1] == [version]
