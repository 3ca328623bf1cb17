"""A lower floor never imports a higher one, neighbours do not import each other, and each library has its door."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.house.tree import Import, imports, inside, modules, parsed

# From the ground up; the bundle `ops.doors` is floor 1's roof.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("ops.errors", "ops.model"),
    (
        "ops.alerts",
        "ops.checklist",
        "ops.hosts",
        "ops.inventory",
        "ops.ledger",
        "ops.monitors",
        "ops.neighbours",
        "ops.network",
        "ops.project",
        "ops.secrets",
        "ops.signatures",
        "ops.venues",
        "ops.web",
        "ops.yaml_source",
    ),
    ("ops.doors",),
    ("ops.checks", "ops.steps"),
    ("ops.kill", "ops.provider", "ops.targets", "ops.transitions"),
    ("ops.tasks",),
)
# The plain building blocks that a neighbour on the same floor stands on. Each one here must be in use.
SAME_FLOOR = {
    ("ops.alerts", "ops.web"),
    ("ops.checklist", "ops.yaml_source"),
    ("ops.hosts", "ops.inventory"),
    ("ops.hosts", "ops.secrets"),
    ("ops.hosts", "ops.yaml_source"),
    ("ops.inventory", "ops.neighbours"),
    ("ops.inventory", "ops.project"),
    ("ops.inventory", "ops.yaml_source"),
    ("ops.monitors", "ops.web"),
    ("ops.neighbours", "ops.yaml_source"),
    ("ops.targets", "ops.kill"),
    ("ops.venues", "ops.secrets"),
    ("ops.venues", "ops.web"),
}
SANDBOX = "ops.sandbox"
SANDBOX_USERS = ("ops.provider", "ops.tasks")

# Which rooms may import a library or a dangerous module of the standard library.
DOORS: dict[str, tuple[str, ...]] = {
    "invoke": ("ops.tasks",),
    "rich": ("ops.tasks",),
    "ansible": ("ops.hosts.warm_server",),
    "ansible_runner": (),
    "testinfra": (),
    "alpaca": ("ops.venues", "ops.sandbox.bots"),
    "requests": ("ops.venues", SANDBOX),
    "ccxt": ("ops.venues", "ops.sandbox.bots"),
    "cryptography": ("ops.venues", SANDBOX),
    "eth_account": (SANDBOX,),
    "eth_keys": (SANDBOX,),
    "eth_utils": ("ops.venues", SANDBOX),
    "ib_async": ("ops.venues", "ops.sandbox.bots"),
    "ib_insync": ("ops.venues", "ops.sandbox.bots"),
    "py_clob_client_v2": ("ops.venues", "ops.sandbox.bots"),
    "httpx": (SANDBOX,),
    "http.client": ("ops.web", SANDBOX),
    "urllib.request": (SANDBOX,),
    "yaml": ("ops.yaml_source", "ops.sandbox.bots", "ops.sandbox.fleet"),
    "pydantic": ("ops.model", "ops.inventory", SANDBOX),
    "sqlite3": ("ops.ledger", SANDBOX),
    "fastapi": (SANDBOX,),
    "starlette": (SANDBOX,),
    "uvicorn": (SANDBOX,),
    "supervisor": (SANDBOX,),
    "prometheus_client": (SANDBOX,),
    "subprocess": (
        "ops.hosts",  # ansible-playbook, and pytest with testinfra
        "ops.kill.hosts",  # the host program
        "ops.signatures",  # ssh-keygen
        "ops.tasks.dev",  # the project's own checks
        "ops.transitions.plans",  # git, for the commit in the plan
        SANDBOX,
    ),
}
UNKNOWN_LIBRARY = "a library that no room is named for: add it to DOORS with the one room that may import it"


def room_of(module: str) -> str:
    return next((room for floor in FLOORS for room in floor if inside(module, room)), "")


def floor_of(module: str) -> int:
    return next(index for index, floor in enumerate(FLOORS) if room_of(module) in floor)


def ours() -> list[Import]:
    """Imports from one room of ours into another."""
    return [i for i in imports() if inside(i.imported, "ops") and room_of(i.importer) != room_of(i.imported)]


def test_every_module_has_a_floor() -> None:
    homeless = [name for name in modules() if not room_of(name) and not inside(name, SANDBOX) and name != "ops"]
    assert homeless == []


def test_every_room_exists() -> None:
    assert [room for floor in FLOORS for room in floor if not any(inside(name, room) for name in modules())] == []


def test_no_floor_leans_on_a_higher_one() -> None:
    higher = [
        str(i)
        for i in ours()
        if room_of(i.importer) and room_of(i.imported) and floor_of(i.imported) > floor_of(i.importer)
    ]
    assert higher == []


def test_rooms_on_one_floor_do_not_know_each_other() -> None:
    neighbours = [
        i
        for i in ours()
        if room_of(i.importer) and room_of(i.imported) and floor_of(i.imported) == floor_of(i.importer)
    ]
    pairs = {(room_of(i.importer), room_of(i.imported)) for i in neighbours}
    assert [str(i) for i in neighbours if (room_of(i.importer), room_of(i.imported)) not in SAME_FLOOR] == []
    assert pairs >= SAME_FLOOR, f"no longer needed: {SAME_FLOOR - pairs}"


def test_the_ground_floor_does_not_reach_outside() -> None:
    outside = ("os", "io", "time", "socket", "subprocess", "shutil", "tempfile", "random", "secrets", "threading")
    found = [str(i) for i in imports() if inside(i.importer, "ops.model") and i.imported.split(".")[0] in outside]
    assert found == []


def test_the_kernel_knows_nothing_but_the_model() -> None:
    taken = {i.imported for i in imports() if i.importer == "ops.transitions.kernel"}
    assert {name for name in taken if inside(name, "ops")} == {"ops.model.history"}
    assert {name.split(".")[0] for name in taken} <= {"ops", "__future__", "collections", "dataclasses", "enum"}


def test_the_sandbox_stands_beside_the_floors() -> None:
    allowed = ("ops.errors", "ops.model", SANDBOX)
    leaving = [i for i in imports() if inside(i.importer, SANDBOX) and inside(i.imported, "ops")]
    assert [str(i) for i in leaving if not any(inside(i.imported, room) for room in allowed)] == []
    entering = [i for i in imports() if inside(i.imported, SANDBOX) and not inside(i.importer, SANDBOX)]
    assert [str(i) for i in entering if not any(inside(i.importer, room) for room in SANDBOX_USERS)] == []


def test_the_reference_bots_could_be_somebody_elses_program() -> None:
    bots = f"{SANDBOX}.bots"
    found = [i for i in imports() if inside(i.importer, bots) and inside(i.imported, "ops")]
    assert [str(i) for i in found if not inside(i.imported, bots)] == []


@pytest.mark.parametrize("library", DOORS)
def test_a_library_is_imported_in_its_own_room_only(library: str) -> None:
    found = [i for i in imports() if inside(i.imported, library)]
    assert [str(i) for i in found if not any(inside(i.importer, room) for room in DOORS[library])] == []


def test_no_library_comes_in_unnoticed() -> None:
    known = {"ops", *(name for name in DOORS), *sys.stdlib_module_names}
    assert {i.imported for i in imports() if i.imported.split(".")[0] not in known} == set(), UNKNOWN_LIBRARY


def test_only_the_hosts_room_runs_playbooks() -> None:
    users = [i for i in imports() if i.imported == "ops.hosts.ansible" and not inside(i.importer, "ops.hosts")]
    names = {name for i in users for name in names_taken(i)}
    assert names <= {"PLAYBOOKS", "program", "warm_up"}, "ask ops.hosts.fleet for what hosts must do"


def names_taken(found: Import) -> set[str]:
    nodes = [n for n in ast.walk(parsed(modules()[found.importer])) if isinstance(n, ast.ImportFrom)]
    return {alias.name for node in nodes if node.lineno == found.line for alias in node.names}
