"""`interlock-kill`: the kill without Invoke in front of it.

`invoke kill` says the same words through the same functions.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ops.kill.kill import KillEnd, kill
from ops.project import state_root


def main(arguments: list[str] | None = None) -> None:
    """Exit 0 only if everything is proven stopped, else 6 with the residue."""
    parser = argparse.ArgumentParser("interlock-kill", description="Stop everything, and prove it.")
    parser.add_argument("--reason", required=True, help="why; goes into the record")
    parser.add_argument("--env", default="", help="environment; default: $INTERLOCK_ENV, else all there are")
    parser.add_argument("--system", action="append", default=[], help="only this system (may be repeated)")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    given = parser.parse_args(arguments)
    say: Callable[[str], None] = (
        (lambda text: None) if given.json else lambda text: print(f"  {text}\n", end="", flush=True)
    )
    ends = [kill(s, given.reason, getpass.getuser(), given.system, say) for s in environments_known(given.env)]
    for end in sorted(ends, key=lambda end: bool(end.residue)):  # what is not proven is said last
        print(json.dumps(end.as_dict()) if given.json else "\n".join(table(end)), flush=True)
    sys.exit(6 if any(end.residue for end in ends) else 0)


def environments_known(env: str) -> list[Path]:
    """The state folders that are meant: the named environment's, else every one that has a kill target."""
    root = state_root()
    name = env or os.environ.get("INTERLOCK_ENV", "")
    if name:
        return [root / name]
    return sorted({path.parent.parent for path in root.glob("*/kill/*.target.json")}) or [root / "sandbox"]


def table(end: KillEnd) -> list[str]:
    """The result: a line per host and account, the residue, and the one sentence."""
    lines = []
    for system in end.systems:
        lines += [f"{system.system:<20} {h.host:<10} switch {h.switch:<18} gate {h.gate}" for h in system.hosts]
        for venue in system.venues:
            held = "UNKNOWN" if venue.positions is None else ", ".join(venue.positions) or "flat"
            halt = "venue halt set" if venue.suspended else "venue halt UNKNOWN"
            lines.append(
                f"{system.system:<20} {venue.slot:<10} {venue.state} ({venue.named} orders seen), {halt}, "
                f"positions: {held}"
            )
            lines += [f"{'':<31} not ours, cancelled with the rest: {order}" for order in venue.foreign]
    lines += [f"RESIDUE {text}" for text in end.residue]
    names = ", ".join(system.system for system in end.systems) or "nothing"
    where = f"recorded in {end.recorded}"
    took = f"{end.seconds:.1f} s, {where}"
    if end.residue:
        sentence = (
            f"{names}: NOT proven stopped, {len(end.residue)} things are UNKNOWN or open ({took}). "
            "Use the venue's dashboard now, then run kill again"
        )
    else:
        sentence = (
            f"{names}: every bot tripped and zero open orders proven on every account ({took}). "
            "Next: invoke status | invoke rollback | invoke rearm"
        )
    return [*lines, sentence]
