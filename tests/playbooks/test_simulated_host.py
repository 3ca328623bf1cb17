"""The simulated hosts of tests/transitions obey the rules of the real program: the same requests, the same ends."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.model.properties import tried
from tests.playbooks.bench import LIVE, PAPER, Bench, the_program
from tests.transitions.world import Refusal, SimHost, SimVenue, World, digest_of

Request = dict[str, Any]


class Instant:
    """A service manager that does at once what it is told; the bot's API is another process anyway."""

    shows = False

    def __init__(self, root: Path, service: Request) -> None:
        """Nothing to connect to."""

    def statuses(self, names: list[str]) -> Request:
        return {name: {"state": "RUNNING", "pid": None} for name in names}

    def stop(self, names: list[str], seconds: float | None = None) -> None:
        """Stopped."""

    def start(self, name: str) -> None:
        """Started."""

    def text(self) -> None:
        """Nothing defines it."""

    def healers(self) -> list[str]:
        return []


PROGRAM = the_program()
PROGRAM.MANAGERS = {"supervisord": Instant}
# A watcher that has always just read the deadline; the real one stands in test_deadline.py.
PROGRAM.acknowledged = lambda host, at, watched: True
TEXTS = (PAPER, LIVE)
fences = st.builds(lambda name, epoch: {"transition": name, "epoch": epoch}, st.sampled_from("ab"), st.integers(1, 3))
requests = st.one_of(
    st.builds(lambda fence: {"op": "trip", "fence": fence, "by": fence["transition"]}, fences),
    st.builds(lambda fence: {"op": "arm", "fence": fence, "deadline_seconds": 600}, fences),
    st.builds(
        lambda fence, text, compared: {"op": "flip", "fence": fence, "env_text": text, "compare_sha256": compared},
        fences,
        st.sampled_from(TEXTS),
        st.sampled_from([None, *map(digest_of, TEXTS)]),
    ),
    st.builds(lambda fence: {"op": "restart", "fence": fence}, fences),
    st.builds(
        lambda fence, reason: {"op": "rearm", "fence": fence, "by": fence["transition"], "expected_reason": reason},
        fences,
        st.sampled_from("ab"),
    ),
    st.builds(lambda fence: {"op": "disarm", "fence": fence}, fences),
)
# A random walk seldom gets far behind the fence, so most walks begin with a trip and keep to its transition.
walks = st.tuples(fences, st.lists(st.tuples(requests, st.booleans()), max_size=8)).map(
    lambda walk: [
        {"op": "trip", "fence": walk[0], "by": walk[0]["transition"]},
        *({**request, "fence": walk[0], **_by(request, walk[0])} if own else request for request, own in walk[1]),
    ]
)


def _by(request: Request, fence: Request) -> Request:
    return {"by": fence["transition"]} if "by" in request else {}


def real(bench: Bench, program: ModuleType, request: Request) -> str:
    try:
        program.OPERATIONS[request["op"]](program.Host(bench.request(**request)))
    except program.HostRefused as refused:
        return str(refused.code)
    return "ok"


def simulated(host: SimHost, request: Request) -> str:
    try:
        getattr(host, f"op_{request['op']}")(request)
    except Refusal as refused:
        return refused.code
    return "ok"


def document(path: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def timeless(said: Request | None) -> Request | None:
    instants = ("at", "armed_at", "boot_id", "boottime")
    return None if said is None else {name: value for name, value in said.items() if name not in instants}


def fresh(bench: Bench) -> SimHost:
    """Both in the same state: armed, on paper, never fenced."""
    for path in bench.own.iterdir():
        path.unlink()
    bench.write_env()
    assert bench.api
    bench.api.tripped, bench.api.reason = False, "re-armed"
    world = World()
    world.venues = {slot: SimVenue(slot, "1", world) for slot in ("paper", "live")}
    host = SimHost("host-1", PAPER, world)
    host.loaded = host.declared
    return host


@tried(150)
@given(walks)
def test_the_same_requests_end_the_same_way_in_the_simulation_and_on_a_host(bench: Bench, walk: list[Request]) -> None:
    host = fresh(bench)
    for request in walk:
        assert simulated(host, request) == real(bench, PROGRAM, request), request
        assert bench.api
        assert (bench.api.tripped, bench.api.reason) == host.switch
        assert bench.env.read_text() == host.env_text
        assert document(bench.fence) == host.fence
        assert timeless(document(bench.gate)) == timeless(host.gate)
        assert timeless(document(bench.deadline)) == timeless(host.deadline)
