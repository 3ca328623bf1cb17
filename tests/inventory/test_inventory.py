"""What stands wrongly in an inventory is refused with file and line, and the wrong value is never repeated if it could
be a secret. `bad_profiles.yml` holds the cases: one wrong thing each in the profile that is shipped."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.errors import InputError
from ops.inventory import Place, load_environment, load_people, load_profile, place
from tests.field import ROOT

CASES = yaml.safe_load((Path(__file__).parent / "bad_profiles.yml").read_text())


@pytest.fixture
def here(tmp_path: Path) -> Place:
    shutil.copytree(ROOT / "inventory" / "sandbox", tmp_path / "sandbox")
    return Place("sandbox", tmp_path / "sandbox", tmp_path / "state")


def profile_file(here: Place, system: str = "alpaca-bot") -> Path:
    return here.inventory / "systems" / f"{system}.yml"


def refused(here: Place, system: str = "alpaca-bot") -> InputError:
    with pytest.raises(InputError) as caught:
        load_profile(here, system)
    return caught.value


def test_the_profile_that_is_shipped_is_sound(here: Place) -> None:
    profile = load_profile(here, "alpaca-bot")
    assert profile.limits.loss_daily_max_usd.value == Decimal(500)
    assert load_environment(here).provider == "sandbox"
    assert set(load_people(here)) == {"ana", "raj"}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_profile_with_one_wrong_thing_is_refused_at_its_line(here: Place, case: Mapping[str, Any]) -> None:
    system = case.get("of", "alpaca-bot")
    path = profile_file(here, system)
    text = path.read_text()
    assert text.count(case["old"]) == 1, "the case must hit one place"
    text = text.replace(case["old"], case["new"])
    path.write_text(text)
    error = refused(here, system)
    line = text[: text.index(case.get("at", case["new"]))].count("\n") + 1
    told = error.text()
    assert told.startswith(f"{path}:{line}: "), f"{told} (the wrong thing stands on line {line})"
    assert [part for part in case["says"] if part not in told] == [], told
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no settings"),
        (b"# only a comment\n", "holds no settings"),
        (b"[1, 2]\n", "holds no settings"),
        (b"just words\n", "holds no settings"),
        (b"a: 1\n---\nb: 2\n", "not valid YAML"),
        (b"a: \x00\n", "not valid YAML"),
        (b"name: caf\xe9\n", "cannot be read"),
        (b"a: b: c\n", "not valid YAML"),
    ],
    ids=["empty", "a comment", "a list", "a text", "two documents", "NUL", "latin-1", "two colons"],
)
def test_a_file_that_is_no_profile_at_all_is_refused_with_its_name(here: Place, data: bytes, says: str) -> None:
    profile_file(here).write_bytes(data)
    error = refused(here)
    assert error.text().startswith(str(profile_file(here)))
    assert says in error.text()


def test_a_byte_order_mark_before_a_profile_changes_nothing(here: Place) -> None:
    path = profile_file(here)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_profile(here, "alpaca-bot").system == "alpaca-bot"


@pytest.mark.parametrize(
    ("written", "value"),
    [("2500", "2500"), ('"2500"', "2500"), ("2500.50", "2500.50"), ("0.1", "0.1"), ("0500", "500"), ("1e3", "1000")],
)
def test_a_number_is_exactly_what_a_person_reads(here: Place, written: str, value: str) -> None:
    """No floats, and no zero in front that turns a limit into base eight (0500 would be 320)."""
    path = profile_file(here)
    path.write_text(
        path.read_text().replace('MAX_DAILY_LOSS_USD, value: "500"', f"MAX_DAILY_LOSS_USD, value: {written}")
    )
    assert load_profile(here, "alpaca-bot").limits.loss_daily_max_usd.value == Decimal(value)


def test_a_seed_keeps_its_zeros(here: Place) -> None:
    path = profile_file(here)
    path.write_text(path.read_text().replace('seed: "000"', "seed: 000"))
    assert load_profile(here, "alpaca-bot").seed == "000"


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "True", "FALSE", "y"])
def test_a_word_that_old_yaml_takes_for_a_boolean_stays_the_word(here: Place, word: str) -> None:
    path = profile_file(here)
    path.write_text(path.read_text().replace('{paper: "false", live: "true"}', f"{{paper: {word}, live: live}}", 1))
    assert load_profile(here, "alpaca-bot").mode.variables["ENABLE_LIVE_TRADING"].paper == word


def test_a_secret_in_the_wrong_place_is_not_repeated(here: Place) -> None:
    path = profile_file(here)
    path.write_text(path.read_text().replace("credentials: alpaca-live", "credentials: AKSECRETSECRET/hunter2"))
    assert "hunter2" not in refused(here).text()


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("environment.yml", "provider: sandbox ", "provider: cloud ", "provider is wrong"),
        ("environment.yml", "environment: sandbox", "environment: sandbox\ncolour: red", "unknown key 'colour'"),
        ("environment.yml", 'secrets: "{state}/secrets"', "x: y", "x"),
        (
            "environment.yml",
            "default_system: alpaca-bot",
            "default_system: alpacabot",
            "there is no system 'alpacabot'",
        ),
        ("people.yml", "roles: [risk]", "roles: []", "people.ana.roles is wrong"),
        ("people.yml", "  ana:", "  ana: {roles: [risk]}\n  ana:", "'ana' stands twice"),
        ("people.yml", "people:\n", "persons:\n", "people"),
    ],
)
def test_the_other_files_of_an_environment_are_held_to_the_same(here: Place, file, old, new, says) -> None:
    path = here.inventory / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_environment(here)
        load_people(here)
    assert caught.value.text().startswith(f"{path}:")
    assert says in caught.value.text()


def test_an_environment_that_does_not_exist_names_those_that_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERLOCK_INVENTORY", str(ROOT / "inventory"))
    with pytest.raises(InputError) as caught:
        place("nowhere")
    assert "there is no environment 'nowhere'" in caught.value.text()
    assert "one of: sandbox" in caught.value.text()


def test_a_system_that_does_not_exist_names_those_that_do(here: Place) -> None:
    with pytest.raises(InputError) as caught:
        load_profile(here, "nobody")
    assert "there is no system 'nobody' in sandbox; expected one of: alpaca-bot" in caught.value.text()


@pytest.mark.parametrize("system", ["alpaca-bot", "ibkr-assistant", "kalshi-polymarket", "kraken-bot", "smart-alpaca"])
def test_a_neighbour_that_is_broken_keeps_no_other_from_being_read(here: Place, system: str) -> None:
    """Nor does the way down, which goes by the last good copy, ask what else stands in the inventory."""
    (here.inventory / "systems" / "broken.yml").write_text("hosts: [")
    shutil.copytree(here.inventory, here.last_good)
    for path in (here.last_good / "systems").iterdir():
        if path.stem != system:
            path.unlink()
    assert load_profile(here, system).system == system
    kept = Place(here.name, here.last_good, here.state)
    copy = here.last_good / "systems" / f"{system}.yml"
    copy.write_text(copy.read_text().replace(f"checklist: {system}", "checklist: none"))
    assert load_profile(kept, system).checklist == "none"
    assert load_environment(kept).default_system == "alpaca-bot"


def test_two_machines_may_have_the_same_folder_and_port_two_bots_on_one_may_not(here: Place) -> None:
    path = profile_file(here, "smart-alpaca")
    text = path.read_text().replace('root: "{state}/hosts/smart-2"', 'root: "{state}/hosts/host-1"')
    path.write_text(text.replace('api: "http://127.0.0.1:18712"', 'api: "http://127.0.0.1:18411"'))
    assert "the root is that of alpaca-bot too" in refused(here, "smart-alpaca").text()
    hosts = here.inventory / "hosts.yml"
    hosts.write_text(
        hosts.read_text().replace("smart-2:", "smart-2: {ansible_connection: ssh, ansible_host: 10.0.0.7}")
    )
    assert load_profile(here, "smart-alpaca").system == "smart-alpaca"
