"""Knight Capital, 2012: one server of eight kept the old release, and nobody was asked before all of them traded.

One host silently keeps the old release and the old mode: nothing is rearmed, the odd host is named, and the healthy
majority is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.fleet.rig import SYSTEMD, Rig, fleet, need_a_fleet
from tests.fleet.witness import (
    GATE,
    assert_on_paper_behind_its_gate,
    ended,
    live_orders,
    mode_in_process,
    trace,
    until_said,
)

GO_LIVE = ("go-live", "--env=fleet")
DEPLOY = "cp -a /srv/alpaca-bot/release /opt/old && echo '# new' >> /srv/alpaca-bot/release/bots/__init__.py"
# As somebody does who brings a host back to what it was before: its code, its settings, a new process.
KEEP_OLD = (
    "cd /srv/alpaca-bot && rm -r release && cp -a /opt/old release && cp -p /opt/old.env keys.env && "
    "systemctl restart alpaca_bot"
)


@pytest.fixture(scope="module", params=[4, pytest.param(8, marks=pytest.mark.campaign)], ids="{} hosts".format)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """So many hosts with alpaca-bot, on paper, drilled; each has its old code and settings aside."""
    need_a_fleet()
    with fleet(tmp_path_factory.mktemp("knight"), hosts=request.param, systems=(SYSTEMD,)) as rig:
        for name in rig.hosts(SYSTEMD):
            rig.host(name).sh("cp -p /srv/alpaca-bot/keys.env /opt/old.env")
        assert rig.invoke("drill", "--env=fleet").code == 0
        yield rig


def odd_one(rig: Rig) -> str:
    return rig.hosts(SYSTEMD)[-1]


def majority(rig: Rig) -> list[str]:
    return rig.hosts(SYSTEMD)[:-1]


def named_alone(rig: Rig, out: str, what: str) -> bool:
    """Whether a difference is told of the odd host, and of no other."""
    told = [part for part in out.replace("\n", ";").split(";") if what in part]
    return bool(told) and all(odd_one(rig) in part for part in told)


def test_one_host_that_the_deployment_missed_keeps_all_of_them_on_paper(rig: Rig) -> None:
    for name in majority(rig):
        rig.host(name).sh(DEPLOY)
    before = trace(rig)
    done = rig.invoke(*GO_LIVE)
    assert done.code == 3, done.out
    assert named_alone(rig, done.out, f"{len(majority(rig))} others"), done.out
    assert trace(rig) == before
    assert live_orders(rig) == []
    rig.host(odd_one(rig)).sh(DEPLOY)


@pytest.mark.campaign  # what prove-mode finds; the test before and the one behind it are quicker to tell of the same
def test_one_host_that_goes_back_in_the_middle_takes_all_of_them_back(rig: Rig) -> None:
    process = rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Prove declared")
    rig.host(odd_one(rig)).sh(KEEP_OLD)
    done = ended(process)
    assert done.code == 5, done.out
    assert named_alone(rig, done.out, "release changed"), done.out
    assert live_orders(rig) == []
    assert_on_paper_behind_its_gate(rig, *rig.hosts(SYSTEMD))
    rig.host(odd_one(rig)).sh("rm -r /opt/old; " + DEPLOY)


def test_one_host_that_keeps_the_old_release_and_mode_keeps_every_host_halted(rig: Rig) -> None:
    """All are live; they are halted, one goes back to what it was, and somebody asks to let them trade again."""
    assert rig.invoke(*GO_LIVE, seconds=300).code == 0
    assert rig.invoke("kill", "--reason=a look at the odd one").code == 0
    rig.host(odd_one(rig)).sh(KEEP_OLD)
    before, orders = trace(rig), len(live_orders(rig))
    drift, rearm = rig.invoke("drift", "--env=fleet"), rig.invoke("rearm", "--env=fleet")
    assert drift.code == rearm.code == 3, drift.out + rearm.out
    for what in ("release", "mode"):
        assert named_alone(rig, drift.out, f"{odd_one(rig)}: {what} is"), drift.out
    assert named_alone(rig, rearm.out, "others"), rearm.out
    assert trace(rig) == before
    assert {mode_in_process(rig, name) for name in majority(rig)} == {"live"}
    assert all((rig.root(name) / GATE).exists() for name in rig.hosts(SYSTEMD))
    assert len(live_orders(rig)) == orders


def test_the_way_down_takes_all_of_them_to_paper(rig: Rig) -> None:
    done = rig.invoke("rollback", "--env=fleet", seconds=300)
    assert done.code == 0, done.out
    assert_paper_and_tripped(rig)
    assert_on_paper_behind_its_gate(rig, *rig.hosts(SYSTEMD))
    assert open_orders(rig, "live") == set()
    assert_order_log_is_clean(rig)
