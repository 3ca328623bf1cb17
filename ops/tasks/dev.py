"""`invoke dev.*`: what the people who work on Interlock run."""

from __future__ import annotations

from ops.tasks.telling import DONE, FAULT, Told, operator_task

# Each is a module of tests/bench; those of real hosts take --hosts and --rounds.
BENCHES = {"kill": "kill", "rollback": "rollback", "kill-fleet": "fleet_kill", "verify": "verify"}


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
    # Three at a time, since drills wait for hosts and bots; whole files (a file's tests share one sandbox), the long
    # drills not last.
    words = ["-q", "--durations=25", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
    words += ["-m", ""] if tier == "full" else []
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


@operator_task(
    help={
        "name": "which benchmark: kill, or on real hosts (root): rollback, kill-fleet, verify",
        "hosts": "numbers of real hosts with commas: --hosts=1,8,24",
        "rounds": "how often each variant runs; its own number if left out",
    }
)
def bench(name: str, hosts: str = "", rounds: str = "") -> Told:
    """Measure a command against its floor and its peers, interleaved, as median ratios.

    Exit codes: 0 measured, 1 not, or a goal is missed by far, 2 unknown benchmark. Page: runbooks/performance.md
    """
    import sys

    from ops.errors import InputError

    if name not in BENCHES:
        raise InputError("unknown benchmark", expected=", ".join(BENCHES), seen=name)
    code = _run([sys.executable, "-m", f"tests.bench.{BENCHES[name]}", *_bench_words(name, hosts, rounds)])
    return Told(f"{name}: {'measured' if not code else f'not good (exit {code})'}", code=FAULT if code else DONE)


def _bench_words(name: str, hosts: str, rounds: str) -> list[str]:
    """The benchmark's own options. Raises InputError."""
    from ops.errors import InputError

    if name == "kill" and (hosts or rounds):
        raise InputError("this benchmark takes no options", expected="invoke dev.bench kill")
    for number in (*(hosts.split(",") if hosts else ()), *([rounds] if rounds else ())):
        if not (number.isdigit() and 0 < int(number) <= 200):
            raise InputError("no fit number", expected="--hosts=1,8,24 --rounds=5", seen=number)
    return [*([f"--hosts={hosts}"] if hosts else []), *([f"--rounds={rounds}"] if rounds else [])]
