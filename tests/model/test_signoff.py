"""Who has signed, and is it enough: every way to count a person twice, too late or at all when they should not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.signoff import Quorum, Signature, judge
from tests.model.properties import tried
from tests.model.test_plan import MADE, PLAN

ROLES = ("risk", "operator")
PEOPLE = {
    "ana": ("risk",),
    "raj": ("operator",),
    "lee": ("risk", "operator"),
    "kim": ("risk", "operator"),
    "eva": ("clerk",),
    "una": ("risk",),
}
NOW = MADE + timedelta(minutes=5)


def signed(person: str, key: str = "", problem: str = "") -> Signature:
    return Signature(person, key or f"SHA256:{person}", not problem, problem)


ANA, RAJ, LEE, KIM, EVA, UNA = (signed(person) for person in PEOPLE)


@dataclass(frozen=True)
class Attack:
    """What somebody hands in, and what the verdict must say."""

    signatures: Sequence[Signature]
    says: str
    roles: Sequence[str] = ROLES
    people: Mapping[str, Sequence[str]] = field(default_factory=lambda: PEOPLE)
    now: datetime = NOW

    def verdict(self) -> Quorum:
        return judge(PLAN, self.roles, self.people, self.signatures, self.now)


ATTACKS = {
    "nobody signs": Attack([], "missing risk operator"),
    "one of two signs": Attack([ANA], "missing operator"),
    "two of one role": Attack([ANA, UNA], "missing operator"),
    "the requester signs": Attack([ANA, KIM], "kim asked for the plan"),
    "the requester signs besides a full quorum": Attack([ANA, RAJ, KIM], "kim asked for the plan"),
    "the requester is the only one of a role": Attack([ANA, KIM], "missing operator"),
    "one person signs twice": Attack([ANA, ANA], "one person signed twice"),
    "one person signs twice with two keys": Attack([ANA, signed("ana", "SHA256:2")], "one person signed twice"),
    "one person fills both roles": Attack([LEE], "missing risk"),
    "one person in two roles with two keys": Attack([LEE, signed("lee", "SHA256:2")], "one person signed twice"),
    "two names for one key": Attack([ANA, signed("raj", "SHA256:ana")], "one key signed twice"),
    "two names for one key in a full quorum": Attack([ANA, RAJ, signed("lee", "SHA256:ana")], "one key signed twice"),
    "a person without the role": Attack([ANA, EVA], "missing operator"),
    "a person nobody knows": Attack([ANA, signed("joe")], "joe is not in people.yml"),
    "a person nobody knows besides a full quorum": Attack([ANA, RAJ, signed("joe")], "joe is not in people.yml"),
    "a name in other letters": Attack([ANA, signed("RAJ")], "RAJ is not in people.yml"),
    "a name with a space": Attack([ANA, signed("raj ")], "raj  is not in people.yml"),
    "a name with a homoglyph": Attack([ANA, signed("r\u0430j")], "is not in people.yml"),
    "an empty name": Attack([ANA, signed("")], "is not in people.yml"),
    "a bad signature": Attack([ANA, signed("raj", problem="does not verify")], "raj: does not verify"),
    "a bad signature without a reason": Attack([ANA, Signature("raj", "SHA256:raj", False)], "does not verify"),
    "a bad signature denies a full quorum": Attack([ANA, RAJ, signed("lee", problem="forged")], "lee: forged"),
    "a bad signature by the requester denies too": Attack([ANA, RAJ, signed("kim", problem="forged")], "kim: forged"),
    "a good and a bad one of one person": Attack([ANA, RAJ, signed("raj", problem="other plan")], "raj: other plan"),
    "signed, then expired": Attack([ANA, RAJ], "the plan has expired", now=PLAN.expires_at),
    "long expired": Attack([ANA, RAJ], "the plan has expired", now=PLAN.expires_at + timedelta(days=400)),
    "a clock set back before the plan": Attack([ANA, RAJ], "from the future", now=MADE - timedelta(microseconds=1)),
    "a role that nobody holds any more": Attack([ANA, RAJ], "missing operator", people={**PEOPLE, "raj": ("clerk",)}),
    "a signer who has left": Attack([ANA, RAJ], "raj is not in people.yml", people={"ana": ("risk",)}),
    "a signer who holds no role at all": Attack([ANA, RAJ], "raj is not in people.yml", people={**PEOPLE, "raj": ()}),
    "a role asked for twice, one person": Attack([ANA], "missing risk", roles=("risk", "risk")),
    "no role is asked for": Attack([], "no role", roles=()),
    "no role is asked for, and two sign": Attack([ANA, RAJ], "no role", roles=()),
    "a third role": Attack([ANA, RAJ], "missing auditor", roles=(*ROLES, "auditor")),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_on_the_quorum_fails_and_is_named(attack: Attack) -> None:
    verdict = attack.verdict()
    assert not verdict.reached
    said = [*verdict.problems, f"missing {' '.join(verdict.missing)}"]
    assert any(attack.says in text for text in said), said


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_order_in_which_signatures_arrive_decides_nothing(attack: Attack) -> None:
    verdicts = [replace(attack, signatures=order).verdict() for order in permutations(attack.signatures)]
    assert not any(verdict.reached for verdict in verdicts)
    assert len({frozenset(verdict.problems) for verdict in verdicts}) == 1


ENOUGH = {
    "two people, two roles": (ROLES, [ANA, RAJ], {"ana": "risk", "raj": "operator"}),
    "one of them could do both": (ROLES, [ANA, LEE], {"ana": "risk", "lee": "operator"}),
    "the one who could do both came first": (ROLES, [LEE, RAJ], {"lee": "risk", "raj": "operator"}),
    "more people than needed": (ROLES, [EVA, ANA, RAJ], {"ana": "risk", "raj": "operator"}),
    "two people of one role": (("risk", "risk"), [ANA, LEE], {"ana": "risk", "lee": "risk"}),
}


@pytest.mark.parametrize(("roles", "signatures", "signers"), ENOUGH.values(), ids=ENOUGH)
def test_one_distinct_person_for_each_role_is_enough(
    roles: Sequence[str], signatures: list[Signature], signers: dict[str, str]
) -> None:
    for order in permutations(signatures):
        verdict = judge(PLAN, roles, PEOPLE, order, NOW)
        assert verdict.reached
        assert verdict.signers == signers


def test_a_plan_lasts_until_its_last_instant_and_no_longer() -> None:
    last = PLAN.expires_at - timedelta(microseconds=1)
    assert judge(PLAN, ROLES, PEOPLE, [ANA, RAJ], last).reached
    assert not judge(PLAN, ROLES, PEOPLE, [ANA, RAJ], PLAN.expires_at).reached


names = st.sampled_from(["ana", "raj", "lee", "kim", "eva", "joe"])
some = st.builds(Signature, names, st.sampled_from(["k1", "k2", "k3", "k4"]), st.booleans(), st.just(""))
role_lists = st.lists(st.sampled_from(["risk", "operator", "auditor"]), min_size=2, max_size=3, unique=True)


@tried(500)
@given(st.lists(some, max_size=4), role_lists)
def test_a_quorum_is_distinct_people_with_distinct_keys_who_hold_the_roles(
    given: list[Signature], roles: list[str]
) -> None:
    people = {**PEOPLE, "eva": ("auditor",)}
    verdict = judge(PLAN, roles, people, given, NOW)
    if not verdict.reached:
        return
    assert sorted(verdict.signers.values()) == sorted(roles)
    assert PLAN.requester not in verdict.signers
    assert all(role in people[person] for person, role in verdict.signers.items())
    assert all(signature.valid for signature in given)
    keys = [s.key_fingerprint for s in given]
    assert len(set(keys)) == len(keys)


@tried(500)
@given(st.lists(some, max_size=4), some)
def test_a_signature_more_never_repairs_what_is_wrong(given: list[Signature], more: Signature) -> None:
    before = judge(PLAN, ROLES, PEOPLE, given, NOW)
    after = judge(PLAN, ROLES, PEOPLE, [*given, more], NOW)
    assert set(before.problems) <= set(after.problems)
