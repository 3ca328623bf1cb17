"""`invoke host.prepare` on real hosts: from bare to prepared, and twice is once. Each test goes on where the one before
it stopped; the oracle is the host itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ops.sandbox.fleet import debian
from ops.sandbox.fleet.ground import Ground
from ops.yaml_source import YamlSource
from tests.field import ROOT, Done, Field, awaited
from tests.fleet.rig import Host

SECRET = "canary-0123456789-canary"
THERE = "/srv/prepared"
UNIT, WATCHER = "prepared_bot", "interlock-watch@alpaca-bot"
COMMAND = {"commands": {UNIT: "/usr/bin/python3 managed_bot.py"}}
CONTAINER = {"commands": {"api": "/usr/bin/python3 managed_bot.py"}, "image": debian.IMAGE}
SYSTEMS = {
    "alpaca-bot": ("bare-1", {"manager": "systemd", "name": UNIT}, COMMAND),
    "ibkr-assistant": ("bare-docker", {"manager": "compose", "name": "api"}, CONTAINER),
}


class Bare(Field):
    """Two bare hosts with an inventory, and nothing else."""

    def __init__(self, folder: Path, ground: Ground, known_hosts: Path) -> None:
        self.inventory, self.state_root, self.env = folder / "inventory", folder / "state", "bare"
        self.state, self.systems, self.said = self.state_root / self.env, tuple(SYSTEMS), []
        shutil.copytree(ROOT / "inventory" / "sandbox", self.inventory / self.env)
        here = self.inventory / self.env
        shutil.copyfile(known_hosts, here / "known_hosts")
        text = (here / "environment.yml").read_text().split("sandbox:\n")[0].replace("environment: sandbox", "")
        text = text.replace("provider: sandbox", "provider: none") + f"environment: bare\nnetwork: {ground.site.mark}\n"
        (here / "environment.yml").write_text(text)
        rows = {
            m.name: {"ansible_host": m.address, "ansible_user": m.login, "ansible_become": m.login != "root"}
            for m in ground.machines
        }
        common = {"ansible_connection": "ssh", "ansible_ssh_private_key_file": str(ground.key)}
        common |= {"ansible_python_interpreter": "/usr/bin/python3"}
        (here / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": rows, "vars": common}}))
        self._write_profiles(here / "systems")
        secret = self.state / "secrets" / "alpaca-paper.env"
        secret.parent.mkdir(parents=True, mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(f"KEY=PK0123456789\nSECRET={SECRET}\n")

    def _write_profiles(self, folder: Path) -> None:
        for path in folder.glob("*.yml"):
            if path.stem not in SYSTEMS:
                path.unlink()
                continue
            profile = YamlSource(path).value
            name, service, prepare = SYSTEMS[path.stem]
            host = {**next(iter(profile["hosts"].values())), "root": THERE}
            profile |= {"hosts": {name: host}, "service": service, "prepare": {"user": "prepared", **prepare}}
            path.write_text(yaml.safe_dump(profile))

    def prepare(self, *words: str, system: str = "alpaca-bot") -> Done:
        """`invoke host.prepare` for one of the two."""
        return self.invoke("host.prepare", "--env=bare", f"--system={system}", *words)


@pytest.fixture(scope="module")
def field(bare_ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    found = Bare(tmp_path_factory.mktemp("prepare"), bare_ground, bare_ground.key.parent.parent / "known_hosts")
    yield found
    assert SECRET not in "".join(found.said)


def changes(done: Done, host: str = "bare-1") -> list[str]:
    assert done.code == 0, done.out
    return done.document["changes"][host]


def rights(host: Host, name: str = "") -> str:
    return host.sh(f"stat -c '%U:%G %a' {THERE}/{name}")


def test_under_check_it_says_what_would_change_and_changes_nothing(field: Bare, systemd_host: Host) -> None:
    found = changes(field.prepare("--check", "--json"))
    assert {f"{THERE}: made", f"{THERE}/interlock/gate: made", f"{THERE}/keys.env: made"} <= set(found)
    assert systemd_host.fails(f"test -e {THERE}") and systemd_host.fails("id prepared")


def test_a_bare_host_becomes_one_of_the_system(field: Bare, systemd_host: Host) -> None:
    done = field.prepare()
    assert done.code == 0 and "put your release into release/ on bare-1" in done.last, done.out
    assert rights(systemd_host) == rights(systemd_host, "release") == "root:root 755"
    assert rights(systemd_host, "interlock") == "root:root 711"
    assert rights(systemd_host, "interlock/gate") == rights(systemd_host, "keys.env") == "root:root 600"
    assert rights(systemd_host, "var/log") == "prepared:prepared 750"
    helper = systemd_host.path(f"{THERE}/interlock/interlock_host.py").read_bytes()
    assert helper == (ROOT / "playbooks/library/interlock_host.py").read_bytes()
    assert f"ALPACA_SECRET_KEY={SECRET}\n" in systemd_host.path(f"{THERE}/keys.env").read_text()
    assert systemd_host.sh(f"systemctl is-enabled {UNIT} {WATCHER}").split() == ["enabled", "enabled"]
    assert systemd_host.sh(f"systemctl is-active {WATCHER}") == "active"
    assert systemd_host.fails(f"systemctl is-active {UNIT}"), "whether a bot runs is decided by a transition"
    assert systemd_host.fails(f"grep -rsl {SECRET} /tmp /var/log /run/log /etc")


def test_twice_changes_nothing(field: Bare) -> None:
    done = field.prepare()
    assert done.code == 0 and done.last == "alpaca-bot: 1 hosts prepared, nothing changed", done.out


def test_what_has_drifted_is_put_right_and_an_old_watcher_ends(field: Bare, systemd_host: Host) -> None:
    watcher = systemd_host.sh(f"systemctl show -p MainPID {WATCHER}")
    systemd_host.sh(
        f"cd {THERE}; echo '# old' >> interlock/interlock_host.py; chmod 666 keys.env; chmod 777 var; "
        f"sed -i s/strict/full/ /etc/systemd/system/{UNIT}.service.d/50-interlock.conf; systemctl disable -q {UNIT}"
    )
    wanted = [f"{THERE}/interlock/interlock_host.py: text", f"{THERE}/keys.env: mode 0666 -> 0600",
              f"{THERE}/var: mode 0777 -> 0750", f"/etc/systemd/system/{UNIT}.service.d/50-interlock.conf: text",
              "Let each service start with the host"]  # fmt: skip
    assert set(wanted) <= set(changes(field.prepare("--json")))
    assert systemd_host.sh(f"systemctl show -p MainPID {WATCHER}") != watcher


def test_nothing_is_changed_under_an_armed_bot(field: Bare, systemd_host: Host) -> None:
    """The hardened unit runs a Python bot; a stop that nobody at Interlock asked for trips it first."""
    shutil.copyfile(Path(__file__).with_name("managed_bot.py"), systemd_host.path(f"{THERE}/release/managed_bot.py"))
    port = YamlSource(field.profile_of("alpaca-bot")).value["hosts"]["bare-1"]["api"].rsplit(":", 1)[1]
    systemd_host.sh(
        f"printf 'BOT_PORT={port}\\n' >> {THERE}/keys.env; systemctl start {UNIT}; rm {THERE}/interlock/gate"
    )
    wish = f'urlopen(Request("http://127.0.0.1:{port}/kill_switch?expected_reason=t1", method="DELETE"))'
    rearm = f"python3 -c 'from urllib.request import Request, urlopen; {wish}'"
    awaited(lambda: not systemd_host.fails(rearm), what="an answer of the bot")
    assert changes(field.prepare("--json")) == [], "nothing to change is no reason to refuse"
    systemd_host.sh(f"chmod 777 {THERE}/var")
    refused = field.prepare()
    assert refused.code == 3 and "its bot is armed" in refused.out and "mode 0777" in refused.out, refused.out
    assert rights(systemd_host, "var") == "prepared:prepared 777"
    assert systemd_host.fails(f"test -e {THERE}/interlock/gate")
    systemd_host.sh(f"systemctl stop {UNIT}; chmod 750 {THERE}/var")
    assert "interlock_stop.py" not in systemd_host.sh(f"journalctl -u {UNIT} -p warning --no-pager"), "it could be told"


def test_a_dark_host_is_named_and_nothing_is_changed(field: Bare, systemd_host: Host) -> None:
    systemd_host.cut()
    try:
        done = field.prepare()
    finally:
        systemd_host.mend()
    assert done.code == 3 and "bare-1" in done.out and "nothing was changed" in done.last, done.out


def test_a_docker_host_gets_a_compose_file_that_is_one(field: Bare, compose_host: Host) -> None:
    assert field.prepare(system="ibkr-assistant").code == 0
    compose_host.sh(f"docker-compose -p prepared -f {THERE}/compose.yml config -q")
    assert rights(compose_host, "compose.yml") == "root:root 644" and rights(compose_host, "logs").startswith(
        "prepared"
    )
    done = field.prepare(system="ibkr-assistant")
    assert done.last == "ibkr-assistant: 1 hosts prepared, nothing changed", done.out
