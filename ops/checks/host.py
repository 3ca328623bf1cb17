"""What stands in the env file, and what the running process loaded from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.checks.sight import Params, Sight, dark_hosts
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
        f"{host} {text}" for host, reply in sight.replies.items() for text in _problems(sight, reply.look["env"])
    ]
    name = sight.profile.env_file
    seen = "; ".join(problems) or f"{name} canonical and 0600 on {len(sight.replies)} hosts"
    remedy = f"mend {name} (KEY=value, LF, no BOM, no quotes, no inline comment, no duplicates), then restart the bot"
    return sight.finding("env_file", not problems, seen, "one canonical env file", remedy if problems else "")


def _problems(sight: Sight, env: Mapping[str, Any]) -> list[str]:
    name = sight.profile.env_file
    found = [f"{name}{'' if p['line'] is None else ':' + str(p['line'])}: {p['text']}" for p in env["problems"]]
    found += [f"{name}: unknown key {key}" for key in env["unknown_keys"]]
    missing = [key for key in sorted(_common(sight)) if env["variables"].get(key) is None]
    found += [f"{name}: {key} is missing" for key in missing]
    credentials = sight.doors.credentials(sight.slot)
    salt = sight.doors.secrets.salt()
    expected = (credentials.fingerprint(salt), credentials.secret_fingerprint(salt))
    for key, should in zip(sight.profile.secret_variables(), expected, strict=True):
        seen = env["fingerprints"].get(key)
        if seen != should:
            other = _crossed(sight, seen)
            found.append(f"{name}: {key} is {other or 'not the key in force'} (fingerprint {seen or 'none'})")
    return found


def _crossed(sight: Sight, seen: str | None) -> str:
    """Names the classic mistake: the other slot's key in this slot."""
    other: Slot = "paper" if sight.slot == "live" else "live"
    if not sight.doors.secrets.has(sight.profile.venue.slot(other).credentials):
        return ""
    credentials, salt = sight.doors.credentials(other), sight.doors.secrets.salt()
    crossed = seen in (credentials.fingerprint(salt), credentials.secret_fingerprint(salt))
    return f"the {other} key in the {sight.slot} slot" if crossed else ""


def _common(sight: Sight) -> set[str]:
    own = {name for host in sight.profile.hosts.values() for name in host.variables}
    return set(sight.profile.shown_variables()) - own


def env_var(sight: Sight, params: Params) -> Finding:
    """One variable has the value of the stage in the file and in the process."""
    name = params["name"]
    two = sight.profile.mode.variables[name]
    expected = two.live if sight.history.live else two.paper
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("env_var", None, f"hosts did not answer: {dark}", expected)
    seen = {}
    for host, reply in sight.replies.items():
        env, loaded = reply.look.get("env") or {}, reply.look.get("loaded") or {}
        seen[host] = ((env.get("variables") or {}).get(name), (loaded.get("variables") or {}).get(name))
    text = ", ".join(f"{host} file {file} process {process}" for host, (file, process) in seen.items())
    return sight.finding("env_var", all(pair == (expected, expected) for pair in seen.values()), text, expected)


def release_equality(sight: Sight, params: Params) -> Finding:
    """Every host runs the same code (Knight Capital, 2012: one of eight did not)."""
    digests = {host: str(reply.look.get("release_sha256"))[:12] for host, reply in sight.replies.items()}
    seen = ", ".join(f"{host} {digest}" for host, digest in digests.items())
    ok = None if "None" in digests.values() else len(set(digests.values())) == 1
    return sight.finding("release_equality", ok, seen, "one release on all hosts")


def host_health(sight: Sight, params: Params) -> Finding:
    """Each bot's loop turned lately, its API listens on loopback only, and no secret stands in any argument list."""
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("host_health", None, f"hosts did not answer: {dark}")
    limit = sight.profile.health.loop_age_max_seconds
    problems = [f"{h}: {text}" for h, r in sight.replies.items() for text in _ailments(sight, r.look, limit)]
    return sight.finding("host_health", not problems, "; ".join(problems) or f"{len(sight.replies)} hosts healthy")


def _ailments(sight: Sight, look: Mapping[str, Any], limit: int) -> list[str]:
    """What is wrong with one host; what it does not show counts as wrong."""
    age = ((look.get("api") or {}).get("health") or {}).get(sight.profile.health.readout.field)
    young = isinstance(age, (int, float)) and not isinstance(age, bool) and -CLOCK_SKEW_SECONDS <= age <= limit
    found = [] if young else [f"the loop last turned {age if age is not None else 'an unknown number of'} s ago"]
    listening = (look.get("process") or {}).get("listening") or ["an unknown address"]
    found += [f"listens on {address}" for address in listening if not address.startswith("127.")]
    holders = look.get("secret_in_argv_pids")
    if holders != []:
        found.append(f"a secret stands in the arguments of process {holders or 'UNKNOWN'}")
    if not (look.get("disk") or {}).get("free_bytes", 0) >= DISK_FREE_MIN_BYTES:
        found.append("less than 1 GB of disk is free")
    return found
