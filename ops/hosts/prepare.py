"""Makes bare Debian hosts into a system's: what each must have, told to `playbooks/site.yml`, and what that changed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from ops.errors import InputError
from ops.hosts.ansible import PLAYBOOKS, run_playbook
from ops.hosts.fleet import Fleet
from ops.hosts.reply import Reply, mode_reading, switch_state
from ops.inventory import profile_path
from ops.model.canonical import utc_text
from ops.model.mode import Mode, Switch
from ops.model.profile import Prepare, Profile

# What needs no quoting for a unit, a compose file, a shell or logrotate.
PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)+\Z")
HOMES = ("/home/", "/root/", "/run/user/")
DEAD = ("STOPPED", "EXITED", "FATAL", "GONE")
Requests = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Preparation:
    """What one run changed (or would): host -> each change in words; host -> why it failed; who must be restarted."""

    changes: Mapping[str, tuple[str, ...]]
    failed: Mapping[str, str]
    stale: tuple[str, ...] = ()

    def without_changes(self, host: str) -> bool:
        """Whether this host is known to be as it must be."""
        return host not in self.failed and not self.changes.get(host)


def requests_of(fleet: Fleet, env_texts: Mapping[str, str], hosts: Sequence[str], at: datetime) -> Requests:
    """Each host's request. `env_texts` hold secrets: the first env file of a host that has none.

    Raises InputError for a profile that cannot be carried out.
    """
    prepare = prepare_of(fleet)
    return {host: _request(fleet, prepare, host, env_texts[host], at) for host in hosts}


def run(fleet: Fleet, requests: Requests, check: bool = False) -> Preparation:
    """Carries it out on all these hosts at once; under `check` only says what would change."""
    replies = run_playbook("site.yml", fleet.place.inventory / "hosts.yml", requests, check)
    changes = {host: _words(reply) for host, reply in replies.items() if reply.ok}
    return Preparation(changes, {host: reply.error for host, reply in replies.items() if not reply.ok})


def looks(fleet: Fleet, hosts: Sequence[str]) -> dict[str, Reply]:
    """What these hosts show now."""
    requests = {host: fleet.request(host, "look") for host in hosts}
    return run_playbook("look.yml", fleet.place.inventory / "hosts.yml", requests)


def in_force(reply: Reply, profile: Profile) -> str:
    """Why a host may not be changed under its bot; empty if it may: tripped and not live, or nothing runs there."""
    if not reply.look:
        return "what runs there could not be seen"
    if switch_state(reply.look, profile) is Switch.ARMED:
        return "its bot is armed"
    reading = mode_reading(reply.look, profile)
    if Mode.LIVE in (reading.declared, reading.loaded, reading.observed):
        return "its bot is live"
    dead = (reply.look.get("process") or {}).get("state") in DEAD
    known = dead or switch_state(reply.look, profile) is Switch.TRIPPED
    return "" if known else "nobody can tell whether its bot is armed"


def is_bare(fleet: Fleet, host: str, changes: Iterable[str]) -> bool:
    """Whether a run under check found that the bot's folder itself is not there yet."""
    return f"{fleet.request(host, 'look')['root']}: made" in changes


def touches_services(fleet: Fleet, host: str, changes: Iterable[str]) -> bool:
    """Whether what changed is read only when a service is created anew."""
    service, root = fleet.profile.service, fleet.request(host, "look")["root"]
    begin = [f"/etc/systemd/system/{name}.service" for name in (service.name, *service.also)]
    begin += [f"{root}/{_compose_file(fleet.profile)}:", f"/etc/supervisor/conf.d/{fleet.profile.system}.conf"]
    return any(change.startswith(tuple(begin)) for change in changes)


def _words(reply: Reply) -> tuple[str, ...]:
    return tuple(str(change) for change in reply.done.get("changed", ()))


def prepare_of(fleet: Fleet) -> Prepare:
    """The profile's section. Raises InputError, naming the file, if there is none or it does not fit the rest."""
    profile, file = fleet.profile, profile_path(fleet.place, fleet.profile.system)
    prepare = profile.prepare
    if prepare is None:
        raise InputError("the profile has no section prepare", file=file, expected="prepare: {user: ...}",
                         remedy="see the commented block in inventory/sandbox/systems/alpaca-bot.yml")  # fmt: skip
    for problem, expected, seen in _problems(profile, prepare):
        raise InputError(problem, file=file, expected=expected, seen=seen, remedy="see runbooks/prepare-a-host.md")
    return prepare


