"""One simulator per module, of the venue that its folder is named after; quiet for each case."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest

pytest.register_assert_rewrite("tests.contracts.clauses")

from tests.contracts.rig import Rig, rigged  # noqa: E402  after the clauses are registered


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    kind = request.path.parent.name
    facts = getattr(import_module(f"tests.contracts.{kind}.facts"), kind.upper())
    with rigged(facts, tmp_path_factory.mktemp(kind)) as rig:
        yield rig


@pytest.fixture
def rig(running: Rig) -> Iterator[Rig]:
    running.begin()
    yield running
    running.no_faults()
