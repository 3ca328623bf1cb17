"""`invoke dev.bench verify --hosts=1,8,24`: the assertions on a fleet of real hosts against testinfra's own backends.

One fleet for each number of hosts. One round runs, one after the other, each as a process of its own:

floor          one ssh command per host, all at once, that does nothing; then pytest with thirty assertions per host
               that ask nothing of anybody
verify cold    the suite of tests/hosts with no ssh connection open
verify warm    the same over the connections that the cold one left open
invoke verify  the whole command, warm
mux, ssh, ansible   thirty assertions by testinfra's ssh:// with a ControlPath, ssh:// as documented, and ansible://:
               one round only, since they take minutes; in a fleet of more than eight hosts the last two by the
               straight line through the smaller fleets, if those were measured

The calls of ssh are counted by a wrapper on PATH. Needs root and what `invoke fleet.up` needs.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.bench.bed import asked, load
from tests.field import ROOT
from tests.fleet.rig import SYSTEMD, Rig, fleet

ROUNDS = 5
ASSERTIONS = 30
PEERS = ("mux", "ssh", "ansible")
SLACK, FASTER, FLOOR_GOAL = 1.5, 90, 1.25
HERE = Path(__file__).parent
WRAPPER = '#!/bin/sh\necho >> {calls}\nexec {ssh} "$@"\n'
SUITE = ROOT / "tests" / "hosts"
NOTHING = "import pytest\n@pytest.mark.parametrize('at', range({count}))\ndef test_nothing(at):\n    assert at >= 0\n"


@dataclass
class Track:
    """One variant's seconds and ssh calls, round by round."""

    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def told(self, name: str, hosts: int, floor: float) -> str:
        """A line of the table."""
        middle = statistics.median(self.seconds)
        each = statistics.median(self.calls) / hosts
        return (
            f"{hosts:>3} hosts  {name:<14} {middle:8.2f} s  {middle / floor:7.2f} x floor  {each:6.1f} ssh calls a host"
        )


@dataclass(frozen=True)
class Course:
    """A fleet that is up, and the folder for what the variants need."""

    rig: Rig
    folder: Path

    @property
    def names(self) -> list[str]:
        """The hosts."""
        return self.rig.hosts(SYSTEMD)

    @property
    def network(self) -> str:
        """The network namespace from which they are reached."""
        return yaml.safe_load((self.rig.inventory / "fleet" / "environment.yml").read_text())["network"]

    @property
    def facts(self) -> Path:
        """What must be true on them, written once."""
        return self.folder / "facts.json"

    def environ(self, **more: str) -> dict[str, str]:
        """With the counting ssh first on PATH."""
        path = f"{self.folder}/tools:{os.environ['PATH']}"
        return {**self.rig.environ, "PATH": path, "INTERLOCK_HOST_FACTS": str(self.facts), **more}

    def lay(self) -> None:
        """The wrapper, the facts, an ssh_config for testinfra, the empty assertions."""
        (self.folder / "tools").mkdir()
        tool = self.folder / "tools" / "ssh"
        tool.write_text(WRAPPER.format(calls=self.folder / "calls", ssh=shutil.which("ssh")))
        tool.chmod(0o755)
        done = self.rig.invoke("verify", "--env=fleet", f"--system={SYSTEMD}", f"--facts={self.facts}")
        assert done.code == 0, done.out
        known = self.rig.inventory / "fleet" / "known_hosts"
        plain = f"Host *\nIdentityFile {self.rig.ground.key}\nUserKnownHostsFile {known}\nBatchMode yes\n"
        (self.folder / "ssh").write_text(plain)
        (self.folder / "mux").write_text(f"{plain}ControlPath {self.folder}/%C\n")
        (self.folder / "test_floor.py").write_text(NOTHING.format(count=ASSERTIONS * len(self.names)))

    def timed(self, track: Track, *commands: Sequence[str], **more: str) -> None:
        """All but the last one at the same time, then the last one; every one of them must succeed."""
        calls, inside = self.folder / "calls", ["nsenter", f"--net=/run/netns/{self.network}"]
        calls.unlink(missing_ok=True)
        began = time.monotonic()
        first = [subprocess.Popen([*inside, *words], env=self.environ(**more)) for words in commands[:-1]]
        assert [process.wait() for process in first] == [0] * len(first)
        done = subprocess.run(
            [*inside, *commands[-1]], env=self.environ(**more), cwd=ROOT, capture_output=True, text=True, check=False
        )
        track.seconds.append(time.monotonic() - began)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]
        track.calls.append(len(calls.read_text().splitlines()) if calls.exists() else 0)

    def close_masters(self) -> None:
        """No connection is left open."""
        for one in json.loads(self.facts.read_text()).values():
            way = one["reach"]
            words = [
                "ssh",
                *way["options"],
                "-O",
                "exit",
                "-p",
                str(way["port"] or 22),
                f"{way['user']}@{way['hostname']}",
            ]
            subprocess.run(words, capture_output=True, check=False)


