"""Ansible over real ssh: one call per host and phase, no secret on the way, and a dark host says why."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from ops.errors import HostError, InputError
from ops.hosts import ansible
from ops.hosts.ansible import run_playbook
from ops.hosts.reply import Reply
from ops.hosts.ssh import addresses, ssh_argv, ssh_options
from tests.field import awaited
from tests.playbooks.bench import LIVE, SECRET, Bench, sha256
from tests.transport.sshd import Reach, processes


def asked(reach: Reach, bench: Bench, playbook: str, op: str, check: bool = False, **more: Any) -> dict[str, Reply]:
    names = list(addresses(reach.hosts_yml))
    return run_playbook(playbook, reach.hosts_yml, {name: bench.request(op, **more) for name in names}, check)


@pytest.fixture
def far(reach: Reach) -> Reach:
    reach.write(near=reach.server.host(), far=reach.server.host("127.0.0.2"))
    return reach


def test_one_ssh_call_per_host_and_phase_cold_and_warm(far: Reach, bench: Bench) -> None:
    bench.gate.unlink()
    for playbook, op in (("look.yml", "look"), ("trip.yml", "trip"), ("look.yml", "look")):
        replies = asked(far, bench, playbook, op)
        assert {host: (reply.reached, reply.ok) for host, reply in replies.items()} == dict.fromkeys(
            ("near", "far"), (True, True)
        ), replies
        assert far.count() == 2, op
        assert len(far.masters()) == 2, "each host has a connection that waits for the next phase"
    assert replies["far"].look["switch"] == "tripped"
    assert bench.gate.exists()


def test_check_mode_reaches_the_host_and_changes_nothing(far: Reach, bench: Bench) -> None:
    before = bench.env.read_bytes()
    replies = asked(far, bench, "flip_mode.yml", "flip", check=True, env_text=LIVE, compare_sha256=sha256(bench.env))
    assert [reply.ok for reply in replies.values()] == [True, True]
    assert bench.env.read_bytes() == before


class Watched:
    """Every argument list and environment that any process has while something runs."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()

    def __enter__(self) -> Watched:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            for pid, words in processes().items():
                with contextlib.suppress(OSError):
                    self.seen.add(Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace"))
                self.seen.add(words)


def test_no_secret_is_in_an_argument_list_or_said_at_full_verbosity(
    far: Reach, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ, replies, said = ansible._environ, ansible._replies, []
    log = tmp_path / "ansible.log"
    louder = {"ANSIBLE_VERBOSITY": "4", "ANSIBLE_LOG_PATH": str(log), "ANSIBLE_DIFF_ALWAYS": "True"}
    monkeypatch.setattr(ansible, "_environ", lambda *given: {**environ(*given), **louder})
    monkeypatch.setattr(
        ansible, "_replies",
        lambda events, asked, done: said.append(done.stdout + done.stderr + events.read_text())
        or replies(events, asked, done),
    )  # fmt: skip
    canary = token_hex(20)  # nobody else on this machine says it
    text = LIVE.replace(SECRET, canary)
    with Watched() as watched:
        found = asked(far, bench, "flip_mode.yml", "flip", env_text=text, compare_sha256=sha256(bench.env))
    assert bench.env.read_text() == text and all(reply.reached for reply in found.values())
    assert "SSH: EXEC" in said[0] and any("--stdin" in words for words in watched.seen), "it was loud, and seen"
    everything = "\n".join([*said, log.read_text(), *watched.seen])
    assert [canary[i : i + 10] for i in (0, 10, 20, 30) if canary[i : i + 10] in everything] == []


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that takes a connection and then says nothing."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(16)
        yield int(one.getsockname()[1])


def script(folder: Path, text: str) -> str:
    path = folder / "python-of-the-host"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_host_that_hangs_is_dark_in_time_and_holds_nobody_up(
    reach: Reach, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it speaks, and after it has let us in."""
    monkeypatch.setitem(ansible.HOST_MAX_SECONDS, "look", 6)
    host = reach.server.host
    with silent() as port:
        reach.write(
            well=host(), mute={**host(), "ansible_port": port},
            stuck=host("127.0.0.2", ansible_python_interpreter=script(tmp_path, "exec sleep 1717")),
        )  # fmt: skip
        replies = asked(reach, bench, "look.yml", "look")
    assert replies["well"].ok
    assert {replies[name].reached for name in ("mute", "stuck")} == {False}
    assert {replies[name].error for name in ("mute", "stuck")} == {"no answer within 6 s"}
    awaited(lambda: not any("ssh" in w.split(" ")[0] and "stuck" in w for w in processes().values()), what="its end")
    for pid, words in processes().items():
        if words.strip() == "sleep 1717":
            os.kill(pid, 9)


def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def other_key(folder: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")], check=True)
    return str(folder / "other")


def wrong_known_host(reach: Reach, folder: Path) -> dict[str, Any]:
    other = Path(other_key(folder) + ".pub").read_text()
    (reach.inventory / "known_hosts").write_text(f"[127.0.0.1]:{reach.server.port} {other}")
    return {}


def no_known_host(reach: Reach, folder: Path) -> dict[str, Any]:
    (reach.inventory / "known_hosts").write_text("")
    return {}


Trouble = Callable[[Reach, Path], dict[str, Any]]
TROUBLES: dict[str, Trouble] = {
    "host key changed": wrong_known_host,
    "host key unknown": no_known_host,
    "permission denied": lambda reach, folder: {"ansible_ssh_private_key_file": other_key(folder)},
    "connection refused": lambda reach, folder: {"ansible_port": refused_port()},
    "python3 not found": lambda reach, folder: {"ansible_python_interpreter": "/nowhere/python3"},
    "cannot be resolved": lambda reach, folder: {"ansible_host": "no-such-host.invalid"},
    "Traceback-free words": lambda reach, folder: {
        "ansible_python_interpreter": script(folder, "echo gibberish words")
    },
}


@pytest.mark.parametrize("words", TROUBLES)
def test_a_dark_host_says_why_in_words_and_the_kill_says_the_same(
    reach: Reach, bench: Bench, tmp_path: Path, words: str
) -> None:
    reach.write(dark={**reach.server.host(), **TROUBLES[words](reach, tmp_path)})
    reply = asked(reach, bench, "look.yml", "look")["dark"]
    assert (reply.reached, reply.error_code) == (False, "dark")
    assert words in reply.error or "gave no answer" in reply.error, reply.error
    assert "Traceback" not in reply.error


def test_a_command_reaches_a_host_by_the_same_connection(far: Reach, bench: Bench) -> None:
    asked(far, bench, "look.yml", "look")
    command = ssh_argv(far.place, addresses(far.hosts_yml)["far"], "echo $((6 * 7))")
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert len(far.masters()) == 2


def test_a_folder_of_sockets_that_others_may_write_to_is_not_used(reach: Reach, bench: Bench) -> None:
    reach.write(near=reach.server.host())
    reach.place.run.mkdir(mode=0o777)
    reach.place.run.chmod(0o777)
    with pytest.raises(InputError, match="not ours alone"):
        ssh_options(reach.place)
    with pytest.raises(HostError, match="not ours alone"):
        asked(reach, bench, "look.yml", "look")
