"""`invoke rotate-keys`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import Told, operator_task


@operator_task(
    changes=True,
    name="rotate-keys",
    help={"slot": "which key: live (default) or paper", "env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP},
)
def rotate_keys(slot: str = "live", env: str = "", system: str = "", json: bool = False) -> Told:
    """Put new keys in force, all that are pending: pending -> tested -> deployed -> current -> previous.

    Where the venue has no API for keys it names the step that a person must do, and waits. The new key must open the
    pinned account and differ from the other slot's and from every former one. A key that the bots use is changed while
    they are halted, in one rename per host, and proven in the running process; the former one is proven dead.
    Exit codes: 0 done, 2 bad input, 3 refused, 4 waits for a person, 5 failed and safe, 6 residue.
    Page: runbooks/rotate-keys.md
    """
    from ops.errors import InputError
    from ops.tasks.several import each_system

    if slot not in ("live", "paper"):
        raise InputError("there is no such slot", expected="live or paper", seen=slot)
    return each_system(env, system, lambda e, s: _one(e, s, slot, json), json, raises=True)


def _one(env: str, system: str, slot: str, json: bool) -> Told:
    from ops.provider import approver, ensure_up
    from ops.tasks.opening import keep_kill_ready, open_doors
    from ops.tasks.progress import shown
    from ops.transitions.rotation import rotate_keys as run

    doors = open_doors(env, system)
    with shown(json) as progress:
        ensure_up(doors, progress.note)
        keep_kill_ready(doors)
        said = run(doors, progress, approver(doors), "live" if slot == "live" else "paper")
        keep_kill_ready(doors)
    return Told(f"{doors.profile.system}: {said}", document={"system": doors.profile.system, "slot": slot})
