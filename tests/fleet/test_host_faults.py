"""Hosts that are unfit, break in the middle of a transition, reboot, or are healed by somebody: no half-flipped fleet
ever trades, and what is wrong is named. The oracles are the order log, the processes and the files on the hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from ops.transitions.paths import PATHS, Move
from tests.drills.truth import (
    GRACE,
    assert_order_log_is_clean,
    assert_paper_and_tripped,
    moment,
    open_orders,
)
from tests.fleet.rig import SYSTEMD, Host, Rig, fleet, need_a_fleet
from tests.fleet.witness import (
    GATE,
    assert_on_paper_behind_its_gate,
    ended,
    live_orders,
    mode_in_process,
    trace,
    until_said,
)

HOSTS = ("fleet-1", "fleet-2", "fleet-3")
GO_LIVE, ROLLBACK = ("go-live", "--env=fleet"), ("rollback", "--env=fleet")
MOVES = PATHS["go-live"][1]
ROOT = "/srv/alpaca-bot"
DROP_INS = "/etc/systemd/system/alpaca_bot.service.d"


@dataclass(frozen=True)
class Fault:
    """Lines for a host's shell, in the bot's folder: what happens to it, and what mends it; and what is said of it.

    `before` is what must be laid before the transition so that it can happen in the middle.
    """

    strike: str
    mend: str
    says: str
    before: str = "true"


def drop_in(text: str, says: str) -> Fault:
    """Somebody gives the unit another file of settings."""
    strike = f"printf '{text}' > {DROP_INS}/90-other.conf && systemctl daemon-reload"
    return Fault(strike, f"rm {DROP_INS}/90-other.conf && systemctl daemon-reload", says)


def small_disk(limit: str) -> Fault:
    """The bot's folder on a file system of its own, which is full from one moment to the next."""
    services = "interlock-watch@alpaca-bot alpaca_bot"
    before = (
        f"cd / && systemctl stop {services} && cp -a {ROOT} /opt/aside && mount -t tmpfs -o mode=0755,size=2g tmpfs "
        f"{ROOT} && cp -a /opt/aside/. {ROOT} && systemctl start {services}"
    )
    mend = (
        f"cd / && systemctl stop {services}; mount -o remount,size=2g,nr_inodes=99999 {ROOT} && rm -f {ROOT}/filler && "
        f"cp -a {ROOT}/. /opt/aside && umount {ROOT} && cp -a /opt/aside/. {ROOT} && rm -r /opt/aside && "
        f"systemctl start {services}"
    )
    # What the bot writes meanwhile makes a size too small that was not.
    strike = (
        f"until mount -o remount,{limit} {ROOT} 2>/dev/null; do :; done; cat /dev/zero 2>/dev/null > filler || true"
    )
    return Fault(strike, mend, "No space left on device", before)


