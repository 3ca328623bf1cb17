"""`invoke dev.bench kill-fleet --hosts=1,8,24`: the kill over ssh until every host is proven stopped, against a floor.

One fleet for each number of hosts. One round runs, one after the other, each on armed bots:

floor          `systemctl stop` on every host, all at once, over connections that are open, and no more
interlock-kill the whole process, over the same connections
invoke kill    the same behind Invoke
no connection  interlock-kill where none is open

A kill sets the gate on each host, trips the bot by its own switch, looks at what it then shows and proves it: its end
is the line of the last host. Exit 1 if a host takes more than one call of ssh, or a goal is missed by more than a half.
Needs root and what `invoke fleet.up` needs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ops.hosts.ansible import PLAYBOOKS
from ops.hosts.ssh import host_program_command, ssh_argv, ssh_options
from ops.kill.targets import HostTarget, Target, folder
from ops.sandbox.fleet.machine import Machine
from ops.secrets import Secrets
from tests.bench.bed import ROOT, UNIT, Bed, Track, asked, at_once, bed, load
from tests.field import ROOT as PROJECT

ROUNDS = 7
SLACK, GOAL = 1.5, 1.3
PROVEN = ": tripped"
ALONE = [sys.executable, "-c", "from ops.kill.command import main; main()", "--reason=bench"]
INVOKE = [sys.executable, "-m", "invoke", "kill", "--reason=bench"]


@dataclass
class Course:
    """One fleet with armed bots."""

    bed: Bed
    tracks: dict[str, Track] = field(default_factory=dict)
    last: dict[str, list[float]] = field(default_factory=dict)

    def aim(self) -> None:
        """Writes the file that the kill reads."""
        hosts = tuple(
            HostTarget(
                name, self.bed.request(name, "kill"),
                ssh_argv(self.bed.place, address, host_program_command(address.python)), str(self.bed.place.run),
            )
            for name, address in self.bed.known.items()
        )  # fmt: skip
        target = Target(UNIT, str(PLAYBOOKS / "library" / "interlock_host.py"), hosts, (), self.bed.ground.site.mark)
        folder(self.bed.place.state).mkdir(exist_ok=True)
        Secrets.store(folder(self.bed.place.state) / f"{UNIT}.target.json", target.as_text())

    def run(self, name: str, work: Callable[[], float], proof: Callable[[Machine], None]) -> None:
        """One run on armed bots; every host's own truth must show it."""
        self.bed.everywhere(_armed)
        taken: list[float] = []
        self.bed.time(self.tracks.setdefault(name, Track()), lambda: taken.append(work()))
        self.last.setdefault(name, []).extend(taken)
        self.bed.everywhere(proof)

    def floor(self) -> float:
        """Stops, proves nothing."""
        began = time.monotonic()
        at_once(self.bed.argv(f"sudo -n systemctl stop {UNIT}"))
        return time.monotonic() - began

    def kill(self, command: Sequence[str]) -> float:
        """Seconds from the start of the process to the last host's proof."""
        began, seconds = time.monotonic(), []
        environ = {**os.environ, "INTERLOCK_ENV": self.bed.place.name}
        with subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if PROVEN in line:
                    seconds.append(time.monotonic() - began)
        assert (process.returncode, len(seconds)) == (0, len(self.bed.known)), "".join(said)
        return seconds[-1]

    def round(self) -> None:
        """Every variant once; the floor while connections are open."""
        self.run("interlock-kill", lambda: self.kill(ALONE), _tripped)
        self.run("floor", self.floor, _stopped)
        self.run("invoke kill", lambda: self.kill(INVOKE), _tripped)
        self.bed.close_connections()
        self.run("no connection", lambda: self.kill(ALONE), _tripped)


def _armed(machine: Machine) -> None:
    """The bot runs anew, without a gate."""
    (machine.disk / ROOT[1:] / "interlock" / "gate").unlink(missing_ok=True)
    machine.told(["systemctl", "restart", UNIT])
    asks = "until { exec 3<>/dev/tcp/127.0.0.1/8080; } 2>/dev/null; do sleep 0.02; done"
    machine.told(["bash", "-c", asks])


def _tripped(machine: Machine) -> None:
    """The gate is there."""
    assert (machine.disk / ROOT[1:] / "interlock" / "gate").exists(), machine.name


def _stopped(machine: Machine) -> None:
    """The bot is gone."""
    assert machine.enter(["systemctl", "is-active", "--quiet", UNIT]).returncode != 0, machine.name


def measure(hosts: int, rounds: int) -> bool:
    """One fleet, one table; whether it is good enough."""
    with bed(hosts) as found:
        ssh_options(found.place)
        course = Course(found)
        course.aim()
        at_once(found.argv("true"))
        for _ in range(rounds):
            course.round()
            at_once(found.argv("true"))
    return told(hosts, course.last, course.tracks)


def told(hosts: int, last: Mapping[str, list[float]], tracks: Mapping[str, Track]) -> bool:
    """Prints the table and the goal; whether it is met, with some slack."""
    floor = statistics.median(last["floor"])
    print(f"\n{hosts} hosts, medians of {len(last['floor'])} rounds, {load()}")
    for name, seconds in last.items():
        middle, track = statistics.median(seconds), tracks[name]
        print(
            f"{name:<14} last host {middle:6.3f} s {middle / floor:6.2f} x floor   process {track.middle:6.3f} s"
            f"   processors {track.work:5.2f} s {track.work / tracks['floor'].work:5.2f} x floor,"
            f" controller {statistics.median(track.cpu):5.2f} s   {max(track.calls) / hosts:4.1f} ssh calls a host",
            flush=True,
        )
    print(f"goal at 24 hosts: invoke kill at most {GOAL} x floor, 1 ssh call a host")
    counted = all(max(track.calls) <= hosts for track in tracks.values())
    return counted and (hosts < 24 or statistics.median(last["invoke kill"]) <= SLACK * GOAL * floor)


def main() -> None:
    """One fleet for each number of hosts."""
    numbers, rounds = asked(ROUNDS)
    good = [measure(hosts, rounds) for hosts in numbers]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
