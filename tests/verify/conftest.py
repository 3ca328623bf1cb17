"""The ssh server of tests/transport, and an environment behind it whose ssh calls are counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transport.sshd import Reach, Sshd, reached, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short one: the path of a unix socket may not exceed about 100 characters."""
    return tmp_path_factory.mktemp("v")


@pytest.fixture
def reach(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    with reached(server, tmp_path, monkeypatch) as environment:
        yield environment