def _problems(profile: Profile, prepare: Prepare) -> Iterable[tuple[str, str, str]]:
    """(what does not fit, what was expected, what was seen)."""
    services = (profile.service.name, *profile.service.also)
    compose = profile.service.manager == "compose"
    if prepare.user == "root":
        yield "prepare.user is root", "a user of the bot's own", "root"
    for name in _files(profile):
        if "/" not in name:
            yield f"{name} lies in root itself, where only root may write", f"a folder below, as var/{name}", name
    for name in prepare.commands.keys() - set(services):
        yield f"prepare.commands.{name} is no service of this system", f"one of: {', '.join(services)}", name
    for name, text in prepare.commands.items():
        words = _split(text)
        if not words or not (compose or words[0].startswith(("/", "{root}/"))):
            yield f"prepare.commands.{name} is no command", "an absolute path and its words, quotes closed", text
    for name in prepare.environment.keys() & {*profile.shown_variables(), *profile.secret_variables()}:
        yield f"prepare.environment.{name} stands in the env file too", "each variable in one place", name
    if compose and (prepare.image is not None) != (set(prepare.commands) == set(services)):
        yield "a compose file is made from an image and a command for every service, or it is your own", "", ""
    if not compose and (prepare.image or prepare.mounts):
        yield "prepare.image and prepare.mounts are for compose only", "manager: compose", profile.service.manager


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _request(fleet: Fleet, prepare: Prepare, host: str, env_text: str, at: datetime) -> dict[str, Any]:
    profile, root = fleet.profile, fleet.request(host, "look")["root"]
    if not PLAIN_PATH.match(root):
        raise InputError(f"hosts.{host}.root is no plain path", file=profile_path(fleet.place, profile.system),
                         expected="like /srv/alpaca-bot", seen=root, remedy="name a real folder")  # fmt: skip
    stop, helper = _stop(profile, host, root), (PLAYBOOKS / "library" / "interlock_host.py").read_text()
    services = (profile.service.name, *profile.service.also)
    writable = [f"{root}/{name}" for name in _writable(profile, prepare)]
    return {
        "system": profile.system,
        "manager": profile.service.manager,
        "root": root,
        "own": f"{root}/interlock",
        "env": f"{root}/{profile.env_file}",
        "gate": f"{root}/{profile.gate_file}",
        "release": profile.release,
        "logs": _logs(PurePosixPath(profile.records.log.path)),
        "user": prepare.user,
        "uid": prepare.uid,
        "packages": [*prepare.packages, *(["prometheus-node-exporter"] if prepare.node_metrics else [])],
        "watcher": f"interlock-watch@{profile.system}.service",
        "watched": rf"interlock_host\.py|interlock-watch@{profile.system}",
        "start_gated": profile.service.start_gated,
        "in_a_home": any(home in f"{root} {prepare.commands} {prepare.environment}" for home in HOMES),
        "writable": [path for path in writable if not _below(path, writable)],
        "readable": [f"{root}/{profile.release}", f"{root}/interlock", *prepare.mounts],
        "image": prepare.image,
        "compose_file": _compose_file(profile),
        "services": [_service(profile, prepare, root, name, stop) for name in services],
        "entries": _entries(profile, prepare, root, {"writable": writable, "helper": helper, "stop": stop,
                                                     "env_text": env_text, "at": utc_text(at)}),
    }  # fmt: skip


def _logs(log: PurePosixPath) -> str:
    """What is rotated: the bot's log, and those of the services beside it in the same folder."""
    return str(log.with_name(f"*{log.suffix}") if log.suffix else log)


def _below(path: str, paths: Iterable[str]) -> bool:
    return any(path.startswith(f"{other}/") for other in paths)


def _compose_file(profile: Profile) -> str:
    return profile.service.file or "compose.yml"


def _files(profile: Profile) -> list[str]:
    """The files under root that the bot itself must be able to write."""
    calls = [profile.switch.trip or "", profile.switch.rearm or "", *(one.call for one in profile.drills.values())]
    written = [call.split(" ")[1] for call in calls if call.startswith("WRITE ")]
    readouts = [part.readout.file for part in (profile.mode, profile.switch, profile.health) if part.readout.file]
    return [profile.records.database, profile.records.log.path, *written, *readouts]


def _writable(profile: Profile, prepare: Prepare) -> list[str]:
    """The bot's own folders under root, outer ones first: those named, and those of its records, log and files."""
    folders = [PurePosixPath(name) for name in prepare.writable]
    folders += [PurePosixPath(name).parent for name in _files(profile)]
    found = {str(part) for folder in folders for part in (folder, *folder.parents)} - {"."}
    return sorted(found)


