"""Two fields: one that was never started, and one that is ready to go live but for its signatures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.field import Field, opened


@pytest.fixture(scope="module")
def asleep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """An inventory, and nothing that runs."""
    with opened(tmp_path_factory.mktemp("asleep")) as field:
        yield field


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """The sandbox with its live key taken in and every drill done: nothing keeps the gate shut."""
    with opened(tmp_path_factory.mktemp("ready")) as field:
        for words in (["sandbox.up"], ["rotate-keys", "--slot=live"], ["drill"]):
            done = field.invoke(*words)
            assert done.code == 0, done.out
        yield field
