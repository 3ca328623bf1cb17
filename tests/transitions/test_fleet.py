"""Three and eight hosts: raising risk stops at the first that fails, lowering it reaches every one that it can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ops.errors import InterlockError, Refused, ResidueLeft, SafeFailure
from ops.model.mode import Mode
from ops.transitions.drift import drift
from ops.transitions.go_live import prepared
from ops.transitions.halt import ask_to_halt
from ops.transitions.progress import Silent
from ops.transitions.rearm import rearm
from ops.transitions.restart import restart
from tests.transitions.journeys import go_live, roll_back
from tests.transitions.stage import Stage, set_stage
from tests.transitions.truths import hold_true, running_live, unsafe
from tests.transitions.world import SimHost, World

SIZES = (3, 8)
Act = Callable[[World, SimHost], None]


@pytest.fixture(scope="module")
def fleet_of(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Stage]:
    return cache(lambda hosts: set_stage(tmp_path_factory.mktemp(f"fleet-{hosts}"), hosts))


def halted_live(stage: Stage) -> World:
    """Live on every host, and tripped."""
    world = stage.world("paper")
    go_live(stage, world)
    restart(stage.doors(world), Silent())
    world.waves.clear()
    return world


@pytest.mark.parametrize("hosts", SIZES)
def test_what_raises_goes_to_one_host_first_and_what_lowers_to_all_at_once(fleet_of, hosts: int) -> None:
    stage = fleet_of(hosts)
    world, names = stage.world("paper"), [f"host-{n}" for n in range(1, hosts + 1)]
    go_live(stage, world)
    sent = [(op, asked) for op, asked in world.waves if op != "look"]
    both = [names[:1], names[1:]]
    raised = [(op, asked) for op in ("arm", "flip", "disarm", "rearm") for asked in both]
    assert sent == [("trip", names), *raised]
    world.waves.clear()
    roll_back(stage, world)
    assert [wave for wave in world.waves if wave[0] != "look"] == [(op, names) for op in ("trip", "flip", "disarm")]


@pytest.mark.parametrize("op", ["arm", "flip", "disarm", "rearm"])
def test_behind_a_first_host_that_fails_no_other_is_touched_and_each_is_named(fleet_of, op: str) -> None:
    stage = fleet_of(3)
    world = stage.world("paper")
    world.refuses = lambda host, request: "full" if (host, request["op"]) == ("host-1", op) else ""
    rising: list[str] = []
    world.on_request = lambda host, request: rising.append(f"{request['op']} {host}")
    with pytest.raises((SafeFailure, ResidueLeft)) as end:
        go_live(stage, world)
    before_descent = rising[: rising.index(f"{op} host-1") + 1]
    assert not [sent for sent in before_descent if sent in (f"{op} host-2", f"{op} host-3")]
    assert "host-2: not tried: host-1 failed before; host-3: not tried: host-1 failed before" in str(end.value)
    assert not any(host.armed for host in world.hosts.values())


def unsafe_but(world: World, host: str) -> list[str]:
    """What is not safe apart from one host; the ledger keeps its stage as long as that one is residue."""
    told = (host, "residue", "the ledger says")
    return [text for text in unsafe(world) if not any(words in text for words in told)]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one host of a fleet on its way up, from a certain request on."""

    op: str
    act: Act
    says: str


def lose(how: str) -> Act:
    def act(world: World, host: SimHost) -> None:
        world.loses_requests = True
        world.request_fails = lambda number, name: how if name == host.name else ""

    return act


def refuse_to_start(world: World, host: SimHost) -> None:
    world.refuses = lambda n, r: "unhealthy" if n == host.name and "=live\n" in r.get("env_text", "") else ""


def put(**values: Any) -> Act:
    def act(world: World, host: SimHost) -> None:
        for name, value in values.items():
            setattr(host, name, value)

    return act


def edit_by_hand(world: World, host: SimHost) -> None:
    host.env_text = host.env_text.replace("MAX_POSITION_USD=10000", "MAX_POSITION_USD=90000")


