"""Runs the host assertions of `tests/hosts/` (pytest and testinfra) against the hosts of one system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.errors import HostError
from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.fleet import BotCredentials, Fleet
from ops.hosts.reply import Reply
from ops.model.canonical import digest
from ops.model.profile import Slot

SUITE = PLAYBOOKS.parent / "tests" / "hosts"
RUN_MAX_SECONDS = 120


@dataclass(frozen=True)
class Verdict:
    """How many assertions held on how many hosts, and each that did not."""

    hosts: int
    passed: int
    problems: tuple[str, ...]
    cases: tuple[Mapping[str, str], ...] = ()


def verify_hosts(fleet: Fleet, credentials: BotCredentials, slot: Slot, size_pct: int | None = None) -> Verdict:
    """Every assertion on every host. A host that does not answer, or a suite that ran no test, is a problem."""
    replies = fleet.look()
    dark = [f"{host}: {reply.error}" for host, reply in replies.items() if not reply.look]
    if dark:
        return Verdict(len(replies), 0, tuple(dark))
    facts = {host: _facts(fleet, reply, credentials, slot, size_pct) for host, reply in replies.items()}
    with tempfile.TemporaryDirectory(prefix="interlock-verify-") as folder:
        path, report = Path(folder) / "facts.json", Path(folder) / "report.xml"
        path.write_text(json.dumps(facts))
        done = _pytest(path, report)
        if not report.exists():
            raise HostError(f"testinfra could not run: {(done.stdout + done.stderr).strip()[-300:]}")
        cases = _cases(report)
    failed = tuple(f"{case['name']}: {case['text']}" for case in cases if case["outcome"] != "pass")
    passed = sum(case["outcome"] == "pass" for case in cases)
    return Verdict(len(facts), passed, failed if cases else ("the suite ran no assertion",), cases)


def _facts(fleet: Fleet, reply: Reply, credentials: BotCredentials, slot: Slot, size_pct: int | None) -> dict[str, Any]:
    """What must be true on one host. Digests and fingerprints only."""
    profile, request = fleet.profile, fleet.request(reply.host, "look")
    name = profile.size.variable
    seen_size = (reply.look.get("env") or {}).get("variables", {}).get(name) or "0"
    percent = size_pct if size_pct is not None else round(float(seen_size) * 100)
    return {
        "root": request["root"],
        "env_file": str(Path(request["root"]) / profile.env_file),
        "own_secrets": list(profile.own_secrets),
        "env_sha256": digest(fleet.env_texts(slot, percent, credentials)[reply.host]),
        "gate_file": str(Path(request["root"]) / profile.gate_file),
        "log_file": str(Path(request["root"]) / profile.records.log.path),
        "mode_variables": {variable: getattr(two, slot) for variable, two in profile.mode.variables.items()},
        "process": reply.look["process"],
        "processes": {profile.service.name: reply.look["process"], **(reply.look.get("also") or {})},
        "secret_in_argv_pids": reply.look["secret_in_argv_pids"],
        "api_port": _port(profile.hosts[reply.host].api),
        "controller_unix": int(datetime.now(UTC).timestamp()),
    }


def _port(api: str | None) -> str | None:
    """The port on which the bot must listen; None for one that offers no API."""
    return None if api is None else api.rsplit(":", 1)[1].split("/")[0]


def _pytest(facts: Path, report: Path) -> subprocess.CompletedProcess[str]:
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "USER") if key in os.environ}
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--tb=line",
        "--rootdir", str(SUITE), "-c", str(SUITE / "pytest.ini"), f"--junit-xml={report}", str(SUITE),
    ]  # fmt: skip
    try:
        return subprocess.run(
            command, env={**keep, "INTERLOCK_HOST_FACTS": str(facts), "PYTHONDONTWRITEBYTECODE": "1"}, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_MAX_SECONDS, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HostError(f"testinfra did not end within {RUN_MAX_SECONDS} s") from None


def _cases(report: Path) -> tuple[dict[str, str], ...]:
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
        text = (bad[0].get("message") or "").splitlines()[0][:200] if bad and bad[0].get("message") else ""
        outcome = "pass" if not bad else "unknown" if bad[0].tag != "failure" else "fail"
        found.append({"name": case.get("name", ""), "outcome": outcome, "text": text})
    return tuple(found)
