"""The five seeds' checklists: no requirement got lost or weaker, and what is said to answer each one can answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from ops.checklist import Entry, load_checklist
from ops.checks.human import review_period
from ops.checks.registry import CHECKS
from ops.inventory import Place, load_people, load_profile
from ops.model.canonical import digest
from ops.model.profile import Profile
from ops.transitions.coverage import covered
from ops.transitions.paths import PATHS
from tests.field import ROOT


@dataclass(frozen=True)
class Seed:
    """What was counted in a seed document, by hand and by machine, before any checklist was written.

    `mark` is over id, line, phase and blocking of each requirement; `probed` are those on which money hangs (mode,
    venue, kill switch, cancel, close, rollback): there a signature alone is no answer.
    """

    number: str
    entries: int
    blocking: int
    mark: str
    probed: str


SEEDS = {
    "alpaca-bot": Seed("000", 36, 30, "fcb9c48cd8d4efe2", "009 010 011 013 014 015 017 025 026 027 029 033"),
    "kraken-bot": Seed("001", 45, 31, "3581d6dccac42480", "002 003 005 008 010 011 037 044"),
    "kalshi-polymarket": Seed(
        "002", 193, 142, "8e23644daa21f162",
        "011 012 014 015 016 017 018 019 020 021 022 023 044 045 050 102 106 111 116 117 119 132 133 163 164 183 192",
    ),
    "smart-alpaca": Seed("003", 140, 100, "2a136818e0133c6b", "013 014 055 056 057 089"),
    "ibkr-assistant": Seed(
        "004", 227, 208, "3306fdf74d383927",
        "006 010 011 016 017 018 019 033 035 095 096 099 100 107 108 109 111 112 113 126 129 137 139 140 141 143 146 "
        "148 152 154 155 156 160 162 163 170 173 185 192 193 199 206 213 214 215 216 218 219",
    ),
}  # fmt: skip
SANDBOX = Place("sandbox", ROOT / "inventory" / "sandbox", ROOT / "no-state")
PROMISED = {"promote"}  # a verb that comes with the ramp
Probe = Mapping[str, Any]

each_system = pytest.mark.parametrize("system", SEEDS)
checklist = cache(load_checklist)


@each_system
def test_every_requirement_of_the_seed_is_there_as_it_was_counted(system: str) -> None:
    entries, seed = checklist(system), SEEDS[system]
    assert (len(entries), sum(e.blocking for e in entries)) == (seed.entries, seed.blocking)
    assert [e.id for e in entries] == [f"S{seed.number}-{n:03d}" for n in range(1, seed.entries + 1)]
    assert digest("".join(f"{e.id} {e.line} {e.phase} {e.blocking}\n" for e in entries))[:16] == seed.mark
    assert all(e.asks == e.asks.strip() and len(e.asks) <= 120 for e in entries)


@each_system
def test_every_probe_finds_what_it_names(system: str) -> None:
    profile, people = load_profile(SANDBOX, system), load_people(SANDBOX)
    roles = {role for person in people.values() for role in person.roles}
    wrong = [f"{e.id}: {p}" for e in checklist(system) for p in e.probes if not _finds(p, profile, roles)]
    assert wrong == []


def _finds(probe: Probe, profile: Profile, roles: set[str]) -> bool:
    """Whether the profile, the people and the transitions have what the probe names."""
    kind = str(probe["type"])
    venues = [probe.get("venue", []), probe.get("venues", [])]
    named = {name for given in venues for name in ([given] if isinstance(given, str) else given)}
    rules: Mapping[str, Callable[[], bool]] = {
        "action": lambda: all(_has_step(verb, probe["step"]) for verb in probe["verbs"]) and probe["verbs"] != [],
        "attestation": lambda: probe["role"] in roles,
        "contacts": lambda: {probe.get("role"), *probe.get("roles", [])} <= {None, *profile.contacts},
        "document": lambda: probe["id"] in profile.documents,
        "drill": lambda: probe["control"] in profile.drills,
        "soak": lambda: int(probe["days"]) > 0,
        "review": lambda: review_period(probe["every"]) > timedelta(0),
        "trade_stats": lambda: probe["metric"] in ("slippage_bps", "fill_vs_paper", "pnl_vs_expected"),
    }
    return kind in CHECKS and named <= profile.venues.keys() and rules.get(kind, lambda: True)()


def _has_step(verb: str, step: str) -> bool:
    return step in {move.name for move in PATHS["go-live" if verb in PROMISED else verb][1]}


@each_system
def test_what_money_hangs_on_is_never_left_to_a_signature(system: str) -> None:
    seed = SEEDS[system]
    entries = {entry.id: entry for entry in checklist(system)}
    probed = [entries[f"S{seed.number}-{number}"] for number in seed.probed.split()]
    assert [e.id for e in probed if {p["type"] for p in e.probes} <= {"by_hand", "attestation", "document"}] == []


@each_system
def test_what_is_done_by_hand_is_counted_as_missing_and_nothing_else_is(system: str) -> None:
    entries = checklist(system)
    left = [entry.id for entry in entries if entry.answer == "by_hand"]
    assert covered(load_profile(SANDBOX, system)) == (len(entries), left)
    assert [e.id for e in entries if _by_hand(e) != (e.answer == "by_hand")] == []
    assert [e.id for e in entries if bool(e.wants) != (e.answer == "by_hand")] == []


def _by_hand(entry: Entry) -> bool:
    return any(probe["type"] == "by_hand" for probe in entry.probes)


@each_system
def test_nothing_before_go_live_waits_for_what_only_go_live_does(system: str) -> None:
    """An action that was never done does not open a gate: a first go-live would be refused for ever."""
    early = [e for e in checklist(system) if e.phase == "preflight" and e.blocking]
    assert [e.id for e in early if any(p["type"] == "action" for p in e.probes)] == []


@each_system
def test_a_statement_means_the_same_wherever_it_is_asked_for(system: str) -> None:
    asked: dict[str, set[tuple[str, int]]] = {}
    for probe in (p for e in checklist(system) for p in e.probes if p["type"] == "attestation"):
        asked.setdefault(probe["evidence"], set()).add((probe["role"], int(probe.get("max_age_h", 24))))
    assert {evidence: terms for evidence, terms in asked.items() if len(terms) > 1} == {}