# The rows of the fault matrix that touch hosts, each for the host that it hits.
FAULTS: Mapping[str, Fault] = {
    "T2 lost before the flip reaches it": Fault("flip", lose("before"), "unreachable"),
    "T5 the flip ran, its answer and all later ones are lost": Fault("flip", lose("after"), "the answer was lost"),
    "T3 lost after the flip": Fault("disarm", lose("before"), "unreachable"),
    "H1 the service does not start": Fault("flip", refuse_to_start, "unhealthy"),
    "H2 the bot says paper, the process is live": Fault("flip", put(says="paper"), "observed paper"),
    "H3 restarted, not recreated": Fault("flip", put(keeps_process=True), "loaded paper"),
    "H7 a healer starts a second bot": Fault("disarm", put(strays=(4242,)), "process 4242 of the bot runs beside"),
    "D3 the env file is edited between proof and rearm": Fault("disarm", edit_by_hand, "env file changed"),
    "a deploy in the middle of it": Fault("disarm", put(release="1" * 64), "release 111111111111..."),
}


@pytest.mark.parametrize("hosts", SIZES)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("last", [False, True], ids=["first host", "last host"])
def test_a_fault_of_one_host_on_the_way_up_arms_none_and_takes_the_others_back(
    fleet_of: Callable[[int], Stage], hosts: int, fault: str, last: bool
) -> None:
    stage, row = fleet_of(hosts), FAULTS[fault]
    world = stage.world("paper")
    victim = world.hosts[f"host-{hosts if last else 1}"]
    asked: list[tuple[str, str, int]] = []
    armed_live: list[str] = []

    def strike(name: str, request: Mapping[str, Any]) -> None:
        if request["op"] == row.op and name == victim.name and not struck:
            struck.append(name)
            row.act(world, victim)
        if request["op"] != "look":
            asked.append((request["op"], name, request["fence"]["epoch"]))

    def watch(now: World, what: str) -> None:
        hold_true(now, what)
        armed_live.extend(h.name for h in now.hosts.values() if h.armed and h.mode == "live")

    struck: list[str] = []
    world.on_request, world.on_change = strike, watch
    with pytest.raises((SafeFailure, ResidueLeft)) as end:
        go_live(stage, world)
    assert (armed_live, row.says in str(end.value)) == ([], True), str(end.value)
    residue = "; ".join(getattr(end.value, "residue", ()))
    assert not [name for name in world.hosts if name != victim.name and f"{name}:" in residue], residue
    assert unsafe_but(world, victim.name) == [], "the others are on paper and tripped"
    raised = [sent for sent in asked if sent[2] == 1 and sent[0] != "trip"]
    assert len(raised) == len(set(raised)), "nothing that raises is repeated"
    healed = world.copied()
    healed.pass_time(700)  # the deadline of a host that nobody reached
    host = healed.hosts[victim.name]
    assert (host.mode == "paper" or host.keeps_process, host.armed) == (True, False)
    put(says="", strays=(), keeps_process=False)(healed, host)
    roll_back(stage, healed)
    assert unsafe(healed) == []


@pytest.mark.parametrize("hosts", SIZES)
def test_a_kill_between_the_waves_of_a_rearm_wins(fleet_of: Callable[[int], Stage], hosts: int) -> None:
    """X2: the first host is armed already, the others are about to be."""
    stage = fleet_of(hosts)
    world = halted_live(stage)

    def kill(name: str, request: Mapping[str, Any]) -> None:
        if (name, request["op"]) == ("host-2", "rearm"):
            ask_to_halt(stage.doors(world))
            for host in world.hosts.values():
                host.trip("kill-1")

    world.on_request = kill
    with pytest.raises(SafeFailure):
        rearm(stage.doors(world), Silent(), stage.approve)
    assert unsafe(world) == []


