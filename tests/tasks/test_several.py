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


def test_one_that_was_killed_while_another_was_raised_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERLOCK_STATE", str(tmp_path))
    (tmp_path / "sandbox" / "kill").mkdir(parents=True)

    def killed_meanwhile(env: str, system: str) -> Told:
        (tmp_path / "sandbox" / "kill" / "other.mark").write_text("1")
        return Told(f"{system} is done")

    told = over("sandbox", ["done", "other"], killed_meanwhile, json=True, raises=True)
    assert told.code == 3
    assert "not begun, since somebody killed" in told.document["systems"]["other"]["sentence"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("done", "2 systems: done: done, last. Next: invoke status"),
        ("refused", "2 systems: refused: refused; done: last. Next: invoke status; mend it, run it again"),
        ("residue", "2 systems: RESIDUE: residue; not begun: last. Next: wake a person; "
                    "invoke kill --reason=... --system=residue"),
        ("safe", "2 systems: failed and safe: safe; not begun: last. Next: invoke status; mend it, run it again"),
    ],
)  # fmt: skip
def test_the_last_sentence_names_each_and_sends_no_healthy_one_down(names, said, monkeypatch) -> None:
    monkeypatch.setitem(ENDS, "last", ENDS["done"])
    assert over("sandbox", [*names.split(), "last"], go, json=True, raises=True).sentence == said


def test_the_keyboard_stops_all_of_them_and_what_ended_before_is_told() -> None:
    def interrupted(env: str, system: str) -> Told:
        if system == "done":
            return go(env, system)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        over("sandbox", ["refused", "done"], interrupted, json=True)
    told = over("sandbox", ["done", "refused", "bad"], interrupted, json=True)
    assert "refused: refused; done: done; not begun: bad" in told.sentence
    assert told.document["systems"]["done"]["exit_code"] == 0


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
