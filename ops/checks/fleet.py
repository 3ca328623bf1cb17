"""Is it one fleet: every host with the same code, settings, unit and clock, each of them the machine it should be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ops.checks.host import CLOCK_SKEW_SECONDS
from ops.checks.sight import Params, Sight, dark_hosts, loaded_values
from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.reply import is_behind_its_gate, mode_reading
from ops.model.canonical import digest, utc_time
from ops.model.mode import Mode
from ops.model.outcome import Finding
from ops.model.profile import Profile, Slot

UNKNOWN = "unknown"
HEARTBEAT_MAX_SECONDS = 10
PYTHON_LEAST = (3, 9)
Look = Mapping[str, Any]
# What is wrong, and what could not be seen: the two ways not to pass.
Seen = tuple[list[str], list[str]]


def facts(look: Look, profile: Profile) -> dict[str, str]:
    """What one host shows that stays the same while nobody changes it: people sign it, the ledger keeps it, drift is
    measured against it. Secrets by fingerprint; what is not shown is `unknown`."""
    env = look.get("env") or {}
    return {
        "release": _text(look.get("release_sha256")),
        "env file": _text(env.get("sha256")),
        "mode": str(mode_reading(look, profile)),
        "size": _text(loaded_values(look, profile).get(profile.size.variable)),
        "unit": _unit(look, profile),
        "keys": " ".join(f"{name}={mark}" for name, mark in sorted((env.get("fingerprints") or {}).items())) or "none",
        "machine": " ".join(_place(look)),
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else UNKNOWN


def _place(look: Look) -> tuple[str, str]:
    """Which machine this is, and where the bot lies on it."""
    machine = look.get("machine") or {}
    name, root = _text(machine.get("id")), _text(machine.get("root"))
    return name if re.fullmatch("[0-9a-f]{16}", name) else UNKNOWN, root if root.startswith("/") else UNKNOWN


def _unit(look: Look, profile: Profile) -> str:
    """The digest of unit or compose file; supervisord shows none."""
    shown = look.get("unit_sha256")
    return "not shown by supervisord" if shown is None and profile.service.manager == "supervisord" else _text(shown)


def fleet_equality(sight: Sight, params: Params) -> Finding:
    """Every host like the others and as planned: release, settings, keys, mode, unit, clock, one instance.

    Knight Capital (2012) had seven hosts of eight on the new release. The odd ones are named, against the majority.
    `expect` and `size_pct` say what is planned; by default the committed stage's. Live settings are held against the
    plan, paper's only against each other: nobody but the bot's owner has written them before the first transition.
    """
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("fleet_equality", None, f"hosts did not answer: {dark}")
    slot: Slot = "live" if params.get("expect", sight.slot) == "live" else "paper"
    wrong, unseen = _settings(sight, slot, params)
    for found in (_same(sight), _keys(sight, slot), _modes(sight, slot), _clocks(sight), _instances(sight)):
        wrong, unseen = wrong + found[0], unseen + found[1]
    return _finding(sight, "fleet_equality", wrong, unseen, f"{len(sight.replies)} hosts alike, and as planned")


def _finding(sight: Sight, check: str, wrong: list[str], unseen: list[str], good: str, remedy: str = "") -> Finding:
    ok = False if wrong else None if unseen else True
    return sight.finding(check, ok, "; ".join(wrong + unseen) or good, "every host the same", remedy if not ok else "")


def _odd(what: str, values: Mapping[str, str]) -> list[str]:
    """The hosts whose value is not the majority's; all of them if there is none."""
    counted = Counter(values.values()).most_common()
    if len(counted) < 2:
        return []
    (usual, many), (_, second) = counted[:2]
    if many == second:
        return [f"{what} differs: {', '.join(f'{host} {short(value)}' for host, value in values.items())}"]
    return [f"{h}: {what} {short(v)}, {many} others {short(usual)}" for h, v in values.items() if v != usual]


def short(value: str) -> str:
    """A digest as people read it; anything else as it is."""
    return f"{value[:12]}..." if len(value) == 64 else value