def _stop(profile: Profile, host: str, root: str) -> dict[str, str] | None:
    """What trips the bot before its unit is stopped by hand or by a reboot; None where it has no such verb."""
    if profile.switch.trip is None or profile.service.manager != "systemd":
        return None
    reason = "service-stopped"
    method, rest = profile.switch.trip.split(" ", 1)
    first, _, more = rest.partition(" ")
    gate = {"gate": f"{root}/{profile.gate_file}"}
    if method == "WRITE":
        return {**gate, "file": f"{root}/{first}", "text": more.replace("{reason}", reason)}
    wish = {"method": method, "path": first.replace("{reason}", reason), "body": more.replace("{reason}", reason)}
    return {**gate, "url": profile.hosts[host].api or "", **wish}


def _service(
    profile: Profile, prepare: Prepare, root: str, name: str, stop: Mapping[str, str] | None
) -> dict[str, Any]:
    """One service in the words of its manager; `command` is None where its unit is the operator's own."""
    words = [word.replace("{root}", root) for word in _split(prepare.commands.get(name, ""))]
    pairs = {key: value.replace("{root}", root) for key, value in prepare.environment.items()}
    quoted = _QUOTED[profile.service.manager]
    command, environment = quoted(words, pairs, prepare.user, f"{root}/{profile.env_file}")
    stops = stop is not None and name == profile.service.name
    return {"name": name, "command": command if words else None, "environment": environment, "stop": stops}


def _for_systemd(words: Sequence[str], pairs: Mapping[str, str], user: str, env: str) -> tuple[Any, Any]:
    """(ExecStart, Environment lines): % and $ mean something to systemd, quotes and backslashes too."""

    def quoted(text: str, doubled: str) -> str:
        for letter in doubled:
            text = text.replace(letter, letter * 2)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return " ".join(quoted(word, "%$") for word in words), [quoted(f"{k}={v}", "%") for k, v in pairs.items()]


def _for_compose(words: Sequence[str], pairs: Mapping[str, str], user: str, env: str) -> tuple[Any, Any]:
    """(list of words, mapping): $ means something to compose."""
    return [word.replace("$", "$$") for word in words], {key: value.replace("$", "$$") for key, value in pairs.items()}


def _for_supervisord(words: Sequence[str], pairs: Mapping[str, str], user: str, env: str) -> tuple[Any, Any]:
    """(command, environment entries): a shell that reads the env file as root and then becomes the bot's own user."""
    become = f"setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs --"
    shell = f"set -a; . {env}; set +a; exec {become} {shlex.join(words)}"
    command = f"/bin/sh -c {shlex.quote(shell)}".replace("%", "%%")
    return command, [f'{key}="{value}"'.replace("%", "%%") for key, value in pairs.items()]


_QUOTED = {"systemd": _for_systemd, "compose": _for_compose, "supervisord": _for_supervisord}


def _entries(profile: Profile, prepare: Prepare, root: str, more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The folders and files, in the order in which they are laid. A run that is killed anywhere leaves a fresh host
    with its gate: that comes before what makes the host look prepared, the helper and the env file."""
    own, env = f"{root}/interlock", f"{root}/{profile.env_file}"
    helper, release = f"{own}/interlock_host.py", f"{root}/{profile.release}"
    gate = json.dumps({"by": "prepare", "at": more["at"]})
    stop_program = (PLAYBOOKS / "roles" / "systemd" / "files" / "interlock_stop.py").read_text()
    stop = [_file(f"{own}/interlock_stop.py", stop_program), _file(f"{own}/stop.json", json.dumps(more["stop"]))]
    return [
        _folder(root, "root", "0755"),
        {**_folder(release, "root", "0755"), "unless": [release]},
        _folder(own, "root", "0711"),
        {**_file(f"{root}/{profile.gate_file}", gate), "keep": True, "unless": [helper, env]},
        *(_folder(path, prepare.user, "0750") for path in more["writable"]),
        *(stop if more["stop"] else []),
        _file(helper, more["helper"]),
        {**_file(env, more["env_text"]), "keep": True},
    ]


def _folder(path: str, user: str, mode: str) -> dict[str, Any]:
    return {"path": path, "kind": "folder", "user": user, "group": user, "mode": mode}


def _file(path: str, text: str) -> dict[str, Any]:
    return {"path": path, "kind": "file", "user": "root", "group": "root", "mode": "0600", "text": text}
