"""Words in, words out: the only room that knows Invoke.

One module per noun; nothing heavy is imported before a task runs.
"""

from __future__ import annotations

from invoke import Collection

from ops.tasks import (
    checklist,
    dev,
    drift,
    drill,
    fleet,
    go_live,
    health,
    host,
    keys,
    kill,
    ledger,
    mode,
    plan,
    preflight,
    rearm,
    restart,
    rollback,
    sandbox,
    status,
    verify,
)

_VERBS = (
    go_live.go_live,
    rollback.rollback,
    kill.kill,
    rearm.rearm,
    status.status,
    preflight.preflight,
    plan.plan,
    plan.sign,
    verify.verify,
    health.health_audit,
    keys.rotate_keys,
    mode.flip_mode,
    restart.restart,
    drill.drill,
    drift.drift,
)


def _namespace() -> Collection:
    root = Collection(*_VERBS)
    for module, name in (
        (checklist, "checklist"),
        (fleet, "fleet"),
        (host, "host"),
        (ledger, "ledger"),
        (sandbox, "sandbox"),
        (dev, "dev"),
    ):
        root.add_collection(Collection.from_module(module, name=name))
    return root


namespace = _namespace()