def _same(sight: Sight) -> Seen:
    """One release and one unit or compose file."""
    wrong, unseen = [], []
    shown = {host: facts(reply.look, sight.profile) for host, reply in sight.replies.items()}
    for what in ("release", "unit"):
        values = {host: row[what] for host, row in shown.items()}
        wrong += _odd(what, {host: value for host, value in values.items() if value != UNKNOWN})
        unseen += [f"{host}: {what} unknown" for host, value in values.items() if value == UNKNOWN]
    return wrong, unseen


def _settings(sight: Sight, slot: Slot, params: Params) -> Seen:
    """Every variable that is no secret, in the file and in the process."""
    profile, stage = sight.profile, sight.history.stage
    size = int(params.get("size_pct") or (profile.stage(stage).size_pct if sight.history.live else 100))
    planned = sight.doors.fleet.plain_values(slot, size)
    own = {name for host in profile.hosts.values() for name in host.variables}
    flawed = [host for host, reply in sight.replies.items() if reply.look["env"]["problems"] != []]
    if flawed:  # what stands in such a file may be anything: none of it is repeated
        return [f"{host}: {profile.env_file} is not canonical" for host in flawed], []
    wrong: list[str] = []
    filed = {host: reply.look["env"]["variables"] for host, reply in sight.replies.items()}
    loaded = {host: loaded_values(reply.look, profile) for host, reply in sight.replies.items()}
    for place, rows in {profile.env_file: filed, "the process": loaded}.items():
        for name in sorted({*planned, *own} - set(profile.mode.variables)):
            values = {host: str(row.get(name)) for host, row in rows.items()}
            if name in own:
                plan = {host: profile.hosts[host].variables.get(name) for host in rows}
            elif slot == "live":
                plan = dict.fromkeys(rows, planned[name])
            else:
                wrong += _odd(f"{name} in {place}", values)
                continue
            unlike = [host for host in rows if values[host] != str(plan[host])]
            wrong += [f"{host}: {name} in {place} is {values[host]}, planned {plan[host]}" for host in unlike]
    return wrong, []


def _keys(sight: Sight, slot: Slot) -> Seen:
    """Each host's file holds the keys that are planned for it, by fingerprint."""
    salt, venues, planned = sight.doors.secrets.salt(), sight.profile.venues, sight.doors.bot_credentials(slot)
    wrong = [
        f"{host}: {variable} holds key {seen or 'none'}, planned {held.fingerprint(salt, part)}"
        for host, reply in sight.replies.items()
        for venue, held in planned[host].items()
        for variable, part in venues[venue].variables.secrets.items()
        if (seen := reply.look["env"]["fingerprints"].get(variable)) != held.fingerprint(salt, part)
    ]
    return wrong, []


def _modes(sight: Sight, slot: Slot) -> Seen:
    readings = {host: mode_reading(reply.look, sight.profile) for host, reply in sight.replies.items()}
    return [f"{host}: {reading}" for host, reading in readings.items() if reading.agreed is not Mode(slot)], []


def clock_offset_seconds(sight: Sight, look: Look) -> float | None:
    """How far a host's clock is certainly off ours: it answered between the question and the answer, so anything in
    between counts as 0. None if that cannot be said."""
    at: datetime = utc_time(look["at"])
    if sight.asked is None or sight.asked > sight.at:
        return None
    return (at - min(max(at, sight.asked), sight.at)) / timedelta(seconds=1)


def table(sight: Sight) -> list[str]:
    """A line per host for people: what it shows, and how far its clock is off ours at least."""
    lines = []
    for host, reply in sight.replies.items():
        if not reply.look:
            lines.append(f"{host}: did not answer: {reply.error}")
            continue
        offset = clock_offset_seconds(sight, reply.look)
        shown = ", ".join(f"{name} {short(value)}" for name, value in facts(reply.look, sight.profile).items())
        clock = UNKNOWN if offset is None else f"{offset:+.1f} s"
        healers = "".join(f", started by {name} too" for name in reply.look.get("healers") or ())
        lines.append(f"{host}: {shown}, clock {clock}{healers}")
    return lines


