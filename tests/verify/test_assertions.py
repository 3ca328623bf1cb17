"""Every assertion of `invoke verify` can fail: one host for each kind of damage, all verified in one run."""

from __future__ import annotations

import copy
import inspect
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ops.hosts.testinfra import SUITE, Verdict, host_of, run_suite
from tests.hosts import test_machine, test_managers
from tests.verify.damages import CASES, CORE_TAKEN_OVER
from tests.verify.hosts import Spoilt, lay, on_path, running


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdict]:
    if os.geteuid() != 0:
        assert not os.environ.get("CI"), "CI runs as root"
        pytest.skip("needs root: the files of a real host belong to it")
    world = lay(tmp_path_factory.mktemp("verify"), {name: case.manager for name, case in CASES.items()})
    for name, host in world.hosts.items():
        for damage in CASES[name].before:
            damage(host)
    with pytest.MonkeyPatch.context() as patch, running(world, damaged):
        patch.setenv("PATH", on_path(world.folder))
        yield run_suite(world.facts())


def damaged(host: Spoilt) -> None:
    for damage in CASES[host.name].after:
        damage(host)


@pytest.mark.parametrize("name", CASES)
def test_damage_fails_exactly_what_it_should(verdict: Verdict, name: str) -> None:
    bad = [case for case in verdict.cases if host_of(case) == name and case["outcome"] in ("fail", "unknown")]
    failed = {case["name"].partition("[")[0].removeprefix("test_") for case in bad}
    assert failed == CASES[name].fails, [f"{case['name']}: {case['text']}" for case in bad]


def test_at_least_thirty_assertions_hold_on_a_good_host(verdict: Verdict) -> None:
    held = Counter(host_of(case) for case in verdict.cases if case["outcome"] == "pass")
    assert min(held["good"], held["good-compose"]) >= 30


def dropped(document: Mapping[str, Any], where: str, value: object) -> dict[str, Any]:
    """The same document with another value in one place."""
    changed = copy.deepcopy(dict(document))
    *path, last = where.split(".")
    inner = changed
    for part in path:
        inner = inner[part]
    inner[last] = value
    return changed


MACHINE = {"uid": 0, "python": [3, 9, 0], "utc_offset_s": 0, "free_bytes": 2e9, "inodes": 1e6, "free_inodes": 1e5}
SEEN = {
    "asked_at": 100.0, "at": 100.3, "until": 100.6, "answered_at": 101.0, "machine": MACHINE,
    "socket": {"kind": "socket", "uid": 0, "mode": 0o600},
}  # fmt: skip
# Assertion -> where what is seen is spoilt, and the values that must not pass: what no test can do to its machine.
OF_THE_MACHINE: Mapping[str, tuple[str, tuple[object, ...]]] = {
    "is_seen_as_root": ("machine.uid", (1000,)),
    "python_is_new_enough": ("machine.python", ([3, 8, 19], [2, 7, 18])),
    "time_zone_is_utc": ("machine.utc_offset_s", (3600, -18000)),
    "disk_has_room": ("machine.free_bytes", (0, 9e8)),
    "disk_has_inodes": ("machine.free_inodes", (0, 9_999)),
    "clock_is_within_two_seconds": ("at", (97.9, 0.0)),
    "supervisor_socket_is_private": ("socket.mode", (0o666, 0o660, 0o606)),
}
SLOW = dropped(SEEN, "answered_at", 200.0)


def asserted(name: str, seen: Mapping[str, Any]) -> None:
    assertion = getattr(test_machine, f"test_{name}", None) or getattr(test_managers, f"test_{name}")
    given = {"seen": seen, "owner": 0, "real": None, "under": lambda *managers: None}
    assertion(**{word: given[word] for word in inspect.signature(assertion).parameters})


def test_a_clock_ahead_fails_as_one_behind() -> None:
    with pytest.raises(AssertionError, match="s ahead"):
        asserted("clock_is_within_two_seconds", dropped(dropped(SEEN, "at", 104.7), "until", 105.0))


@pytest.mark.parametrize("name", OF_THE_MACHINE)
def test_what_no_test_can_do_to_a_machine_fails_too(name: str) -> None:
    where, bad = OF_THE_MACHINE[name]
    asserted(name, SEEN)
    for value in bad:
        with pytest.raises(AssertionError):
            asserted(name, dropped(SEEN, where, value))


def test_a_clock_that_took_long_to_answer_is_not_known_to_be_right() -> None:
    with pytest.raises(AssertionError, match="took 100 s"):
        asserted("clock_is_within_two_seconds", SLOW)


def test_a_file_system_that_counts_no_inodes_lacks_none() -> None:
    asserted("disk_has_inodes", dropped(dropped(SEEN, "machine.inodes", 0), "machine.free_inodes", 0))


def test_no_assertion_is_left_that_was_not_seen_to_fail() -> None:
    written = {
        found for path in SUITE.glob("test_*.py") for found in re.findall(r"^def test_(\w+)", path.read_text(), re.M)
    }
    seen_to_fail = {name for case in CASES.values() for name in case.fails} | {*OF_THE_MACHINE}
    assert written - seen_to_fail - ({"no_core_dump_may_hold_its_keys"} if CORE_TAKEN_OVER else set()) == set()