def pytest(*words: str) -> list[str]:
    """pytest, with as little around it as in `invoke verify`."""
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]


def ours(course: Course, rounds: int) -> dict[str, Track]:
    """Floor and product, interleaved."""
    tracks = {name: Track() for name in ("floor", "verify cold", "verify warm", "invoke verify")}
    suite = pytest("-c", str(SUITE / "pytest.ini"), "--rootdir", str(SUITE), str(SUITE))
    lean = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    known = json.loads(course.facts.read_text())
    for _ in range(rounds):
        ways = [one["reach"] for one in known.values()]
        cold = [["ssh", "-F", str(course.folder / "ssh"), f"{way['user']}@{way['hostname']}", "true"] for way in ways]
        course.timed(tracks["floor"], *cold, pytest("-c", "/dev/null", str(course.folder / "test_floor.py")), **lean)
        course.close_masters()
        course.timed(tracks["verify cold"], suite, **lean)
        course.timed(tracks["verify warm"], suite, **lean)
        course.timed(
            tracks["invoke verify"], [sys.executable, "-m", "invoke", "verify", "--env=fleet", f"--system={SYSTEMD}"]
        )
    return tracks


def peers(course: Course, names: Sequence[str]) -> dict[str, Track]:
    """testinfra's own backends."""
    ways = [one["reach"] for one in json.loads(course.facts.read_text()).values()]
    far = ",".join(f"ssh://{way['user']}@{way['hostname']}" for way in ways)
    profile = course.rig.read_profile(SYSTEMD)
    inventory = course.rig.inventory / "fleet" / "hosts.yml"
    variants: Mapping[str, list[str]] = {
        "mux": [f"--hosts={far}", f"--ssh-config={course.folder / 'mux'}"],
        "ssh": [f"--hosts={far}", f"--ssh-config={course.folder / 'ssh'}"],
        "ansible": [
            f"--hosts=ansible://{':'.join(course.names)}",
            f"--ansible-inventory={inventory}",
            f"--ssh-config={course.folder / 'ssh'}",
        ],
    }
    about = {
        "BENCH_ROOT": next(iter(profile["hosts"].values()))["root"],
        "BENCH_UNITS": f"{profile['service']['name']} interlock-watch@{SYSTEMD}",
    }
    tracks = {}
    for name in names:
        words, tracks[name] = variants[name], Track()
        sudo = ["--sudo"] if ways[0]["become"] else []
        course.timed(tracks[name], pytest("-c", "/dev/null", *words, *sudo, str(HERE / "peer_verify.py")), **about)
    return tracks


def measure(hosts: int, rounds: int, before: dict[int, float]) -> bool:
    """One fleet, one table; whether it is good enough. `before`: number of hosts -> seconds of ansible://."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, fleet(Path(name) / "fleet", hosts, (SYSTEMD,)) as rig:
        course = Course(rig, Path(name))
        course.lay()
        print(f"\n{hosts} hosts, medians of {rounds} rounds (peers one), {load()}", flush=True)
        tracks, line = ours(course, rounds), straight(before, hosts)
        floor = statistics.median(tracks["floor"].seconds)
        tracks |= peers(course, PEERS[:1] if line else PEERS)
    for one, track in tracks.items():
        print(track.told(one, hosts, floor), flush=True)
    far = line or tracks["ansible"].seconds[0]
    before[hosts] = far
    warm, wall = (statistics.median(tracks[one].seconds) for one in ("verify warm", "verify cold"))
    said = f"ansible:// {far:.0f} s, {'by the straight line through the smaller fleets' if line else 'measured'}"
    print(f"{said}; verify is {far / warm:.0f} x faster warm, {far / wall:.0f} x cold; goal at 24 hosts {FASTER} x")
    print(f"goal: verify at most {FLOOR_GOAL:g} x floor (2.5 s where it is 2 s); warm it is {warm / floor:.2f} x")
    counted = all(max(tracks[one].calls) <= hosts for one in ("verify cold", "verify warm"))
    return counted and (hosts < 24 or (far / warm >= FASTER / SLACK and warm <= SLACK * FLOOR_GOAL * floor))


def straight(before: Mapping[int, float], hosts: int) -> float | None:
    """Seconds for so many hosts by the line through two smaller fleets, which saves minutes; None below nine hosts."""
    if hosts <= 8 or len(before) < 2:
        return None
    (few, short), (many, long) = sorted(before.items())[-2:]
    return long + (long - short) / (many - few) * (hosts - many)


def main() -> None:
    """One fleet for each number of hosts."""
    numbers, rounds = asked(ROUNDS)
    before: dict[int, float] = {}
    good = [measure(hosts, rounds, before) for hosts in numbers]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
