"""What a test does to a sandbox by hand, past Interlock: arm it, take its pieces away, run a command without them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from ops.secrets import Secrets
from ops.venues.alpaca import Alpaca
from tests.field import ROOT, Done, Field, awaited

HOSTS = {"host-1": 11, "host-2": 12}
KILL = "from ops.kill.command import main; main()"


def alpaca(field: Field, slot: str) -> Alpaca:
    port = field.base + {"paper": 1, "live": 2}[slot]
    return Alpaca(f"http://127.0.0.1:{port}", Secrets(field.state / "secrets").credentials(f"alpaca-{slot}"))


def arm_by_hand(field: Field) -> None:
    """Everything that a kill set is lifted, the bots may trade again, and an order of theirs stands at the venue."""
    for slot in ("paper", "live"):
        alpaca(field, slot).set_suspended(False)
    for host, offset in HOSTS.items():
        (field.root(host) / "interlock" / "gate").unlink(missing_ok=True)
        api = f"http://127.0.0.1:{field.base + offset}/kill_switch"
        with urllib.request.urlopen(api, timeout=5) as answer:
            reason = json.load(answer)["reason"]
        lift = urllib.request.Request(f"{api}?expected_reason={quote(reason)}", method="DELETE")
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(lift, timeout=5).close()
    place_order(field)


def place_order(field: Field) -> None:
    """A live order far below the market, under the name of the first bot."""
    key, secret = Secrets(field.state / "secrets").credentials("alpaca-live").values()
    order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "100", "time_in_force": "gtc"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{field.base + 2}/v2/orders",
        json.dumps({**order, "client_order_id": f"a1-l-test-{time.monotonic_ns()}"}).encode(),
        {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret, "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=5).close()


def run(field: Field, command: Sequence[str], cwd: Path = ROOT, environ: Mapping[str, str] | None = None) -> Done:
    """Any command with the field's surroundings."""
    done = subprocess.run(
        command, cwd=cwd, env={**field.environ, **(environ or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout)


@contextmanager
def set_aside(*paths: Path) -> Iterator[None]:
    """The files are away inside the block, and back afterwards whatever was put in their place."""
    moved = {path: path.with_name(f"{path.name}.aside") for path in paths if path.exists()}
    for path, away in moved.items():
        path.rename(away)
    try:
        yield
    finally:
        for path in paths:
            with suppress(FileNotFoundError):
                path.rmdir() if path.is_dir() else path.unlink()
        for path, away in moved.items():
            away.rename(path)


@contextmanager
def lock_held(field: Field) -> Iterator[None]:
    """Another process holds the system's lock."""
    path = field.state / "locks" / "alpaca-bot.json"
    code = f"import fcntl; f = open({str(path)!r}); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        holder.communicate("\n", timeout=10)


def without_ansible(folder: Path) -> tuple[str, dict[str, str]]:
    """A Python with all of Interlock's packages and none of their programs, beside it or on PATH."""
    folder.mkdir(exist_ok=True)
    python = folder / "python3"
    if not python.is_symlink():
        python.symlink_to(Path(sys.executable).resolve())
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return str(python), {"PATH": str(folder), "PYTHONPATH": os.pathsep.join([str(ROOT), *packages])}


def end_hosts(field: Field) -> None:
    """SIGKILL for each host's supervisord first, so that it restarts nothing, then for what it had started."""
    for host in HOSTS:
        manager = int((field.root(host) / "manager" / "supervisord.pid").read_text())
        children = [pid for pid in processes() if parent(pid) == manager]
        for pid in (manager, *children):
            os.kill(pid, signal.SIGKILL)
    awaited(lambda: not any(bot_pids(field, host) for host in HOSTS), what="the bots' end")


def bot_pids(field: Field, host: str) -> list[int]:
    """The processes that work in the host's folder."""
    found = []
    for pid in processes():
        with suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink().is_relative_to(field.root(host)):
                found.append(pid)
    return found


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0
