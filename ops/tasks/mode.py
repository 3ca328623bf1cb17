"""`invoke flip-mode`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import REFUSED, Told, operator_task


@operator_task(
    changes=True,
    name="flip-mode",
    help={"to": "only `paper`: the way to live is go-live", "env": ENV_HELP, "system": SYSTEMS_HELP, "json": JSON_HELP},
)
def flip_mode(to: str = "paper", env: str = "", system: str = "", json: bool = False) -> Told:
    """Flip all mode variables, key, endpoint and size to paper, tripped and proven; towards live it refuses.

    The steps are those of rollback.
    Exit codes: 0 proven paper + tripped, 2 bad input, 3 refused towards live, 6 something could not be proven.
    Page: runbooks/rollback.md
    """
    if to != "paper":
        return Told(f"Refused: flip-mode goes to paper only, not to {to!r}. The way up is invoke go-live", code=REFUSED)
    from ops.tasks.descent import lowered

    return lowered("flip-mode", env, system, "", False, json)
