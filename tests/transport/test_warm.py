"""The warm Ansible: one server for all runs, gone with its owner, and its death costs nothing but time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.hosts import ansible, warm
from ops.hosts.ansible import run_playbook, warm_up
from ops.hosts.reply import Reply
from ops.hosts.warm import Run, run_warm
from tests.field import ROOT, awaited
from tests.playbooks.bench import Bench
from tests.transport.sshd import processes


def hosts_yml(folder: Path, python: str = "{{ ansible_playbook_python }}") -> Path:
    path = folder / "hosts.yml"
    host = {"ansible_connection": "local", "ansible_python_interpreter": python}
    path.write_text(json.dumps({"all": {"hosts": {"host-1": host}}}))
    return path


def look(bench: Bench, inventory: Path) -> Reply:
    return run_playbook("look.yml", inventory, {"host-1": bench.request("look")})["host-1"]


def parent(pid: int) -> int:
    """0 for a process that has gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def servers() -> list[int]:
    """Our own; a run is a process below it."""
    return [pid for pid, words in processes().items() if "warm_server.py" in words and parent(pid) == os.getpid()]


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """No server from before, and none left."""
    warm._KITCHEN.close()
    yield
    warm._KITCHEN.close()


def test_all_runs_share_one_server_until_the_environment_is_another(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = hosts_yml(tmp_path)
    warm_up()
    awaited(lambda: len(servers()) == 1, what="the server")
    (first,) = servers()
    assert look(bench, inventory).ok and look(bench, inventory).ok
    assert servers() == [first]
    monkeypatch.setenv("LANG", "C")
    assert look(bench, inventory).ok
    (second,) = servers()
    assert second != first


def test_a_server_that_has_died_is_done_without(bench: Bench, tmp_path: Path) -> None:
    inventory = hosts_yml(tmp_path)
    assert look(bench, inventory).ok
    for pid in servers():
        os.kill(pid, signal.SIGKILL)
    assert look(bench, inventory).ok, "by a plain ansible-playbook"
    assert look(bench, inventory).ok


def test_where_ansible_cannot_be_imported_the_plain_program_runs(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "server.py"
    broken.write_text("raise SystemExit(1)\n")
    monkeypatch.setattr(warm, "SERVER", broken)
    assert look(bench, hosts_yml(tmp_path)).ok


def sleeper(folder: Path) -> tuple[str, Path]:
    """A Python that never comes back, and the file into which it writes its process id."""
    path, mark = folder / "python", folder / "pid"
    path.write_text(f"#!/bin/sh\necho $$ > {mark}\nexec sleep 1718\n")
    path.chmod(0o755)
    return str(path), mark


def slept_out(mark: Path) -> None:
    """What wrote that process id has come to its end."""
    pid = int(mark.read_text())
    awaited(lambda: "sleep" not in processes().get(pid, ""), 20, "the sleeper's end")


def test_a_run_that_hangs_is_ended_with_all_below_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, mark = sleeper(tmp_path)
    assert look(bench, hosts_yml(tmp_path)).ok  # so that it is warm, and the time is for the run
    monkeypatch.setattr(ansible, "RUN_MAX_SECONDS", 5)
    with pytest.raises(ansible.HostError, match="no end within 5 s"):
        look(bench, hosts_yml(tmp_path, python))
    assert mark.exists()
    slept_out(mark)


def test_so_is_a_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though what runs below it has a session of its own, as Ansible's workers have."""
    monkeypatch.setattr(warm, "SERVER", tmp_path / "none.py")
    python, mark = sleeper(tmp_path)
    with Path(os.devnull).open() as nothing:
        run = Run(("sh", "-c", f"setsid {python}; true"), {"PATH": os.environ["PATH"]}, tmp_path, nothing.fileno(), 2)
        done = run_warm(run)
    assert (done.returncode, done.stderr, mark.exists()) == (-1, "no end within 2 s", True)
    slept_out(mark)


def above(pid: int) -> list[int]:
    """The processes of warm Ansible above one: the worker of its host, the run, the server."""
    found, known = [], processes()
    while pid > 1:
        pid = parent(pid)
        found += [pid] if "warm_server.py" in known.get(pid, "") else []
    return found


def test_a_run_that_was_killed_from_outside_proves_nothing(bench: Bench, tmp_path: Path) -> None:
    python, mark = sleeper(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        end = threads.submit(look, bench, hosts_yml(tmp_path, python))
        awaited(lambda: mark.exists() and bool(mark.read_text().strip()), what="the host's task")
        asleep = int(mark.read_text())
        worker, run, _ = above(asleep)
        os.kill(run, signal.SIGKILL)
        with pytest.raises(ansible.HostError, match="it was ended from outside"):
            end.result()
        for pid in (worker, asleep):
            os.kill(pid, signal.SIGKILL)
    slept_out(mark)
    assert look(bench, hosts_yml(tmp_path)).ok


OWNER = """
import os, sys
from pathlib import Path
from ops.hosts.ansible import warm_up
from ops.hosts import warm
warm_up()
print(warm._KITCHEN._server._process.pid, flush=True)
{end}
"""
ENDS = {"its end": "", "os._exit": "os._exit(3)", "a kill": "os.kill(os.getpid(), 9)"}


@pytest.mark.parametrize("end", ENDS)
def test_the_server_goes_when_its_owner_goes(end: str) -> None:
    done = subprocess.run([sys.executable, "-c", OWNER.format(end=ENDS[end])], cwd=ROOT, capture_output=True, text=True)
    server = int(done.stdout)
    awaited(lambda: "warm_server" not in processes().get(server, ""), 10, "the server's end")
