"""The source tree as the house rules see it: its files, modules, imports and functions."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("ops", "playbooks", "tests", "tasks.py")


@dataclass(frozen=True)
class Import:
    """One import: which module of ours, what it takes in, where it says so."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.imported}"


@cache
def files() -> tuple[Path, ...]:
    """Every file that belongs to the project: what git knows or would add, relative to its root."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(Path(name) for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file())


@cache
def sources(*roots: str) -> tuple[Path, ...]:
    """The Python files below some folders (all of ours, if none is named)."""
    wanted = roots or CODE
    return tuple(p for p in files() if p.suffix == ".py" and any(p.is_relative_to(root) for root in wanted))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Every module of `ops` by its dotted name."""
    return {module_name(path): path for path in sources("ops")}


@cache
def imports() -> tuple[Import, ...]:
    """Every import in `ops`, those inside functions and for the type checker included."""
    return tuple(found for name, path in modules().items() for found in _imports_of(name, path))


def _imports_of(name: str, path: Path) -> Iterator[Import]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (Import(name, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(filter(None, (_package(name, path, node.level), node.module)))
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield Import(name, inner if inner in modules() else origin, node.lineno)


def _package(name: str, path: Path, level: int) -> str:
    """The package that the dots of a relative import mean."""
    if level == 0:
        return ""
    parts = name.split(".")
    return ".".join(parts[: len(parts) - level + (path.name == "__init__.py")])


def inside(module: str, room: str) -> bool:
    """Whether a dotted name is a room or lies in it."""
    return module == room or module.startswith(f"{room}.")


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of a file, as `Class.method`."""
    yield from _functions(parsed(path), "")


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{prefix}{child.name}", child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)
