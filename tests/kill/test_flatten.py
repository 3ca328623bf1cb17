"""Closing what a kill left: only with a typed name, after zero is proven, each position at most once, and resumable."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ops.doors import utc_now
from ops.errors import InputError
from ops.kill.flatten import Closing, Flattening, flatten_system
from ops.kill.hosts import HostEnd
from ops.kill.journal import Journal
from ops.kill.kill import SystemEnd
from ops.kill.targets import folder
from ops.ledger.store import Ledger
from ops.venues.protocol import FillView, OrderView, PositionView
from tests.field import ROOT, awaited
from tests.kill.worlds import Scene, scene

FLATTEN = (sys.executable, "-m", "invoke", "kill", "--reason=flatten", "--flatten")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.fixture
def here(world: Scene) -> Iterator[Scene]:
    """The live account holds AAPL and MSFT, the paper one AAPL; no journal yet."""
    for slot, symbols in (("live", ("AAPL", "MSFT")), ("paper", ("AAPL",))):
        world.venue("PATCH", "/account/configurations", slot, json={"suspend_trade": False})
        for symbol in sorted(set(symbols) - set(held(world, slot))):
            world.order(f"a1-{datetime.now(UTC).timestamp()}", slot, symbol=symbol, type="market", limit_price=None)
    assert held(world) == {"AAPL": "1", "MSFT": "1"}
    yield world
    journal(world).path.unlink()


def held(here: Scene, slot: str = "live") -> dict[str, str]:
    return {row["symbol"]: row["qty"] for row in here.venue("GET", "/positions", slot).json()}


def journal(here: Scene) -> Journal:
    return Journal(here.state, "alpaca-bot", lambda: f"op-{utc_now()}", utc_now)


def closing(here: Scene) -> list[str]:
    """The client ids of the closing orders that the venue accepted."""
    text = (here.world.config.state / "orders.jsonl").read_text()
    rows = [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]
    return [r["client_order_id"] for r in rows if r["event"] == "accepted" and r["client_order_id"].startswith("il")]


def flattened(here: Scene, end: SystemEnd | None = None, seconds: float = 20.0) -> list[str]:
    end = end or here.kill().systems[0]
    return flatten_system(here.state, end, "a test", "tester", lambda text: None, seconds)


def suspended(here: Scene) -> bool:
    return bool(here.venue("GET", "/account/configurations").json()["suspend_trade"])


def test_every_live_position_is_closed_once_and_the_halt_is_set_again(here) -> None:
    before = len(closing(here))
    assert flattened(here) == []
    assert (held(here), held(here, "paper"), len(closing(here)) - before) == ({}, {"AAPL": "1"}, 2)
    assert suspended(here)
    rows = [json.loads(line) for line in journal(here).path.read_text().splitlines()]
    assert [row["event"] for row in rows][:5] == ["begun", "halt lifted", "intended", "intended", "flat"]
    kinds = [record.kind for record in Ledger(here.state / "ledger.sqlite", "", utc_now).records()]
    assert kinds[-2:] == ["kill.done", "flatten.done"]


@pytest.mark.parametrize("fault", ["gateway_timeout_after", "truncated_json"])
def test_a_lost_answer_sends_nothing_twice(here, fault) -> None:
    end, before = here.kill().systems[0], len(closing(here))
    here.fault(fault, methods=["POST"], times=2)
    assert flattened(here, end) == []
    assert (held(here), len(closing(here)) - before) == ({}, 2)


@pytest.mark.parametrize("sent", [False, True], ids=["before the order was sent", "after it was sent"])
def test_a_second_flatten_goes_on_where_the_first_was_cut_off(here, sent) -> None:
    end = here.kill().systems[0]
    wish = journal(here).intend(here.target("alpaca", "live"), "AAPL", "1")
    with journal(here).path.open("a") as stream:
        stream.write('{"event": "inten')
    if sent:
        here.actor("alpaca").set_suspended(False)
        here.actor("alpaca").close_position(PositionView("AAPL", Decimal(1), Decimal(1)), wish)
        awaited(lambda: "AAPL" not in held(here), what="the fill")
    else:
        awaited(lambda: journal(here).age_seconds(journal(here).last(here.target("alpaca", "live"), "AAPL") or {}) > 2)
    assert flattened(here, end) == []
    assert (held(here), closing(here).count(wish), suspended(here)) == ({}, 1, True)


def test_what_is_not_filled_in_time_is_withdrawn_and_named(here) -> None:
    """On a Sunday the venue takes the order and lets it wait for the opening."""
    end = here.kill().systems[0]
    here.admin("hours", hours="regular")
    here.admin("clock", now="2026-11-22T12:00:00Z")
    residue = flattened(here, end, 1.5)
    here.admin("hours", hours="always")
    here.admin("clock", now=None)
    assert len(residue) == 2
    assert all("is still held; its closing order (" in text and "is cancelled" in text for text in residue)
    assert suspended(here)
    awaited(lambda: not here.truly_open(), what="the end of the closing orders")
    assert flattened(here) == [], "and the next one goes on with the journal"
    assert held(here) == {}


@pytest.mark.parametrize("why", ["zero is not proven", "a bot is not tripped"])
def test_nothing_is_closed_where_something_could_still_trade(here, why) -> None:
    end, before = here.kill().systems[0], closing(here)
    if why == "zero is not proven":
        end = replace(end, venues=tuple(replace(venue, verified=False) for venue in end.venues))
    else:
        end = replace(end, hosts=(HostEnd("host-1", "set", "UNKNOWN", False, "no answer"),))
    (text,) = flattened(here, end)
    assert text.startswith("alpaca-bot alpaca live account: not flattened: ")
    assert (closing(here), suspended(here)) == (before, True)


@pytest.mark.parametrize("damage", ["not json\n", "[]\n"])
def test_a_damaged_journal_is_residue_and_nothing_is_sent(here, damage) -> None:
    end, before = here.kill().systems[0], closing(here)
    path = folder(here.state) / "alpaca-bot.flatten.jsonl"
    path.write_text(damage)
    (text,) = flattened(here, end)
    assert "journal" in text
    assert closing(here) == before
    path.unlink()


def test_without_a_terminal_the_kill_stands_and_the_positions_too(here) -> None:
    done = subprocess.run(
        FLATTEN, cwd=ROOT, env=environ(here), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6
    assert "zero open orders proven on every account" in done.stdout
    assert "RESIDUE alpaca-bot: not flattened: this needs a person at a terminal" in done.stdout
    assert held(here) == {"AAPL": "1", "MSFT": "1"}
    journal(here)


@pytest.mark.parametrize(("answer", "code", "left"), [("alpaca-bot\n", 0, 0), ("yes\n", 6, 2)])
def test_only_the_systems_own_name_closes_its_positions(here, answer, code, left) -> None:
    ended, out = typed(here, answer)
    assert (ended, len(held(here))) == (code, left), out
    assert "alpaca-bot holds AAPL 1, MSFT 1: each will be closed at the market's price" in out
    journal(here)


def environ(here: Scene) -> dict[str, str]:
    return {**os.environ, "INTERLOCK_STATE": str(here.state.parent), "INTERLOCK_ENV": here.state.name}


def typed(here: Scene, answer: str) -> tuple[int, str]:
    """Runs the command at a terminal of its own and types the answer when it asks."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, FLATTEN, environ(here))
    seen = b""
    while piece := read(terminal):
        seen += piece
        if b"anything else to stop: " in seen and answer:
            os.write(terminal, answer.encode())
            answer = ""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@dataclass
