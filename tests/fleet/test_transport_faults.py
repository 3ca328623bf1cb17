"""The way to a host fails, before, in the middle of and after a flip: nothing trades, and what is lost is named."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import awaited
from tests.fleet.rig import SYSTEMD, Rig, fleet, need_a_fleet
from tests.fleet.witness import (
    GATE,
    assert_on_paper_behind_its_gate,
    close_connections,
    ended,
    live_orders,
    masters,
    mode_in_file,
    program_hangs,
    stopped_in_time,
    trace,
    until_said,
)

HOSTS = ("fleet-1", "fleet-2", "fleet-3")
DEADLINE_SECONDS = 40
ALIAS = "10.77.0.250"
GO_LIVE, ROLLBACK = ("go-live", "--env=fleet"), ("rollback", "--env=fleet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Three hosts on paper, and drilled."""
    need_a_fleet()
    with fleet(tmp_path_factory.mktemp("transport"), systems=(SYSTEMD,)) as rig:
        assert rig.invoke("drill", "--env=fleet").code == 0
        yield rig


@pytest.fixture
def rig(whole: Rig) -> Iterator[Rig]:
    """The same, with every cable plugged in and nothing paused afterwards, and its inventory as it was."""
    folder = whole.inventory / "fleet"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield whole
    for host in HOSTS:
        whole.host(host).restore()
    for path, data in before.items():
        path.write_bytes(data)


def cut_when(rig: Rig, hosts: Sequence[str], happened: Callable[[], bool]) -> threading.Thread:
    """Pulls the cables at the very moment at which something has happened on a host's disk."""

    def wait() -> None:
        awaited(happened, 90, "the moment to cut")
        for host in hosts:
            rig.host(host).cut()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def fired(rig: Rig, host: str) -> Path:
    """What a host writes when it has gone back by itself."""
    return rig.root(host) / "interlock" / "deadline-fired.json"


def shorten_deadlines(rig: Rig) -> None:
    """They go back by themselves as soon as in a drill; and nothing is known of earlier times."""
    text = rig.profile.read_text()
    rig.profile.write_text(text.replace("host_deadline_seconds: 600", f"host_deadline_seconds: {DEADLINE_SECONDS}"))
    for host in HOSTS:
        fired(rig, host).unlink(missing_ok=True)


def mended(rig: Rig) -> None:
    """Every cable is in again: a rollback, and nothing else is needed, ends in proven paper."""
    for host in HOSTS:
        rig.host(host).restore()
    done = rig.invoke(*ROLLBACK, seconds=240)
    assert done.code == 0, done.out
    assert_paper_and_tripped(rig)
    assert_on_paper_behind_its_gate(rig, *HOSTS)
    assert open_orders(rig, "live") == set()


@contextmanager
def unchanged(rig: Rig) -> Iterator[None]:
    """Afterwards no host, no bot and no venue shows a trace of what was tried."""
    before, orders = trace(rig), len(live_orders(rig))
    yield
    for host in HOSTS:
        rig.host(host).restore()
    assert trace(rig) == before
    assert len(live_orders(rig)) == orders


def test_t1_t4_hosts_out_of_reach_or_silent_before_the_flip_are_a_refusal_and_nothing_changed(rig: Rig) -> None:
    """One has no cable; one takes the connection and says nothing, since every process there stands still."""
    close_connections(rig)
    with unchanged(rig):
        rig.host("fleet-2").cut()
        rig.host("fleet-3").pause()
        done = rig.invoke(*GO_LIVE)
    assert done.code == 3, done.out
    assert re.search("fleet-2: (no route to it|no answer in time)", done.out), done.out
    assert "fleet-3: no answer in time" in done.out, done.out


def test_t6_three_hosts_that_are_not_as_they_should_be_are_refused_each_in_its_own_words(rig: Rig) -> None:
    """Another key than the pinned one; a password for sudo; a user whom the host does not know."""
    close_connections(rig)
    second, sudoers = rig.host("fleet-2"), "/etc/sudoers.d/interlock"
    known = rig.inventory / "fleet" / "known_hosts"
    first, *others = known.read_text().splitlines()
    known.write_text("\n".join([f"{first.split()[0]} {others[0].split(' ', 1)[1]}", *others]) + "\n")
    change_hosts(rig, r"(fleet-3:\n\s+ansible_host: \S+\n\s+ansible_user:) \S+", r"\1 nobody")
    with unchanged(rig):
        second.sh(f"sed -i 's/NOPASSWD: //' {sudoers}")
        done = rig.invoke(*GO_LIVE)
        second.sh(f"sed -i 's/) ALL/) NOPASSWD: ALL/' {sudoers}")
    assert done.code == 3, done.out
    for said in ("fleet-1: host key changed", "fleet-2: sudo: a password is required", "fleet-3: permission denied"):
        assert said in done.out, done.out


def test_t6_two_names_for_one_host_are_refused(rig: Rig) -> None:
    """Each name has an address of its own, and both lead to the same machine."""
    second, known = rig.host("fleet-2"), rig.inventory / "fleet" / "known_hosts"
    key = known.read_text().splitlines()[1].split(" ", 1)[1]
    known.write_text(f"{known.read_text()}{ALIAS} {key}\n")
    change_hosts(rig, r"(fleet-3:\n\s+ansible_host:) \S+", rf"\1 {ALIAS}")
    with unchanged(rig):
        second.sh(f"ip addr add {ALIAS}/24 dev eth0")
        done = rig.invoke(*GO_LIVE)
        second.sh(f"ip addr del {ALIAS}/24 dev eth0")
    assert done.code == 3, done.out
    assert "fleet-2 and fleet-3 are one host" in done.out, done.out


