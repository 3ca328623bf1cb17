"""One ssh server for all tests here, and for each an environment behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playbooks.bench import Bench, on_the_bench
from tests.transport.sshd import Reach, Sshd, reached, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def reach(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    with reached(server, tmp_path, monkeypatch) as environment:
        yield environment


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with on_the_bench(tmp_path) as host:
        yield host
