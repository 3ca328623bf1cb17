"""Every kind of venue at once, 200 open orders, one venue that never answers: by counts and by the order logs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kill.flatten import flatten_system
from tests.bench import kill as bench
from tests.kill.worlds import NO_KEYS, SLOTS, Scene, purposes, scene

HANGING = "alpaca"
REQUESTS_MAX = 60
"""Per account and kill, on a machine however slow; 40 look-ups one by one would be more."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("scene"), bench.KINDS) as opened:
        bench.aim(opened)
        bench.refill(opened)
        yield opened


@pytest.fixture(scope="module")
def killed(here: Scene) -> tuple[bench.Run, Counter[str]]:
    assert sum(len(here.truly_open("live", kind, "order_id")) for kind in here.kinds) == bench.ORDERS
    here.fault("hang_before", kind=HANGING)
    before = requests(here)
    done = bench.run(here, [*bench.ALONE, "--json"])
    here.fault("hang_before", on=False, kind=HANGING)
    return done, requests(here) - before


def requests(here: Scene) -> Counter[str]:
    """How many reached each listener so far, `kraken-live`."""
    text = (here.world.config.state / "requests.jsonl").read_text()
    rows = [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]
    return Counter(row["listener"] for row in rows if row["listener"] != "admin")


def test_all_but_the_one_that_hangs_are_proven_and_it_is_named_with_its_deadline(here: Scene, killed) -> None:
    done, _ = killed
    document = json.loads(done.out.splitlines()[-1])
    venues = {f"{v['venue']} {v['slot']}": v for system in document["systems"] for v in system["venues"]}
    states = {name: venue["state"] for name, venue in venues.items()}
    hanging = f"{HANGING} live"
    assert len(venues) == 2 * len(bench.KINDS)
    assert [name for name, state in states.items() if state != "verified zero"] == [hanging], document["residue"]
    assert any(text.startswith(f"{HANGING}-bot {hanging} account: zero open orders not proven within 15 s: no answer")
               for text in document["residue"])  # fmt: skip
    assert (done.code, {text.split(":")[0] for text in document["residue"]}) == (
        6,
        {f"{HANGING}-bot {hanging} account"},
    )
    for kind in here.kinds:
        each = bench.ORDERS // len(bench.KINDS)
        assert len(here.truly_open("live", kind, "order_id")) == (each if kind == HANGING else 0)
        assert venues[f"{kind} live"]["foreign"] == []
        assert kind == HANGING or venues[f"{kind} live"]["before"] == each


def test_two_hundred_orders_cost_each_account_few_requests(killed) -> None:
    _, counts = killed
    assert len(counts) == 2 * len(bench.KINDS)
    assert {account: count for account, count in counts.items() if count > REQUESTS_MAX} == {}


@pytest.mark.parametrize("kind", [kind for kind in bench.KINDS if len(purposes(kind)) > 1 and kind not in NO_KEYS])
def test_it_is_the_kill_key_that_cancels_and_the_bots_stands_in_if_it_is_gone(here: Scene, killed, kind: str) -> None:
    """Least privilege first; and it says when it had to do otherwise."""
    here.resting(kind, "paper", 2)
    kill_file: Path = here.file(kind, "paper", "kill")
    (venue,) = [v for v in here.kill(f"{kind}-bot").systems[0].venues if v.slot == SLOTS[0]]
    assert (venue.verified, venue.notes, venue.problems) == (True, [], [])
    here.resting(kind, "paper", 1)
    text = kill_file.read_text()
    kill_file.unlink()
    (venue,) = [v for v in here.kill(f"{kind}-bot").systems[0].venues if v.slot == SLOTS[0]]
    kill_file.write_text(text)
    kill_file.chmod(0o600)
    assert (venue.verified, venue.problems) == (True, [])
    assert "cancels with the bot's credentials" in venue.notes
    assert here.truly_open("paper", kind, "order_id") == set()


@pytest.mark.parametrize("kind", bench.KINDS)
def test_a_live_position_is_closed_by_one_order_on_every_venue(here: Scene, killed, kind: str) -> None:
    """With the bot's key, in the venue's own way; after it the venue's halt stands again where it has one."""
    here.holding(kind)
    (end,) = here.kill(f"{kind}-bot").systems
    assert [bool(venue.positions) for venue in end.venues] == [False, True]
    assert flatten_system(here.state, end, "a test", "tester", lambda text: None) == []
    actor = here.actor(kind)
    assert (list(actor.positions()), here.truly_open("live", kind)) == ([], set())
    assert not actor.latches or actor.account().suspended
    journal = (here.state / "kill" / f"{kind}-bot.flatten.jsonl").read_text()
    assert journal.count('"intended"') == 1
