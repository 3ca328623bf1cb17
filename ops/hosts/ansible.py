"""Runs a playbook and returns what each host answered. Events and typed answers decide, never printed text."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from ops.errors import HostError, InputError
from ops.hosts.dark import dark_words
from ops.hosts.reply import Reply
from ops.hosts.ssh import addresses, ssh_options
from ops.hosts.warm import Run, make_ready, run_warm
from ops.inventory import place_of

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
# Generous: a step on a host has its own, shorter deadline; this one is for an Ansible that hangs.
RUN_MAX_SECONDS = 180
# How long one host may take: a lock that is held (30 s), a bot that heeds slowly, processes that end slowly. One that
# takes longer is dark; the others' answers do not wait for it any longer than that.
HOST_MAX_SECONDS = {"look": 30, "arm": 50, "disarm": 50, "trip": 100, "kill": 60}
CHANGE_MAX_SECONDS = 160


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
    ssh_words = _ssh_words(inventory, requests)
    with tempfile.TemporaryDirectory(prefix="interlock-run-") as name, _in_memory(json.dumps(requests)) as handle:
        folder = Path(name)
        command = [
            program("ansible-playbook"), "-i", str(inventory), "--limit", ",".join(requests),
            *(["--check"] if check else []), str(PLAYBOOKS / playbook),
        ]  # fmt: skip
        own = {"ANSIBLE_SSH_ARGS": ssh_words, "INTERLOCK_HOST_SECONDS": str(_seconds(requests))}
        environ = {**_environ(folder, handle), **own}
        done = run_warm(Run(tuple(command), environ, PLAYBOOKS, handle, RUN_MAX_SECONDS))
        return _replies(folder / "events.jsonl", requests, done)


def _ssh_words(inventory: Path, requests: Mapping[str, Any]) -> str:
    """OpenSSH's options as Ansible takes them. Raises HostError for a host that hosts.yml does not know."""
    try:
        known = addresses(inventory)
    except InputError as error:
        raise HostError(error.text()) from None
    if unknown := [host for host in requests if host not in known]:
        raise HostError(f"{', '.join(unknown)}: every host of the profile must stand in {inventory}")
    try:
        far = any(not known[host].local for host in requests)
        return shlex.join(ssh_options(place_of(inventory.parent))) if far else ""
    except (InputError, OSError) as error:
        raise HostError(str(error)) from None


def warm_up() -> None:
    """Begins to make Ansible ready in the background: it takes as long to import as a run takes."""
    make_ready(_environ(Path(), -1), PLAYBOOKS)


def _seconds(requests: Mapping[str, Mapping[str, Any]]) -> int:
    """How long the slowest of these may take on its host."""
    return max(HOST_MAX_SECONDS.get(str(request.get("op")), CHANGE_MAX_SECONDS) for request in requests.values())


def _replies(events: Path, requests: Mapping[str, Any], done: CompletedProcess[str]) -> dict[str, Reply]:
    found: dict[str, Reply] = {}
    for line in events.read_text().splitlines() if events.exists() else []:
        event = json.loads(line)
        if event.get("answer"):
            found[event["host"]] = Reply.of(event["host"], event["answer"])
        elif event["event"] in ("failed", "unreachable"):
            found[event["host"]] = Reply.dark(event["host"], dark_words(event["text"] or event["event"]))
    if not found and done.returncode != 0:
        raise HostError(f"ansible-playbook ended with {done.returncode}: {_last_words(done)}")
    return {host: found.get(host) or Reply.dark(host, "did not report") for host in requests}


def _last_words(done: CompletedProcess[str]) -> str:
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
        "ANSIBLE_ACTION_PLUGINS": str(PLAYBOOKS / "action_plugins"),
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
