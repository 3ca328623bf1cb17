"""A network namespace is entered by the thread that asks, and by nobody else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex

import pytest

from ops.errors import InputError
from ops.network import enter
from tests.transport.sshd import needed

OWN = Path("/proc/thread-self/ns/net")


@pytest.fixture
def network() -> Iterator[str]:
    needed("ip")
    if os.getuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("needs root to make a network namespace")
        pytest.skip("needs root to make a network namespace")
    name = f"iltest-{token_hex(3)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def entered(name: str) -> tuple[int, str]:
    """The network of the thread that has entered it, and of a process that it starts."""
    enter(name)
    enter(name)
    child = subprocess.run(
        [shutil.which("readlink") or "readlink", "/proc/self/ns/net"], capture_output=True, text=True
    )
    return OWN.stat().st_ino, child.stdout.strip()


def test_the_thread_and_what_it_starts_are_in_the_network_and_nobody_else_is(network: str) -> None:
    before = OWN.stat().st_ino
    with ThreadPoolExecutor(1) as threads:
        inside, child = threads.submit(entered, network).result()
    assert inside == Path("/run/netns", network).stat().st_ino != before
    assert child == f"net:[{inside}]"
    assert OWN.stat().st_ino == before


def test_no_network_is_this_one() -> None:
    before = OWN.stat().st_ino
    enter(None)
    assert OWN.stat().st_ino == before


def test_a_network_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="there is no network 'nowhere-7'"):
        enter("nowhere-7")