@pytest.mark.parametrize("hosts", SIZES)
def test_the_way_down_insists_on_a_dark_host_once_and_never_stops(fleet_of, hosts: int) -> None:
    stage = fleet_of(hosts)
    world = stage.world("paper")
    go_live(stage, world)
    world.waves.clear()
    world.loses_requests, dark = True, f"host-{hosts}"
    world.request_fails = lambda number, name: "before" if name == dark else ""
    with pytest.raises(ResidueLeft) as end:
        roll_back(stage, world)
    everyone = list(world.hosts)
    reached = [name for name in everyone if name != dark]
    for op, waves in (
        ("trip", [everyone, [dark], [dark]]),
        ("flip", [everyone]),
        ("disarm", [reached] if reached else []),
    ):
        assert [asked for sent, asked in world.waves if sent == op] == waves
    assert unsafe_but(world, dark) == []
    assert any(text.startswith(f"trip: {dark}: unreachable") for text in end.value.residue), end.value.residue
    assert not any(f"host-{n}:" in text for text in end.value.residue for n in range(1, hosts))


def test_one_lost_request_on_the_way_down_is_made_good(fleet_of: Callable[[int], Stage]) -> None:
    stage = fleet_of(3)
    world = stage.world("paper")
    go_live(stage, world)
    world.loses_requests, seen = True, set()

    def once(number: int, name: str) -> str:
        op = world.waves[-1][0]
        first = (op, name) not in seen
        seen.add((op, name))
        return "after" if first and name != "host-2" else ""

    world.request_fails = once
    roll_back(stage, world)
    assert unsafe(world) == []


def test_a_host_that_is_dark_before_anything_changed_refuses_the_restart(fleet_of: Callable[[int], Stage]) -> None:
    """T1."""
    stage = fleet_of(3)
    world = stage.world("paper")
    world.request_fails = lambda number, name: "before" if name == "host-2" else ""
    records = len(world.records)
    with pytest.raises(Refused, match="host-2: unreachable"):
        restart(stage.doors(world), Silent())
    assert ({op for op, _ in world.waves}, len(world.records)) == ({"look"}, records)


def test_behind_a_dark_host_nothing_is_drilled_before_go_live_is_refused(fleet_of: Callable[[int], Stage]) -> None:
    """T1: a drill trips and re-arms the hosts that it reaches."""
    stage = fleet_of(3)
    world = stage.world("paper")
    world.request_fails = lambda number, name: "before" if name == "host-2" else ""
    assert prepared(stage.doors(world), Silent(), stage.approve).shut
    assert {op for op, _ in world.waves} == {"look"}


def test_a_divergent_live_fleet_is_not_restarted_which_would_take_the_healthy_hosts_down(fleet_of) -> None:
    stage = fleet_of(3)
    world = stage.world("paper")
    go_live(stage, world)
    world.waves.clear()
    world.hosts["host-3"].release = "9" * 64
    with pytest.raises(Refused):
        restart(stage.doors(world), Silent())
    assert {op for op, _ in world.waves} == {"look"}


def test_rearm_of_a_whole_fleet_shows_the_table_and_arms_it(fleet_of: Callable[[int], Stage]) -> None:
    stage, notes = fleet_of(8), []
    world = halted_live(stage)
    progress = Silent()
    progress.note = notes.append  # type: ignore[method-assign]
    rearm(stage.doors(world), progress, stage.approve)
    assert running_live(world)
    rows = [text for text in notes if text.startswith("host-")]
    assert len(rows) == 8
    assert "release 000000000000..., env file" in rows[4]
    assert "mode declared live, loaded live, observed live, size 0.50" in rows[4]
    assert "clock +0.0 s" in rows[4]
    plan = next(r for r in reversed(world.records) if r.kind == "plan.made").body["document"]
    assert "declared live, loaded live, observed live" in plan["fleet"]["host-5"]


def old_release(host: SimHost, paper: str) -> None:
    """Knight Capital, 2012: one of eight was left out of the roll-out and nobody looked."""
    host.release, host.env_text = "9" * 64, paper
    host.loaded = host.declared