class Behind:
    """A venue whose list of positions is behind its fills for a while; only what closing one asks of it."""

    reads_behind: int
    sent: list[str] = field(default_factory=list)
    reads: int = 0

    def positions(self) -> Sequence[PositionView]:
        self.reads += bool(self.sent)
        return [] if self.reads > self.reads_behind else [PositionView("AAPL", Decimal(5), Decimal(1))]

    def order_by_client_id(self, client_id: str) -> OrderView | None:
        order = OrderView(client_id, client_id, "AAPL", "sell", Decimal(5), "filled", utc_now(), False)
        return order if client_id in self.sent else None

    def fills_since(self, since: datetime) -> Sequence[FillView]:
        return [FillView(i, i, "AAPL", "sell", Decimal(5), Decimal(1), utc_now()) for i in self.sent]

    def close_position(self, position: PositionView, client_id: str) -> None:
        self.sent.append(client_id)


def test_a_list_of_positions_that_is_behind_its_fills_turns_nothing_over(here, tmp_path: Path) -> None:
    (tmp_path / "kill").mkdir()
    venue, end = Behind(4), Flattening("alpaca live")
    book = Journal(tmp_path, "alpaca-bot", lambda: "op", utc_now)
    Closing(here.target("alpaca", "live"), venue, book).run(end, 10.0)  # type: ignore[arg-type]
    assert (end.flat, end.residue, len(venue.sent)) == (True, [], 1)
    journal(here)


def test_without_its_journal_nothing_is_sent(here, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        Journal(tmp_path / "nowhere", "alpaca-bot", lambda: "op", utc_now)
    journal(here)
