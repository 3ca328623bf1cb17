"""The kill of a system that trades live, while something is broken that everything else depends on.

Before each case the bots trade; after it the order log must show that nothing is open and that nothing new came in.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.drills.truth import GRACE, assert_paper_and_tripped, moment, open_orders
from tests.field import ROOT, Done, Field, awaited, opened
from tests.kill.hands import KILL, alpaca, arm_by_hand, bot_pids, end_hosts, lock_held, run, set_aside, without_ansible

PROOF = "every bot tripped and zero open orders proven on every account"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with opened(tmp_path_factory.mktemp("kill")) as field:
        done = field.invoke("go-live", "--env=sandbox")
        assert done.code == 0, done.out
        yield field


@pytest.fixture
def field(live: Field) -> Field:
    """Live, armed, and with an order open. Until it is armed again, the kill before must have held."""
    assert accepted_since_the_kill(live) == []
    if not all(bot_pids(live, host) for host in ("host-1", "host-2")):
        assert live.invoke("sandbox.up").code == 0
    arm_by_hand(live)
    return live


def accepted_since_the_kill(field: Field) -> list[str]:
    """The orders that came in after the newest kill, by its own mark."""
    mark = field.state / "kill" / "alpaca-bot.mark"
    since = (
        datetime.fromtimestamp(int(mark.read_text()) / 1e9, UTC) if mark.exists() else datetime.max.replace(tzinfo=UTC)
    )
    return [r["client_order_id"] for r in field.orders(event="accepted") if moment(r["time"]) - GRACE > since]


def assert_stopped(field: Field, done: Done) -> None:
    """By the order log: nothing open anywhere. The words agree with it."""
    assert open_orders(field, "live") == open_orders(field, "paper") == set()
    assert done.code == 0, done.out
    assert PROOF in done.last
    for host in ("host-1", "host-2"):
        assert (field.root(host) / "interlock" / "gate").exists()


def kills(field: Field) -> list[dict[str, object]]:
    return [record["body"] for record in field.ledger() if record["kind"] == "kill.done"]


@pytest.mark.parametrize("words", [[], ["--reason="], ["--reason= "]], ids=["none", "empty", "blank"])
def test_a_kill_without_a_reason_asks_for_one_and_stops_nothing(field: Field, words: list[str]) -> None:
    done = field.invoke("kill", *words)
    assert (done.code, done.last) == (2, 'a kill needs a reason: invoke kill --reason="..."')
    assert open_orders(field, "live")


def test_kill_works_while_somebody_holds_the_lock(field: Field) -> None:
    with lock_held(field):
        assert_stopped(field, field.invoke("kill", "--reason=lock"))
        refused = field.invoke("rearm", "--env=sandbox")
    assert (refused.code, "is locked" in refused.last) == (3, True)


@pytest.mark.parametrize("how", ["a folder", "not a database"])
def test_kill_works_without_a_ledger_and_its_record_is_taken_in_later(field: Field, how: str) -> None:
    ledger, spool = field.state / "ledger.sqlite", field.state / "kill" / "spool.jsonl"
    before = kills(field)
    with set_aside(*field.state.glob("ledger.sqlite*")):
        ledger.mkdir() if how == "a folder" else ledger.write_bytes(b"damaged " * 1000)
        done = field.invoke("kill", f"--reason=ledger is {how}")
    assert_stopped(field, done)
    assert f"recorded in spool {spool}" in done.last
    assert field.invoke("sandbox.up").code == 0
    (taken,) = kills(field)[len(before) :]
    assert (taken["reason"], taken["from"], taken["residue"]) == (f"ledger is {how}", "spool", [])
    assert not spool.exists()
    assert field.invoke("sandbox.up").code == 0
    assert len(kills(field)) == len(before) + 1, "taken in once and not again"
    assert field.invoke("ledger.verify", "--env=sandbox").code == 0


def test_kill_works_with_a_broken_inventory(field: Field) -> None:
    files = [field.profile, *(field.inventory / "sandbox" / n for n in ("environment.yml", "people.yml", "hosts.yml"))]
    with set_aside(*files):
        for path in files:
            path.write_text("{ this is: [not YAML\n")
        assert field.invoke("preflight", "--env=sandbox").code == 2, "everything else stops at the first of them"
        assert_stopped(field, field.invoke("kill", "--reason=inventory"))


def test_kill_works_with_a_broken_checklist(field: Field, tmp_path: Path) -> None:
    """In a copy of the checkout, since the checklist belongs to the code."""
    for name in ("ops", "playbooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tasks.py", tmp_path)
    (tmp_path / "ops" / "checklists" / "alpaca-bot.yml").write_text("entries: [\n")
    invoke, here = [sys.executable, "-m", "invoke"], {"PYTHONPATH": str(tmp_path)}
    broken = run(field, [*invoke, "preflight", "--env=sandbox"], tmp_path, here)
    assert (broken.code, "ops/checklists/alpaca-bot.yml:" in broken.last) == (2, True), broken.out
    assert_stopped(field, run(field, [*invoke, "kill", "--reason=checklist"], tmp_path, here))


def test_kill_works_without_ansible(field: Field, tmp_path: Path) -> None:
    python, environ = without_ansible(tmp_path)
    broken = run(field, [python, "-m", "invoke", "preflight", "--env=sandbox"], environ=environ)
    assert "ansible-playbook is missing" in broken.last
    assert_stopped(field, run(field, [python, "-m", "invoke", "kill", "--reason=no Ansible"], environ=environ))


def test_the_kill_without_invoke_in_front_of_it_does_the_same(field: Field, tmp_path: Path) -> None:
    python, environ = without_ansible(tmp_path)
    assert_stopped(field, run(field, [python, "-c", KILL, "--reason=by itself"], environ=environ))


def test_kill_works_when_the_bots_and_their_managers_are_dead(field: Field) -> None:
    """Nobody is left who could cancel the orders that they had placed."""
    end_hosts(field)
    assert open_orders(field, "live")
    done = field.invoke("kill", "--reason=dead bots")
    assert_stopped(field, done)
    assert done.out.count("tripped (GONE)") >= 2
    assert field.invoke("sandbox.up").code == 0
    switches = field.ask("status", "--env=sandbox")["systems"][0]["switch"]
    assert switches == "tripped", "they come back halted, since the gate stands"


def test_the_venue_holds_a_bot_that_says_it_is_halted_and_trades_on(field: Field) -> None:
    assert field.invoke("sandbox.fault", "--name=ignores_switch", "--where=host-1").code == 0
    done = field.invoke("kill", "--reason=it does not listen")
    ended = datetime.now(UTC)
    tried = lambda: [r for r in field.orders("live", "rejected") if moment(r["time"]) > ended]  # noqa: E731
    awaited(lambda: bool(tried()), what="an attempt to trade on")
    assert_stopped(field, done)
    assert {row["reason"] for row in tried()} == {"new orders are rejected by user request"}
    assert [r for r in field.orders("live", "accepted") if moment(r["time"]) > ended] == []
    assert field.invoke("sandbox.fault", "--name=ignores_switch", "--where=host-1", "--off").code == 0


def test_what_is_not_proven_is_residue_and_exit_code_six(field: Field) -> None:
    field.invoke("sandbox.fault", "--name=wrong_account", "--where=live")
    done, answer = field.invoke("kill", "--reason=whose is it"), field.invoke("kill", "--reason=again", "--json")
    by_itself = run(field, [sys.executable, "-c", KILL, "--reason=by itself"])
    field.invoke("sandbox.fault", "--name=wrong_account", "--where=live", "--off")
    assert (done.code, answer.code, by_itself.code) == (6, 6, 6)
    assert "RESIDUE alpaca-bot live account: the key opens account " in done.out
    assert "NOT proven stopped" in done.last
    document = answer.document
    assert (document["exit_code"], len(document["residue"])) == (6, 1)
    assert kills(field)[-1]["residue"] == document["residue"]


def test_kill_works_with_all_of_it_broken_at_once(field: Field, tmp_path: Path) -> None:
    python, environ = without_ansible(tmp_path)
    with ExitStack() as stack:
        stack.enter_context(lock_held(field))
        stack.enter_context(set_aside(field.profile, *field.state.glob("ledger.sqlite*")))
        (field.state / "ledger.sqlite").mkdir()
        field.profile.write_text("{")
        end_hosts(field)
        done = run(field, [python, "-m", "invoke", "kill", "--reason=everything"], environ=environ)
    assert_stopped(field, done)


def test_a_rollback_that_reaches_no_host_still_cancels_and_names_what_it_could_not_do(
    field: Field, tmp_path: Path
) -> None:
    """Without Ansible nothing can be proven on the hosts; the accounts are reached all the same."""
    python, environ = without_ansible(tmp_path)
    before = open_orders(field, "live")
    done = run(field, [python, "-m", "invoke", "rollback"], environ=environ)
    assert done.code == 6, done.out
    assert before
    assert not before & open_orders(field, "live")
    assert "RESIDUE trip: UNKNOWN: ansible-playbook is missing" in done.out
    assert "Wake a person" in done.last
    assert field.invoke("kill", "--reason=what rollback could not do").code == 0


def test_after_all_that_a_rollback_leads_to_proven_paper(live: Field) -> None:
    assert live.invoke("sandbox.up").code == 0
    done = live.invoke("rollback")
    assert done.code == 0, done.out
    assert_paper_and_tripped(live)
    assert "everything" in [kill["reason"] for kill in kills(live)]
    assert alpaca(live, "live").account().suspended is True, "the venue's halt is lifted by a rearm only"


def test_the_plan_that_brought_it_live_cannot_be_used_again(live: Field) -> None:
    (plan,) = {record["body"]["plan"] for record in live.ledger() if record["kind"] == "plan.made"}
    again = live.invoke("go-live", "--env=sandbox", f"--plan={plan}", "--requester=somebody")
    assert again.code == 3
    assert "it was used already" in again.last
    assert json.loads(live.invoke("status", "--env=sandbox", "--json").last)["systems"][0]["stage"] == "paper"


def test_no_order_came_in_while_it_was_stopped_for_good(live: Field) -> None:
    assert accepted_since_the_kill(live) == []
