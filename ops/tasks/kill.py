"""`invoke kill`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ops.tasks.telling import RESIDUE, Told, operator_task

if TYPE_CHECKING:
    from ops.kill.kill import KillEnd
    from ops.kill.venues import Say


@operator_task(
    help={
        "reason": "why; goes into the record",
        "env": "environment; default: $INTERLOCK_ENV, else every one that Interlock knows on this machine",
        "system": "only this system; may be repeated, or several with commas; default: all of them",
        "venue": "only accounts at this venue (kraken, or a profile's own name for one); may be repeated",
        "flatten": "then close the live positions too, after you have typed each system's name",
        "json": "answer in JSON",
    },
    iterable=("system", "venue"),
)
def kill(
    reason: str = "", env: str = "", system: Sequence[str] | None = None, venue: Sequence[str] | None = None,
    flatten: bool = False, json: bool = False,
) -> Told:  # fmt: skip
    """Stop everything now, and prove it: every brake of every system at once, then zero open orders seen twice.

    Needs one person; no lock, no gate, no Ansible, no healthy ledger, no running bot. Says per account: sent,
    acknowledged, verified zero or UNKNOWN, whose orders went, which positions are left and which lost their stop; it
    closes none without --flatten. Run it as often as you like.
    Exit codes: 0 only if all is proven, 2 no reason was given, 6 residue is left. Page: runbooks/kill.md
    """
    from ops.kill.command import aloud, silent, stop
    from ops.kill.table import table
    from ops.kill.targets import Aim
    from ops.tasks.telling import BAD_INPUT

    if not reason.strip():
        return Told('a kill needs a reason: invoke kill --reason="..."', code=BAD_INPUT)
    aim = Aim.named(system or (), venue or ())
    ends = stop(env, reason, aim, silent if json else aloud)
    lines = [line for end in ends for line in table(end)[:-1]]
    residue = [text for end in ends for text in end.residue]
    document: dict[str, Any] = {"environments": {end.environment: end.as_dict() for end in ends}}
    sentences = [table(end)[-1] for end in ends]
    if flatten:
        lines = [] if json else _shown([*lines, *sentences])
        left = [text for end in ends for text in _flattened(end, reason, silent if json else aloud)]
        document["flatten"], residue = {"residue": left}, [*residue, *left]
        lines += [f"RESIDUE {text}" for text in left]
        flat = "Flat, seen twice" if any(map(_held, ends)) else "No live position was held: nothing to flatten"
        sentences = [f"NOT flat: {len(left)} things are left or UNKNOWN, run it again" if left else flat]
    return Told(". ".join(sentences), lines, {**document, "residue": residue}, RESIDUE if residue else 0)


def _shown(lines: Sequence[str]) -> list[str]:
    """Before anybody is asked anything, the kill's own end is read."""
    print("\n".join(lines), flush=True)
    return []


def _held(end: KillEnd) -> dict[str, list[str]]:
    """System -> what it holds on its live accounts, for those that hold something; what is not known may be much."""
    found = {
        system.system: [
            position
            for venue in system.venues
            if venue.slot == "live"
            for position in (["UNKNOWN"] if venue.positions is None else venue.positions)
        ]
        for system in end.systems
    }
    return {name: held for name, held in found.items() if held}


def _flattened(end: KillEnd, reason: str, say: Say) -> list[str]:
    """The residue of flattening each system that may hold a live position, after its name was typed."""
    import getpass

    from ops.errors import Refused
    from ops.kill.flatten import flatten_system
    from ops.tasks.asking import typed_name

    residue = []
    for name, held in _held(end).items():
        system = next(system for system in end.systems if system.system == name)
        try:
            typed_name(
                system.system, f"{system.system} holds {', '.join(held)}: each will be closed at the market's price"
            )
            residue += flatten_system(end.state, system, reason, getpass.getuser(), say)
        except Refused as error:
            residue.append(f"{system.system}: not flattened: {error}")
    return residue
