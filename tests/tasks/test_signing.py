"""Signing: a person at a terminal who types the system's name, with a key of their own, over this plan and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.model.plan import Plan
from ops.model.signoff import Quorum
from ops.signatures import new_key, sign
from ops.tasks.opening import open_doors
from ops.transitions.preflight import current_history
from ops.transitions.signoff import quorum
from tests.field import Done, Field
from tests.tasks.people import ledger_of, nothing_changed, records

ROLES = {"ana": "risk", "raj": "operator", "eve": "risk", "kim": "operator, risk"}


@dataclass(frozen=True)
class Desk:
    """A field with a plan in its ledger, and people with keys."""

    field: Field
    plan: Plan

    def key(self, name: str) -> Path:
        return self.field.state / "people" / name

    def allow(self, *lines: str) -> None:
        self.key("allowed_signers").write_text("\n".join(lines) + "\n")

    def public(self, name: str) -> str:
        return self.key(f"{name}.pub").read_text().strip()

    def record(self, plan: Plan) -> None:
        body = {"system": plan.system, "plan": plan.id, "verb": plan.verb, "document": plan.as_dict()}
        ledger_of(self.field).append("plan.made", body)

    def hand_in(self, person: str, armored: str, plan: Plan | None = None) -> Done:
        path = self.field.state / "handed-in.sig"
        path.write_text(armored)
        return self.field.invoke(
            "sign", f"--plan={(plan or self.plan).id}", f"--person={person}", f"--signature={path}"
        )

    def signed(self, name: str, plan: Plan | None = None, namespace: str = "") -> str:
        plan = plan or self.plan
        return sign(plan.text, namespace or plan.namespace, self.key(name))


def a_plan(**changes: object) -> Plan:
    now = datetime.now(UTC)
    plan = Plan(
        verb="go-live", system="alpaca-bot", environment="sandbox", requester="max", stage_from="paper",
        stage_to="live-1", accounts={"alpaca": "912345678 at http://127.0.0.1:1, key 0"}, size_pct=50,
        changes={"TRADING_MODE": ("paper", "live")}, limits={"loss_daily_max_usd": "500"}, hosts={"host-1": "e" * 64},
        services=("bot on host-1",), inputs={"profile": "f" * 64}, findings={"passed": 20}, findings_digest="d" * 64,
        switch_reason="", ledger_seq=0, ledger_hash="0" * 64, commit="no-git", nonce="n1",
        made_at=now - timedelta(minutes=1), expires_at=now + timedelta(minutes=59),
    )  # fmt: skip
    return replace(plan, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """Nothing of this field ever runs."""
    field = Field(tmp_path_factory.mktemp("office"))
    for name in ROLES:
        new_key(field.state / "people" / name, name)
    people = "".join(f"  {name}: {{roles: [{roles}]}}\n" for name, roles in ROLES.items())
    (field.inventory / "sandbox" / "people.yml").write_text(f"people:\n{people}")
    return field


@pytest.fixture
def desk(office: Field) -> Iterator[Desk]:
    desk = Desk(office, a_plan())
    desk.allow(*(f"{name} {desk.public(name)}" for name in ROLES))
    desk.record(desk.plan)
    yield desk
    for path in office.state.glob("ledger.sqlite*"):
        path.unlink()


def signers(desk: Desk) -> list[str]:
    return [record.body["person"] for record in records(desk.field, "signature.added")]


def words(desk: Desk, name: str) -> list[str]:
    return ["sign", f"--plan={desk.plan.id}", f"--person={name}", f"--key={desk.key(name)}"]


def test_a_person_reads_the_plan_types_the_name_and_has_signed(desk: Desk) -> None:
    done = desk.field.typed(*words(desk, "ana"), answer="alpaca-bot\n")
    assert done.code == 0, done.out
    assert desk.plan.text in done.out.replace("\r\n", "\n")
    assert f"ana signed plan {desk.plan.id} to go-live alpaca-bot; it still lacks a signature as operator" in done.last
    assert signers(desk) == ["ana"]


def test_the_second_of_two_signatures_approves_the_plan(desk: Desk) -> None:
    assert desk.hand_in("ana", desk.signed("ana")).code == 0
    done = desk.hand_in("raj", desk.signed("raj"))
    assert done.code == 0, done.out
    assert "is approved; next: invoke go-live" in done.last
    assert f"--plan={desk.plan.id}" in done.last
    assert signers(desk) == ["ana", "raj"]


ANSWERS = {
    "end of input": "\x04",
    "an empty line": "\n",
    "yes": "yes\n",
    "y": "y\n",
    "the name of another system": "kraken-bot\n",
    "the name in capitals": "ALPACA-BOT\n",
    "more than the name": "alpaca-bot please\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_any_other_answer_is_no(desk: Desk, answer: str) -> None:
    with nothing_changed(desk.field):
        done = desk.field.typed(*words(desk, "ana"), answer=answer)
    assert done.code == 3, done.out
    assert "'alpaca-bot' was not typed; nothing was changed" in done.out


def test_without_a_terminal_nobody_signs(desk: Desk) -> None:
    with nothing_changed(desk.field):
        done = desk.field.invoke(*words(desk, "ana"))
    assert (done.code, "this needs a person at a terminal" in done.last) == (3, True)


BAD: dict[str, tuple[Callable[[Desk], Done], str]] = {
    "over another plan": (
        lambda d: d.hand_in("ana", d.signed("ana", replace(d.plan, nonce="n2"))), "does not verify as ana",
    ),
    "over a plan with a higher limit": (
        lambda d: d.hand_in("ana", d.signed("ana", replace(d.plan, limits={"loss_daily_max_usd": "5000"}))), "does not",
    ),
    "for another action": (lambda d: d.hand_in("ana", d.signed("ana", namespace="interlock-rearm@v1")), "does not"),
    "by another person": (lambda d: d.hand_in("ana", d.signed("raj")), "does not verify as ana"),
    "garbage": (lambda d: d.hand_in("ana", "approved, ana\n"), "this is not one SSH signature"),
    "nothing": (lambda d: d.hand_in("ana", ""), "this is not one SSH signature"),
    "two armors": (lambda d: d.hand_in("ana", d.signed("raj") + d.signed("ana")), "this is not one SSH signature"),
}  # fmt: skip


@pytest.mark.parametrize(("bad", "says"), BAD.values(), ids=BAD)
def test_a_bad_signature_is_refused_and_not_written_down(desk: Desk, bad, says: str) -> None:
    with nothing_changed(desk.field):
        done = bad(desk)
    assert (done.code, says in done.last) == (3, True), done.out


@pytest.mark.parametrize(
    "options", ['valid-before="20260101"', 'valid-after="20990101"', 'namespaces="interlock-rearm@v1"'],
    ids=["expired", "not yet valid", "for other actions"],
)  # fmt: skip
def test_a_key_out_of_its_time_or_its_actions_is_refused(desk: Desk, options: str) -> None:
    desk.allow(f"ana {options} {desk.public('ana')}")
    with nothing_changed(desk.field):
        done = desk.hand_in("ana", desk.signed("ana"))
    assert (done.code, "does not verify as ana" in done.last) == (3, True), done.out


def test_whoever_asked_for_the_plan_may_not_sign_it(desk: Desk) -> None:
    own = a_plan(requester="ana", nonce="own")
    desk.record(own)
    with nothing_changed(desk.field):
        done = desk.hand_in("ana", desk.signed("ana", own), own)
    assert (done.code, f"ana asked for plan {own.id} and may not sign it" in done.last) == (3, True)


def test_one_key_under_two_names_signs_once(desk: Desk) -> None:
    desk.allow(f"ana {desk.public('ana')}", f"raj {desk.public('ana')}")
    assert desk.hand_in("ana", desk.signed("ana")).code == 0
    with nothing_changed(desk.field):
        done = desk.hand_in("raj", desk.signed("ana"))
    assert (done.code, "one key signed twice" in done.last) == (3, True), done.out


def test_one_person_with_two_keys_signs_once(desk: Desk) -> None:
    desk.allow(f"kim {desk.public('kim')}", f"kim {desk.public('eve')}")
    assert desk.hand_in("kim", desk.signed("kim")).code == 0
    with nothing_changed(desk.field):
        done = desk.hand_in("kim", desk.signed("eve"))
    assert (done.code, "one person signed twice" in done.last) == (3, True), done.out


def test_two_people_of_one_role_do_not_fill_two(desk: Desk) -> None:
    assert desk.hand_in("ana", desk.signed("ana")).code == 0
    done = desk.hand_in("eve", desk.signed("eve"))
    assert "it still lacks a signature as operator" in done.last


def test_an_expired_plan_cannot_be_signed(desk: Desk) -> None:
    old = a_plan(nonce="old", made_at=datetime.now(UTC) - timedelta(hours=2), expires_at=datetime.now(UTC))
    desk.record(old)
    with nothing_changed(desk.field):
        done = desk.hand_in("ana", desk.signed("ana", old), old)
    assert (done.code, "the plan has expired" in done.last) == (3, True), done.out


def test_a_plan_from_the_future_cannot_be_signed(desk: Desk) -> None:
    soon = a_plan(nonce="soon", made_at=datetime.now(UTC) + timedelta(minutes=5))
    desk.record(soon)
    with nothing_changed(desk.field):
        done = desk.hand_in("ana", desk.signed("ana", soon), soon)
    assert (done.code, "the plan is from the future" in done.last) == (3, True), done.out


def test_a_plan_that_was_used_cannot_be_signed_again(desk: Desk) -> None:
    body = {"system": "alpaca-bot", "transition": "t1", "verb": "go-live", "epoch": 1, "plan": desk.plan.id}
    ledger_of(desk.field).append("transition.opened", {**body, "stage_to": "live-1"})
    with nothing_changed(desk.field):
        done = desk.hand_in("ana", desk.signed("ana"))
    assert (done.code, "was used already" in done.last) == (3, True), done.out


def test_a_plan_that_does_not_match_its_own_name_is_refused(desk: Desk) -> None:
    forged = {**desk.plan.as_dict(), "size_pct": 100}
    ledger_of(desk.field).append(
        "plan.made", {"system": "alpaca-bot", "plan": "f00dfeed0000", "verb": "go-live", "document": forged}
    )
    with nothing_changed(desk.field):
        done = desk.field.invoke("sign", "--plan=f00dfeed0000", "--person=ana", f"--signature={desk.key('ana')}")
    assert (done.code, "does not match its own digest" in done.last) == (2, True), done.out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--person=bob", "--key=k"], "bob is not in people.yml; expected one of: ana, raj, eve, kim"),
        (["--person=ana"], "one of --key and --signature is needed"),
        (["--person=ana", "--key=k", "--signature=s"], "one of --key and --signature is needed"),
        (["--person=ana", "--signature=none.sig"], "none.sig: the signature cannot be read"),
    ],
    ids=["an unknown person", "no key", "key and signature", "no such file"],
)
def test_bad_words_for_a_signature_are_bad_input(desk: Desk, more: list[str], says: str) -> None:
    with nothing_changed(desk.field):
        done = desk.field.invoke("sign", f"--plan={desk.plan.id}", *more)
    assert (done.code, says in done.last) == (2, True), done.out


# What the gate itself makes of signatures that came into the ledger in another way


@pytest.fixture
def judged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[Plan], Quorum]:
    """The quorum as go-live asks for it, right before the lock and right before the rearm."""
    for name in ("INTERLOCK_INVENTORY", "INTERLOCK_STATE"):
        monkeypatch.setenv(name, desk.field.environ[name])

    def judge(plan: Plan) -> Quorum:
        doors = open_doors("sandbox", "")
        return quorum(doors, plan, current_history(doors))

    return judge


def forge(desk: Desk, person: str, armored: str, key: str = "SHA256:forged") -> None:
    body = {"system": "alpaca-bot", "plan": desk.plan.id, "person": person, "key": key, "armored": armored}
    ledger_of(desk.field).append("signature.added", body)


def test_two_good_signatures_are_a_quorum(desk: Desk, judged) -> None:
    forge(desk, "ana", desk.signed("ana"))
    forge(desk, "raj", desk.signed("raj"))
    verdict = judged(desk.plan)
    assert (verdict.reached, verdict.signers) == (True, {"ana": "risk", "raj": "operator"})


FORGERIES: dict[str, Callable[[Desk], None]] = {
    "nobody signed": lambda d: None,
    "one signed": lambda d: forge(d, "ana", d.signed("ana")),
    "a record without a signature": lambda d: (forge(d, "ana", d.signed("ana")), forge(d, "raj", "")),
    "one copied to another name": lambda d: (forge(d, "ana", d.signed("ana")), forge(d, "raj", d.signed("ana"))),
    "a good one beside a bad one": lambda d: (
        forge(d, "ana", d.signed("ana")), forge(d, "raj", d.signed("raj")), forge(d, "kim", "garbage")
    ),
    "the same twice": lambda d: [forge(d, "ana", d.signed("ana")) for _ in range(2)],
    "somebody who is not in people.yml": lambda d: (
        d.allow(f"ana {d.public('ana')}", f"bob {d.public('raj')}"),
        forge(d, "ana", d.signed("ana")), forge(d, "bob", d.signed("raj")),
    ),
    "a key that was taken off the list since": lambda d: (
        forge(d, "ana", d.signed("ana")), forge(d, "raj", d.signed("raj")), d.allow(f"ana {d.public('ana')}")
    ),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_record_in_the_ledger_alone_approves_nothing(desk: Desk, judged, forgery) -> None:
    forgery(desk)
    assert not judged(desk.plan).reached


def test_the_requesters_own_signature_spoils_a_quorum(office: Field, desk: Desk, judged) -> None:
    own = Desk(office, a_plan(requester="kim", nonce="kims"))
    own.record(own.plan)
    for name in ("ana", "raj", "kim"):
        forge(own, name, own.signed(name))
    assert "kim asked for the plan and may not sign it" in judged(own.plan).problems
