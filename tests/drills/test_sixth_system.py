"""A bot that Interlock has never heard of goes live by a profile alone, as runbooks/add-your-system.md describes it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.world.config import WorldConfig
from ops.sandbox.world.world import World
from tests.drills.truth import assert_order_log_is_clean, assert_paper_and_tripped, open_orders
from tests.field import ROOT, Field, awaited, free_base

GUIDE = (ROOT / "runbooks" / "add-your-system.md").read_text()
PEOPLE = ("ana", "raj")
ENV = "--env=harbour"
PAPER = {"BOAT_MODE": "harbour", "BOAT_MONEY": "pretend", "BOAT_SHARE": "1.00"}
LIMITS = {"MAX_ORDER": "2500", "MAX_ORDERS": "100000", "MAX_POSITION": "5000", "MAX_LOSS": "500", "MAX_SLIP": "25"}
NEEDED = {"environment.yml", "hosts.yml", "people.yml", "paddle-bot.yml", "emergency.md"}
PANEL = {"title": "up", "targets": [{"refId": "A", "expr": "boat_up"}], "type": "timeseries"}


class Harbour(Field):
    """The user's own environment: files as the guide has them, one host that the user has set up, no sandbox in it."""

    def __init__(self, folder: Path, world: World, port: int) -> None:
        self.inventory, self.state_root, self.env = folder / "inventory", folder / "state", "harbour"
        self.state, self.systems, self.said = self.state_root / "harbour", ("paddle-bot",), []
        self.world, self.port, self.quay = world, port, folder / "quay"
        self._write_inventory()
        self._set_up_the_host()
        self._hand_in_secrets()

    def _write_inventory(self) -> None:
        """The guide's own blocks, word for word, with this test's addresses filled in."""
        ports = self.world.ports
        facts = {
            "/srv/paddle": str(self.quay),
            "9100": str(self.port),
            "https://paper-api.alpaca.markets": f"http://127.0.0.1:{ports['alpaca_paper']}",
            "https://api.alpaca.markets": f"http://127.0.0.1:{ports['alpaca_live']}",
            "http://127.0.0.1:9090": f"http://127.0.0.1:{ports['prometheus']}",
            "http://127.0.0.1:3000": f"http://127.0.0.1:{ports['grafana']}",
            "https://slack.com": f"http://127.0.0.1:{ports['slack']}",
            "Reviewed: 2026-11-01": f"Reviewed: {datetime.now(UTC).date()}",
        }
        for name, text in blocks().items():
            for usual, here in facts.items():
                text = text.replace(usual, here)
            path = self.inventory / name.removeprefix("inventory/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _set_up_the_host(self) -> None:
        """What the user has anyway (program, env file, supervisord), and the two things that the guide adds."""
        (self.quay / "release").mkdir(parents=True)
        (self.quay / "interlock").mkdir(mode=0o700)
        shutil.copyfile(ROOT / "tests" / "drills" / "made_up_bot.py", self.quay / "release" / "boat.py")
        shutil.copyfile(
            ROOT / "playbooks" / "library" / "interlock_host.py", self.quay / "interlock" / "interlock_host.py"
        )
        bot = f"{sys.executable} -m dotenv -f {self.quay}/boat.env run -- {sys.executable} {self.quay}/release/boat.py"
        own = self.quay / "interlock"
        (self.quay / "supervisord.conf").write_text(
            f"[supervisord]\npidfile={self.quay}/supervisord.pid\nlogfile={self.quay}/supervisord.log\n"
            f"[unix_http_server]\nfile={self.quay}/supervisor.sock\nchmod=0600\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[program:boat]\ncommand={bot}\n"
            f"[program:deadline]\ncommand={sys.executable} {own}/interlock_host.py --watch {own}/watch.json\n"
        )

    def _hand_in_secrets(self) -> None:
        secrets, people = self.state / "secrets", self.state / "people"
        for folder in (secrets, people):
            folder.mkdir(parents=True, mode=0o700)
        paper, live = (dict(self.world.venues["alpaca"].issue_key(slot, "bot")) for slot in ("paper", "live"))
        for name, pair in {"boat-paper.env": paper, "boat-live.pending.env": live}.items():
            private(secrets / name, f"KEY={pair['key']}\nSECRET={pair['secret']}\n")
        private(secrets / "slack.token", "slack-token\n")
        private(secrets / "grafana.token", "grafana-token\n")
        own = {"BOAT_NAME": "q1", "BOAT_PORT": str(self.port)}
        access = {"BOAT_KEY": paper["key"], "BOAT_SECRET": paper["secret"]}
        place = {"BOAT_URL": f"http://127.0.0.1:{self.world.ports['alpaca_paper']}"}
        limits = {f"BOAT_{name}": value for name, value in LIMITS.items()}
        text = "".join(f"{k}={v}\n" for k, v in {**PAPER, **access, **place, **limits, **own}.items())
        private(self.quay / "boat.env", text)
        names = re.search(r'namespaces="([^"]+)"', GUIDE)
        assert names is not None
        lines = []
        for person in PEOPLE:
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(people / person)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            lines.append(f'{person} namespaces="{names[1]}" {(people / f"{person}.pub").read_text()}')
        private(people / "allowed_signers", "".join(lines))

    def order_log(self, system: str) -> Path:
        return self.world.config.state / "orders.jsonl"

    def root(self, host: str) -> Path:
        return self.quay

    def start(self) -> None:
        supervisord = Path(sys.executable).parent / "supervisord"
        subprocess.run([str(supervisord), "-c", str(self.quay / "supervisord.conf")], check=True, timeout=30)
        awaited(lambda: self.trades("paper"), what="the bot on paper")

    def trades(self, slot: str) -> bool:
        return len(self.orders(slot, "accepted")) >= 2

    def close(self) -> None:
        pid = int((self.quay / "supervisord.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        awaited(lambda: not Path(f"/proc/{pid}").exists(), what="the end of supervisord")

    def sign(self, person: str) -> None:
        key = self.state / "people" / person
        done = self.typed("sign", ENV, f"--person={person}", f"--key={key}", answer="paddle-bot\n")
        assert done.code == 0, done.out


def blocks() -> dict[str, str]:
    """The files that the guide spells out: the path in the line before each block, and its text."""
    return dict(
        re.findall(r"^`(inventory/harbour/\S+)`:\n\n```(?:yaml|markdown)\n(.*?)```$", GUIDE, re.MULTILINE | re.DOTALL)
    )


def private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def config(folder: Path, port: int) -> WorldConfig:
    board = folder / "board.json"
    board.write_text(json.dumps({"uid": "paddle", "title": "Paddle", "panels": [{"id": 1, **PANEL}]}))
    world = free_ports_config(folder / "world", (f"127.0.0.1:{port}",))
    return world.model_copy(update={"grafana": world.grafana.model_copy(update={"dashboards": [board]})})


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    folder, port = tmp_path_factory.mktemp("sixth"), free_base(1)
    with embedded_world(config(folder, port), random.Random(6), WorldClock()) as world:
        harbour = Harbour(folder, world, port)
        harbour.start()
        try:
            yield harbour
        finally:
            harbour.close()


def test_the_guide_spells_out_every_file() -> None:
    assert {Path(name).name for name in blocks()} == NEEDED


def test_it_goes_live_after_two_people_have_signed(harbour: Harbour) -> None:
    done = harbour.invoke("go-live", ENV)
    assert done.code == 4, done.out
    for person in PEOPLE:
        harbour.sign(person)
    done = harbour.invoke("go-live", ENV)
    assert done.code == 0, done.out
    assert "paddle-bot is LIVE at stage live-1 (50 % size) on 1 hosts" in done.last
    awaited(lambda: harbour.trades("live"), what="two live orders")


def test_it_is_killed_and_rolled_back_like_every_other(harbour: Harbour) -> None:
    done = harbour.invoke("kill", "--reason=a drill", ENV)
    assert done.code == 0, done.out
    assert open_orders(harbour, "live") == set()
    done = harbour.invoke("rollback", ENV)
    assert done.code == 0, done.out
    assert_paper_and_tripped(harbour)
    assert_order_log_is_clean(harbour)
