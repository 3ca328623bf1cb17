"""`invoke dev.bench kill`: how long until every account is proven to have nothing open, against a floor.

Five systems, one per kind of venue, 200 open orders. One round runs, one after the other and with fresh orders each:

floor            a bare process: per account, all at once, a cancel-all and two reads of the list; no proof, no wait
floor to zero    the same, but reading without a pause until the list is empty: the venues' own time to cancel
interlock-kill   the whole process
invoke kill      the whole process
one hanging      interlock-kill while one venue never answers: the others are proven, it is named with its deadline

The simulators, the requests and the machine are the same for all, so that the ratios mean something.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.kill.targets import folder
from ops.sandbox.venues.simulators import SIMULATORS
from ops.secrets import Secrets
from tests.field import ROOT
from tests.kill.worlds import SLOTS, Scene, scene

ORDERS = 200
ROUNDS = 5
KINDS = tuple(SIMULATORS)
VERIFIED = "account: verified zero after"
ALONE = [sys.executable, "-c", "from ops.kill.command import main; main()", "--reason=bench"]
INVOKE = [sys.executable, "-m", "invoke", "kill", "--reason=bench"]
FLOOR = [sys.executable, str(Path(__file__).with_name("floor.py"))]


@dataclass(frozen=True)
class Run:
    """One command: seconds from its start to each account's proof (or answer) and to its end, and what it said."""

    seconds: list[float]
    ended: float
    code: int
    out: str

    @property
    def last(self) -> float:
        """Until the last account."""
        return self.seconds[-1] if self.seconds else float("nan")


def run(here: Scene, command: Sequence[str], word: str = VERIFIED) -> Run:
    """Runs the command and notes when it says what."""
    environ = {**os.environ, "INTERLOCK_STATE": str(here.state.parent), "INTERLOCK_ENV": here.state.name}
    began, seconds, said = time.monotonic(), [], []
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if word in line:
                seconds.append(time.monotonic() - began)
    return Run(seconds, time.monotonic() - began, process.returncode, "".join(said))


def aim(here: Scene) -> None:
    """A system per kind, with both its accounts; and the same accounts for the floor."""
    for path in folder(here.state).glob("*.target.json"):
        path.unlink()
    accounts = []
    for kind in here.kinds:
        targets = [here.target(kind, slot) for slot in SLOTS]
        here.aim(f"{kind}-bot", (), *targets)
        accounts += [[t.kind, t.endpoint, t.account, t.kill_file, t.observer_file] for t in targets]
    Secrets.store(here.state / "floor.json", json.dumps(accounts))


def refill(here: Scene, orders: int = ORDERS) -> None:
    """Fresh orders of ours on the live accounts; the halts that a kill set are lifted."""
    for kind in here.kinds:
        here.resting(kind, "paper", 0)
        here.resting(kind, "live", orders // len(here.kinds))


def main() -> None:
    """Prints medians and ratios."""
    with tempfile.TemporaryDirectory() as folder_, scene(Path(folder_), KINDS) as here:
        aim(here)
        variants = {
            "floor": ([*FLOOR, str(here.state / "floor.json"), "once"], "done"),
            "floor to zero": ([*FLOOR, str(here.state / "floor.json"), "zero"], "done"),
            "interlock-kill": (ALONE, VERIFIED),
            "invoke kill": (INVOKE, VERIFIED),
        }
        runs: dict[str, list[Run]] = {name: [] for name in variants}
        for _ in range(ROUNDS):
            for name, (command, word) in variants.items():
                refill(here)
                runs[name].append(run(here, command, word))
        report(runs)
        hanging(here)


def report(runs: dict[str, list[Run]]) -> None:
    floor, zero = (statistics.median(r.last for r in runs[name]) for name in ("floor", "floor to zero"))
    print(f"{ORDERS} open orders, {len(runs['floor'][0].seconds)} accounts, medians of {ROUNDS} rounds")
    for name, all_of_them in runs.items():
        last = statistics.median(run.last for run in all_of_them)
        ended = statistics.median(run.ended for run in all_of_them)
        codes = sorted({run.code for run in all_of_them})
        print(
            f"{name:<16} last account {last:6.3f} s  {last / floor:5.2f} x floor  {last / zero:5.2f} x floor to zero  "
            f"process {ended:6.3f} s  exit {codes}"
        )


def hanging(here: Scene) -> Run:
    """One venue never answers."""
    kind = here.kinds[0]
    refill(here)
    here.fault("hang_before", kind=kind)
    seen = run(here, ALONE)
    here.fault("hang_before", on=False, kind=kind)
    print(f"{kind} live hanging: {len(seen.seconds)} accounts verified, the last after {seen.last:.3f} s; ", end="")
    print(f"process {seen.ended:.1f} s, exit {seen.code}")
    print("".join(line for line in seen.out.splitlines(keepends=True) if line.startswith("RESIDUE")), end="")
    return seen


if __name__ == "__main__":
    main()
