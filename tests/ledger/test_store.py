"""The ledger on disk: durable before it answers, private, one chain whoever writes, honest about what was cut off."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.ledger.store import Ledger, LedgerUnavailable
from ops.model.record import GENESIS
from tests.field import ROOT

NOW = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ops.ledger.store import Ledger
ledger = Ledger(Path(sys.argv[1]), sys.argv[2], lambda: datetime.now(UTC))
for number in range(int(sys.argv[3])):
    record = ledger.append("test", {"writer": sys.argv[2], "number": number})
    print(record.seq, record.hash, flush=True)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.sqlite", "kim", lambda: NOW)


def filled(ledger: Ledger, count: int = 12) -> Ledger:
    for number in range(count):
        ledger.append("test", {"number": number})
    return ledger


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def changed(ledger: Ledger, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        connection.execute(statement, values)


def test_a_ledger_that_was_never_written_is_empty_and_not_broken(ledger: Ledger) -> None:
    assert (ledger.records(), ledger.head(), ledger.broken_at()) == ([], (0, GENESIS), None)
    assert not ledger.path.exists(), "reading makes no file"


def test_what_was_appended_is_there_in_order_and_in_one_chain(ledger: Ledger) -> None:
    filled(ledger)
    assert [(r.seq, r.body["number"], r.actor) for r in ledger.records()] == [(n + 1, n, "kim") for n in range(12)]
    assert ledger.head() == (12, ledger.records()[-1].hash)
    assert ledger.broken_at() is None
    assert [ledger.hash_at(0), ledger.hash_at(12), ledger.hash_at(13)] == [GENESIS, ledger.head()[1], None]


def test_a_record_is_stored_as_the_very_text_that_was_hashed(ledger: Ledger) -> None:
    record = ledger.append("test", {"text": "line\nfeed, \u202e bidi, \x00 NUL, \U0001f600"})
    with closing(sqlite3.connect(ledger.path)) as connection:
        assert connection.execute("select seq, line, hash from records").fetchall() == [(1, record.line, record.hash)]
    assert ledger.records() == [record]


def test_nobody_else_can_read_the_ledger_or_its_companions(ledger: Ledger) -> None:
    before = os.umask(0)
    try:
        filled(ledger)
        with closing(sqlite3.connect(ledger.path)) as reading:
            reading.execute("select * from records").fetchone()
            ledger.append("test", {})
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in ledger.path.parent.iterdir()}
    finally:
        os.umask(before)
    assert {"ledger.sqlite", "ledger.sqlite-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700


def test_a_record_is_on_the_disk_before_append_returns(ledger: Ledger) -> None:
    """The writer is killed right after it said that its record is in; WAL and FULL are how SQLite promises it."""
    process = writer(ledger.path, "ana", 100_000)
    assert process.stdout
    said = [process.stdout.readline().split() for _ in range(40)][-1]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    assert ledger.hash_at(int(said[0])) == said[1]
    assert ledger.broken_at() is None
    with closing(sqlite3.connect(ledger.path)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    ledger.append("test", {"after": "the crash"})
    assert ledger.broken_at() is None


def test_a_writer_asks_for_full_durability(ledger: Ledger) -> None:
    filled(ledger, 1)
    with ledger._open() as connection:
        assert connection.execute("pragma synchronous").fetchone() == (2,)


def test_several_writers_make_one_chain(ledger: Ledger) -> None:
    writers = [writer(ledger.path, name, 25) for name in ("ana", "raj", "lee")]
    for process in writers:
        process.communicate(timeout=60)
    assert [process.returncode for process in writers] == [0, 0, 0]
    assert ledger.broken_at() is None
    for name in ("ana", "raj", "lee"):
        assert [r.body["number"] for r in ledger.records() if r.actor == name] == list(range(25))


def test_threads_of_one_process_make_one_chain(ledger: Ledger) -> None:
    threads = [threading.Thread(target=filled, args=(ledger, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.head()[0] == 40
    assert ledger.broken_at() is None


DOUBLED = "insert into records (line, hash) select line, hash from records where seq = 12"
BROKEN = {
    "a changed text": ("update records set line = replace(line, 'kim', 'ana') where seq = 5", 5, "does not match"),
    "a changed hash": ("update records set hash = upper(hash) where seq = 5", 5, "does not match"),
    "a record taken out": ("delete from records where seq = 5", 5, "record 5 is missing"),
    "the first record taken out": ("delete from records where seq = 1", 1, "record 1 is missing"),
    "the last record cut off": ("delete from records where seq = 12", 12, "records 12 to 12 were cut off"),
    "the last three cut off": ("delete from records where seq > 9", 10, "records 10 to 12 were cut off"),
    "all of it cut off": ("delete from records", 1, "records 1 to 12 were cut off"),
    "a record doubled at the end": (DOUBLED, 13, "does not follow"),
    "a text that is no record": ("update records set line = '[]' where seq = 12", 12, "does not match"),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "seq", "why"), BROKEN.values(), ids=BROKEN)
def test_damage_is_found_and_its_place_named(ledger: Ledger, statement: str, seq: int, why: str) -> None:
    filled(ledger)
    changed(ledger, statement)
    broken = ledger.broken_at()
    assert broken is not None
    assert broken[0] == seq
    assert why in broken[1]


@pytest.mark.parametrize("appended", [1, 3, 20])
def test_records_that_were_cut_off_stay_missing_however_many_follow(ledger: Ledger, appended: int) -> None:
    filled(ledger)
    changed(ledger, "delete from records where seq > 9")
    filled(ledger, appended)
    assert ledger.broken_at() == (10, "record 10 is missing (the next one is 13)")


def test_a_folder_that_cannot_be_written_makes_no_record(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file-in-the-way"
    blocked.write_text("")
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        Ledger(blocked / "ledger.sqlite", "kim", lambda: NOW).append("test", {})


def test_a_ledger_that_takes_no_record_any_more_can_still_be_read(ledger: Ledger) -> None:
    filled(ledger, 3)
    changed(ledger, "create trigger full before insert on records begin select raise(abort, 'disk is full'); end")
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        ledger.append("test", {})
    assert ledger.head()[0] == 3
    assert ledger.broken_at() is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_a_read_only_folder_makes_no_record(ledger: Ledger) -> None:
    ledger.path.parent.mkdir(mode=0o500, parents=True)
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        ledger.append("test", {})


def test_a_ledger_that_another_holds_is_waited_for(ledger: Ledger) -> None:
    filled(ledger, 1)
    with closing(sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("begin immediate")
        threading.Timer(0.3, lambda: holder.execute("rollback")).start()
        assert ledger.append("test", {}).seq == 2


@pytest.mark.parametrize(
    "damage", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 200], ids=["cut to nothing", "text", "garbage"]
)
def test_a_file_that_is_no_ledger_is_unavailable_not_empty(ledger: Ledger, damage: bytes) -> None:
    filled(ledger)
    for companion in ledger.path.parent.glob("ledger.sqlite-*"):
        companion.unlink()
    ledger.path.write_bytes(damage)
    for ask in (ledger.records, ledger.head, ledger.broken_at):
        with pytest.raises(LedgerUnavailable, match="cannot be read"):
            ask()


def test_a_row_that_is_no_record_is_told_as_such(ledger: Ledger) -> None:
    filled(ledger, 2)
    changed(ledger, "update records set line = 'nonsense' where seq = 2")
    with pytest.raises(ValueError, match=r".+"):
        ledger.records()
    broken = ledger.broken_at()
    assert broken is not None
    assert broken[0] == 2


def test_a_body_without_an_exact_form_is_refused_and_nothing_is_written(ledger: Ledger) -> None:
    filled(ledger, 1)
    with pytest.raises(TypeError):
        ledger.append("test", {"price": 0.1})
    assert ledger.head()[0] == 1
    assert ledger.append("test", {"price": "0.1"}).seq == 2


def test_a_record_says_who_when_and_what_and_names_the_one_before(ledger: Ledger) -> None:
    filled(ledger, 2)
    line = json.loads(ledger.records()[1].line)
    assert line == {
        "seq": 2, "prev": ledger.hash_at(1), "kind": "test", "at": "2026-11-20T14:00:00.000000Z", "actor": "kim",
        "body": {"number": 1},
    }  # fmt: skip
