"""The module that lays folders and files: once it changes, twice it does not; and it follows no link a bot planted."""

from __future__ import annotations

import getpass
import grp
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.house.tree import ROOT

ME, OURS = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name


@pytest.fixture(scope="module")
def files() -> ModuleType:
    spec = importlib.util.spec_from_file_location("interlock_files", ROOT / "playbooks/library/interlock_files.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(path: Path, text: str | None = None, **more: Any) -> dict[str, Any]:
    kind = {"kind": "folder", "mode": "0750"} if text is None else {"kind": "file", "mode": "0600", "text": text}
    return {"path": str(path.resolve(strict=False) if not path.is_symlink() else path), "user": ME, "group": OURS,
            **kind, **more}  # fmt: skip


def test_once_it_changes_and_twice_it_does_not(files: ModuleType, tmp_path: Path) -> None:
    entries = [entry(tmp_path / "a"), entry(tmp_path / "a" / "b", "text\n"), entry(tmp_path / "c" / "d" / "e", "x")]
    assert [files.settled(one, True) for one in entries] == [["made"]] * 3
    assert list(tmp_path.iterdir()) == []
    assert [files.settled(one, False) for one in entries] == [["made"]] * 3
    assert [files.settled(one, False) for one in entries] == [[]] * 3
    assert (tmp_path / "a" / "b").read_text() == "text\n"
    assert ((tmp_path / "a").stat().st_mode & 0o777, (tmp_path / "a" / "b").stat().st_mode & 0o777) == (0o750, 0o600)


DRIFT: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "text": (lambda path: path.write_text("other"), ["text"]),
    "mode": (lambda path: path.chmod(0o644), ["mode 0644 -> 0600"]),
    "gone": (lambda path: path.unlink(), ["made"]),
}


@pytest.mark.parametrize("what", DRIFT)
def test_drift_is_put_right(files: ModuleType, tmp_path: Path, what: str) -> None:
    one, (spoil, said) = entry(tmp_path / "f", "text\n"), DRIFT[what]
    files.settled(one, False)
    spoil(tmp_path / "f")
    assert files.settled(one, True) == said
    assert files.settled(one, False) == said
    assert files.settled(one, False) == []
    assert (tmp_path / "f").read_text() == "text\n"


def test_a_file_that_is_kept_keeps_its_text_and_loses_its_wide_mode(files: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "keys.env").write_text("KEY=mine\n")
    (tmp_path / "keys.env").chmod(0o644)
    assert files.settled(entry(tmp_path / "keys.env", "KEY=new\n", keep=True), False) == ["mode 0644 -> 0600"]
    assert (tmp_path / "keys.env").read_text() == "KEY=mine\n"


@pytest.mark.parametrize("there", [(), ("helper",), ("env",), ("helper", "env")])
def test_a_gate_is_laid_unless_the_host_was_prepared_before(
    files: ModuleType, tmp_path: Path, there: tuple[str, ...]
) -> None:
    for name in there:
        (tmp_path / name).touch()
    marks = [str(tmp_path / name) for name in ("helper", "env")]
    files.settled(entry(tmp_path / "gate", "{}", keep=True, unless=marks), False)
    assert (tmp_path / "gate").exists() == (len(there) < 2)


@pytest.mark.parametrize("kind", ["file", "folder", "on the way"])
def test_no_link_is_followed(files: ModuleType, tmp_path: Path, kind: str) -> None:
    (tmp_path / "target").mkdir(mode=0o755)
    (tmp_path / "target" / "f").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "target" / ("f" if kind == "file" else ""))
    path = tmp_path / "link" / "f" if kind == "on the way" else tmp_path / "link"
    wanted = {**entry(tmp_path / "x", None if kind == "folder" else "ours"), "path": str(path)}
    for check_mode in (True, False):
        with pytest.raises(files.NotSo):
            files.settled(wanted, check_mode)
    assert (tmp_path / "target" / "f").read_text() == "theirs"
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o755


def test_what_is_no_plain_file_is_refused(files: ModuleType, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "one").write_text("x")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    for name in ("pipe", "two"):
        with pytest.raises(files.NotSo):
            files.settled(entry(tmp_path / name, "x"), False)
