"""The stage is set once; each test brings worlds of its own onto it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.model.canonical import digest
from ops.model.step import Ended
from ops.steps.run import Run
from ops.transitions.paths import HEALTH, PATHS, VERIFY_HOSTS, Move
from tests.transitions.stage import Stage, set_stage


def looked_at(run: Run) -> Ended:
    """Stands in for the two proofs that leave the simulated world: testinfra on real files, and the monitoring."""
    texts = run.doors.fleet.env_texts(run.slot_to, run.size_pct, run.doors.bot_credentials(run.slot_to))
    looks = {host: reply.look.get("env") or {} for host, reply in run.doors.fleet.look().items()}
    wrong = [f"{host}: another env file" for host, env in looks.items() if env.get("sha256") != digest(texts[host])]
    return Ended("as planned", tuple(wrong))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    before, away = dict(PATHS), (VERIFY_HOSTS.name, HEALTH.name)
    for verb, (policy, moves) in before.items():
        PATHS[verb] = (policy, tuple(Move(m.name, m.title, looked_at) if m.name in away else m for m in moves))
    yield set_stage(tmp_path_factory.mktemp("stage"))
    PATHS.update(before)
