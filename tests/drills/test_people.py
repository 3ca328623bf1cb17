"""Where nobody signs at once: go-live waits, two people sign at their terminals, then it goes live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills.truth import assert_order_log_is_clean
from tests.field import Field, opened


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with opened(tmp_path_factory.mktemp("people")) as field:
        assert field.invoke("sandbox.up").code == 0
        settings = field.inventory / "sandbox" / "environment.yml"
        text = settings.read_text()
        settings.write_text(text.replace("provider: sandbox", "provider: none"))
        yield field
        settings.write_text(text)


def sign(field: Field, person: str, answer: str, key: str = "") -> tuple[int, str]:
    path = field.state / "people" / (key or person)
    done = field.typed("sign", "--env=sandbox", f"--person={person}", f"--key={path}", answer=answer)
    return done.code, done.out


def test_without_signatures_it_waits_and_changes_nothing(field: Field) -> None:
    before = (field.root("host-1") / "keys.env").read_bytes()
    done = field.invoke("go-live", "--env=sandbox")
    assert done.code == 4, done.out
    assert "waits for a signature as risk and operator" in done.last
    assert (field.root("host-1") / "keys.env").read_bytes() == before
    assert not [r for r in field.ledger() if r["kind"] == "transition.opened"]


@pytest.mark.parametrize("answer", ["yes\n", "kraken-bot\n", "\x04"], ids=["yes", "another system", "end of input"])
def test_anything_but_the_systems_name_is_no(field: Field, answer: str) -> None:
    code, out = sign(field, "ana", answer)
    assert code == 3 and "was not typed; nothing was changed" in out
    assert not [r for r in field.ledger() if r["kind"] == "signature.added"]


def test_one_signature_is_not_enough(field: Field) -> None:
    code, out = sign(field, "ana", "alpaca-bot\n")
    assert code == 0 and "still lacks a signature as operator" in out
    assert field.invoke("go-live", "--env=sandbox").code == 4


def test_the_same_key_cannot_sign_for_the_second_person(field: Field) -> None:
    code, out = sign(field, "raj", "alpaca-bot\n", key="ana")
    assert code == 3 and "does not count" in out


def test_the_text_that_is_signed_names_what_matters(field: Field) -> None:
    code, out = sign(field, "raj", "alpaca-bot\n")
    assert code == 0, out
    for words in ("go-live: alpaca-bot", "account 912345678", "order size 50 %", "change TRADING_MODE: paper -> live"):
        assert words in out


def test_signed_by_two_it_goes_live(field: Field) -> None:
    done = field.invoke("go-live", "--env=sandbox")
    assert done.code == 0, done.out
    assert "signed by ana (risk) and raj (operator)" in done.last


def test_a_rollback_needs_nobody_and_not_even_a_sound_profile(field: Field) -> None:
    text = field.profile.read_text()
    field.profile.write_text(text.replace("venues:", "venues: [", 1))
    done = field.invoke("rollback", "--env=sandbox")
    field.profile.write_text(text)
    assert done.code == 0, done.out
    assert "going by the last good copy of the inventory" in done.out
    assert_order_log_is_clean(field)


def test_the_used_plan_cannot_be_used_again(field: Field) -> None:
    used = next(r["body"]["plan"] for r in field.ledger() if r["kind"] == "plan.made")
    done = field.invoke("go-live", "--env=sandbox", f"--plan={used}")
    assert done.code == 3 and "used already" in done.out
