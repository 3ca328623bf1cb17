"""No venue without its contract: each kind has a folder here that runs every clause, or says which one it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from ops.kill.brake import BRAKES
from ops.model.profile import Kind
from ops.model.traits import TRAITS
from ops.sandbox.bots.brokers import BROKERS
from ops.sandbox.embedded import NUMBERS
from ops.sandbox.listings import LISTINGS
from ops.sandbox.venues.alpaca.faults import FAULTS
from ops.sandbox.venues.simulators import SIMULATORS
from ops.venues.registry import ADAPTERS
from tests.contracts.clauses import VenueContract
from tests.contracts.rig import PURPOSES, Facts

HERE = Path(__file__).parent
KINDS: tuple[Kind, ...] = get_args(Kind)
CLAUSES = {name for name in vars(VenueContract) if re.match(r"test_c\d\d_", name)}
# Clauses that a venue's own version stands in for; its docstring gives the reason.
REPLACED: dict[Kind, set[str]] = {
    "alpaca": {"test_c06_more_open_orders_than_one_page_are_all_seen"},
    "polymarket": {"test_c12_a_dead_mans_switch_fires_unless_it_is_renewed_or_disarmed"},
    "ibkr": {"test_c06_a_placed_order_is_seen_whole_from_both_ends"},
}
# Clauses that a venue's facts skip, in whole or for one purpose.
SKIPPED: dict[Kind, set[str]] = {
    "alpaca": {"C04 observer", "C04 kill"},  # one key per account, for everything
    "ibkr": {"C02", "C03", *(f"C04 {purpose}" for purpose in PURPOSES)},  # a gateway that has logged in: no keys
}
# Faults that every simulator has, under these names; without keys there are none to revoke.
COMMON_FAULTS = set(FAULTS)


def contract(kind: str) -> type[VenueContract]:
    """The one class that runs the clauses for this kind."""
    module = import_module(f"tests.contracts.{kind}.test_{kind}_contract")
    assert not hasattr(module, "pytestmark"), "nothing may be skipped here as a whole"
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    (found,) = [made for made in classes if issubclass(made, VenueContract) and made is not VenueContract]
    return found


def facts(kind: str) -> Facts:
    module = import_module(f"tests.contracts.{kind}.facts")
    (found,) = [value for value in vars(module).values() if isinstance(value, Facts)]
    return found


def skipped(known: Facts) -> Iterator[str]:
    """What the clauses skip for such facts."""
    if not known.keyed:
        yield from ("C02", "C03")
    yield from (f"C04 {purpose}" for purpose in PURPOSES if purpose not in known.may)
    if "wrong_account" not in known.lies:
        yield "C14 another account"


def test_there_are_sixteen_clauses() -> None:
    assert {int(name[6:8]) for name in CLAUSES} == set(range(1, 17))


@pytest.mark.parametrize("table", [ADAPTERS, SIMULATORS, BRAKES, BROKERS, LISTINGS, NUMBERS, TRAITS])
def test_every_table_of_venues_knows_every_kind(table: dict[str, object]) -> None:
    assert set(table) == set(KINDS)


def test_the_folders_here_are_the_kinds() -> None:
    assert {path.parent.name for path in HERE.glob("*/*.py")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_venue_runs_every_clause(kind: Kind) -> None:
    ours = contract(kind)
    assert ours.__name__.startswith("Test"), "pytest would not collect it"
    assert getattr(ours, "__test__", True)
    assert not hasattr(ours, "pytestmark"), "nothing may be skipped here as a whole"
    replaced = {name for name in CLAUSES if getattr(ours, name) is not getattr(VenueContract, name)}
    assert replaced == REPLACED.get(kind, set()), "a clause that is replaced stands in the table, and no other does"
    assert [name for name in replaced if not (getattr(ours, name).__doc__ or ours.__doc__)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_venue_skips_stands_in_the_table(kind: Kind) -> None:
    known = facts(kind)
    assert known.kind == kind
    assert set(skipped(known)) == SKIPPED.get(kind, set())
    assert COMMON_FAULTS - known.catalogue() == (set() if known.keyed else {"revoked_keys"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["contract", "simulator", "brake", "broker"])
def test_every_venue_has_all_its_parts_tested(kind: Kind, part: str) -> None:
    assert (HERE / kind / f"test_{kind}_{part}.py").is_file()
