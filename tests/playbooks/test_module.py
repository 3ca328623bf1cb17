"""The same program as Ansible runs it: check mode changes nothing, and no secret shows however loud Ansible is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ops.hosts import ansible
from ops.hosts.ansible import run_playbook
from ops.hosts.reply import Reply
from tests.playbooks.bench import KEY, LIVE, PAPER, SECRET, Bench, on_the_bench, sha256

INVENTORY = """
all:
  hosts: {host-1: {}, host-2: {}}
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""
PARTS = [text[i : i + 8] for text in (KEY, SECRET) for i in (0, 4, len(text) - 8)]


class Loud:
    """Real runs of ansible-playbook at full verbosity, with everything that they say or leave behind collected."""

    def __init__(self, folder: Path, hosts: list[Bench]) -> None:
        self.inventory, self.log, self.temp = folder / "hosts.yml", folder / "ansible.log", folder / "temp"
        self.inventory.write_text(INVENTORY)
        self.temp.mkdir()
        self.hosts, self.said, self.events = hosts, "", ""

    def __call__(self, playbook: str, op: str, check: bool = False, **more: Any) -> Mapping[str, Reply]:
        return run_playbook(playbook, self.inventory, {h.root.name: h.request(op, **more) for h in self.hosts}, check)

    def hear(self, done: subprocess.CompletedProcess[str], events: Path) -> None:
        self.said += done.stdout + done.stderr
        self.events += events.read_text() if events.exists() else ""

    @property
    def everything(self) -> str:
        left = [path.read_text(errors="replace") for path in self.temp.rglob("*") if path.is_file()]
        return "\n".join([self.said, self.events, self.log.read_text(), *left])


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loud]:
    """As loud as it gets, with debug output, a log file and differences."""
    folder = tmp_path_factory.mktemp("module")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        hosts = []
        for name in ("host-1", "host-2"):
            (folder / name).mkdir()
            host = stack.enter_context(on_the_bench(folder / name))
            host.root = host.root.rename(host.root.with_name(name))
            hosts.append(host)
        runs = Loud(folder, hosts)
        environ, replies = ansible._environ, ansible._replies
        louder = {"ANSIBLE_VERBOSITY": "4", "ANSIBLE_LOG_PATH": str(runs.log), "ANSIBLE_DIFF_ALWAYS": "True"}
        patch.setattr(ansible, "_environ", lambda *given: {**environ(*given), **louder})
        patch.setattr(
            ansible, "_replies", lambda events, asked, done: runs.hear(done, events) or replies(events, asked, done)
        )
        patch.setattr(ansible.tempfile, "tempdir", str(runs.temp))
        yield runs


@pytest.fixture(autouse=True)
def on_paper(loud: Loud) -> None:
    for host in loud.hosts:
        host.write_env()
        host.halted()


def test_check_mode_answers_with_a_look_and_changes_nothing(loud: Loud) -> None:
    before = {p: p.read_bytes() for h in loud.hosts for p in h.root.rglob("*") if p.is_file()}
    replies = loud("flip_mode.yml", "flip", check=True, env_text=LIVE, compare_sha256=sha256(loud.hosts[0].env))
    assert set(replies) == {"host-1", "host-2"}
    assert all(reply.ok and reply.look["env"]["variables"]["TRADING_MODE"] == "paper" for reply in replies.values())
    assert {p: p.read_bytes() for h in loud.hosts for p in h.root.rglob("*") if p.is_file()} == before


def test_a_flip_reaches_every_host_and_each_answers_for_itself(loud: Loud) -> None:
    replies = loud("flip_mode.yml", "flip", env_text=LIVE, compare_sha256=sha256(loud.hosts[0].env))
    assert {host.env.read_text() for host in loud.hosts} == {LIVE}
    assert {reply.error_code for reply in replies.values()} == {"broken"}, "there is no service manager here"
    assert {reply.look["env"]["sha256"] for reply in replies.values()} == {sha256(loud.hosts[0].env)}


def test_a_host_that_refuses_does_not_hide_the_others_answer(loud: Loud) -> None:
    loud.hosts[1].fence.write_text(json.dumps({"transition": "t9", "epoch": 9}))
    replies = loud("trip.yml", "trip")
    assert {host: reply.error_code for host, reply in replies.items()} == {"host-1": "", "host-2": "fenced"}
    assert replies["host-1"].ok


def test_text_that_looks_like_a_template_is_never_evaluated(loud: Loud) -> None:
    for host in loud.hosts:
        host.write_env(PAPER + "SIZE_MULTIPLIER={{1+1}}\n")
    replies = loud("look.yml", "look")
    assert {r.look["env"]["variables"]["SIZE_MULTIPLIER"] for r in replies.values()} == {"{{1+1}}"}


def test_no_secret_was_said_or_left_behind_by_any_of_these_runs(loud: Loud) -> None:
    """Runs last: everything the runs above printed at -vvvv, logged, wrote as events or left in their temp folder."""
    loud("flip_mode.yml", "flip", env_text=LIVE, compare_sha256="0" * 64)
    assert "host-1" in loud.said and '"answer"' in loud.events
    assert [part for part in (KEY, SECRET, *PARTS) if part in loud.everything] == []
    assert [path.name for path in loud.temp.iterdir()] == []
