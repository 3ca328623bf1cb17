"""What must be true on each host, and what was seen there; run by `invoke verify`, never by the project's own tests.

`INTERLOCK_HOST_FACTS` names the file that `invoke verify --facts=FILE` writes. All hosts are seen at the same time,
once each; a test asserts over what was seen. Tests of your own may stand beside these: `machine` is testinfra's host.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from reach import Dark, machine, see

FACTS = json.loads(Path(os.environ["INTERLOCK_HOST_FACTS"]).read_text())
HERE_AT_ONCE = 4
ASKED = pytest.StashKey[dict[str, Future]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Asks all hosts while pytest collects; those that are folders on this one machine only a few at a time."""
    far = any(one["reach"]["connection"] != "local" for one in FACTS.values())
    pool = ThreadPoolExecutor(max(1, len(FACTS)) if far else HERE_AT_ONCE)
    session.config.stash[ASKED] = {
        name: pool.submit(see, machine(one["reach"]), one["reach"]["python"], one["ask"]) for name, one in FACTS.items()
    }
    pool.shutdown(wait=False)


@pytest.fixture(params=sorted(FACTS), scope="session")
def name(request):
    """The managed host's name."""
    return request.param


@pytest.fixture(scope="session")
def wanted(name):
    """What must be true on it. Digests and fingerprints only; None is what nobody knows."""
    return FACTS[name]["wanted"]


@pytest.fixture(scope="session", name="machine")
def _machine(name):
    """The machine through testinfra."""
    return machine(FACTS[name]["reach"])


@pytest.fixture(scope="session")
def seen(name, request):
    """What stands on it. One that does not answer is an error of each of its assertions: unknown, never passed."""
    try:
        return request.config.stash[ASKED][name].result()
    except Dark as error:
        pytest.fail(f"{name} could not be seen: {error}", pytrace=False)


@pytest.fixture(scope="session")
def owner(wanted, seen):
    """The user to whom Interlock's files belong: root, but under supervisord whoever runs everything there."""
    return seen["machine"]["uid"] if wanted["manager"] == "supervisord" else 0


@pytest.fixture(scope="session")
def halted(wanted, seen):
    """Whether the bot has to be down: its service does not start while the gate stands."""
    return wanted["start_gated"] and seen["gate"]["kind"] != "missing"


@pytest.fixture
def mains(wanted, seen, halted):
    """Service -> its main process. One without any is an error; where all must be down there is nothing to see."""
    if halted:
        pytest.skip("the bot is down behind its gate, as its profile wants")
    found = {one["service"]: one for one in seen["processes"].values() if one["main"]}
    missing = [name for name in wanted["services"] if name not in found]
    if missing:
        pytest.fail(f"no process of {', '.join(missing)} was seen", pytrace=False)
    return found


@pytest.fixture
def services(wanted, seen):
    """Service -> what its manager says of it."""
    said = seen["services"]
    if "error" in said:
        pytest.fail(said["error"], pytrace=False)
    return {name: said.get(name) or {"state": "unknown to its manager", "pid": 0} for name in wanted["services"]}


@pytest.fixture
def under(wanted):
    """`under("systemd")` skips the assertion where another manager runs the services."""

    def only(*managers: str) -> None:
        if wanted["manager"] not in managers:
            pytest.skip(f"does not apply to {wanted['manager']}")

    return only


@pytest.fixture
def real(wanted):
    """Skips the assertion where the host is a folder on this machine."""
    if not wanted["real"]:
        pytest.skip("this host is a folder on a machine of somebody's own")
