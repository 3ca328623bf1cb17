"""What stands in the env file, and what the running process loaded from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.checks.sight import Params, Sight, dark_hosts, loaded_values
from ops.hosts.reply import field_of, is_behind_its_gate
from ops.model.outcome import Finding
from ops.model.profile import Slot

CLOCK_SKEW_SECONDS = 2
DISK_FREE_MIN_BYTES = 1_000_000_000


def env_file(sight: Sight, params: Params) -> Finding:
    """The env file is canonical, private, holds just the profile's keys, and the key in force is the stored one."""
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("env_file", None, f"hosts did not answer: {dark}")
    problems = [
        f"{host} {text}" for host, reply in sight.replies.items() for text in _problems(sight, host, reply.look["env"])
    ]
    name = sight.profile.env_file
    seen = "; ".join(problems) or f"{name} canonical and 0600 on {len(sight.replies)} hosts"
    remedy = f"mend {name} (KEY=value, LF, no BOM, no quotes, no inline comment, no duplicates), then restart the bot"
    return sight.finding("env_file", not problems, seen, "one canonical env file", remedy if problems else "")


def _problems(sight: Sight, host: str, env: Mapping[str, Any]) -> list[str]:
    name = sight.profile.env_file
    found = [f"{name}{'' if p['line'] is None else ':' + str(p['line'])}: {p['text']}" for p in env["problems"]]
    found += [f"{name}: unknown key {key}" for key in env["unknown_keys"]]
    missing = [key for key in sorted(_common(sight)) if env["variables"].get(key) is None]
    found += [f"{name}: {key} is missing" for key in missing]
    return found + _wrong_keys(sight, host, env)


def _wrong_keys(sight: Sight, host: str, env: Mapping[str, Any]) -> list[str]:
    """The secret variables that do not hold what is stored for this host."""
    name, salt, found = sight.profile.env_file, sight.doors.secrets.salt(), []
    for venue, setting in sight.profile.venues.items():
        held = (
            sight.doors.credentials(venue, sight.slot, host=host) if sight.profile.bot_keys(venue, sight.slot) else None
        )
        for variable, part in setting.variables.secrets.items():
            seen = env["fingerprints"].get(variable)
            if held is not None and seen != held.fingerprint(salt, part):
                other = _crossed(sight, venue, host, part, seen)
                found.append(f"{name}: {variable} is {other or 'not the key in force'} (fingerprint {seen or 'none'})")
    return found


def _crossed(sight: Sight, venue: str, host: str, part: str, seen: str | None) -> str:
    """Names the classic mistake: the other slot's key in this slot."""
    other: Slot = "paper" if sight.slot == "live" else "live"
    name = sight.profile.bot_keys(venue, other).get(host)
    if name is None or not sight.doors.secrets.has(name):
        return ""
    credentials, salt = sight.doors.secrets.credentials(name), sight.doors.secrets.salt()
    return f"the {other} key in the {sight.slot} slot" if seen == credentials.fingerprint(salt, part) else ""


def _common(sight: Sight) -> set[str]:
    own = {name for host in sight.profile.hosts.values() for name in host.variables}
    return set(sight.profile.shown_variables()) - own


def env_var(sight: Sight, params: Params) -> Finding:
    """One variable has the value of the stage, or the one that the profile gives each host, in file and process."""
    name = params["name"]
    expected = {host: _expected(sight, host, name) for host in sight.replies}
    wanted = ", ".join(sorted(set(expected.values())))
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("env_var", None, f"hosts did not answer: {dark}", wanted)
    seen = {}
    for host, reply in sight.replies.items():
        env, loaded = reply.look.get("env") or {}, loaded_values(reply.look, sight.profile)
        seen[host] = ((env.get("variables") or {}).get(name), loaded.get(name))
    text = ", ".join(f"{host} file {file} process {process}" for host, (file, process) in seen.items())
    ok = all(pair == (expected[host], expected[host]) for host, pair in seen.items())
    return sight.finding("env_var", ok, text, wanted)


def _expected(sight: Sight, host: str, name: str) -> str:
    two = sight.profile.mode.variables.get(name)
    if two is None:
        return sight.profile.hosts[host].variables[name]
    return two.live if sight.history.live else two.paper