def change_hosts(rig: Rig, pattern: str, into: str) -> None:
    path = rig.inventory / "fleet" / "hosts.yml"
    text, count = re.subn(pattern, into, path.read_text())
    assert count == 1
    path.write_text(text)


@pytest.mark.campaign  # it waits for half a minute until the time of a look is up
def test_t4_a_program_that_hangs_on_a_host_is_unknown_after_its_time_and_holds_up_no_other(rig: Rig) -> None:
    began = time.monotonic()
    with program_hangs(rig.host("fleet-3")) as caught:
        hosts = rig.ask("status", "--env=fleet")["systems"][0]["hosts"]
    assert caught, "the program was never seen on fleet-3"
    assert time.monotonic() - began < 50
    assert {hosts[host]["loaded"] for host in ("fleet-1", "fleet-2")} == {"paper"}
    assert set(hosts["fleet-3"].values()) <= {"unknown", ""}, hosts["fleet-3"]


@pytest.mark.campaign  # some minutes: each request to that host waits for its lock in vain
def test_t4_a_flip_that_hangs_behind_its_rename_does_not_keep_the_host_from_its_way_back(rig: Rig) -> None:
    shorten_deadlines(rig)
    with program_hangs(rig.host("fleet-2"), lambda pid: mode_in_file(rig, "fleet-2") == "live"):
        done = rig.invoke(*GO_LIVE, seconds=600)
        assert done.code == 6, done.out
        assert "fleet-2" in done.last
        assert_on_paper_behind_its_gate(rig, *HOSTS)
        assert fired(rig, "fleet-2").exists(), "it went back by its own deadline, though a change held its lock"
    assert live_orders(rig) == []
    mended(rig)


def test_t2_t5_a_host_that_is_lost_right_behind_its_flip_goes_back_alone_and_the_others_with_us(rig: Rig) -> None:
    """The rename is done and the answer is lost: what the controller cannot see is unknown, and named. Then somebody
    kills: one host is lost still, to another the open connection hangs, and a new one gets through."""
    shorten_deadlines(rig)
    cut = cut_when(rig, ("fleet-2",), lambda: mode_in_file(rig, "fleet-2") == "live")
    done = rig.invoke(*GO_LIVE, seconds=300)
    cut.join()
    assert done.code == 6, done.out
    assert "RESIDUE" in done.out and "fleet-2" in done.last
    assert_on_paper_behind_its_gate(rig, "fleet-1", "fleet-3")
    awaited(fired(rig, "fleet-2").exists, DEADLINE_SECONDS + 10, "fleet-2's own deadline")
    assert_on_paper_behind_its_gate(rig, "fleet-2")
    kill_past_a_lost_host(rig)
    assert live_orders(rig) == []
    mended(rig)


def kill_past_a_lost_host(rig: Rig) -> None:
    """fleet-2 is lost; fleet-3 has an open connection that hangs."""
    old = {host: (rig.root(host) / GATE).stat().st_mtime_ns for host in HOSTS}

    def anew(host: str) -> bool:
        return (rig.root(host) / GATE).stat().st_mtime_ns > old[host]

    with stopped_in_time(masters(rig)["fleet-3"]):
        process, began = rig.spawn("kill", "--reason=one host is lost"), time.monotonic()
        awaited(lambda: anew("fleet-1"), 5, "the gate of fleet-1")
        awaited(lambda: anew("fleet-3"), 12, "the gate of fleet-3")
        done = ended(process)
    assert done.code == 6, done.out
    assert time.monotonic() - began < 30
    assert "1 things are UNKNOWN" in done.last and not anew("fleet-2")
    assert re.search(r"fleet-2: (switch )?UNKNOWN", done.out), done.out


@pytest.mark.campaign  # each phase on the way down asks three dark hosts three times
def test_t2_when_every_host_is_lost_in_the_flip_each_goes_back_by_its_own_deadline(rig: Rig) -> None:
    shorten_deadlines(rig)
    cut = cut_when(rig, HOSTS, lambda: mode_in_file(rig, "fleet-1") == "live")
    done = rig.invoke(*GO_LIVE, seconds=400)
    cut.join()
    assert done.code == 6, done.out
    assert all(host in done.out for host in HOSTS)
    for host in HOSTS:
        awaited(fired(rig, host).exists, DEADLINE_SECONDS + 10, f"{host}'s own deadline")
    assert_on_paper_behind_its_gate(rig, *HOSTS)
    assert live_orders(rig) == []
    mended(rig)


@pytest.mark.campaign  # the test before cuts a host off earlier, with less left to hold the others back
def test_t3_a_host_that_is_lost_after_the_flip_keeps_every_host_halted(rig: Rig) -> None:
    """It is back when the way down begins, so that this one is proven."""
    process = rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Prove declared")
    rig.host("fleet-3").cut()
    until_said(process, "go-live stops")
    assert all((rig.root(host) / GATE).exists() for host in HOSTS)
    rig.host("fleet-3").mend()
    done = ended(process)
    assert done.code == 5, done.out
    assert "fleet-3" in done.last
    assert_on_paper_behind_its_gate(rig, *HOSTS)
    assert live_orders(rig) == []


def test_nothing_of_all_this_left_a_trace_on_the_order_log(rig: Rig) -> None:
    assert rig.orders("paper", "accepted"), "it never traded: a clean log proves nothing"
    assert_order_log_is_clean(rig)
    assert rig.invoke("ledger.verify", "--env=fleet").code == 0