def _clocks(sight: Sight) -> Seen:
    """Within 2 s of ours."""
    offsets = {host: clock_offset_seconds(sight, reply.look) for host, reply in sight.replies.items()}
    wrong = [
        f"{host}: its clock is {off:+.1f} s off"
        for host, off in offsets.items()
        if off is not None and not abs(off) <= CLOCK_SKEW_SECONDS
    ]
    return wrong, [f"{host}: its clock is unknown" for host, off in offsets.items() if off is None]


def _instances(sight: Sight) -> Seen:
    """Just the processes that the manager runs: no second bot on the same account."""
    wrong, unseen = [], []
    for host, reply in sight.replies.items():
        look, instances = reply.look, reply.look.get("instances") or {}
        expected, strays = instances.get("expected"), instances.get("strays")
        if not isinstance(expected, list) or not isinstance(strays, list):
            unseen.append(f"{host}: its processes are unknown")
            continue
        wrong += [f"{host}: process {pid} of the bot runs beside its service" for pid in strays]
        if not is_behind_its_gate(look, sight.profile):
            also = look.get("also") or {}
            services = {sight.profile.service.name: look["process"], **{n: also[n] for n in sight.profile.service.also}}
            wrong += [f"{host}: {n} does not run" for n, process in services.items() if process["pid"] not in expected]
    return wrong, unseen


def host_identity(sight: Sight, params: Params) -> Finding:
    """Each name is a machine of its own, prepared by this very toolkit, with its deadline watched."""
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("host_identity", None, f"hosts did not answer: {dark}")
    helper = digest((PLAYBOOKS / "library" / "interlock_host.py").read_text())
    wrong, unseen = _twins(sight)
    for host, reply in sight.replies.items():
        for text in (*_machine(reply.look["machine"], sight.profile), *_helper(reply.look, helper)):
            (unseen if text.endswith(UNKNOWN) else wrong).append(f"{host}: {text}")
    good = f"{len(sight.replies)} hosts, prepared and watched"
    return _finding(sight, "host_identity", wrong, unseen, good, "invoke host.prepare, then look again")


def _twins(sight: Sight) -> Seen:
    """Two names for one bot: an order that one of them stops, the other would go on placing."""
    found: dict[tuple[str, str], list[str]] = {}
    unseen = []
    for host, reply in sight.replies.items():
        place = _place(reply.look)
        if UNKNOWN in place:
            unseen.append(f"{host}: its machine is unknown")
        else:
            found.setdefault(place, []).append(host)
    return [f"{' and '.join(names)} are one host" for names in found.values() if len(names) > 1], unseen


def _machine(machine: Look, profile: Profile) -> list[str]:
    """An old Python, or a clock that is not UTC. Under supervisord the bots' hosts are folders on this very machine,
    whose time zone is its owner's affair."""
    version = tuple(int(part) for part in str(machine["python"]).split(".")[:2])
    found = [] if version >= PYTHON_LEAST else [f"python {machine['python']}, at least 3.9 is needed"]
    offset = machine.get("utc_offset_s")
    if profile.service.manager != "supervisord" and offset != 0:
        found.append(f"its time zone is {f'{offset} s off UTC' if isinstance(offset, int) else UNKNOWN}")
    return found


def _helper(look: Look, ours: str) -> list[str]:
    """The installed helper is the one that was sent, and a watcher of the deadline is awake beside it."""
    installed, beat = (look.get("helper") or {}).get("sha256"), (look.get("watcher") or {}).get("at")
    found = [] if installed == ours else [f"its helper is {short(installed) if installed else 'not there'}, not ours"]
    if beat is None:
        return [*found, "the watcher of its deadline is unknown"]
    age = (utc_time(look["at"]) - utc_time(beat)) / timedelta(seconds=1)
    awake = -CLOCK_SKEW_SECONDS <= age <= HEARTBEAT_MAX_SECONDS
    return found if awake else [*found, f"the watcher of its deadline last woke {age:.0f} s ago"]
