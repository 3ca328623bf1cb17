"""The decisions themselves: pure, the same after a crash as before it, and never towards risk when in doubt."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.history import History, Transition, replay
from ops.transitions.kernel import Next, Start, decide, may_begin, next_epoch
from ops.transitions.paths import PATHS
from tests.model.properties import tried
from tests.transitions.journeys import JOURNEYS, Journey, travelled
from tests.transitions.stage import Stage
from tests.transitions.truths import SYSTEM

PATH = ("trip", "cancel", "flip", "prove", "rearm")
UP = ("go-live", "rearm", "rotate-keys", "restart")
DOWN = ("rollback", "flip-mode")


def under_way(done: int, unproven: tuple[str, ...] = ()) -> Transition:
    """A transition whose first moves are done."""
    transition = Transition("t1", "go-live", 1, "", "")
    transition.done = {move: {} for move in PATH[:done]}
    transition.unproven = set(unproven)
    transition.failed = f"{unproven[0]}: no answer" if unproven else ""
    return transition


@pytest.mark.parametrize("done", range(len(PATH)))
@pytest.mark.parametrize("raises", [True, False], ids=["up", "down"])
def test_the_next_move_is_the_first_that_has_not_ended(done: int, raises: bool) -> None:
    decision = decide(PATH, raises, under_way(done))
    assert (decision.next, decision.move) == (Next.MOVE, PATH[done])


@pytest.mark.parametrize("raises", [True, False], ids=["up", "down"])
def test_the_end_of_the_path_is_the_commit(raises: bool) -> None:
    assert decide(PATH, raises, under_way(len(PATH))).next is Next.COMMIT


@pytest.mark.parametrize("done", range(len(PATH) + 1))
def test_a_raise_turns_back_at_any_request_to_halt_even_after_its_last_move(done: int) -> None:
    decision = decide(PATH, True, under_way(done), "a kill came in")
    assert (decision.next, decision.why) == (Next.TURN_BACK, "a kill came in")


@pytest.mark.parametrize("done", range(len(PATH) + 1))
def test_a_way_down_is_stopped_by_nothing(done: int) -> None:
    assert decide(PATH, False, under_way(done), "a kill came in").next is not Next.TURN_BACK
    assert decide(PATH, False, under_way(done, ("cancel",)), "a kill came in").next is not Next.TURN_BACK


@pytest.mark.parametrize("move", PATH)
def test_a_raise_turns_back_at_its_first_unproven_move(move: str) -> None:
    decision = decide(PATH, True, under_way(PATH.index(move), (move,)))
    assert (decision.next, decision.why) == (Next.TURN_BACK, f"{move}: no answer")


@pytest.mark.parametrize("move", PATH[:-1])
def test_a_way_down_goes_on_behind_an_unproven_move(move: str) -> None:
    done = PATH.index(move)
    assert decide(PATH, False, under_way(done, (move,))).move == PATH[done + 1]


def test_an_intent_without_an_outcome_is_made_again_never_taken_for_done() -> None:
    transition = under_way(2)
    transition.intended = list(PATH[:3])
    assert decide(PATH, False, transition).move == PATH[2]


@tried(300)
@given(st.sets(st.sampled_from(PATH)), st.sets(st.sampled_from(PATH)), st.booleans(), st.sampled_from(["", "SIGTERM"]))
def test_no_raise_commits_with_anything_unproven_or_left_out(
    done: set[str], unproven: set[str], raises: bool, halt: str
) -> None:
    transition = Transition("t1", "go-live", 1, "", "")
    transition.done, transition.unproven = {move: {} for move in done}, unproven
    transition.failed = "no answer" if unproven else ""
    decision = decide(PATH, raises, transition, halt)
    if decision.next is Next.COMMIT:
        assert done | unproven == set(PATH)
        assert not raises or (not unproven and not halt)
    if decision.next is Next.MOVE:
        assert decision.move not in done | unproven


def past(stage: str, interrupted: bool, residue: bool) -> History:
    history = History(SYSTEM, stage=stage, residue=("host-2 is dark",) if residue else ())
    if interrupted:
        history.transitions["t1"] = Transition("t1", "go-live", 1, "", "", intended=["trip"])
    return history


EVERYTHING = list(product((*UP, *DOWN), ("paper", "live-1"), (False, True), (False, True)))


@pytest.mark.parametrize(("verb", "at", "interrupted", "residue"), EVERYTHING)
def test_what_may_begin(verb: str, at: str, interrupted: bool, residue: bool) -> None:
    start, why = may_begin(verb, "live-1", past(at, interrupted, residue))
    if interrupted:
        assert start is Start.RECOVER
    elif residue:
        assert start is (Start.FRESH if verb in DOWN else Start.REFUSE)
    elif verb == "go-live":
        assert start is (Start.NOTHING if at == "live-1" else Start.FRESH)
    else:
        assert start is Start.FRESH
    assert bool(why) == (start is not Start.FRESH)


def test_go_live_is_no_promotion() -> None:
    start, why = may_begin("go-live", "live-1", past("live-2", False, False))
    assert start is Start.REFUSE
    assert "promotion" in why


@pytest.mark.parametrize(("intended", "says"), [([], "at its beginning"), (["trip", "flip"], "at flip")])
def test_an_interruption_says_where(intended: list[str], says: str) -> None:
    history = History(SYSTEM)
    history.transitions["t1"] = Transition("t1", "go-live", 1, "", "", intended=intended)
    assert may_begin("go-live", "live-1", history)[1] == f"go-live t1 was interrupted {says}"


@tried()
@given(st.integers(0, 10**6))
def test_each_epoch_is_above_all_before_it(epoch: int) -> None:
    assert next_epoch(History(SYSTEM, epoch=epoch)) > epoch


@pytest.mark.parametrize("verb", PATHS)
def test_every_path_trips_first(verb: str) -> None:
    assert PATHS[verb][1][0].name == "trip"


@pytest.mark.parametrize("verb", UP)
def test_a_path_that_rearms_does_it_last_behind_proof_and_signatures(verb: str) -> None:
    names = [move.name for move in PATHS[verb][1]]
    if "rearm" in names:
        assert names[-3:] == ["prove-again", "sign-off", "rearm"]


@pytest.mark.parametrize("verb", [*UP, *DOWN])
def test_nothing_is_flipped_before_zero_orders_are_open_and_a_way_back_is_armed(verb: str) -> None:
    policy, moves = PATHS[verb]
    names = [move.name for move in moves]
    for flip in {"flip", "flip-paper"} & set(names):
        before = names[: names.index(flip)]
        assert "cancel" in before, "a bot that has lost its live key cannot cancel its live orders"
        assert policy == "lower" or "arm" in before
        assert "disarm" in names[names.index(flip) :]


@pytest.mark.parametrize("verb", DOWN)
def test_a_way_down_ends_with_the_proof_of_paper_and_rearms_nothing(verb: str) -> None:
    policy, moves = PATHS[verb]
    names = [move.name for move in moves]
    assert (policy, names[-1]) == ("lower", "prove-paper")
    assert "rearm" not in names and "sign-off" not in names


@pytest.fixture(scope="module")
def journey(stage: Stage) -> Callable[[str], Journey]:
    return cache(lambda name: travelled(stage, name))


@pytest.mark.parametrize("name", JOURNEYS)
def test_the_records_alone_decide_the_same_as_the_run_that_wrote_them(
    journey: Callable[[str], Journey], name: str
) -> None:
    records = journey(name).instants[-1][1].records
    for index, record in enumerate(records):
        if record.kind == "step.intended":
            transition = replay(records[:index], SYSTEM).transitions[record.body["transition"]]
            policy, moves = PATHS[transition.verb]
            decision = decide([move.name for move in moves], policy == "raise", transition)
            assert (decision.next, decision.move) == (Next.MOVE, record.body["step"])
