"""The gate on real hosts: root's own, known by its existence alone, and a halt that survives whatever starts a bot.

The oracle is the order log: a bot whose loop turns and that may trade places an order within its first loops.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import awaited
from tests.fleet.rig import COMPOSE, SYSTEMD, Rig, fleet, need_a_fleet
from tests.fleet.witness import BOT, GATE, mode_in_process

HOSTS = {SYSTEMD: "fleet-1", COMPOSE: "dock-1"}
# A bot that was just started places its first order, if any, within its first loops.
LOOPS = 4
CONTAINERS = "$(docker ps -q --filter label=com.docker.compose.project=ibkr-assistant)"
NEXT = "cp -a release /opt/next && echo '# next' >> /opt/next/bots/__init__.py && rm -r release && mv /opt/next release"
# What people and machines do that starts a bot anew: on the host with systemd, on the one with Docker.
RESTART = {SYSTEMD: "systemctl restart alpaca_bot", COMPOSE: f"docker restart -t 3 {CONTAINERS}"}
STARTED = {
    "another release": (
        f"{NEXT} && systemctl restart alpaca_bot",
        f"{NEXT} && docker-compose -p ibkr-assistant up -d --force-recreate",
    ),
    # A crash, and a script that starts what it finds stopped; the engine is ended and starts its containers again.
    "healer": (
        "systemctl kill -s KILL alpaca_bot; systemctl stop alpaca_bot; systemd-run -q --on-active=1 "
        "--timer-property=AccuracySec=100ms systemctl start alpaca_bot",
        "kill $(cat /run/docker.pid) && while [ -e /run/docker.pid ]; do sleep 0.1; done; "
        "setsid dockerd >>/var/log/dockerd.log 2>&1 &",
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One host with systemd and one with Docker Compose; both bots trade on paper, then both are killed."""
    need_a_fleet()
    with fleet(tmp_path_factory.mktemp("gate"), hosts=1) as rig:
        for system in HOSTS:
            awaited(lambda system=system: bool(rig.orders("paper", "accepted", system)), what=f"an order of {system}")
        assert rig.invoke("kill", "--reason=the gate is tried").code == 0
        yield rig


@pytest.fixture
def rig(whole: Rig) -> Rig:
    return whole


def do(rig: Rig, system: str, line: str) -> str:
    """A line in the bot's folder, as the host's root."""
    return rig.host(HOSTS[system]).sh(f"cd /srv/{system} && {line}")


def loops(rig: Rig, system: str) -> int:
    """How often the bot's loop has turned by its own records, which nobody but the bot writes."""
    database = f"sqlite3.connect('{rig.read_profile(system)['records']['database'].format(mode='paper')}')"
    line = f"import sqlite3; print({database}.execute('select max(id) from loops').fetchone()[0])"
    return int(do(rig, system, f'python3 -c "{line}"'))


@contextmanager
def nothing_is_placed(rig: Rig) -> Iterator[None]:
    """By either bot, though the loop of each turns again and again after what happens in the block."""
    began = {system: loops(rig, system) for system in HOSTS}
    orders = {system: len(rig.orders(event="accepted", system=system)) for system in HOSTS}
    yield
    for system, host in HOSTS.items():
        awaited(
            lambda system=system: loops(rig, system) >= began[system] + LOOPS, 60, f"that the loop of {system} turns"
        )
        assert len(rig.orders(event="accepted", system=system)) == orders[system]
        assert os.path.lexists(rig.root(host) / GATE)


@pytest.mark.parametrize("system", HOSTS)
def test_the_gate_is_roots_own_and_the_bot_may_know_of_it_and_no_more(rig: Rig, system: str) -> None:
    folder, gate = (do(rig, system, f"stat -c '%u %g %a' interlock{name}") for name in ("", "/gate"))
    assert (folder, gate) == ("0 0 711", "0 0 600")
    user = do(rig, system, "stat -c '--reuid=%u --regid=%g --clear-groups' var")
    assert "--reuid=0" not in user
    do(rig, system, f"setpriv {user} test -e interlock/gate")
    for line in (
        "cat interlock/gate",
        "rm -f interlock/gate",
        "mv interlock/gate var",
        "ls interlock",
        "mv interlock var",
    ):
        assert rig.host(HOSTS[system]).fails(f"cd /srv/{system} && setpriv {user} {line}"), line
    assert (rig.root(HOSTS[system]) / GATE).exists()


def test_what_stands_in_the_gate_means_nothing(rig: Rig) -> None:
    """Existence alone: nothing in it, nonsense, a link that leads nowhere; and a bot that is started behind that."""
    gates = {system: do(rig, system, "cat interlock/gate") for system in HOSTS}
    for line in ("> interlock/gate", "echo open > interlock/gate", "ln -sf /nowhere interlock/gate"):
        for system in HOSTS:
            do(rig, system, line)
            began = loops(rig, system)
            awaited(lambda s=system, n=began: loops(rig, s) > n + 1, what="two loops")
    with nothing_is_placed(rig):
        for system, line in RESTART.items():
            do(rig, system, line)
    for system, gate in gates.items():
        do(rig, system, f"umask 077; echo '{gate}' > interlock/next && mv -T interlock/next interlock/gate")


@pytest.mark.parametrize("how", STARTED)
def test_bots_that_somebody_starts_again_stay_tripped(rig: Rig, how: str) -> None:
    with nothing_is_placed(rig):
        for system, line in zip(HOSTS, STARTED[how], strict=True):
            do(rig, system, line)


@pytest.mark.parametrize(
    "orderly", [False, pytest.param(True, marks=pytest.mark.campaign)], ids=["power cut", "reboot"]
)
def test_hosts_boot_halted(rig: Rig, orderly: bool) -> None:
    with nothing_is_placed(rig):
        for name in HOSTS.values():
            rig.host(name).reboot() if orderly else rig.host(name).power_cut()


def test_a_bot_that_starts_only_without_its_gate_goes_live_and_back(rig: Rig) -> None:
    """ConditionPathExists=!: nothing runs while it is tripped, whoever starts it; it comes up with the rearm."""
    words, profile = ("--env=fleet", f"--system={SYSTEMD}"), rig.read_profile(SYSTEMD)
    profile["service"]["start_gated"] = True
    rig.profile_of(SYSTEMD).write_text(yaml.safe_dump(profile, sort_keys=False))
    for verb in ("host.prepare", "restart"):
        done = rig.invoke(verb, *words)
        assert done.code == 0, done.out
    assert not rig.host("fleet-1").pids(BOT)
    for verb in ("rearm", "drill", "go-live"):
        done = rig.invoke(verb, *words)
        assert done.code == 0, done.out
    assert mode_in_process(rig, "fleet-1") == "live"
    awaited(lambda: bool(rig.orders("live", "accepted", SYSTEMD)), what="a live order")
    done = rig.invoke("rollback", *words)
    assert done.code == 0, done.out
    rig.host("fleet-1").sh("systemctl start alpaca_bot")
    assert not rig.host("fleet-1").pids(BOT)
    assert_paper_and_tripped(rig)
    assert open_orders(rig, "live") == set()


def test_the_order_logs_are_clean(rig: Rig) -> None:
    for system in HOSTS:
        assert_order_log_is_clean(rig, system)
