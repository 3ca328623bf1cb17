"""The one table of moves: for each verb, what happens in which order, and what each move is called.

A path that raises risk stops at the first move that is not proven and turns back to paper. A path that lowers risk goes
on to its end whatever happens, and names what it could not prove.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ops.model.step import Ended
from ops.steps import cancel, deadline, diagnostics, flip, positions, rearm, snapshot, trip
from ops.steps.run import Run
from ops.transitions import proofs

Policy = Literal["raise", "lower"]


@dataclass(frozen=True)
class Move:
    """One step or proof: its name in the ledger, the words shown, and the function that does it and looks again."""

    name: str
    title: str
    go: Callable[[Run], Ended]


TRIP = Move("trip", "Trip every bot: fence, gate, switch", trip.trip)
CANCEL = Move("cancel", "Cancel with the key in force, zero open orders seen twice", cancel.cancel_in_force)
CANCEL_BOTH = Move("cancel", "Cancel on both accounts, zero open orders seen twice", cancel.cancel_both)
SNAPSHOT = Move("snapshot", "Record config, release, positions", snapshot.snapshot)
ARM = Move("arm", "Arm the hosts' own deadline", deadline.arm)
FLIP = Move("flip", "Flip mode, key, endpoint and size in one rename; new process", flip.flip)
FLIP_PAPER = Move("flip-paper", "Flip everything to paper in one rename; new process", flip.flip_paper)
PUT_KEY = Move("flip", "Put the new key in force in one rename; new process", flip.put_key)
RESTART = Move("restart", "Recreate every service", flip.restart)
PROVE_MODE = Move("prove-mode", "Prove declared = loaded = observed on every host", proofs.mode)
PROVE_ACCOUNT = Move("prove-account", "Prove the pinned account by the venue's own answer", proofs.account)
PROVE_AGAIN = Move("prove-again", "Prove mode, key and halt once more, right before trading", proofs.mode)
VERIFY_HOSTS = Move("verify-hosts", "Verify the hosts with testinfra", proofs.hosts)
HEALTH = Move("health-audit", "Audit health and monitoring", proofs.health)
RECONCILE = Move("reconcile", "Reconcile with the snapshot", proofs.reconcile)
DISARM = Move("disarm", "Lift the hosts' own deadline", deadline.disarm)
DISARM_ALL = Move("disarm", "Lift the hosts' own deadline", deadline.disarm_all)
REARM = Move("rearm", "Re-arm every bot", rearm.rearm)
CANCEL_AGAIN = Move("cancel-again", "Zero open orders once more, now that every host is on paper", cancel.cancel_both)
POSITIONS = Move("positions", "Record positions and who adopts them", positions.positions)
DIAGNOSTICS = Move("diagnostics", "Keep logs and records for the people who will ask", diagnostics.diagnostics)
PROVE_PAPER = Move("prove-paper", "Prove paper and tripped on every host", proofs.paper)

# Where the engine puts the signatures' second check; it needs the plan, which a Run does not carry.
SIGN_OFF = Move("sign-off", "Verify signatures and the age of the evidence once more", lambda run: Ended(""))

DOWN = (TRIP, CANCEL_BOTH, POSITIONS, DIAGNOSTICS, FLIP_PAPER, DISARM_ALL, CANCEL_AGAIN, PROVE_PAPER)
PATHS: dict[str, tuple[Policy, tuple[Move, ...]]] = {
    "go-live": (
        "raise",
        (
            TRIP,
            CANCEL,
            SNAPSHOT,
            ARM,
            FLIP,
            PROVE_MODE,
            PROVE_ACCOUNT,
            VERIFY_HOSTS,
            HEALTH,
            RECONCILE,
            DISARM,
            PROVE_AGAIN,
            SIGN_OFF,
            REARM,
        ),
    ),
    "rearm": ("raise", (TRIP, CANCEL, SNAPSHOT, PROVE_ACCOUNT, RECONCILE, PROVE_AGAIN, SIGN_OFF, REARM)),
    "rotate-keys": (
        "raise",
        (TRIP, CANCEL, SNAPSHOT, ARM, PUT_KEY, VERIFY_HOSTS, PROVE_ACCOUNT, RECONCILE, PROVE_MODE, DISARM),
    ),
    "restart": ("raise", (TRIP, SNAPSHOT, RESTART, PROVE_ACCOUNT, PROVE_MODE)),
    "rollback": ("lower", DOWN),
    "flip-mode": ("lower", DOWN),
}
