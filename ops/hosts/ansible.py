"""Runs a playbook and returns what each host answered. Events and typed answers decide, never printed text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.errors import HostError
from ops.hosts.reply import Reply

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
# Generous: a step on a host has its own, shorter deadline; this one is for an Ansible that hangs.
RUN_MAX_SECONDS = 180


def program(name: str) -> str:
    """The tool that belongs to this Python, else the one on PATH. Raises HostError if there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise HostError(f"{name} is missing: install Interlock's dependencies (see README)")
    return found


def run_playbook(
    playbook: str, inventory: Path, requests: Mapping[str, Mapping[str, Any]], check: bool = False
) -> dict[str, Reply]:
    """One playbook, one task, one round trip per host. Every host asked for is in the answer: one that did not report
    is dark, since a play that matches no host exits 0. Raises HostError if Ansible itself could not run."""
    with tempfile.TemporaryDirectory(prefix="interlock-run-") as name, _in_memory(json.dumps(requests)) as handle:
        folder = Path(name)
        command = [
            program("ansible-playbook"), "-i", str(inventory), "--limit", ",".join(requests),
            *(["--check"] if check else []), str(PLAYBOOKS / playbook),
        ]  # fmt: skip
        done = _execute(command, folder, handle)
        try:
            return _replies(folder / "events.jsonl", requests, done)
        except HostError as error:
            raise HostError(f"{error}; every host of the profile must stand in {inventory}") from None


def _execute(command: list[str], folder: Path, handle: int) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=_environ(folder, handle), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_MAX_SECONDS, check=False, cwd=PLAYBOOKS,
            # A session of its own: the operator's Ctrl-C reaches Interlock alone, which lets the step finish.
            pass_fds=[handle], start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -1, "", f"no end within {RUN_MAX_SECONDS} s")
    except OSError as error:
        raise HostError(f"ansible-playbook could not be started: {error.strerror}") from None


def _replies(events: Path, requests: Mapping[str, Any], done: subprocess.CompletedProcess[str]) -> dict[str, Reply]:
    found: dict[str, Reply] = {}
    for line in events.read_text().splitlines() if events.exists() else []:
        event = json.loads(line)
        if event.get("answer"):
            found[event["host"]] = Reply.of(event["host"], event["answer"])
        elif event["event"] in ("failed", "unreachable"):
            found[event["host"]] = Reply.dark(event["host"], event["text"] or event["event"])
    if not found and done.returncode != 0:
        raise HostError(f"ansible-playbook ended with {done.returncode}: {_last_words(done)}")
    return {host: found.get(host) or Reply.dark(host, "did not report") for host in requests}


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:400] or "it said nothing"


@contextmanager
def _in_memory(text: str) -> Iterator[int]:
    """A file in memory that only this process and the Ansible it starts can open. Secrets in it never touch a disk,
    stand in no argument list and no environment, and are gone when the last of the two is, however it ends."""
    handle = os.memfd_create("interlock-requests", 0)
    try:
        os.write(handle, text.encode())
        yield handle
    finally:
        os.close(handle)


def _environ(folder: Path, handle: int) -> dict[str, str]:
    """A clean environment: nothing that an operator's shell exported can change what a playbook does."""
    keep = {
        key: os.environ[key] for key in ("PATH", "HOME", "LANG", "LC_ALL", "SSH_AUTH_SOCK", "USER") if key in os.environ
    }
    return {
        "LANG": "C.UTF-8",
        **keep,
        "INTERLOCK_EVENTS": str(folder / "events.jsonl"),
        "INTERLOCK_REQUESTS": str(handle),
        "ANSIBLE_LIBRARY": str(PLAYBOOKS / "library"),
        "ANSIBLE_LOOKUP_PLUGINS": str(PLAYBOOKS / "lookup_plugins"),
        "ANSIBLE_CALLBACK_PLUGINS": str(PLAYBOOKS / "callback_plugins"),
        "ANSIBLE_STDOUT_CALLBACK": "interlock_jsonl",
        "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": "50",
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
