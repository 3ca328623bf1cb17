"""`interlock-kill`: the kill without Invoke in front of it.

`invoke kill` says the same words through the same functions.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.kill.kill import KillEnd, Killing
from ops.kill.table import table
from ops.kill.targets import Aim, folder, read_targets
from ops.kill.venues import Say
from ops.project import state_root


def main(arguments: list[str] | None = None) -> None:
    """Exit 0 only if everything is proven stopped, else 6 with the residue."""
    parser = argparse.ArgumentParser("interlock-kill", description="Stop everything, and prove it.")
    parser.add_argument("--reason", required=True, help="why; goes into the record")
    parser.add_argument("--env", default="", help="environment; default: $INTERLOCK_ENV, else all there are")
    parser.add_argument(
        "--system",
        action="append",
        default=[],
        help="only this system (may be repeated, or several with commas, or all)",
    )
    parser.add_argument("--venue", action="append", default=[], help="only at this venue (may be repeated)")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    given = parser.parse_args(arguments)
    ends = stop(given.env, given.reason, Aim.named(given.system, given.venue), silent if given.json else aloud)
    with contextlib.suppress(OSError):  # nobody listens any more: the exit code and the record still tell
        for end in ends:
            print(json.dumps(end.as_dict()) if given.json else "\n".join(table(end)), flush=True)
    _leave(6 if any(end.residue for end in ends) else 0, any(end.hanging for end in ends))


def stop(env: str, reason: str, aim: Aim, say: Say) -> Sequence[KillEnd]:
    """Kills in every environment that is meant, at once; what is not proven comes last, since people read the last.

    A terminal that hangs up does not end it.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    under_way = [Killing(state, part, say) for state, part in aimed(environments_known(env), aim)]
    ends = [killing.end(reason, getpass.getuser()) for killing in under_way]
    return sorted(ends, key=lambda end: bool(end.residue))


def environments_known(env: str) -> list[Path]:
    """The state folders that are meant: the named environment's, else every one that has a kill target."""
    root = state_root()
    name = env or os.environ.get("INTERLOCK_ENV", "")
    if name:
        return [root / name]
    return sorted({path.parent.parent for path in root.glob("*/kill/*.target.json")}) or [root / "sandbox"]


def aimed(states: Sequence[Path], aim: Aim) -> list[tuple[Path, Aim]]:
    """Each environment with what is meant there; one that knows none of it is left out, since others do.

    A name that is known nowhere stays in all of them, where it becomes residue.
    """
    read = [read_targets(state) for state in states]
    systems = [
        {path.name.removesuffix(".target.json") for path in folder(state).glob("*.target.json")} for state in states
    ]
    venues = [
        set(aim.venues) if broken else {name for t in targets for v in t.venues for name in (v.venue, v.kind)}
        for targets, broken in read
    ]
    parts = [
        (state, Aim(_known(aim.systems, here, systems), _known(aim.venues, there, venues)))
        for state, here, there in zip(states, systems, venues, strict=True)
    ]
    return [(s, p) for s, p in parts if bool(p.systems) == bool(aim.systems) and bool(p.venues) == bool(aim.venues)]


def _known(names: Sequence[str], here: set[str], everywhere: Sequence[set[str]]) -> tuple[str, ...]:
    return tuple(name for name in names if name in here or not any(name in known for known in everywhere))


def aloud(text: str) -> None:
    """One line in one write, so that lines of several threads do not mix."""
    print(f"  {text}\n", end="", flush=True)


def silent(text: str) -> None:
    """For `--json`."""


def _leave(code: int, hanging: bool) -> None:
    """What was given up may hold a lock that the interpreter wants at its end: then the process ends without it."""
    if hanging:
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
