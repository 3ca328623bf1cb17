"""Calls and words that do harm here, each with the place where it is allowed and the reason."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT, files, functions, parsed, sources

SHIPPED = ("ops", "playbooks", "tasks.py")


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression; empty if it is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    yield from ((dotted(node.func), node) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))


def places(wanted: Callable[[str, ast.Call], bool], *roots: str) -> set[str]:
    """The files below `roots` that hold such a call."""
    return {str(path) for path in sources(*roots) for name, call in calls(path) if wanted(name, call)}


def through_a_shell(name: str, call: ast.Call) -> bool:
    words = {word.arg: word.value for word in call.keywords}
    shell = words.get("shell")
    return name in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput") or (
        shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False)
    )


def runs_text(name: str, call: ast.Call) -> bool:
    return name in ("eval", "exec", "compile", "__import__")


CLOCK = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|ctime|localtime|gmtime))\Z")


def asks_the_clock(name: str, call: ast.Call) -> bool:
    return bool(CLOCK.search(name))


def converts_to_float(name: str, call: ast.Call) -> bool:
    return name == "float"


def prints(name: str, call: ast.Call) -> bool:
    return name in ("print", "sys.stdout.write", "sys.stderr.write")


def sleeps(name: str, call: ast.Call) -> bool:
    return name == "time.sleep"


def patches(name: str, call: ast.Call) -> bool:
    return "mock" in name.casefold()


Rule = tuple[Callable[[str, ast.Call], bool], tuple[str, ...], set[str], str]

RULES: dict[str, Rule] = {
    "a shell": (through_a_shell, (), set(), "give the program its words as a list"),
    "text as code": (runs_text, (), set(), "a table of functions"),
    "the clock": (
        asks_the_clock,
        SHIPPED,
        {
            "ops/doors.py",  # the one default of the injected clock
            "ops/kill/kill.py",  # has no doors
            "ops/kill/kraken.py",  # a nonce
            "ops/kill/polymarket.py",  # signed with the time
            "ops/sandbox/clock.py",
            "ops/sandbox/manager.py",  # the simulated week ends on the real today
            "ops/sandbox/bots/clock.py",
            "playbooks/library/interlock_host.py",  # runs alone on a host
        },
        "take the clock that is passed in",
    ),
    "money as float": (
        converts_to_float,
        ("ops/checks", "ops/steps", "ops/transitions", "ops/venues", "ops/kill"),
        {
            "ops/checks/monitor.py",  # a metric's bound, never money
            "ops/transitions/drills.py",  # seconds
        },
        "Decimal",
    ),
    "printing": (
        prints,
        ("ops",),
        {str(p) for p in sources("ops/tasks")}
        | {
            "ops/kill/command.py",  # the kill without Invoke in front of it
            "ops/sandbox/bots/run.py",  # a process's last word to its supervisor
            "ops/sandbox/world/world.py",
        },
        "return it, and let the task say it",
    ),
    "sleeping in tests": (sleeps, ("tests",), {"tests/field.py"}, "tests.field.awaited"),
    "mocks": (patches, ("tests",), set(), "an adapter that we ship, or a real process"),
}


@pytest.mark.parametrize("what", RULES)
def test_a_banned_call_stands_only_where_it_is_allowed(what: str) -> None:
    wanted, roots, allowed, instead = RULES[what]
    assert places(wanted, *roots) - allowed == set(), f"instead: {instead}"


@pytest.mark.parametrize("what", ["the clock", "money as float"])
def test_no_permission_outlives_its_need(what: str) -> None:
    wanted, roots, allowed, _ = RULES[what]
    assert allowed - places(wanted, *roots) == set()


# Where everything may be caught, how often, and why.
CATCHES_ALL = {
    "ops/tasks/telling.py": 1,  # never a traceback for an operator
    "ops/tasks/descent.py": 1,  # a fault in reading the inventory must not keep anything up: its last good copy is used
    "ops/transitions/engine.py": 1,  # around one step: a fault must still end in a safe state
    "ops/venues/deadline.py": 1,  # handed over to the thread that waits, and raised there
    "ops/sandbox/bots/trading/loop.py": 1,  # the bot's loop survives its errors, and records them
}


def caught(handler: ast.ExceptHandler) -> set[str]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {dotted(kind) if kind else "BaseException" for kind in kinds}


def goes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the exception ends here; cleaning up and raising it again is no catching."""
    last = handler.body[-1]
    return not (isinstance(last, ast.Raise) and last.exc is None)


def test_a_fault_is_never_swallowed() -> None:
    handlers = [
        str(path)
        for path in sources(*SHIPPED)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and caught(node) & {"Exception", "BaseException"} and goes_on(node)
    ]
    assert dict(Counter(handlers)) == CATCHES_ALL


def test_no_suppress_hides_a_fault() -> None:
    broad = {
        str(path)
        for path in sources(*SHIPPED)
        for name, call in calls(path)
        if name.endswith("suppress") and {dotted(a) for a in call.args} & {"Exception", "BaseException"}
    }
    assert broad == set()


DRAWERS = {"utils", "util", "common", "helpers", "helper", "core", "misc", "lib", "base", "tools"}


def test_nothing_is_put_into_a_drawer() -> None:
    names = {part for path in files() for part in (*path.parent.parts, path.stem)}
    assert {name.casefold() for name in names} & DRAWERS == set(), "name it after what it holds"


def test_no_function_is_a_drawer() -> None:
    found = {
        f"{path}::{name}" for path in sources("ops") for name, _ in functions(path) if name.split(".")[-1] in DRAWERS
    }
    assert found == set()


LEFT_OVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO((ROOT / path).read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_nothing_is_left_for_later_in_a_comment() -> None:
    found = [f"{p}:{line}" for p in sources(*SHIPPED) for line, text in comments(p) if LEFT_OVER.search(text)]
    assert found == []


OF_THE_SWITCH = re.compile(r"\b(activate|deactivate|reset)_?(switch|kill)", re.IGNORECASE)


def test_the_switch_is_tripped_and_rearmed_and_nothing_else() -> None:
    found = {f"{path}::{name}" for path in sources("ops") for name, _ in functions(path) if OF_THE_SWITCH.search(name)}
    assert found == set()
