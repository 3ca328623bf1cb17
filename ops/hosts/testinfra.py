"""Runs the host assertions of `tests/hosts/` (pytest and testinfra) against the hosts of one system.

What must be true goes to pytest in a file; pytest sees each host once, all at the same time, with a probe of its own:
no Ansible, and not the host program, so that this is a second opinion.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ops.errors import HostError, InputError
from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.fleet import BotCredentials, Fleet
from ops.hosts.ssh import Address, addresses, ssh_options
from ops.model.canonical import digest
from ops.model.profile import Profile, Slot
from ops.secrets import Secrets

SUITE = PLAYBOOKS.parent / "tests" / "hosts"
RUN_MAX_SECONDS = 120
LOGROTATE = "/etc/logrotate.d"
# What pytest puts before the words of a test or of a fixture.
PREFIX = re.compile(r'^(?:failed on setup with ")?(?:(?:AssertionError|Failed): )?')
TEXT_MAX = 200


@dataclass(frozen=True)
class Standing:
    """What else is known of how the hosts must stand; None is not known, and not asserted.

    `tripped`: whether the gate must be there. `deadline`: whether the host's own deadline must be running. `foreign`:
    fingerprints of keys that must not be on any of them (see `foreign_keys`).
    """

    tripped: bool | None = None
    deadline: bool | None = None
    foreign: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """How many assertions held on how many hosts, and each that did not.

    `cases`: `name` (test_x[host]), `outcome` (pass, fail, unknown, skipped) and `text`. One that is skipped does not
    apply, and counts neither way; a host that could not be seen is one problem, and each of its assertions unknown.
    """

    hosts: int
    passed: int
    problems: tuple[str, ...]
    cases: tuple[Mapping[str, str], ...] = ()


def verify_hosts(
    fleet: Fleet,
    credentials: BotCredentials,
    slot: Slot,
    size_pct: int | None = None,
    standing: Standing | None = None,
) -> Verdict:
    """Every assertion on every host. A host that does not answer, or a suite that ran no test, is a problem.

    `size_pct` None: whatever size stands in the env file. Raises HostError if pytest could not run.
    """
    return run_suite(host_facts(fleet, credentials, slot, size_pct, standing))


def run_suite(facts: Mapping[str, Any]) -> Verdict:
    """The assertions over what `host_facts` gave, for any hosts. Raises HostError if pytest could not run."""
    with tempfile.TemporaryDirectory(prefix="interlock-verify-") as folder:
        path, report = Path(folder) / "facts.json", Path(folder) / "report.xml"
        Secrets.store(path, json.dumps(facts))
        done = _pytest(path, report)
        if not report.exists():
            raise HostError(f"testinfra could not run: {(done.stdout + done.stderr).strip()[-300:]}")
        return _verdict(facts, _cases(report))


def foreign_keys(secrets: Secrets, profile: Profile, slot: Slot) -> frozenset[str]:
    """Fingerprints of every key of the other slot that lies here, pending and previous ones too, but for those that
    this slot holds as well."""
    other: Slot = "paper" if slot == "live" else "live"
    return frozenset(_fingerprints(secrets, profile, other) - _fingerprints(secrets, profile, slot))


def _fingerprints(secrets: Secrets, profile: Profile, slot: Slot) -> set[str]:
    salt, found = secrets.salt(), set()
    for venue, setting in profile.venues.items():
        for name in profile.bot_keys(venue, slot).values():
            for state in ("current", "pending", "previous"):
                if secrets.has(name, state):
                    held = secrets.credentials(name, state)
                    found |= {held.fingerprint(salt, part) for part in setting.variables.secrets.values()}
    return found


def host_facts(
    fleet: Fleet,
    credentials: BotCredentials,
    slot: Slot,
    size_pct: int | None = None,
    standing: Standing | None = None,
) -> dict[str, Any]:
    """Host -> how it is reached (`reach`), what the probe is asked (`ask`), what must be true (`wanted`): the file that
    INTERLOCK_HOST_FACTS names. Digests and fingerprints only. Raises InputError for a host that hosts.yml lacks."""
    profile, place = fleet.profile, fleet.place
    known, options = addresses(place.inventory / "hosts.yml"), ssh_options(place)
    texts = fleet.env_texts(slot, size_pct or 0, credentials)
    unplanned = (*profile.own_secrets, *(() if size_pct is not None else (profile.size.variable,)))
    standing = standing or Standing()
    facts = {}
    for host in profile.hosts:
        if host not in known:
            raise InputError(f"{host} is not in the inventory", file=place.inventory / "hosts.yml", remedy="add it")
        request = fleet.request(host, "look")
        keys = _planned_keys(profile, credentials.get(host, {}), request["salt"])
        facts[host] = {
            "reach": _reach(known[host], options),
            "ask": _ask(profile, request, slot, unplanned, known[host].local, standing.foreign),
            "wanted": _wanted(profile, request, slot, texts[host], unplanned, keys) | _stands(standing)
            | {"real": not (known[host].local and profile.service.manager == "supervisord")},
        }  # fmt: skip
    return facts


def _reach(address: Address, options: tuple[str, ...]) -> dict[str, Any]:
    return {**asdict(address), "become": address.through_sudo, "options": [] if address.local else list(options)}


def _ask(
    profile: Profile, request: Mapping[str, Any], slot: Slot, left_out: Collection[str], shared: bool,
    foreign: Collection[str],
) -> dict[str, Any]:  # fmt: skip
    """What the probe is told. `shared`: other hosts may be folders on the same machine."""
    service = request["service"]
    return {
        **{name: request[name] for name in ("root", "env_file", "gate_file", "release", "salt")},
        **{name: service.get(name) for name in ("manager", "socket", "file", "project")},
        "services": [service["name"], *service["also"]],
        "watch_unit": _watch_unit(profile),
        "secret": list(profile.secret_variables()),
        "mode": list(_mode(profile, slot)),
        "left_out": list(left_out),
        "foreign": sorted(foreign),
        "shared": shared,
        "log_file": profile.records.log.path,
        "logrotate": LOGROTATE,
    }


def _wanted(
    profile: Profile, request: Mapping[str, Any], slot: Slot, text: str, left_out: Collection[str],
    keys: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """What must be true on one host by profile and plan."""
    root, lines = Path(request["root"]), text.splitlines(keepends=True)
    planned = "".join(line for line in lines if line.partition("=")[0] not in left_out)
    api = urlsplit(request["api"]["url"] or "")
    return {
        "manager": profile.service.manager,
        "services": [profile.service.name, *profile.service.also],
        "watch_unit": _watch_unit(profile),
        "start_gated": profile.service.start_gated,
        "env_file": str(root / profile.env_file),
        "env_sha256": digest(planned),
        "planned_names": sorted({line.partition("=")[0] for line in lines} | {*profile.own_secrets}),
        "gate_file": str(root / profile.gate_file),
        "helper_sha256": hashlib.sha256((PLAYBOOKS / "library" / "interlock_host.py").read_bytes()).hexdigest(),
        "mode": _mode(profile, slot),
        "keys": dict(keys),
        "api_host": api.hostname,
        "api_port": api.port,
    }


def _stands(standing: Standing) -> dict[str, Any]:
    return {"tripped": standing.tripped, "deadline": standing.deadline, "foreign": bool(standing.foreign)}


def _mode(profile: Profile, slot: Slot) -> dict[str, str]:
    return {variable: getattr(two, slot) for variable, two in profile.mode.variables.items()}


def _watch_unit(profile: Profile) -> str:
    return f"interlock-watch@{profile.system}"


def _planned_keys(profile: Profile, held: Mapping[str, Any], salt: str) -> dict[str, str]:
    """Env variable -> fingerprint of what must stand in it, for every part of every venue's credentials."""
    return {
        variable: held[venue].fingerprint(salt, part)
        for venue in held
        for variable, part in profile.venues[venue].variables.secrets.items()
    }


