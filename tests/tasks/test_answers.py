"""`--json` on every task that reads: one document, with the exit code and the sentence that a person would see."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing

import pytest

from tests.field import Field
from tests.tasks.people import altered, nothing_changed

# Words -> the exit code, and the keys that the document must have.
READS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "status": (0, ("environment", "systems")),
    "preflight": (0, ("system", "open", "answers")),
    "verify": (0, ("system", "passed", "problems", "cases")),
    "drift": (3, ("system", "stage", "drift")),
    "health-audit": (0, ("system", "healthy", "answers")),
    "checklist.show": (0, ("system", "entries")),
    "checklist.show --phase=rollback": (0, ("system", "entries")),
    "ledger.show": (0, ("records",)),
    "ledger.verify": (0, ("verified", "records", "head")),
    "sandbox.status": (0, ("up", "programs")),
    "sandbox.fault": (0, ("faults",)),
}


@pytest.mark.parametrize("words", READS)
def test_a_task_that_reads_answers_in_one_document_and_changes_nothing(ready: Field, words: str) -> None:
    code, keys = READS[words]
    if words == "health-audit":
        ready.invoke("health-audit")  # it rehearses the kill switch first if that is due, and records it
    with nothing_changed(ready):
        done = ready.invoke(*words.split(), "--env=sandbox", "--json")
    document = json.loads(done.out)
    assert (done.code, document["exit_code"]) == (code, code), done.out
    assert document["sentence"]
    assert set(keys) <= set(document)


def test_the_plan_answers_with_the_text_that_is_signed(ready: Field) -> None:
    made = ready.ask("plan", "--env=sandbox", "--requester=max")
    with nothing_changed(ready):
        shown = ready.ask("plan", "--env=sandbox", f"--show={made['plan'][:6]}")
    assert (shown["text"], shown["plan"], shown["namespace"]) == (made["text"], made["plan"], "interlock-go-live@v1")
    assert "asked for by max" in shown["text"]
    assert (made["exit_code"], shown["exit_code"]) == (0, 0)


def test_a_key_that_nobody_handed_in_waits_for_the_person_with_code_four(ready: Field) -> None:
    with nothing_changed(ready):
        done = ready.invoke("rotate-keys", "--slot=live", "--json")
    document = json.loads(done.out)
    assert (done.code, document["exit_code"]) == (4, 4)
    assert "press Regenerate under API keys" in document["sentence"]
    assert str(ready.state / "secrets" / "alpaca-live.pending.env") in document["sentence"]


def test_a_ledger_that_contradicts_itself_is_located_with_code_one(ready: Field) -> None:
    ledger = ready.state / "ledger.sqlite"
    with altered(ledger, ledger.read_bytes()):
        with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
            change = (
                "update records set line = replace(line, 'alpaca', 'kraken') where seq = 2 and line like '%alpaca%'"
            )
            assert connection.execute(change).rowcount == 1
        done = ready.invoke("ledger.verify", "--env=sandbox", "--json")
    document = json.loads(done.out)
    assert (done.code, document["verified"], document["seq"]) == (1, False, 2)


def test_a_status_that_does_not_agree_with_the_ledger_ends_with_code_six(ready: Field) -> None:
    assert ready.invoke("sandbox.fault", "--name=mode_lie", "--where=host-1").code == 0
    done = ready.invoke("status", "--env=sandbox", "--json")
    assert ready.invoke("sandbox.fault", "--name=mode_lie", "--where=host-1", "--off").code == 0
    document = json.loads(done.out)
    assert (done.code, document["exit_code"]) == (6, 6)
    assert document["systems"][0]["disagreements"]
    assert "do NOT agree" in document["sentence"]


def test_no_task_says_a_secret(ready: Field) -> None:
    secrets = [
        part.split("=")[-1]
        for path in (ready.state / "secrets").iterdir()
        for part in path.read_text().split()
        if path.name != "fingerprint.salt"
    ]
    assert len(secrets) > 6
    told = "".join(ready.invoke(*words.split(), "--env=sandbox", "--json").out for words in ("status", "ledger.show"))
    assert not [secret for secret in secrets if secret in told]