def test_knight_one_of_eight_on_the_old_release_and_mode_keeps_all_halted(fleet_of: Callable[[int], Stage]) -> None:
    stage = fleet_of(8)
    world = halted_live(stage)
    old_release(world.hosts["host-5"], stage.world("paper").hosts["host-5"].env_text)
    before = {name: vars(host) | {"world": None} for name, host in world.hosts.items()}
    with pytest.raises(Refused) as end:
        rearm(stage.doors(world), Silent(), stage.approve)
    told = "\n".join(end.value.reasons)
    assert "host-5: release 999999999999..., 7 others 000000000000..." in told
    assert "host-5: declared paper, loaded paper, observed paper" in told
    assert not any(f"host-{n}:" in told for n in (1, 2, 3, 4, 6, 7, 8)), "the healthy majority is not accused"
    assert {op for op, _ in world.waves} == {"look"}, "and not touched"
    assert before == {name: vars(host) | {"world": None} for name, host in world.hosts.items()}


def test_drift_names_host_and_fact_and_takes_darkness_for_drift(fleet_of: Callable[[int], Stage]) -> None:
    stage = fleet_of(3)
    world = stage.world("paper")
    assert [one.what for one in drift(stage.doors(world)).drifts] == ["commit"], "nothing was committed yet"
    go_live(stage, world)
    records = len(world.records)
    assert drift(stage.doors(world)).drifts == ()
    world.hosts["host-2"].release = "5" * 64
    world.hosts["host-3"].trip("somebody")
    found = {(one.host, one.what, one.expected[:8], one.seen[:8]) for one in drift(stage.doors(world)).drifts}
    assert found == {("host-2", "release", "00000000", "55555555"), ("host-3", "switch", "armed", "tripped")}
    world.request_fails = lambda number, name: "before" if name == "host-1" else ""
    dark = [one for one in drift(stage.doors(world)).drifts if one.host == "host-1"]
    assert [str(one) for one in dark] == ["host-1: host is unknown: unreachable, committed was an answer"]
    assert ({op for op, _ in world.waves[-3:]}, len(world.records)) == ({"look"}, records)


@pytest.mark.parametrize("way", ["rollback", "restart"])
def test_every_committed_transition_is_what_drift_is_measured_against(fleet_of, way: str) -> None:
    stage = fleet_of(3)
    world = stage.world("paper")
    go_live(stage, world)
    if way == "rollback":
        roll_back(stage, world)
    else:
        restart(stage.doors(world), Silent())
    assert drift(stage.doors(world)).drifts == ()
    mode = Mode.PAPER if way == "rollback" else Mode.LIVE
    assert {host.mode for host in world.hosts.values()} == {str(mode)}


def test_a_transition_that_ended_with_residue_is_no_measure(fleet_of: Callable[[int], Stage]) -> None:
    stage = fleet_of(3)
    world = stage.world("paper")
    go_live(stage, world)
    world.loses_requests = True
    world.request_fails = lambda number, name: "before" if name == "host-3" else ""
    with pytest.raises(InterlockError):
        roll_back(stage, world)
    world.request_fails = lambda number, name: ""
    assert "residue" in {one.what for one in drift(stage.doors(world)).drifts}


@pytest.fixture
def gated(stage: Stage, tmp_path: Path) -> Stage:
    """Three hosts whose bot does not start while its gate stands."""
    return set_stage(tmp_path, 3, gated=True)


def test_a_bot_that_does_not_start_behind_its_gate_goes_live_and_back(gated: Stage) -> None:
    world = gated.world("paper")
    stopped: list[bool] = []
    world.on_request = lambda host, request: stopped.append(
        request["op"] != "rearm" or world.hosts[host].loaded is None
    )
    go_live(gated, world)
    assert running_live(world)
    assert all(stopped), "it ran before the gate was lifted"
    assert drift(gated.doors(world)).drifts == ()
    roll_back(gated, world)
    assert [host.loaded for host in world.hosts.values()] == [None] * 3
    assert drift(gated.doors(world)).drifts == ()


def test_one_that_comes_up_in_another_mode_than_declared_takes_the_fleet_back(gated: Stage) -> None:
    world = gated.world("paper")
    world.comes_up_as = "paper"
    with pytest.raises(SafeFailure, match="host-1: declared live, loaded live, observed paper"):
        go_live(gated, world)
    assert not any(host.armed for host in world.hosts.values())
