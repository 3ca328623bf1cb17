"""`invoke rollback`."""

from __future__ import annotations

from ops.tasks.opening import ENV_HELP, JSON_HELP, SYSTEMS_HELP
from ops.tasks.telling import Told, operator_task


@operator_task(
    changes=True,
    help={
        "env": ENV_HELP,
        "system": SYSTEMS_HELP,
        "adopt": "who takes over positions that stay open; default: you",
        "flatten": "close every position by market orders, after you have typed the system's name",
        "json": JSON_HELP,
    },
)
def rollback(env: str = "", system: str = "", adopt: str = "", flatten: bool = False, json: bool = False) -> Told:
    """Bring what is live or in transition back to proven paper, tripped, without a plan or a signature.

    Trip, cancel with the live key until zero open orders are seen twice, record who adopts the positions, flip
    everything to paper in one rename per host, prove paper, stay tripped until somebody rearms. Without arguments it
    finds out by itself what is to be rolled back.
    Exit codes: 0 proven paper + tripped, 2 bad input, 3 --flatten was not confirmed, 6 something could not be proven.
    Page: runbooks/rollback.md
    """
    from ops.tasks.descent import lowered

    return lowered("rollback", env, system, adopt, flatten, json)
