"""The host program on real hosts: as root, with systemd and with Docker Compose; the oracle is the host itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.field import awaited
from tests.fleet.rig import Host
from tests.playbooks.bench import LIVE, PAPER, PROGRAM, Bench, Said, code

BOT = Path(__file__).with_name("managed_bot.py")
ROOT_THERE = "/srv/managed"
UNIT = f"""[Service]
User=managed
WorkingDirectory={ROOT_THERE}
EnvironmentFile={ROOT_THERE}/keys.env
ExecStart=/usr/bin/python3 {ROOT_THERE}/release/bot.py
Restart=always
RestartSec=0.1
"""
WATCHER = f"""[Service]
ExecStart=/usr/bin/python3 {ROOT_THERE}/interlock/interlock_host.py --watch {ROOT_THERE}/interlock/watch.json
Restart=always
"""
GATED = f"[Unit]\nConditionPathExists=!{ROOT_THERE}/interlock/gate\n"
DROP_INS = "/etc/systemd/system/managed.service.d"
OTHER_MODE = f"""[Service]
ExecStart=
ExecStart=/usr/bin/env TRADING_MODE=live /usr/bin/python3 {ROOT_THERE}/release/bot.py
"""
COMPOSE = """services:
  bot:
    image: managed
    command: ["/usr/bin/python3", "/app/bot.py"]
    env_file: keys.env
    network_mode: host
    init: true
    restart: always
    volumes: ["./release:/app:ro", "./interlock:/interlock:ro"]
