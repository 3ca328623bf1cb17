"""`invoke dev.*`: what the people who work on Interlock run."""

from __future__ import annotations

from ops.tasks.telling import DONE, FAULT, Told, operator_task

BENCHES = ("kill",)


def _run(*commands: list[str]) -> int:
    import subprocess

    for command in commands:
        print("$", " ".join(command[2:] if command[1] == "-m" else command), flush=True)
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


@operator_task(
    help={
        "only": "a path for pytest; then the checks are left out",
        "tier": "short (each commit) or full (the long campaigns too: every crash point, every pair)",
    }
)
def test(only: str = "", tier: str = "short") -> Told:
    """Run every check and every test: ruff, mypy, ansible-lint, pytest.

    Exit codes: 0 green, 1 not, 2 unknown tier. Page: runbooks/develop.md
    """
    import sys

    from ops.errors import InputError

    if tier not in ("short", "full"):
        raise InputError("unknown tier", expected="short or full", seen=tier)
    python = [sys.executable, "-m"]
    code = 0 if only else _check()
    # Two at a time, whole files (a file's tests share one sandbox), the long drills not last.
    words = ["-q", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *(["-m", ""] if tier == "full" else [])]
    code = code or _run([*python, "pytest", *words, *([only] if only else [])])
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


@operator_task(help={"name": "which benchmark: kill"})
def bench(name: str) -> Told:
    """Measure a command against its floor, interleaved, as median ratios.

    Exit codes: 0 measured, 1 not, 2 unknown benchmark. Page: runbooks/develop.md
    """
    import sys

    from ops.errors import InputError

    if name not in BENCHES:
        raise InputError("unknown benchmark", expected=", ".join(BENCHES), seen=name)
    code = _run([sys.executable, "-m", f"tests.bench.{name}"])
    return Told(f"{name}: {'measured' if not code else f'not measured (exit {code})'}", code=FAULT if code else DONE)
