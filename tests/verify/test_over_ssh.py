"""`invoke verify` over a real OpenSSH server: one call per host, and a dark host hides nothing of the others."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.hosts.testinfra import Verdict, host_of, run_suite
from tests.transport.sshd import Reach
from tests.verify.hosts import World, lay, running

# A machine of a developer's own need not be on UTC.
OF_THIS_MACHINE = {"time_zone_is_utc"}


def laid(reach: Reach, folder: Path, hosts: Mapping[str, dict[str, Any]]) -> World:
    (folder / "world").mkdir()
    reach.write(**hosts)
    return lay(folder / "world", dict.fromkeys(hosts, "supervisord"), reach.place)


def failed(verdict: Verdict, host: str) -> set[str]:
    bad = [case for case in verdict.cases if host_of(case) == host and case["outcome"] in ("fail", "unknown")]
    return {case["name"].partition("[")[0].removeprefix("test_") for case in bad} - OF_THIS_MACHINE


def test_one_ssh_call_per_host_and_all_holds(reach: Reach, tmp_path: Path) -> None:
    world = laid(reach, tmp_path, {"far-1": reach.server.host(), "far-2": reach.server.host("127.0.0.2")})
    with running(world, lambda host: None):
        for _ in range(2):  # by new connections, then over the masters that they left open
            verdict = run_suite(world.facts())
            assert (failed(verdict, "far-1"), failed(verdict, "far-2")) == (set(), set()), verdict.problems
            assert reach.count() == 2
    assert len(reach.masters()) == 2
    assert verdict.passed >= 2 * 30


def test_what_only_supervisord_can_get_wrong(reach: Reach, tmp_path: Path) -> None:
    world = laid(reach, tmp_path, {"open": reach.server.host(), "stopped": reach.server.host()})
    world.hosts["stopped"].runs = False
    with running(world, lambda host: host.socket.chmod(0o666 if host.name == "open" else 0o600)):
        verdict = run_suite(world.facts())
    assert failed(verdict, "open") == {"supervisor_socket_is_private"}
    assert "services_run" in failed(verdict, "stopped")


def test_dark_hosts_are_named_and_the_others_are_verified(reach: Reach, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    hosts = {
        "good": reach.server.host(),
        "closed": reach.server.host(ansible_port=closed),
        "no-python": reach.server.host(ansible_python_interpreter="/nowhere/python3"),
        "no-key": reach.server.host(ansible_ssh_private_key_file="/nowhere/key"),
    }
    world = laid(reach, tmp_path, hosts)
    with running(world, lambda host: None):
        verdict = run_suite(world.facts())
    assert failed(verdict, "good") == set()
    assert not any(case["outcome"] == "pass" for case in verdict.cases if host_of(case) != "good")
    told = Counter(problem.split(" could not be seen")[0] for problem in verdict.problems)
    assert told == Counter({"closed": 1, "no-python": 1, "no-key": 1}), verdict.problems
    text = "\n".join(verdict.problems)
    for words in ("Connection refused", "/nowhere/python3", "Permission denied"):
        assert words in text
