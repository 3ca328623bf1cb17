"""What can be wrong with a host, and which assertions must fail for it: these, and no other."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.verify.hosts import NOBODY, Spoilt

Damage = Callable[[Spoilt], object]
# Which files the kernel itself takes over; a plain name is written where the bot runs.
CORE_TAKEN_OVER = Path("/proc/sys/kernel/core_pattern").read_text().startswith("|")
ACL_TAGS = ((1, 6, -1), (2, 4, NOBODY), (4, 0, -1), (16, 4, -1), (32, 0, -1))  # owner, one user, group, mask, others
ACCESS_LIST = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *tag) for tag in ACL_TAGS)
IDLE = ("/bin/sh", "-c", "echo up; read wait")
# Without a main process nothing can be said of what it has loaded and where it listens.
OF_PROCESSES = {
    "processes_began_after_the_env_file_was_written",
    "processes_loaded_the_mode",
    "processes_loaded_the_planned_keys",
    "processes_loaded_the_whole_env_file",
    "processes_hold_no_key_of_the_other_mode",
    "processes_do_not_run_as_root",
    "no_core_dump_may_hold_its_keys",
    "listens_on_loopback_only",
    "listens_where_its_api_is",
}


def edited(old: str, new: str) -> Damage:
    """The env file as a hand would change it, with its old time."""

    def edit(host: Spoilt) -> None:
        info = host.env.stat()
        text = host.env.read_text()
        assert old.format(host=host.name) in text or not old
        host.env.write_text(text.replace(old.format(host=host.name), new.format(host=host.name), 1))
        os.utime(host.env, ns=(info.st_atime_ns, info.st_mtime_ns))

    return edit


def linked(host: Spoilt) -> None:
    host.env.rename(host.root / "var" / "elsewhere")
    host.env.symlink_to(host.root / "var" / "elsewhere")


def mode(name: str, bits: int) -> Damage:
    return lambda host: (host.root / name).chmod(bits)


def given_away(name: str) -> Damage:
    return lambda host: os.chown(host.root / name, NOBODY, NOBODY)


def said(**unit: object) -> Damage:
    """What systemd says of the unit."""
    return lambda host: host.unit.update(unit)


def boxed(**container: object) -> Damage:
    """What Docker says of the container."""
    return lambda host: host.container.update(container)


def holding(**variables: str) -> Damage:
    """The process starts with other variables than the env file has."""
    return lambda host: host.extra.update({name: value.format(host=host.name) for name, value in variables.items()})


def with_settings(**settings: object) -> Damage:
    return lambda host: [setattr(host, name, value) for name, value in settings.items()]


def beside(*words: str, **variables: str) -> Damage:
    """Another process of the host, not its manager's."""

    def spawn(host: Spoilt) -> None:
        named = {name: value.format(host=host.name) for name, value in variables.items()}
        host.spawn(
            [word.format(host=host.name) for word in words] or [*host.command[:4], "0", *host.command[5:]], named
        )

    return spawn


def written(name: str, text: str, bits: int = 0o600) -> Damage:
    def write(host: Spoilt) -> None:
        (host.root / name).write_text(text.format(host=host.name))
        (host.root / name).chmod(bits)

    return write


def published(address: str) -> Damage:
    """A port of the container's own network, open on this address of the machine."""
    return lambda host: host.container.update(ports={"1/tcp": [{"HostIp": address, "HostPort": host.port}]})


def moved(name: str) -> Damage:
    return lambda host: (host.root / name).rename(host.root / "moved")


def endless(host: Spoilt) -> None:
    os.truncate(host.root / "var" / "log" / "bot.log", 300_000_000)


def expects(**wanted: object) -> Damage:
    return lambda host: host.standing.update(wanted)


@dataclass(frozen=True)
class Case:
    """What is done to a host before or after its bot starts, and which assertions must fail for it."""

    fails: set[str]
    before: tuple[Damage, ...] = ()
    after: tuple[Damage, ...] = ()
    manager: str = "systemd"


def compose(fails: set[str], *before: Damage, after: tuple[Damage, ...] = ()) -> Case:
    return Case(fails, before, after, "compose")