"""
OURS = "docker ps --filter label=com.docker.compose.project=managed"
# The declared mode and the bot's word for it, as the request of a bot that starts gated carries them.
MODE = {"field": "mode", "words": {"paper": "paper", "live": "live"},
        "variables": {"TRADING_MODE": {"paper": "paper", "live": "live"}}}  # fmt: skip


@dataclass
class Managed(Bench):
    """A bench on a real host, where the program runs as root."""

    host: Host | None = None

    def sh(self, line: str) -> str:
        assert self.host
        return self.host.sh(line)

    def put(self, name: str, text: str, mode: str = "0600") -> None:
        """A file of root on the host."""
        assert self.host
        self.sh(f"install -m {mode} /dev/null {name}")
        self.host.path(name).write_text(text)

    def write_env(self, data: str | bytes = PAPER, mode: int = 0o600) -> None:
        assert isinstance(data, str)
        self.put(f"{ROOT_THERE}/keys.env", data, format(mode, "04o"))

    def ask(self, op: str, **more: Any) -> Said:
        own = f"{ROOT_THERE}/interlock"
        self.put(f"{own}/request.json", json.dumps(self.request(op, **more)))
        program = f"/usr/bin/python3 -I -S {own}/interlock_host.py --stdin"
        return json.loads(self.sh(f"{program} < {own}/request.json"))

    def paper_and_tripped(self) -> Said:
        self.write_env()
        answer = self.ask("trip")
        assert code(answer) == "ok"
        return self.ask("restart")

    def drop_in(self, text: str | None) -> None:
        """Adds a drop-in to the unit, or takes all away."""
        self.sh(f"rm -rf {DROP_INS}; mkdir {DROP_INS}")
        if text:
            self.put(f"{DROP_INS}/one.conf", text, "0644")
        self.sh("systemctl daemon-reload")

    def environ(self, look: Said) -> dict[str, str]:
        assert self.host
        return self.host.environ(look["process"]["pid"])


def made(host: Host, service: Said) -> Managed:
    """The folder as provisioning leaves it (layout of a real host), and the program."""
    managed = Managed(Path(ROOT_THERE), "http://127.0.0.1:18999", host=host, more={"service": service})
    managed.more["api"] = {**managed.request("look")["api"], "mode": MODE}
    managed.sh(
        f"id managed 2>/dev/null || useradd -r managed; mkdir -p {ROOT_THERE}/release && cd {ROOT_THERE} && "
        "install -d -m 0711 interlock && install -d -m 0750 -o managed logs var"
    )
    managed.put(f"{ROOT_THERE}/interlock/interlock_host.py", PROGRAM.read_text())
    managed.put(f"{ROOT_THERE}/release/bot.py", BOT.read_text(), "0644")
    return managed


@pytest.fixture
def unit(systemd_host: Host) -> Iterator[Managed]:
    managed = made(systemd_host, {"manager": "systemd", "name": "managed", "start_max_seconds": 20})
    managed.put("/etc/systemd/system/managed.service", UNIT, "0644")
    managed.put("/etc/systemd/system/managed-watch.service", WATCHER, "0644")
    managed.drop_in(None)
    managed.sh("systemctl restart managed-watch")
    assert code(managed.paper_and_tripped()) == "ok"
    yield managed
    managed.sh("systemctl stop managed managed-watch; rm -rf /srv/managed")


@pytest.fixture
def container(compose_host: Host) -> Iterator[Managed]:
    service = {
        "manager": "compose",
        "name": "bot",
        "file": "compose.yml",
        "project": "managed",
        "start_max_seconds": 60,
    }
    managed = made(compose_host, service)
    compose_host.sh("docker image inspect managed >/dev/null 2>&1 || docker tag $(docker images -q | head -1) managed")
    managed.put(f"{ROOT_THERE}/compose.yml", COMPOSE, "0644")
    assert code(managed.paper_and_tripped()) == "ok"
    yield managed
    managed.sh(f"docker rm -f $({OURS} -aq) >/dev/null; rm -rf /srv/managed")


# --- systemd


def test_flips_in_a_row_are_each_a_new_process_and_no_start_limit_ends_them(unit: Managed) -> None:
    """Five starts in ten seconds leave a unit down."""
    pids = set()
    for text in (LIVE, PAPER) * 4:
        answer = unit.ask("flip", env_text=text, compare_sha256=None)
        assert code(answer) == "ok", answer["error"]
        look = answer["look"]
        assert unit.environ(look)["TRADING_MODE"] == look["api"]["mode"]["mode"] == text.splitlines()[0].split("=")[1]
        pids.add(look["process"]["pid"])
    assert len(pids) == 8
    assert (look["process"]["state"], look["process"]["restarts"], look["process"]["listening"]) == (
        "RUNNING", 0, ["127.0.0.1:18999"],
    )  # fmt: skip
    assert look["instances"] == {"expected": [look["process"]["pid"]], "strays": []}
    assert (look["machine"]["user"], look["machine"]["root"], look["env"]["problems"]) == ("root", ROOT_THERE, [])
    assert look["helper"]["sha256"] == unit.sh(f"sha256sum {ROOT_THERE}/interlock/interlock_host.py").split()[0]


def test_a_unit_that_gave_up_is_dead_and_a_flip_brings_it_back(unit: Managed) -> None:
    unit.put(f"{ROOT_THERE}/keys.env", PAPER + "DIES=yes\n")
    answer = unit.ask("restart")
    assert code(answer) == "not-healthy"
    assert "stay up" in answer["error"]["text"]
    awaited(lambda: unit.ask("look")["look"]["process"]["state"] == "FATAL", 20, "that systemd gives up")
    look = unit.ask("look")["look"]
    assert (look["process"]["result"], look["switch"]) == ("exit-code", "tripped")
    assert code(unit.ask("flip", env_text=PAPER, compare_sha256=None)) == "ok"


def test_a_drop_in_that_says_another_mode_is_found_out(unit: Managed) -> None:
    """H4: the env file says paper, the process is on live."""
    before = unit.ask("look")["look"]["unit_sha256"]
    unit.drop_in(OTHER_MODE)
    answer = unit.ask("flip", env_text=PAPER, compare_sha256=None)
    assert code(answer) == "not-healthy"
    assert [answer["look"][part]["variables"]["TRADING_MODE"] for part in ("env", "loaded")] == ["paper", "live"]
    assert answer["look"]["unit_sha256"] not in (None, before)


def test_a_bot_that_does_not_confirm_is_stopped_and_nothing_brings_it_back(unit: Managed) -> None:
    unit.write_env(PAPER + "REFUSES=yes\n")
    unit.ask("restart")
    look = unit.ask("kill", by="kill-1")["look"]
    assert (look["switch"], look["process"]["state"], look["gate"]["by"]) == ("tripped", "STOPPED", "kill-1")
    assert unit.sh("systemctl is-active managed || true") == "inactive"


def test_a_second_instance_is_a_stray_and_leaves_nothing_proven(unit: Managed) -> None:
    """H7: a script started the bot by hand."""
    second = f"BOT_PORT=18998 setsid python3 {ROOT_THERE}/release/bot.py >/dev/null 2>&1 &"
    unit.sh(f"set -a; . {ROOT_THERE}/keys.env; {second}")
    awaited(lambda: unit.ask("look")["look"]["instances"]["strays"], 10, "the stray")
    look = unit.ask("kill", by="kill-1")["look"]
    assert look["switch"] == "unknown"
    unit.sh("kill " + " ".join(map(str, look["instances"]["strays"])))


def test_a_gated_unit_stays_stopped_behind_its_gate_and_comes_up_with_the_rearm(unit: Managed) -> None:
    unit.drop_in(GATED)
    gated = replace(unit, more={**unit.more, "service": {**unit.more["service"], "start_gated": True}})
    answer = gated.ask("flip", env_text=LIVE, compare_sha256=None)
    assert (code(answer), answer["look"]["process"]["state"], answer["look"]["switch"]) == ("ok", "STOPPED", "tripped")
    unit.sh("systemctl start managed")
    assert unit.sh("systemctl is-active managed || true") == "inactive", "the gate holds against a healer"
    armed = gated.ask("rearm", expected_reason="")
    assert (code(armed), armed["look"]["switch"], armed["look"]["gate"]) == ("ok", "armed", None), armed["error"]
    assert unit.environ(armed["look"])["TRADING_MODE"] == "live"


def test_a_gated_bot_that_comes_up_in_another_mode_is_put_back_behind_its_gate(unit: Managed) -> None:
    unit.drop_in(GATED + OTHER_MODE)
    gated = replace(unit, more={**unit.more, "service": {**unit.more["service"], "start_gated": True}})
    assert code(gated.ask("flip", env_text=PAPER, compare_sha256=None)) == "ok"
    gated.more["service"]["start_max_seconds"] = 3
    answer = gated.ask("rearm", expected_reason="")
    look = answer["look"]
    assert (code(answer), look["process"]["state"], look["gate"]["by"]) == ("not-healthy", "STOPPED", "t1")


def test_the_bots_own_files_are_read_as_its_user(unit: Managed) -> None:
    """A link that the bot planted leads to no file that only root may read."""
    unit.put("/etc/for-root-only", "2026-11-20T14:00:00.000000Z mode=paper switch=armed\n")
    unit.sh(f"ln -sf /etc/for-root-only {ROOT_THERE}/logs/system.log")
    wanted: Said = {"since": "2026", "database": "var/paper.db", "queries": {}}
    wanted["log"] = {"path": "logs/system.log", "exceptions": ["mode"]}
    seen = unit.ask("look", evidence=wanted)["look"]["evidence"]["log"]
    assert (seen["lines"], seen["exceptions"]) == (0, [])
    api = {**unit.more["api"], "trip": "WRITE var/switch.txt TRIPPED {reason}"}
    unit.ask("trip", api=api)
    assert unit.sh(f"stat -c '%U %a' {ROOT_THERE}/var/switch.txt") == "managed 600"


@pytest.mark.parametrize(
    ("spoil", "mend", "says"),
    [
        ("chattr +i keys.env", "chattr -i keys.env", "immutable"),
        ("chown managed .", "chown root .", "belongs to another user"),
        ("chown managed keys.env", "chown root keys.env", "belongs to another user"),
    ],
    ids=["immutable", "folder of another", "file of another"],
)
def test_a_file_that_is_not_safe_is_not_flipped(unit: Managed, spoil: str, mend: str, says: str) -> None:
    """H6, D2."""
    unit.sh(f"cd {ROOT_THERE} && {spoil}")
    try:
        env = unit.ask("look")["look"]["env"]
        assert [one for one in env["problems"] if says in one["text"]], env["problems"]
        assert code(unit.ask("flip", env_text=LIVE, compare_sha256=env["sha256"])) == "unfit"
    finally:
        unit.sh(f"cd {ROOT_THERE} && {mend}")
    assert unit.sh(f"cat {ROOT_THERE}/keys.env").splitlines()[0] == "TRADING_MODE=paper"


def test_the_deadline_is_watched_by_a_service_and_takes_the_host_back(unit: Managed) -> None:
    """I26."""
    assert code(unit.ask("arm", deadline_seconds=3)) == "ok"
    assert unit.ask("flip", env_text=LIVE, compare_sha256=None)["look"]["api"]["mode"]["mode"] == "live"
    awaited(lambda: unit.ask("look")["look"]["deadline"] is None, 30, "the host's own deadline")
    look = unit.ask("look")["look"]
    assert (look["api"]["mode"]["mode"], look["gate"]["by"], look["fence"]["reverted"]) == (
        "paper",
        "deadline-t1",
        True,
    )
    unit.sh("systemctl stop managed-watch")
    assert code(unit.ask("arm", fence={"transition": "t2", "epoch": 2}, deadline_seconds=600)) == "fenced"


# --- Docker Compose


def test_a_flip_makes_a_new_container_with_the_new_file(container: Managed) -> None:
    before = container.ask("look")["look"]["process"]["container"]
    answer = container.ask("flip", env_text=LIVE, compare_sha256=None)
    assert code(answer) == "ok", answer["error"]
    look = answer["look"]
    after = look["process"]["container"]
    assert after["id"] != before["id"]
    assert after["created_at"] > before["created_at"]
    assert container.environ(look)["TRADING_MODE"] == look["api"]["mode"]["mode"] == "live"
    assert (look["process"]["listening"], look["instances"]["strays"]) == (["127.0.0.1:18999"], [])
    assert look["unit_sha256"] == container.sh(f"sha256sum {ROOT_THERE}/compose.yml").split()[0]


def test_a_container_that_a_healer_restarts_keeps_its_old_file_and_shows_it(container: Managed) -> None:
    """H3, H7."""
    container.write_env(LIVE)
    container.sh(f"docker restart -t 1 $({OURS} -q)")
    awaited(lambda: "error" not in container.ask("look")["look"]["api"]["mode"], 20, "the bot's answer")
    look = container.ask("look")["look"]
    assert [look[part]["variables"]["TRADING_MODE"] for part in ("env", "loaded")] == ["live", "paper"]
    assert look["switch"] == "tripped", "it starts behind its gate"


def test_a_container_that_was_stopped_stays_down_through_its_restart_policy(container: Managed) -> None:
    container.write_env(PAPER + "REFUSES=yes\n")
    assert code(container.ask("restart")) == "ok"
    look = container.ask("kill", by="kill-1")["look"]
    assert (look["switch"], look["process"]["state"]) == ("tripped", "EXITED")
    policy = "docker inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.State.Running}}' $(" + OURS + " -aq)"
    assert container.sh(policy) == "no false"
    assert code(container.ask("restart")) == "ok"
    assert container.sh(policy) == "always true", "the next container has the policy of its file"


def test_a_silent_engine_proves_nothing_while_the_bot_runs(container: Managed) -> None:
    container.sh("mv /var/run/docker.sock /var/run/docker.away")
    try:
        look = container.ask("look")["look"]
        assert (look["process"]["state"], look["instances"]["expected"]) == ("unreachable", [])
        assert look["instances"]["strays"], "what it ran still runs"
        assert look["switch"] == "unknown"
    finally:
        container.sh("mv /var/run/docker.away /var/run/docker.sock")