def _pytest(facts: Path, report: Path) -> subprocess.CompletedProcess[str]:
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "USER", "SSH_AUTH_SOCK") if key in os.environ}
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line",
        "--rootdir", str(SUITE), "-c", str(SUITE / "pytest.ini"), f"--junit-xml={report}", str(SUITE),
    ]  # fmt: skip
    own = {"INTERLOCK_HOST_FACTS": str(facts), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    try:
        return subprocess.run(
            command, env={**keep, **own}, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_MAX_SECONDS, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HostError(f"testinfra did not end within {RUN_MAX_SECONDS} s") from None


def _cases(report: Path) -> tuple[dict[str, str], ...]:
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        child = next((c for c in case if c.tag in ("failure", "error", "skipped")), None)
        outcome = {None: "pass", "failure": "fail", "skipped": "skipped"}.get(child.tag if child is not None else None)
        said = (child.get("message") or "").splitlines() if child is not None else []
        text = PREFIX.sub("", said[0]).strip('"')[:TEXT_MAX] if said else ""
        found.append({"name": case.get("name", ""), "outcome": outcome or "unknown", "text": text})
    return tuple(found)


def _verdict(facts: Mapping[str, Any], cases: tuple[dict[str, str], ...]) -> Verdict:
    """A host of which nothing is known is one problem, not forty."""
    bad = [case for case in cases if case["outcome"] not in ("pass", "skipped")]
    alike = Counter((host_of(case), case["text"]) for case in bad if case["outcome"] == "unknown")
    dark = {host: text for (host, text), count in alike.items() if count == _asserted(cases, host)}
    problems = [f"{text} ({_asserted(cases, host)} assertions unknown)" for host, text in dark.items()]
    problems += [f"{case['name']}: {case['text']}" for case in bad if host_of(case) not in dark]
    problems += [f"{host}: the suite ran no assertion" for host in facts if not _asserted(cases, host)]
    return Verdict(len(facts), sum(case["outcome"] == "pass" for case in cases), tuple(problems), cases)


def host_of(case: Mapping[str, str]) -> str:
    """The host of a case; empty for one that is of none."""
    return case["name"].partition("[")[2].removesuffix("]")


def _asserted(cases: tuple[dict[str, str], ...], host: str) -> int:
    return sum(host_of(case) == host and case["outcome"] != "skipped" for case in cases)
