"""`invoke dev.bench rollback --hosts=1,8,24`: the flip of a fleet by our playbook, against a floor and its peers.

The flip: five variables, the mode among them, in an env file 0600; a new process; done when /health says the new mode.
Each run is proven past ssh: env file to the byte, its mode, what each bot says. One fleet for each number of hosts. One
round runs, one after the other:

floor          one line of shell per host, all at once, over connections that are open
ours           `rollback.yml` through the warm Ansible, over connections that are open
ours, new      the same in a new process, which must import everything first
ours, nothing  the same with no connection open either
pyinfra        a file, a service, a wait; if it is on PATH
tuned          the playbook of somebody who knows what makes Ansible slow: template, systemd, uri
plain          the playbook that people write: lineinfile, systemd, uri; three rounds are enough for it

Exit 1 if ours takes more than one call of ssh per host, or misses a goal by more than a half: on a machine that has
other work, ratios vary too. Needs root and what `invoke fleet.up` needs.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops.hosts.ansible import program, run_playbook, warm_up
from ops.hosts.ssh import ssh_options
from tests.bench.bed import PORT, ROOT, UNIT, Bed, Track, asked, at_once, bed, env_text, load, variables

ROUNDS, PLAIN_ROUNDS = 7, 3
SLACK = 1.5
PLAYBOOKS = Path(__file__).with_name("playbooks")
OURS = ("ours", "ours, new", "ours, nothing")
# Waits until /health says the mode; bash alone, since a bare Debian has no curl.
WAIT = f"""\
n=0
until {{ exec 3<>/dev/tcp/127.0.0.1/{PORT}; }} 2>/dev/null &&
    printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '"mode": "@WANTED@"' <&3; do
    n=$((n + 1)); [ $n -lt 3000 ] || exit 1; sleep 0.01
