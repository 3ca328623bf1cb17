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
    with _run_folder() as folder:
        for host, request in requests.items():
            _write_private(folder / "requests" / f"{host}.json", json.dumps(request))
        _write_private(folder / "vars.json", json.dumps({"interlock_requests": str(folder / "requests")}))
        command = [
            program("ansible-playbook"), "-i", str(inventory), "-e", f"@{folder / 'vars.json'}",
            "--limit", ",".join(requests), *(["--check"] if check else []), str(PLAYBOOKS / playbook),
        ]  # fmt: skip
        done = _execute(command, folder)
        return _replies(folder / "events.jsonl", requests, done)


def _execute(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=_environ(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_MAX_SECONDS, check=False, cwd=PLAYBOOKS,
            start_new_session=True,  # the operator's Ctrl-C reaches Interlock only, which lets the step finish
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


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)


@contextmanager
def _run_folder() -> Iterator[Path]:
    """A 0700 folder for one run, gone afterwards. Secrets lie in it as 0600 files, never in argv or environment."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-run-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environ(folder: Path) -> dict[str, str]:
    """A clean environment: nothing that an operator's shell exported can change what a playbook does."""
    keep = {
        key: os.environ[key] for key in ("PATH", "HOME", "LANG", "LC_ALL", "SSH_AUTH_SOCK", "USER") if key in os.environ
    }
    return {
        "LANG": "C.UTF-8",
        **keep,
        "INTERLOCK_EVENTS": str(folder / "events.jsonl"),
        "ANSIBLE_LIBRARY": str(PLAYBOOKS / "library"),
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
