"""The warm Ansible's server, a program of its own: imports Ansible once and forks for each request on its socket.

Run by `ops/hosts/warm.py` as `python -P warm_server.py SOCKET PARENT`. A request brings four handles: the line for the
process id and then the exit code, the files for what is said, and the requests to the hosts, which are in memory only.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
# What each run would import anyway.
PRELOADED = (
    "ansible.executor.playbook_executor", "ansible.plugins.strategy.linear", "ansible.plugins.connection.local",
    "ansible.plugins.connection.ssh", "ansible.plugins.shell.sh", "ansible.plugins.become.sudo",
    "ansible.plugins.inventory.yaml", "ansible.plugins.callback", "ansible.plugins.action", "ansible.plugins.lookup",
    "ansible.plugins.vars.host_group_vars",
)  # fmt: skip


def main(handle: int, parent: int) -> None:
    """Serves until the other side has closed the socket."""
    control = socket.socket(fileno=handle)
    os.set_inheritable(handle, False)
    if parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
    cli, constants = _imported()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        text, handles, _, _ = socket.recv_fds(control, 1 << 20, 4)
        if not text:
            return
        if os.fork() == 0:
            control.close()
            _run(cli, constants, json.loads(text), handles)
        for one in handles:
            os.close(one)


def _imported() -> tuple[Any, Any]:
    """Ansible's command line and its settings; its folder for files is made again for each run, so not kept here."""
    from ansible import constants
    from ansible.cli.playbook import PlaybookCLI

    for name in PRELOADED:
        importlib.import_module(name)
    with suppress(OSError):
        Path(constants.DEFAULT_LOCAL_TMP).rmdir()
    return PlaybookCLI, constants


def _run(cli: Any, constants: Any, request: Mapping[str, Any], handles: Sequence[int]) -> NoReturn:
    """One run, in a process and a session of its own, which lives on if the server ends."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    line, (out, err, memory) = socket.socket(fileno=handles[0]), handles[1:]
    for one in handles:
        os.set_inheritable(one, False)
    os.register_at_fork(after_in_child=line.close)  # its end shows on the line, whatever its workers do
    line.send(str(os.getpid()).encode())
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.update(request["environ"], INTERLOCK_REQUESTS=str(memory))
    constants.DEFAULT_LOCAL_TMP = os.environ["ANSIBLE_LOCAL_TEMP"]
    Path(constants.DEFAULT_LOCAL_TMP).mkdir(mode=0o700, exist_ok=True)
    sys.argv = list(request["command"])
    code = 250  # Ansible's own for a fault that it does not know
    try:
        cli.cli_executor(sys.argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        with suppress(OSError):
            line.send(str(int(code)).encode())
        os._exit(code)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
