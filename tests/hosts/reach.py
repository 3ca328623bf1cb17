"""The way to a host: testinfra's own ssh and local backends, fed over stdin, so that the probe stands in no argument.

One command per host: through ssh that is one round trip, over a master that may be open already.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.backend.local import LocalBackend
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host

PROBE = Path(__file__).with_name("probe.py").read_text()
ANSWER_MAX_SECONDS = 20
LAST_WORDS_MAX = 200


class Dark(Exception):
    """A host that could not be seen: nothing about it is known."""


class _Fed(BaseBackend):
    """Runs a command without a shell of this machine, with a text on its stdin; sudo must not ask."""

    given = ""

    def run_local(self, command: str, *args: str) -> CommandResult:
        words = shlex.split(self.quote(command, *args))
        done = subprocess.run(
            words, input=self.given.encode(), capture_output=True, timeout=ANSWER_MAX_SECONDS, check=False
        )
        return self.result(done.returncode, words[0].encode(), done.stdout, done.stderr)

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        return self.quote("sudo -n /bin/sh -c %s", command)


class _Local(_Fed, LocalBackend):
    pass


class _Ssh(_Fed, SshBackend):
    pass


def machine(way: dict) -> Host:
    """testinfra's host object for one entry `reach` of the facts file: `connection` is local or ssh."""
    if way["connection"] == "local":
        return Host(_Local(sudo=way["become"]))
    name = f"[{way['hostname']}]" if ":" in way["hostname"] else way["hostname"]
    user = f"{way['user']}@" if way["user"] else ""
    port = f":{way['port']}" if way["port"] else ""
    backend = _Ssh(
        f"{user}{name}{port}", ssh_identity_file=way["key"], ssh_extra_args=shlex.join(way["options"]),
        sudo=way["become"],
    )  # fmt: skip
    return Host(backend)


def see(host: Host, python: str, ask: dict) -> dict:
    """What the probe saw there, and when it was asked and answered (this machine's clock). Raises Dark."""
    host.backend.given = f"{PROBE}\nmain({json.dumps(ask)!r})\n"
    asked_at = time.time()
    try:
        done = host.run("%s -I -S -", python)
    except subprocess.TimeoutExpired:
        raise Dark(f"no answer within {ANSWER_MAX_SECONDS} s") from None
    except RuntimeError as error:  # testinfra's word for ssh's own exit code
        done = error.args[0]
    except OSError as error:
        raise Dark(f"could not be asked: {error.strerror}") from None
    finally:
        host.backend.given = ""
    return {**_document(done), "asked_at": asked_at, "answered_at": time.time()}


def _document(done: CommandResult) -> dict:
    said = done.stderr_bytes.decode(errors="replace").strip().splitlines()
    if done.rc:
        raise Dark((said or [f"exit code {done.rc}"])[-1][:LAST_WORDS_MAX])
    try:
        seen = json.loads(done.stdout_bytes)
    except ValueError:
        raise Dark("the probe's answer is not a document") from None
    if "error" in seen:
        raise Dark(seen["error"])
    return seen