KEY, OTHER_KEY = "ALPACA_API_KEY=paperkey{host}", "ALPACA_API_KEY=otherkey{host}"
LIVE_IN_FILE = {"env_file_is_the_planned_one", "env_file_holds_no_key_of_the_other_mode"}
CASES: Mapping[str, Case] = {
    "good": Case(set()),
    "good-compose": compose(set()),
    "good-tripped": Case(set(), (written("interlock/gate", "{{}}"), expects(tripped=True))),
    "good-behind-its-gate": Case(
        set(),
        (
            written("interlock/gate", "{{}}"),
            expects(tripped=True, start_gated=True),
            with_settings(runs=False),
            lambda host: host.unit_file.write_text(f"[Unit]\nConditionPathExists=!{host.gate}\n"),
        ),
    ),
    "good-published": compose(set(), published("127.0.0.1")),
    # the env file
    "linked": Case({"env_file_is_a_plain_file", "env_file_may_be_read_by_its_owner_only"}, (linked,)),
    "twice": Case({"env_file_is_a_plain_file"}, (lambda host: os.link(host.env, host.root / "var" / "twice"),)),
    "missing": Case(
        {
            "env_file_is_a_plain_file",
            "env_file_belongs_to_its_owner",
            "env_file_may_be_read_by_its_owner_only",
            "env_file_has_no_access_list",
            "env_file_is_the_planned_one",
            "env_file_sets_the_mode",
            "env_file_holds_the_planned_keys",
            "env_file_holds_no_key_of_the_other_mode",
            "env_file_has_no_copy_beside_it",
            "processes_began_after_the_env_file_was_written",
        },
        (lambda host: host.env.unlink(),),
    ),
    "readable": Case({"env_file_may_be_read_by_its_owner_only"}, (mode("keys.env", 0o640),)),
    "another-owner": Case({"env_file_belongs_to_its_owner"}, (given_away("keys.env"),)),
    "listed": Case(
        {"env_file_has_no_access_list", "env_file_may_be_read_by_its_owner_only"},
        (lambda host: os.setxattr(host.env, "system.posix_acl_access", ACCESS_LIST),),
    ),
    "edited": Case({"env_file_is_the_planned_one"}, (edited("", "# by hand\n"),)),
    "live-by-hand": Case(
        {"env_file_is_the_planned_one", "env_file_sets_the_mode", "processes_loaded_the_whole_env_file"},
        (edited("TRADING_MODE=paper", "TRADING_MODE=live"),),
    ),
    "another-key": Case(
        {"env_file_is_the_planned_one", "env_file_holds_the_planned_keys", "processes_loaded_the_whole_env_file"},
        (edited(KEY, OTHER_KEY),),
    ),
    "live-key": Case(LIVE_IN_FILE, (edited("", "#SPARE=livekey{host}\n"),)),
    "copied": Case({"env_file_has_no_copy_beside_it"}, (written("keys.env.bak", "KEY=1"),)),
    # folders and what Interlock keeps
    "open-root": Case({"no_folder_above_may_be_written_by_others"}, (mode(".", 0o777),)),
    "lent-root": Case({"no_folder_above_may_be_written_by_others", "root_belongs_to_its_owner"}, (given_away("."),)),
    "open-file": Case({"nothing_in_root_may_be_written_by_all"}, (mode("var/log/bot.log", 0o666),)),
    "open-release": Case({"release_may_not_be_written_by_others"}, (given_away("release"), mode("release", 0o775))),
    "no-release": Case({"release_may_not_be_written_by_others"}, after=(moved("release"),)),
    "open-interlock": Case({"interlock_folder_is_private"}, (mode("interlock", 0o755),)),
    "open-fence": Case({"what_interlock_keeps_is_private"}, (written("interlock/fence.json", "{{}}", 0o644),)),
    "old-helper": Case({"helper_is_ours"}, (written("interlock/interlock_host.py", "print()\n"),)),
    "no-helper": Case({"helper_is_ours"}, (lambda host: (host.root / "interlock" / "interlock_host.py").unlink(),)),
    "unwatched": Case({"watcher_runs"}, (with_settings(watched=False),)),
    "gate-missing": Case({"gate_stands_as_the_ledger_says"}, (expects(tripped=True),)),
    "gate-there": Case({"gate_stands_as_the_ledger_says"}, (written("interlock/gate", "{{}}"),)),
    "gate-open": Case(
        {"gate_belongs_to_its_owner", "nothing_in_root_may_be_written_by_all"},
        (written("interlock/gate", "{{}}", 0o666), expects(tripped=True)),
    ),
    "deadline": Case({"deadline_runs_only_in_a_transition"}, (written("interlock/deadline.json", "{{}}"),)),
    "no-deadline": Case({"deadline_runs_only_in_a_transition"}, (expects(deadline=True),)),
    # processes
    "stopped": Case({"services_run", *OF_PROCESSES}, (with_settings(runs=False),)),
    "not-behind-its-gate": Case(
        {"services_run", "unit_does_not_start_behind_the_gate"},
        (written("interlock/gate", "{{}}"), expects(tripped=True, start_gated=True)),
    ),
    "disabled": Case({"services_come_back_after_a_reboot"}, (said(enabled="disabled"),)),
    "restarting": Case({"services_did_not_restart_by_themselves"}, (said(restarts=3),)),
    "older": Case(
        {"processes_began_after_the_env_file_was_written"},
        after=(lambda host: os.utime(host.env, (host.env.stat().st_mtime + 60,) * 2),),
    ),
    "live-in-process": Case(
        {"processes_loaded_the_mode", "processes_loaded_the_whole_env_file"}, (holding(TRADING_MODE="live"),)
    ),
    "another-key-in-process": Case(
        {"processes_loaded_the_planned_keys", "processes_loaded_the_whole_env_file"},
        (holding(ALPACA_API_KEY="otherkey{host}"),),
    ),
    "live-key-in-process": Case({"processes_hold_no_key_of_the_other_mode"}, (holding(SPARE="livekey{host}"),)),
    "stray-with-keys": Case({"no_stray_instance"}, after=(beside(*IDLE, KEY="paperkey{host}"),)),
    "stray-with-program": Case({"no_stray_instance"}, after=(beside(),)),
    "as-root": Case({"processes_do_not_run_as_root"}, (with_settings(user=0),)),
    "dumping": Case(set() if CORE_TAKEN_OVER else {"no_core_dump_may_hold_its_keys"}, (with_settings(core="core"),)),
    "everywhere": Case({"listens_on_loopback_only"}, (with_settings(address="0.0.0.0"),)),
    "everywhere-6": Case({"listens_on_loopback_only"}, (with_settings(address="::"),)),
    "elsewhere": Case({"listens_where_its_api_is"}, (expects(api_port=1),)),
    # units
    "another-env-file": Case({"unit_reads_our_env_file_last"}, (said(env_file="/etc/default/bot"),)),
    "mode-in-unit": Case({"unit_sets_nothing_that_the_env_file_sets"}, (said(environment='"TRADING_MODE=live" A=b'),)),
    "lent-unit": Case({"unit_files_belong_to_root"}, after=(lambda host: os.chown(host.unit_file, NOBODY, 0),)),
    "reload": Case({"unit_in_force_is_the_one_on_disk"}, (said(reload="yes"),)),
    "not-again": Case({"unit_is_started_anew_when_it_ends"}, (said(restart="no"),)),
    "watcher-disabled": Case(
        {"watcher_unit_is_enabled_and_runs"}, (with_settings(watch_unit={"enabled": "disabled"}),)
    ),
    # containers
    "older-container": compose(
        {"container_was_created_after_the_env_file_was_written"}, boxed(created="2026-01-01T00:00:00.000000000Z")
    ),
    "privileged": compose({"container_has_no_power_over_the_machine"}, boxed(privileged=True)),
    "with-socket": compose(
        {"container_has_no_power_over_the_machine"}, boxed(mounts=[{"Source": "/var/run/docker.sock"}])
    ),
    "published": compose({"listens_on_loopback_only"}, published("0.0.0.0")),
    "not-after-reboot": compose({"services_come_back_after_a_reboot"}, boxed(restart="no")),
    "open-compose-file": compose(
        {"compose_file_belongs_to_its_owner", "nothing_in_root_may_be_written_by_all"}, mode("compose.yml", 0o666)
    ),
    "no-env-file": compose({"compose_file_names_the_env_file"}, written("compose.yml", "services: {{}}\n", 0o644)),
    # the machine
    "in-argv": Case({"no_secret_in_any_argument_list"}, after=(beside(*IDLE, "paperkey{host}"),)),
    "in-log": Case({"no_secret_in_the_log"}, (written("var/log/bot.log", "key paperkey{host}\n"),)),
    "no-log": Case(
        {"no_secret_in_the_log", "log_is_there_and_bounded"}, (lambda host: (host.root / "var/log/bot.log").unlink(),)
    ),
    "endless-log": Case({"log_is_there_and_bounded"}, (endless,)),
    "not-rotated": Case({"log_is_rotated"}, (with_settings(facts={"logrotate": "/nowhere"}),)),
}
