"""`invoke dev.*`: what the people who work on Interlock run."""

from __future__ import annotations

from ops.tasks.telling import DONE, FAULT, Told, operator_task


def _run(*commands: list[str]) -> int:
    import subprocess

    for command in commands:
        print("$", " ".join(command[2:] if command[1] == "-m" else command), flush=True)
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


@operator_task(help={"only": "a path for pytest; then the checks are left out"})
def test(only: str = "") -> Told:
    """Run every check and every test: ruff, mypy, ansible-lint, pytest.

    Exit codes: 0 green, 1 not. Page: runbooks/develop.md
    """
    import sys

    python = [sys.executable, "-m"]
    code = 0 if only else _check()
    # Two at a time, whole files (a file's tests share one sandbox), the long drills not last.
    code = code or _run(
        [*python, "pytest", "-q", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *([only] if only else [])]
    )
    return Told("All tests pass" if not code else f"Not green (exit {code})", code=FAULT if code else DONE)


@operator_task(help={})
def check() -> Told:
    """Run ruff, mypy and ansible-lint without the tests.

    Exit codes: 0 clean, 1 not. Page: runbooks/develop.md
    """
    code = _check()
    return Told("Clean" if not code else f"Not clean (exit {code})", code=FAULT if code else DONE)


def _check() -> int:
    import sys
    from pathlib import Path

    python = [sys.executable, "-m"]
    lint = str(Path(sys.executable).parent / "ansible-lint")
    return _run(
        [*python, "ruff", "check", "."],
        [*python, "ruff", "format", "--check", "-q", "."],
        [*python, "mypy"],
        [lint, "--offline", "-q", "--profile=production", "playbooks"],
    )