# An access list that lets the user 999 read: version 2; user::rw-, user:999:r--, group::---, mask::r--, other::---.
ACCESS_LIST = (
    "02000000" "01000600ffffffff" "02000400e7030000" "04000000ffffffff" "10000400ffffffff" "20000000ffffffff"
)  # fmt: skip
SET_LIST = f"os.setxattr('keys.env', 'system.posix_acl_access', bytes.fromhex('{ACCESS_LIST}'))"
UNFIT: dict[str, Fault] = {
    # D2
    "link": Fault("mv keys.env real && ln -s real keys.env", "mv real keys.env", "keys.env: is a symbolic link"),
    "hard link": Fault("ln keys.env second", "rm second", "keys.env: has more than one hard link"),
    "wide mode": Fault("chmod 0644 keys.env", "chmod 0600 keys.env", "keys.env: may be read by others"),
    "owner": Fault("chown alpaca-bot keys.env", "chown root keys.env", "keys.env: belongs to another user"),
    "folder": Fault("chmod 0777 .", "chmod 0755 .", "keys.env: lies in a folder that others may write to"),
    "access list": Fault(
        f'python3 -c "import os; {SET_LIST}"',
        "python3 -c \"import os; os.removexattr('keys.env', 'system.posix_acl_access')\" && chmod 0600 keys.env",
        "keys.env: has an access list",
    ),
    # H8
    "older helper": Fault(
        "cp interlock/interlock_host.py /opt && echo '# older' >> interlock/interlock_host.py",
        "cp /opt/interlock_host.py interlock",
        "its helper is",
    ),
    "time zone": Fault(
        "ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime",
        "ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime",
        "its time zone is 32400 s off UTC",
    ),
    "no python": Fault("mv /usr/bin/python3 /usr/bin/away", "mv /usr/bin/away /usr/bin/python3", "did not answer"),
    # H2, H4, H7
    "a liar": Fault(
        "echo '{\"mode_lie\": \"live\"}' > var/faults.json", "rm var/faults.json",
        "declared paper, loaded paper, observed live",
    ),
    "other unit": drop_in("[Service]\\nEnvironment=TRADING_MODE=live\\n", "unit"),
    "second bot": Fault(
        "cd release && systemd-run -q --unit=heal -p EnvironmentFile=/srv/alpaca-bot/keys.env -p WorkingDirectory=$PWD "
        "-E BOT_HOME=/run/heal sleep 600",
        "systemctl stop heal",
        "of the bot runs beside its service",
    ),
}  # fmt: skip
DOES_NOT_START = drop_in("[Service]\\nExecStartPre=/bin/false\\n", "the bot does not stay up")
DIES = Fault(
    "systemd-run -q --unit=reaper sh -c 'while sleep 5; do systemctl kill -s KILL alpaca_bot; done'",
    "systemctl stop reaper", "",
)  # fmt: skip
LOOPS = drop_in("[Service]\\nExecStartPost=/bin/false\\nRestartSec=0\\n", "the bot does not stay up")
EDITED = Fault("echo '# by hand' >> keys.env", "true", "somebody changed it")
IMMUTABLE = Fault("chattr +i keys.env", "chattr -i keys.env", "immutable")
READ_ONLY = Fault("chmod 0555 .", "chmod 0755 .", "read-only")
HELD_ON_PAPER = drop_in(
    "[Service]\\nExecStart=\\nExecStart=/usr/bin/env TRADING_MODE=paper /usr/bin/python3 -m bots.run alpaca-bot\\n",
    "alpaca_bot did not come up with the env file in time",
)
HEALED = Fault(
    "systemd-run -q --unit=healer --on-active=1 --on-unit-active=1 --timer-property=AccuracySec=100ms "
    "systemctl start alpaca_bot",
    "systemctl stop healer.timer",
    "",
)
DISK_FULL = small_disk("size=$(($(df -k --output=used . | tail -1)))k")
NO_INODES = small_disk("nr_inodes=$(($(df --output=iused . | tail -1)))")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Three hosts with alpaca-bot, on paper, drilled."""
    need_a_fleet()
    with fleet(tmp_path_factory.mktemp("faults"), systems=(SYSTEMD,)) as rig:
        assert rig.invoke("drill", "--env=fleet").code == 0
        yield rig


@pytest.fixture
def rig(whole: Rig) -> Iterator[Rig]:
    """The same, with every cable plugged in and nothing paused afterwards."""
    yield whole
    for host in HOSTS:
        whole.host(host).restore()


def do(host: Host, line: str) -> None:
    """A line in the bot's folder, as the host's root."""
    host.sh(f"cd {ROOT} && {line}")


@contextmanager
def laid(rig: Rig, faults: Mapping[str, Fault]) -> Iterator[None]:
    """What must lie there before; every host is mended at the end of the block."""
    with ExitStack() as stack:
        for name, fault in faults.items():
            stack.callback(do, rig.host(name), fault.mend)
            do(rig.host(name), fault.before)
        yield


def struck(rig: Rig, faults: Mapping[str, Fault]) -> None:
    for name, fault in faults.items():
        do(rig.host(name), fault.strike)


def env_file(host: Host) -> str:
    """As the host itself sees it, by digest: whatever is mounted over it."""
    return host.sh(f"sha256sum < {ROOT}/keys.env")


def brought_back(rig: Rig) -> None:
    """A rollback, and nothing else is needed, ends in proven paper."""
    done = rig.invoke(*ROLLBACK, seconds=240)
    assert done.code == 0, done.out
    assert_paper_and_tripped(rig)
    assert_on_paper_behind_its_gate(rig, *HOSTS)
    assert open_orders(rig, "live") == set()


# --- before the flip: refused, and nothing changed


@pytest.mark.parametrize(
    "names",
    [
        ("link", "hard link", "wide mode"),
        ("owner", "folder", "access list"),
        ("older helper", "time zone", "other unit"),
        ("a liar", "second bot", "older helper"),
        ("no python",),
    ],
    ids=", ".join,
)
def test_hosts_that_are_not_as_they_must_be_are_refused_and_left_alone(rig: Rig, names: tuple[str, ...]) -> None:
    faults = {host: UNFIT[name] for host, name in zip(HOSTS, names, strict=False)}
    with ExitStack() as stack:
        for host, fault in faults.items():
            do(rig.host(host), fault.strike)
            stack.callback(do, rig.host(host), fault.mend)
        before = trace(rig)
        done = rig.invoke(*GO_LIVE)
        assert done.code == 3, done.out
        assert trace(rig) == before
    for host, fault in faults.items():
        assert any(host in part and fault.says in part for part in done.out.split(";")), (host, fault.says, done.out)


# --- in the middle of the flip: back to paper, and nothing was ever armed


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"fleet-2": DOES_NOT_START, "fleet-3": EDITED}, id="does not start, edited by hand"),
        pytest.param({"fleet-2": LOOPS, "fleet-3": IMMUTABLE}, id="loops, immutable", marks=pytest.mark.campaign),
        pytest.param({"fleet-2": DIES, "fleet-3": READ_ONLY}, id="dies, read-only", marks=pytest.mark.campaign),
        pytest.param({"fleet-2": DISK_FULL, "fleet-3": NO_INODES}, id="full disks", marks=pytest.mark.campaign),
    ],
)
def test_a_flip_that_fails_on_some_hosts_takes_all_of_them_back(rig: Rig, faults: Mapping[str, Fault]) -> None:
    before = {host: env_file(rig.host(host)) for host in HOSTS}
    with laid(rig, faults):
        process = rig.spawn(*GO_LIVE)
        until_said(process, "go-live: Arm the hosts")
        struck(rig, faults)
        done = ended(process)
        assert done.code in (5, 6), done.out
        for host, fault in faults.items():
            assert host in done.out and fault.says in done.out, (host, fault.says, done.out)
        assert_on_paper_behind_its_gate(rig, "fleet-1")
        for host in HOSTS:
            assert env_file(rig.host(host)) == before[host]
    assert live_orders(rig) == []
    brought_back(rig)


# --- after the flip, before the rearm


def test_a_reboot_and_an_edit_after_the_flip_keep_every_host_halted(rig: Rig) -> None:
    """H5, D3: one host loses its power right behind the flip and boots halted; on another somebody edits the file."""
    process = rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Prove declared")
    rig.host("fleet-2").power_cut()
    assert (rig.root("fleet-2") / GATE).exists()
    do(rig.host("fleet-3"), EDITED.strike)
    done = ended(process)
    assert done.code in (5, 6), done.out
    assert "fleet-2" in done.out or "fleet-3" in done.out
    assert live_orders(rig) == []
    brought_back(rig)


@pytest.mark.campaign  # the test before edits the file one move earlier
def test_an_edit_after_the_last_look_but_one_is_seen_before_anything_trades(rig: Rig) -> None:
    """D3."""
    process = rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Reconcile")
    do(rig.host("fleet-3"), EDITED.strike)
    done = ended(process)
    assert done.code == 5, done.out
    assert "fleet-3: env file changed" in done.out
    assert live_orders(rig) == []
    assert_paper_and_tripped(rig)


@pytest.mark.campaign
@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.name)
def test_a_host_that_reboots_as_a_step_begins_boots_halted(rig: Rig, move: Move) -> None:
    """H5: the gate is on its disk before anything else has changed."""
    orders, process = len(live_orders(rig)), rig.spawn(*GO_LIVE)
    until_said(process, f"go-live: {move.title}")
    rig.host("fleet-2").power_cut()
    done = ended(process)
    assert done.code in (5, 6) or move.name in ("trip", "rearm"), done.out
    if done.code:
        assert len(live_orders(rig)) == orders or move.name == "rearm"
    brought_back(rig)


@pytest.mark.campaign
def test_a_bot_that_begins_to_lie_after_the_flip_is_not_armed(rig: Rig) -> None:
    """H2: its process is live, and it says paper."""
    process = rig.spawn(*GO_LIVE)
    until_said(process, "go-live: Flip")
    do(rig.host("fleet-2"), 'echo \'{"mode_lie": "paper"}\' > var/faults.json')
    done = ended(process)
    do(rig.host("fleet-2"), "rm var/faults.json")
    assert done.code == 5, done.out
    assert "fleet-2: declared live, loaded live, observed paper" in done.out
    assert live_orders(rig) == []
    brought_back(rig)


@pytest.mark.campaign
def test_a_drop_in_that_holds_every_host_on_paper_is_seen_in_the_process(rig: Rig) -> None:
    """H4: it is the same on all hosts, so that they look like one fleet until the process itself is asked."""
    faults = dict.fromkeys(HOSTS, HELD_ON_PAPER)
    with laid(rig, faults):
        struck(rig, faults)
        done = rig.invoke(*GO_LIVE, seconds=240)
        assert done.code == 5, done.out
        assert HELD_ON_PAPER.says in done.out
        assert live_orders(rig) == []
    brought_back(rig)


@pytest.mark.campaign
def test_somebody_who_starts_the_bot_again_and_again_does_no_harm(rig: Rig) -> None:
    """H7: a timer, and a script that restarts whatever it finds stopped."""
    with laid(rig, dict.fromkeys(HOSTS, HEALED)):
        struck(rig, dict.fromkeys(HOSTS, HEALED))
        done = rig.invoke(*GO_LIVE, seconds=240)
        assert done.code in (0, 5, 6), done.out
        if done.code == 0:
            assert {mode_in_process(rig, host) for host in HOSTS} == {"live"}
        else:
            assert live_orders(rig) == []
    brought_back(rig)


# --- live


def test_a_live_host_whose_disk_is_full_is_halted_and_named(rig: Rig) -> None:
    """H6: no way to write its env file; the old one stays whole, and nothing trades on it."""
    faults = {"fleet-3": DISK_FULL}
    with laid(rig, faults):
        assert rig.invoke(*GO_LIVE, seconds=240).code == 0
        before = env_file(rig.host("fleet-3"))
        struck(rig, faults)
        process = rig.spawn(*ROLLBACK)
        until_said(process, "rollback: Cancel")
        halted, done = datetime.now(UTC), ended(process)
        assert done.code == 6, done.out
        assert "RESIDUE trip: fleet-3" in done.out and DISK_FULL.says in done.out, done.out
        assert env_file(rig.host("fleet-3")) == before
        assert_on_paper_behind_its_gate(rig, "fleet-1", "fleet-2")
        late = [order for order in rig.orders("live", "accepted") if moment(order["time"]) > halted + GRACE]
        assert not late, late
    brought_back(rig)


def test_nothing_of_all_this_left_a_trace_on_the_order_log(rig: Rig) -> None:
    assert_order_log_is_clean(rig)
    assert rig.invoke("ledger.verify", "--env=fleet").code == 0
