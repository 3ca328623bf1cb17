"""What `invoke verify` expects of the hosts: the gate by the ledger, the keys by what lies here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.hosts.testinfra import Standing, foreign_keys, host_facts, run_suite
from ops.model.history import History, Transition
from ops.secrets import fingerprint
from ops.tasks.verify import gate_expected
from tests.checks import sights


def ended(verb: str, at: str, outcome: str = "committed", *steps: str) -> Transition:
    return Transition(verb, verb, 1, "", at, done={step: {} for step in steps}, outcome=outcome, closed_at=at)


def killed(at: str, *residue: str) -> Mapping[str, object]:
    return {"at": at, "residue": list(residue)}


GO_LIVE, BACK = ended("go-live", "10:00", "committed", "trip", "rearm"), ended("rollback", "11:00", "committed", "trip")
PASTS: Mapping[str, tuple[History, bool | None]] = {
    "nothing yet": (History("s"), None),
    "live": (History("s", transitions={"a": GO_LIVE}), False),
    "rolled back": (History("s", transitions={"a": GO_LIVE, "b": BACK}), True),
    "a go-live that turned back": (
        History("s", transitions={"a": ended("go-live", "10:00", "reverted", "trip", "rearm")}), True
    ),
    "interrupted": (History("s", transitions={"a": GO_LIVE, "b": ended("rollback", "", "")}), None),
    "killed since": (History("s", transitions={"a": GO_LIVE}, kills=[killed("10:30")]), True),
    "killed since, not proven": (History("s", transitions={"a": GO_LIVE}, kills=[killed("10:30", "host-1")]), None),
    "killed, then re-armed": (
        History("s", transitions={"a": ended("rearm", "10:45", "committed", "rearm")}, kills=[killed("10:30")]), False
    ),
    "residue": (History("s", transitions={"a": BACK}, residue=("host-1",)), None),
}  # fmt: skip


@pytest.mark.parametrize("past", PASTS)
def test_the_gate_is_expected_as_the_ledger_saw_it_last(past: str) -> None:
    history, expected = PASTS[past]
    assert gate_expected(history) is expected


def test_keys_of_the_other_mode_are_known_in_every_state_and_never_our_own(tmp_path: Path) -> None:
    doors = sights.doors(tmp_path)
    doors.secrets.put("alpaca-live", {"key": "AKNEXT", "secret": "next-secret-0001"}, "pending")
    doors.secrets.put("alpaca-live", {"key": sights.KEYS["paper"][0], "secret": "old-secret-00001"}, "previous")
    clear = (*sights.KEYS["live"], "AKNEXT", "next-secret-0001", "old-secret-00001")
    assert foreign_keys(doors.secrets, doors.profile, "paper") == {fingerprint(value, "salt") for value in clear}


def test_what_must_be_true_holds_no_secret(tmp_path: Path) -> None:
    doors = sights.doors(tmp_path)
    foreign = foreign_keys(doors.secrets, doors.profile, "paper")
    facts = host_facts(doors.fleet, doors.bot_credentials("paper"), "paper", 100, Standing(True, None, foreign))
    text = json.dumps(facts)
    assert not [value for pair in sights.KEYS.values() for value in pair if value in text]
    assert len(foreign) == 2 and facts["host-1"]["wanted"]["tripped"] is True


def test_a_host_without_the_bots_folder_is_unknown_and_named_once(tmp_path: Path) -> None:
    doors = sights.doors(tmp_path)
    verdict = run_suite(host_facts(doors.fleet, doors.bot_credentials("paper"), "paper"))
    assert verdict.passed == 0
    assert {problem.partition(" could not be seen")[0] for problem in verdict.problems} == {"host-1", "host-2"}
