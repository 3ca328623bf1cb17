"""One command over several systems: which are meant, that each has its own end, and what the whole ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.doors import utc_now
from ops.errors import InputError, Refused, ResidueLeft, SafeFailure, Waiting
from ops.inventory import Place, place
from ops.ledger.store import Ledger
from ops.tasks.opening import chosen_systems, meant_systems, one_system
from ops.tasks.several import over
from ops.tasks.telling import Told
from tests.field import ROOT

ENDS = {
    "done": (None, 0),
    "bad": (InputError("no such thing"), 2),
    "refused": (Refused("the gate is shut"), 3),
    "waiting": (Waiting("sign it"), 4),
    "safe": (SafeFailure("failed, and safe"), 5),
    "residue": (ResidueLeft("NOT proven", residue=("host-1",)), 6),
    "fault": (RuntimeError("SECRET"), 1),
}


def go(env: str, system: str) -> Told:
    error, _ = ENDS[system]
    if error is not None:
        raise error
    return Told(f"{system} is done", document={"system": system})


WORST = {
    "done done": 0, "done bad": 2, "bad waiting": 4, "waiting refused done": 3, "refused safe": 5, "safe fault": 1,
    "fault residue done": 6,
}  # fmt: skip


@pytest.mark.parametrize(("names", "code"), WORST.items())
def test_each_has_its_own_end_and_the_whole_the_worst(
    names: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told = over("sandbox", [*names.split(), "done"], go, json=False)
    assert told.code == code
    said = capsys.readouterr().out
    told_of = [str(ENDS[name][0] or f"{name} is done") for name in names.split() if name != "fault"]
    assert [text for text in told_of if text not in said] == []
    assert "SECRET" not in said + told.sentence
    ends = told.document["systems"]
    assert {name: end["exit_code"] for name, end in ends.items()} == {n: ENDS[n][1] for n in {*names.split(), "done"}}


@pytest.mark.parametrize("first", ["fault", "safe", "residue"])
def test_behind_one_that_turned_back_nothing_more_is_raised(first: str) -> None:
    told = over("sandbox", [first, "done"], go, json=True, raises=True)
    assert "not begun" in told.document["systems"]["done"]["sentence"]
    assert over("sandbox", [first, "done"], go, json=True).document["systems"]["done"]["exit_code"] == 0


def test_the_keyboard_stops_all_of_them() -> None:
    def interrupted(env: str, system: str) -> Told:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        over("sandbox", ["done", "refused"], interrupted, json=True)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("INTERLOCK_INVENTORY", str(ROOT / "inventory"))
    monkeypatch.setenv("INTERLOCK_STATE", str(tmp_path))
    (tmp_path / "sandbox").mkdir()
    return place("sandbox")


def went_live(here: Place, system: str) -> None:
    ledger = Ledger(here.state / "ledger.sqlite", "tester", utc_now)
    ledger.append("transition.opened", {"system": system, "transition": system, "verb": "go-live", "epoch": 1})
    body = {"system": system, "transition": system, "outcome": "committed", "stage": "live-1", "residue": []}
    ledger.append("transition.closed", body)


def test_all_several_or_one_are_meant_as_they_are_named(here: Place) -> None:
    assert len(chosen_systems(here, "all")) == len(chosen_systems(here, "")) == 5
    assert meant_systems(here, "kraken-bot, alpaca-bot,kraken-bot") == ["kraken-bot", "alpaca-bot"]
    with pytest.raises(InputError, match="there is no system 'nobody'"):
        chosen_systems(here, "kraken-bot,nobody")


def test_without_a_name_the_live_one_is_meant_else_the_default_never_one_of_two(here: Place) -> None:
    assert one_system(here, "") == "alpaca-bot", "the environment's default"
    went_live(here, "kraken-bot")
    assert one_system(here, "") == "kraken-bot"
    went_live(here, "smart-alpaca")
    with pytest.raises(InputError, match="several systems fit"):
        one_system(here, "")
