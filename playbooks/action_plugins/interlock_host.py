"""Sends the host program, byte for byte, to a host and hands back its answer: exactly one command over the connection.

It has the name of the module, so Ansible takes it in its place: nothing is zipped, nothing of Ansible is imported on
the host, and neither program nor request is ever in a file or an argument list there. INTERLOCK_HOST_SECONDS: how long
a host may take; one that takes longer is unreachable and does not hold up the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

PROGRAM = Path(__file__).resolve().parents[1] / "library" / "interlock_host.py"
# First line: how long the program is; then the program; then, for the program itself, the request.
READER = (
    "import sys;i=sys.stdin.buffer;p=i.read(int(i.readline()));"
    "exec(compile(p,'interlock_host.py','exec',dont_inherit=True))"
)  # fmt: skip


class TooLate(BaseException):
    """The host's time is up. Not an Exception, so that nothing on the way takes it for a failure to be tried again."""


class ActionModule(ActionBase):
    """One parameter, `request`: a JSON document."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        request = json.loads(self._task.args["request"])
        if self._task.check_mode:
            request["check_mode"] = True
        command = [self._python(task_vars), "-I", "-S", "-c", READER, "--stdin"]
        try:
            with _deadline(int(os.environ.get("INTERLOCK_HOST_SECONDS", "0"))):
                done = self._low_level_execute_command(shlex.join(command), in_data=_sent(request))
        except TooLate:
            _end_clients()
            seconds = os.environ["INTERLOCK_HOST_SECONDS"]
            return {**result, "unreachable": True, "msg": f"no answer within {seconds} s"}
        except AnsibleError as error:
            return {**result, "unreachable": True, "msg": str(error)}
        return {**result, **_judged(done, request)}

    def _python(self, task_vars):
        named = self._templar.template((task_vars or {}).get("ansible_python_interpreter") or "python3")
        return "python3" if str(named).startswith("auto") else str(named)


def _sent(request):
    program = PROGRAM.read_bytes()
    return b"%d\n%b%b" % (len(program), program, json.dumps(request).encode())


def _judged(done, request):
    """The program's own document, or why there is none: then nothing is known of the host."""
    try:
        answer = json.loads(done["stdout"])
        return {"changed": bool(answer["changed"]), "failed": not answer["ok"], "interlock": answer}
    except (ValueError, KeyError, TypeError):
        said = [line for line in done["stderr"].splitlines() if line.strip()][-1:] or ["it said nothing"]
        msg = f"{_masked(said[0], request)} (the host program ended with {done['rc']} and gave no answer)"
        return {"unreachable": True, "msg": msg}


def _masked(text, request):
    """Whatever broke may have quoted what it was given."""
    for line in (request.get("env_text") or "").splitlines():
        value = line.partition("=")[2]
        text = text.replace(value, "***") if len(value) >= 8 else text
    return text


@contextlib.contextmanager
def _deadline(seconds):
    """Raises TooLate in here after so long; 0 means never. Each host's task has a process, so an alarm, of its own."""

    def ring(number, frame):
        raise TooLate

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _end_clients():
    """Ends the ssh client that still waits. A shared connection that it opened has left it, and lives on."""
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "ssh":
                os.kill(int(pid), signal.SIGKILL)