done
"""
FLOOR = f"""\
umask 077
cat > {ROOT}/.new <<'END'
@TEXT@END
mv {ROOT}/.new {ROOT}/keys.env
systemctl restart {UNIT}
{WAIT}"""


@dataclass(frozen=True)
class Goal:
    """What the flip by our playbook must reach on so many hosts: times faster than the plain one, times the floor."""

    plain: float
    floor: float


def goal(hosts: int) -> Goal:
    """By issue 4; that for 24 hosts holds for any number above one."""
    return Goal(10, 5) if hosts == 1 else Goal(9, 4)


@dataclass
class Course:
    """One fleet, and the mode it stands in: each run flips to the other."""

    bed: Bed
    mode: str = "paper"
    tracks: dict[str, Track] = field(default_factory=dict)

    def run(self, name: str, work: Callable[[str], None], counted: bool = True) -> None:
        """One run, proven."""
        mode = "live" if self.mode == "paper" else "paper"
        track = self.tracks.setdefault(name, Track()) if counted else Track()
        self.bed.time(track, lambda: work(mode))
        self.bed.prove(mode)
        self.mode = mode

    def requests(self, mode: str) -> dict[str, dict[str, object]]:
        """The flip for each host."""
        return {host: self.bed.request(host, "flip", env_text=env_text(mode)) for host in self.bed.known}

    def floor(self, mode: str) -> None:
        """The shell."""
        at_once(self.bed.argv("bash -s"), FLOOR.replace("@TEXT@", env_text(mode)).replace("@WANTED@", mode))

    def ours(self, mode: str) -> None:
        """The playbook from this process."""
        replies = run_playbook("rollback.yml", self.bed.hosts, self.requests(mode))
        assert all(reply.ok for reply in replies.values()), [reply.text for reply in replies.values()]

    def ours_new(self, mode: str) -> None:
        """The playbook from a new process."""
        path = self.bed.place.state / "requests.json"
        path.write_text(json.dumps(self.requests(mode)))
        self.process([sys.executable, str(PLAYBOOKS.with_name("one_flip.py")), str(self.bed.hosts), str(path)])

    def plain(self, mode: str) -> None:
        """Ansible with its defaults."""
        self.playbook("plain", mode)

    def tuned(self, mode: str) -> None:
        """Ansible with the settings that help."""
        self.playbook("tuned", mode)

    def playbook(self, name: str, mode: str) -> None:
        """A hand-written playbook, as a process."""
        known = f"-o UserKnownHostsFile={self.bed.place.inventory}/known_hosts"
        words = ["-i", str(self.bed.hosts), "-e", json.dumps({"settings": variables(mode)})]
        self.process(
            [program("ansible-playbook"), *words, str(PLAYBOOKS / f"{name}.yml")],
            ANSIBLE_CONFIG=str(PLAYBOOKS / f"{name}.cfg"), ANSIBLE_SSH_COMMON_ARGS=known,
        )  # fmt: skip

    def pyinfra(self, mode: str) -> None:
        """pyinfra, as a process."""
        ground, folder = self.bed.ground, self.bed.place.state
        (folder / "keys.env").write_text(env_text(mode))
        data = {
            "ssh_user": ground.machines[0].login, "ssh_key": str(ground.key), "ssh_strict_host_key_checking": "yes",
            "ssh_known_hosts_file": str(self.bed.place.inventory / "known_hosts"),
        }  # fmt: skip
        (folder / "peers.py").write_text(f"hosts = {[(one.address, data) for one in ground.machines]!r}\n")
        self.process(
            ["pyinfra", "-y", str(folder / "peers.py"), str(PLAYBOOKS / "pyinfra_files.py")],
            BENCH_TEXT=str(folder / "keys.env"), BENCH_WAIT=WAIT.replace("@WANTED@", mode),
        )  # fmt: skip

    def process(self, words: list[str], **environ: str) -> None:
        """Runs a command, which must succeed."""
        done = subprocess.run(
            words, env={**os.environ, **environ}, cwd=self.bed.place.state, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{shlex.join(words[:3])}: {(done.stdout + done.stderr)[-2000:]}"

    def round(self, number: int) -> None:
        """Every variant once."""
        self.run("floor", self.floor)
        self.run("ours", self.ours)
        self.run("ours, new", self.ours_new)
        self.bed.close_connections()
        self.run("ours, nothing", self.ours_new)
        if shutil.which("pyinfra"):
            self.run("pyinfra", self.pyinfra)
        self.run("tuned", self.tuned)
        if number < PLAIN_ROUNDS:
            self.run("plain", self.plain)


def measure(hosts: int, rounds: int) -> bool:
    """One fleet, one table; whether it is good enough."""
    with bed(hosts) as found:
        ssh_options(found.place)
        course = Course(found)
        warm_up()
        course.run("", course.ours, counted=False)
        for number in range(rounds):
            course.round(number)
    return told(hosts, course.tracks)


def told(hosts: int, tracks: Mapping[str, Track]) -> bool:
    """Prints the table and the goals; whether they are met, with some slack."""
    floor, plain = tracks["floor"], tracks["plain"]
    print(f"\n{hosts} hosts, medians of {len(floor.seconds)} rounds (plain {len(plain.seconds)}), {load()}")
    for name, track in tracks.items():
        print(
            f"{name:<14} {track.middle:7.3f} s {track.middle / floor.middle:6.2f} x floor"
            f" {plain.middle / track.middle:6.1f} x faster than plain   processors {track.work:6.2f} s"
            f" {track.work / floor.work:6.2f} x floor, controller {statistics.median(track.cpu):5.2f} s"
            f"   {max(track.calls) / hosts:4.1f} ssh calls a host",
            flush=True,
        )
    if not shutil.which("pyinfra"):
        print("pyinfra        is not installed: pip install -e '.[bench]'")
    ours, wanted = tracks["ours"].middle, goal(hosts)
    print(f"goals: ours at most {wanted.floor:g} x floor, {wanted.plain:g} x faster than plain, 1 ssh call a host")
    counted = all(max(tracks[name].calls) <= hosts for name in OURS)
    return counted and ours <= SLACK * wanted.floor * floor.middle and plain.middle / ours >= wanted.plain / SLACK


def main() -> None:
    """One fleet for each number of hosts."""
    numbers, rounds = asked(ROUNDS)
    good = [measure(hosts, rounds) for hosts in numbers]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
