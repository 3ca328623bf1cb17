"""Words in, words out: bad words are refused with their remedy before anything is touched, each with its code."""

from __future__ import annotations

import json
import socket

import pytest

from tests.field import Field
from tests.tasks.people import altered

# Command words -> exit code, and what the sentence must say. Nothing runs in this field.
BAD_WORDS = {
    "an unknown environment": ("go-live --env=nowhere", 2, "no environment 'nowhere'; expected one of: sandbox"),
    "an environment that is a path": ("status --env=../live", 2, "there is no environment"),
    "an unknown system": ("preflight --system=nobody", 2, "no system 'nobody' in sandbox; expected one of: alpaca-bot"),
    "an unknown system on the way down": ("rollback --system=nobody", 2, "there is no system 'nobody'"),
    "an unknown slot": ("rotate-keys --slot=both", 2, "there is no such slot; expected live or paper; seen both"),
    "an unknown slot of the sandbox": ("sandbox.new-key --slot=both", 2, "there is no such slot"),
    "an unknown phase": ("checklist.show --phase=someday", 2, "there is no such phase; expected preflight"),
    "a plan that was never made": ("sign --plan=abc --person=ana --key=k", 2, "0 plans match 'abc'"),
    "no plan at all": ("sign --person=ana --key=k", 2, "there is no plan to sign; remedy: invoke plan"),
    "a statement that nobody asks for": (
        "checklist.attest --evidence=x --person=raj --key=k", 2, "expected one of: order_stream_watched, pnl_report",
    ),
    "a statement by the wrong role": (
        "checklist.attest --evidence=pnl_report --person=ana --key=k", 3, "ana does not hold the role operator",
    ),
    "a count that is none": ("ledger.show --last=all", 2, "--last is not a count; expected a whole number from 1"),
    "a count of nothing": ("ledger.show --last=0", 2, "--last is not a count"),
    "a ledger that does not exist": ("ledger.verify", 2, "the ledger of sandbox does not exist yet"),
    "a flip towards live": ("flip-mode --to=live", 3, "The way up is invoke go-live"),
    "a kill without a reason": ("kill", 2, "a kill needs a reason"),
    "a kill where there is nothing": ("kill --reason=x", 6, "NOT proven stopped"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "says"), BAD_WORDS.values(), ids=BAD_WORDS)
def test_bad_words_end_with_their_code_and_one_clear_sentence(asleep: Field, words, code, says) -> None:
    done = asleep.invoke(*words.split())
    assert done.code == code, done.out
    assert says in done.last
    assert "Traceback" not in done.out
    assert not (asleep.state / "hosts").exists(), "nothing was started"
    assert not (asleep.state / "ledger.sqlite").exists()


CHANGES = [
    "go-live", "rollback", "rearm", "plan", "sign", "rotate-keys", "flip-mode", "restart", "drill", "checklist.attest",
    "sandbox.up", "sandbox.down", "sandbox.fault", "sandbox.new-key",
]  # fmt: skip


@pytest.mark.parametrize("task", CHANGES)
def test_a_task_that_changes_something_does_not_pretend(asleep: Field, task: str) -> None:
    """Invoke's --dry would make every check pass."""
    done = asleep.invoke("--dry", task)
    assert (done.code, done.last) == (
        3,
        "Refused under --dry: nothing was changed. To see what would happen: invoke plan",
    )
    assert not asleep.state.exists() or not (asleep.state / "hosts").exists()


@pytest.mark.parametrize("environ", [{"INVOKE_RUN_DRY": "1"}, {"INVOKE_RUN_WARN": "1"}], ids=["dry", "warn"])
def test_a_setting_in_the_shell_that_hides_failures_is_refused(asleep: Field, environ: dict[str, str]) -> None:
    done = asleep.invoke("go-live", "--env=sandbox", environ=environ)
    assert (done.code, "nothing was changed" in done.last) == (3, True)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("system: alpaca-bot ", "sistem: x\nsystem: alpaca-bot ", "unknown key 'sistem'"),
        ("account: \"912345678\"", "account: your_secure_key", "is still a placeholder"),
        ("{name: Strategy desk,", "{name: \"[NAME]\",", "is still a placeholder"),
        ("account: \"912345678\"", "account: PA0000000001", "the live slot names a paper account"),
        ("account: PA3SANDBOX01", "account: \"812345678\"", "the paper slot names a live account"),
        ("  loss_daily_max_usd: {variable: MAX_DAILY_LOSS_USD, value: \"500\"}\n", "", "loss_daily_max_usd is missing"),
        ("brakes: [api, gate, venue]", "brakes: [api", "not valid YAML"),
    ],
    ids=["unknown key", "placeholder", "brackets", "paper in live", "live in paper", "missing limit", "not YAML"],
)  # fmt: skip
@pytest.mark.parametrize("task", ["go-live", "rollback"])
def test_a_profile_with_a_flaw_stops_every_command_at_its_line(asleep: Field, task: str, old, new, says) -> None:
    text = asleep.profile.read_text()
    assert text.count(old) == 1
    with altered(asleep.profile, text.replace(old, new)):
        done = asleep.invoke(task, "--env=sandbox")
    where, _, rest = done.last.partition(".yml:")
    assert (done.code, where, says in rest) == (2, str(asleep.profile).removesuffix(".yml"), True), done.out
    assert rest.split(":")[0].isdigit(), "the line is named"
    assert not (asleep.state / "hosts").exists()


def test_the_coverage_of_the_checklist_is_a_bare_document(asleep: Field) -> None:
    done = asleep.invoke("checklist.coverage", "--json")
    expected = {"system": "alpaca-bot", "entries": 36, "answered": 36, "missing": []}
    assert (done.code, json.loads(done.out)) == (0, expected)


def test_an_error_is_a_document_too_where_one_was_asked_for(asleep: Field) -> None:
    for words, code in (
        (["status", "--env=nowhere"], 2),
        (["kill"], 2),
        (["kill", "--reason=x"], 6),
        (["flip-mode", "--to=live"], 3),
    ):
        done = asleep.invoke(*words, "--json")
        document = json.loads(done.out)
        assert (done.code, document["exit_code"], bool(document["sentence"])) == (code, code, True)


def test_a_port_that_is_taken_is_named_and_nothing_is_started(asleep: Field) -> None:
    port = int(asleep.read_profile("alpaca-bot")["venues"]["alpaca"]["live"]["endpoint"].rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)):
        done = asleep.invoke("sandbox.up")
    assert done.code == 2, done.out
    assert f"port {port} (for alpaca live of alpaca-bot) is busy; expected a free port on loopback" in done.last
    assert not asleep.ask("sandbox.status")["up"]
    assert not (asleep.state / "hosts").exists()


def test_a_state_folder_that_cannot_be_made_is_named(asleep: Field) -> None:
    asleep.state_root.with_name("in-the-way").write_text("")
    done = asleep.invoke("sandbox.up", environ={"INTERLOCK_STATE": str(asleep.state_root.with_name("in-the-way"))})
    assert (done.code, "in-the-way" in done.last, "Traceback" in done.out) == (2, True, False), done.out
