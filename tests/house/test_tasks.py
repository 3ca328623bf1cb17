"""Every task teaches: what it does, its exit codes, its page, each of its options. And none has a way around a gate."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache

import pytest
from invoke import Collection, Task

from ops.tasks import namespace
from tests.house.tree import ROOT, parsed, sources

EXIT_CODES = range(7)
PAGE = re.compile(r"Page: (runbooks/[a-z-]+\.md)")
CODES = re.compile(r"Exit codes: (.*?)\. Page:", re.DOTALL)
WAYS_AROUND = {"yes", "force", "bypass", "skip", "unsafe", "no-verify", "ignore", "quiet"}


def tasks_of(collection: Collection, prefix: str = "") -> Iterator[tuple[str, Task]]:
    for name, task in collection.tasks.items():
        yield f"{prefix}{name}".replace("_", "-"), task
    for name, inner in collection.collections.items():
        yield from tasks_of(inner, f"{prefix}{name}.")


TASKS = dict(tasks_of(namespace))
OPERATORS = {name: task for name, task in TASKS.items() if not name.startswith("dev.")}


@cache
def changing() -> frozenset[str]:
    """The bodies that are declared as changing something, as `module.function`."""
    found = set()
    for path in sources("ops/tasks"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                words = [w for d in node.decorator_list if isinstance(d, ast.Call) for w in d.keywords]
                if any(w.arg == "changes" and ast.literal_eval(w.value) for w in words):
                    found.add(f"{path.stem}.{node.name}")
    return frozenset(found)


def body_name(task: Task) -> str:
    return f"{task.body.__module__.rsplit('.', 1)[1]}.{task.body.__name__}"


def options(task: Task) -> list[str]:
    return [parameter.replace("_", "-") for parameter in list(inspect.signature(task.body).parameters)[1:]]


def page_of(task: Task) -> str:
    return PAGE.findall(task.__doc__ or "")[0]


def test_there_are_as_many_tasks_as_people_were_promised() -> None:
    promised = (
        "go-live rollback kill rearm status preflight plan sign verify "
        "health-audit rotate-keys flip-mode restart drill drift "
        "checklist.show checklist.attest checklist.coverage ledger.show ledger.verify "
        "sandbox.up sandbox.down sandbox.status sandbox.fault dev.check dev.test"
    )
    assert set(promised.split()) <= set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_its_exit_codes_and_its_page(name: str) -> None:
    words = " ".join((TASKS[name].__doc__ or "").split())
    assert len(PAGE.findall(words)) == 1, "Page: runbooks/<page>.md"
    said = [int(code) for code in re.findall(r"(?:^|, )(\d)\b", CODES.findall(words)[0])]
    assert said and set(said) <= set(EXIT_CODES) and len(set(said)) == len(said)
    assert said[0] == 0, "success comes first"


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_first_line_is_a_sentence_that_fits_a_list(name: str) -> None:
    first = (TASKS[name].__doc__ or "").strip().splitlines()[0]
    assert first[:1].isupper() and len(first) <= 130


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_every_option_is_explained(name: str) -> None:
    explained = {option.replace("_", "-") for option, text in TASKS[name].help.items() if text.strip()}
    assert set(options(TASKS[name])) == explained


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_page_exists_and_speaks_of_it(name: str) -> None:
    page = ROOT / page_of(TASKS[name])
    assert page.is_file(), f"{page_of(TASKS[name])} is not written"
    assert f"invoke {name}" in page.read_text()


@pytest.mark.parametrize("name", [n for n, task in OPERATORS.items() if body_name(task) not in changing()])
def test_a_task_that_reads_answers_in_json_too(name: str) -> None:
    assert "json" in options(OPERATORS[name])


@pytest.mark.parametrize("name", TASKS)
def test_no_task_has_a_way_around_its_gates(name: str) -> None:
    assert set(options(TASKS[name])) & WAYS_AROUND == set()


@pytest.mark.parametrize(
    "name", ["go-live", "rollback", "rearm", "rotate-keys", "flip-mode", "restart", "plan", "sign", "drill"]
)
def test_a_task_that_changes_something_is_declared_so(name: str) -> None:
    assert body_name(TASKS[name]) in changing()


def test_the_exit_codes_have_a_page_of_their_own() -> None:
    text = (ROOT / "runbooks" / "exit-codes.md").read_text()
    assert all(re.search(rf"\b{code}\b", text) for code in EXIT_CODES)