def disk_free(sight: Sight, params: Params) -> Finding:
    """At least so many GB are free where each bot keeps its records."""
    least = int(params["min_gb"]) * 1_000_000_000
    free = {host: (reply.look.get("disk") or {}).get("free_bytes") for host, reply in sight.replies.items()}
    seen = ", ".join(f"{host} {f // 1_000_000_000 if isinstance(f, int) else 'unknown'} GB" for host, f in free.items())
    known = [f for f in free.values() if isinstance(f, int) and not isinstance(f, bool)]
    ok = all(f >= least for f in known) if known and len(known) == len(free) else None
    return sight.finding("disk_free", ok, seen, f"at least {params['min_gb']} GB")


def code_scan(sight: Sight, params: Params) -> Finding:
    """No secret of the env file is built into the release (seed 001, line 8): it could not be rotated."""
    found = {host: reply.look.get("secret_in_release_files") for host, reply in sight.replies.items()}
    if not found or not all(isinstance(paths, list) for paths in found.values()):
        return sight.finding("code_scan", None, "the release was not searched on every host")
    where = [f"{host}: {path}" for host, paths in found.items() for path in paths or ()]
    remedy = "take it out of the code, and rotate the key: it has been in a repository" if where else ""
    seen = "; ".join(where) or f"{len(found)} releases searched, no secret in them"
    return sight.finding("code_scan", not where, seen, "no secret in the code", remedy)


def release_equality(sight: Sight, params: Params) -> Finding:
    """Every host runs the same code (Knight Capital, 2012: one of eight did not)."""
    digests = {host: str(reply.look.get("release_sha256") or "unknown") for host, reply in sight.replies.items()}
    seen = ", ".join(f"{host} {digest[:12]}" for host, digest in digests.items())
    ok = None if "unknown" in digests.values() else len(set(digests.values())) == 1
    return sight.finding("release_equality", ok, seen, "one release on all hosts")


def host_health(sight: Sight, params: Params) -> Finding:
    """Each bot's loop turned lately, its API listens on loopback only, and no secret stands in any argument list."""
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("host_health", None, f"hosts did not answer: {dark}")
    limit = sight.profile.health.loop_age_max_seconds
    problems = [f"{h}: {text}" for h, r in sight.replies.items() for text in _ailments(sight, h, r.look, limit)]
    return sight.finding("host_health", not problems, "; ".join(problems) or f"{len(sight.replies)} hosts healthy")


def _ailments(sight: Sight, host: str, look: Mapping[str, Any], limit: int) -> list[str]:
    """What is wrong with one host; what it does not show counts as wrong. A bot at its gate has no loop to turn yet."""
    waits = is_behind_its_gate(look, sight.profile)
    age = field_of((look.get("api") or {}).get("health"), sight.profile.health.readout.field)
    young = isinstance(age, (int, float)) and not isinstance(age, bool) and -CLOCK_SKEW_SECONDS <= age <= limit
    found = (
        [] if young or waits else [f"the loop last turned {age if age is not None else 'an unknown number of'} s ago"]
    )
    found += [f"listens on {address}" for address in _open_addresses(sight, host, look)]
    holders = look.get("secret_in_argv_pids")
    if holders != []:
        found.append(f"a secret stands in the arguments of process {holders or 'UNKNOWN'}")
    if not (look.get("disk") or {}).get("free_bytes", 0) >= DISK_FREE_MIN_BYTES:
        found.append("less than 1 GB of disk is free")
    return found


def _open_addresses(sight: Sight, host: str, look: Mapping[str, Any]) -> list[str]:
    """Where any process of the bot listens that is not loopback. One with an API that shows no address is suspect."""
    also = look.get("also") or {}
    processes = [look.get("process"), *(also.get(name) for name in sight.profile.service.also)]
    addresses = [address for process in processes for address in (process or {}).get("listening") or []]
    silent = not (look.get("process") or {}).get("listening") and not is_behind_its_gate(look, sight.profile)
    if sight.profile.hosts[host].api is not None and silent:
        addresses.append("an unknown address")
    return [address for address in addresses if not address.startswith("127.")]
