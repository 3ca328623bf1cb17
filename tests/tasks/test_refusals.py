"""A sandbox that is ready to go live, and one thing wrong with it: the gate stays shut and says why."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.field import Done, Field
from tests.tasks.people import altered, nothing_changed, records

SYSTEM = "--env=sandbox"


def env(field: Field, host: str) -> Path:
    return field.root(host) / "keys.env"


def secret(field: Field, slot: str) -> Path:
    return field.state / "secrets" / f"alpaca-{slot}.env"


@contextmanager
def fault(field: Field, name: str, where: str) -> Iterator[None]:
    assert field.invoke("sandbox.fault", f"--name={name}", f"--where={where}").code == 0
    try:
        yield
    finally:
        assert field.invoke("sandbox.fault", f"--name={name}", f"--where={where}", "--off").code == 0


def test_with_nothing_wrong_the_gate_is_open(ready: Field) -> None:
    with nothing_changed(ready):
        done = ready.invoke("preflight", SYSTEM)
    assert (done.code, "the gate is open" in done.last) == (0, True), done.out


# What readers of an env file disagree on: host, the line as it is, what somebody made of it, what must be said.
LIMIT = b"MAX_DAILY_LOSS_USD=500\n"
FLAWS = (
    ("host-1", b"TRADING_MODE=paper\n", b"\xef\xbb\xbfTRADING_MODE=paper\n", ":{line}: begins with a byte order mark"),
    ("host-1", LIMIT, LIMIT + b"MAX_DAILY_LOSS_USD=5000\n", ":{line}: MAX_DAILY_LOSS_USD stands twice"),
    ("host-1", b"MAX_SLIPPAGE_BPS=25\n", b"MAX_SLIPPAGE_BPS=25 # a trade\n", ":{line}: MAX_SLIPPAGE_BPS has an inline"),
    ("host-1", b"MAX_POSITION_USD=10000\n", b"DEBUG=1\n", ": unknown key DEBUG"),
    ("host-2", b"TRADING_MODE=paper\n", b"TRADING_MODE=paper\r\n", ":{line}: has a carriage return (CRLF line end)"),
    ("host-2", LIMIT, b'MAX_DAILY_LOSS_USD="500"\n', ":{line}: the value of MAX_DAILY_LOSS_USD is"),
    ("host-2", b"MAX_SLIPPAGE_BPS=25\n", b"export MAX_SLIPPAGE_BPS=25\n", ":{line}: begins with export"),
    ("host-2", b"MAX_POSITION_USD=10000\n", b"", ": MAX_POSITION_USD is missing"),
)


def test_an_env_file_that_readers_disagree_on_is_refused_at_each_line(ready: Field) -> None:
    texts = {host: env(ready, host).read_bytes() for host in ("host-1", "host-2")}
    for host, line, made, _ in FLAWS:
        assert texts[host].count(line) == 1
        texts[host] = texts[host].replace(line, made)
    with ExitStack() as stack:
        for host, text in texts.items():
            stack.enter_context(altered(env(ready, host), text))
        with nothing_changed(ready):
            done = ready.invoke("preflight", SYSTEM)
    assert done.code == 3, done.out
    for host, _, made, says in FLAWS:
        last = texts[host][: texts[host].index(made) + len(made)].count(b"\n")
        assert f"{host} keys.env{says.format(line=last)}" in done.out, done.out
    assert "500" not in done.out.replace("5000000", ""), "no value of the file is repeated"


def test_a_go_live_is_refused_by_the_same_flaw_and_writes_nothing(ready: Field) -> None:
    text = env(ready, "host-1").read_bytes()
    with altered(env(ready, "host-1"), text.replace(LIMIT, LIMIT * 2)), nothing_changed(ready):
        done = ready.invoke("go-live", SYSTEM)
    assert (done.code, "preflight keeps the gate shut" in done.last) == (3, True), done.out


def test_keys_in_each_others_slots_keep_the_gate_shut(ready: Field) -> None:
    pairs = {slot: secret(ready, slot).read_bytes() for slot in ("paper", "live")}
    with (
        altered(secret(ready, "live"), pairs["paper"]),
        altered(secret(ready, "paper"), pairs["live"]),
        nothing_changed(ready),
    ):
        done = ready.invoke("plan", SYSTEM)
    assert done.code == 3, done.out
    for slot in pairs:
        assert f"venue.auth: the {slot} key is refused (HTTP 401)" in done.out, done.out
    shown = [part.split(b"=")[1].decode() for pair in pairs.values() for part in pair.split()]
    assert not any(value in done.out for value in shown)


def test_a_file_of_credentials_with_a_flaw_is_named_and_not_shown(ready: Field) -> None:
    with altered(secret(ready, "live"), b"KEY=AKAKAK\nKEY=AKAKAL\nSECRET=x\n"), nothing_changed(ready):
        done = ready.invoke("plan", SYSTEM)
    assert (done.code, "alpaca-live.env:2: KEY stands twice" in done.out) == (3, True), done.out
    assert "AKAKA" not in done.out


@contextmanager
def inventory(field: Field, change: Mapping[str, str]) -> Iterator[None]:
    path = field.inventory / "sandbox" / "hosts.yml"
    text = path.read_text()
    for old, new in change.items():
        text = text.replace(old, new) if old else new
    with altered(path, text):
        yield


HOSTS_FILES: Mapping[str, Mapping[str, str]] = {
    "no host of that name": {"host-1": "other-1", "host-2": "other-2"},
    "one host missing": {"    host-2:\n": ""},
    "no host at all": {"": "all: {hosts: {}}\n"},
    "empty": {"": ""},
    "not YAML": {"": "all: [hosts\n"},
}


@pytest.mark.parametrize("change", HOSTS_FILES.values(), ids=HOSTS_FILES)
def test_an_inventory_that_does_not_match_is_named_and_nothing_changes(ready: Field, change) -> None:
    """Ansible itself would end with success when no host matches."""
    with inventory(ready, change), nothing_changed(ready):
        done = ready.invoke("go-live", SYSTEM)
    assert (done.code, str(ready.inventory / "sandbox" / "hosts.yml") in done.last) == (2, True), done.out


def test_a_host_folder_that_is_read_only_keeps_the_gate_shut(ready: Field) -> None:
    with fault(ready, "read_only", "host-1"), nothing_changed(ready):
        done = ready.invoke("go-live", SYSTEM)
    assert (done.code, "host-1 keys.env: lies in a read-only folder" in done.out) == (3, True), done.out


def test_a_bot_that_says_live_while_its_process_is_paper_keeps_the_gate_shut(ready: Field) -> None:
    with fault(ready, "mode_lie", "host-2"), nothing_changed(ready):
        done, seen = ready.invoke("go-live", SYSTEM), ready.invoke("preflight", SYSTEM)
    assert (done.code, seen.code) == (3, 3)
    for out in (done.out, seen.out):
        assert "mode_consistency: host-2: declared paper, loaded paper, observed live" in out


VENUES: Mapping[str, tuple[str, str]] = {
    "a venue in maintenance": ("maintenance", "HTTP 503"),
    "another account behind the key": ("wrong_account", "account 912345699"),
    "a revoked key": ("revoked_keys", "the live key is refused (HTTP 401)"),
}


@pytest.mark.parametrize(("name", "says"), VENUES.values(), ids=VENUES)
def test_a_venue_that_does_not_show_the_account_keeps_the_gate_shut(ready: Field, name: str, says: str) -> None:
    with fault(ready, name, "live"), nothing_changed(ready):
        done = ready.invoke("plan", SYSTEM)
    assert (done.code, says in done.out) == (3, True), done.out


def test_a_document_that_is_a_template_again_keeps_the_gate_shut(ready: Field) -> None:
    path = ready.state / "documents" / "emergency-contacts.md"
    with altered(path, path.read_text() + "\n[YOUR PHONE NUMBER]\n"), nothing_changed(ready):
        done = ready.invoke("plan", SYSTEM)
    assert (done.code, "document: it still has a placeholder" in done.out) == (3, True), done.out


# A plan is a plan for the world as it was


@pytest.fixture(scope="module")
def plan(ready: Field) -> str:
    return str(ready.ask("plan", SYSTEM, "--requester=max")["plan"])


def go_live(ready: Field, plan: str) -> Done:
    return ready.invoke("go-live", SYSTEM, f"--plan={plan}")


TOUCHED: Mapping[str, tuple[str, str]] = {
    "the profile": ("inventory/sandbox/systems/alpaca-bot.yml", "input profile has changed"),
    "the people": ("inventory/sandbox/people.yml", "input people has changed"),
    "the hosts": ("inventory/sandbox/hosts.yml", "input hosts has changed"),
    "the signers": ("state/sandbox/people/allowed_signers", "input allowed-signers has changed"),
    "an env file": ("state/sandbox/hosts/host-2/keys.env", "env file on host-2 has changed"),
}


def test_a_plan_for_another_world_is_stale_and_says_each_reason(ready: Field, plan: str) -> None:
    """A comment is enough: whoever signed has not seen it."""
    with ExitStack() as stack:
        for path, _ in TOUCHED.values():
            file = ready.inventory.parent / path
            stack.enter_context(altered(file, file.read_bytes() + b"# touched\n"))
        with nothing_changed(ready):
            done = go_live(ready, plan)
    assert (done.code, f"plan {plan} is stale: " in done.last) == (3, True), done.out
    assert [what for what, (_, says) in TOUCHED.items() if says not in done.last] == []


def test_a_plan_with_another_key_is_stale(ready: Field, plan: str) -> None:
    pairs = {path: path.read_bytes() for path in (ready.state / "secrets").glob("alpaca-live*.env")}
    assert ready.invoke("sandbox.new-key", "--slot=live").code == 0
    assert ready.invoke("rotate-keys", "--slot=live").code == 0
    with nothing_changed(ready):
        done = go_live(ready, plan)
    assert len(pairs) == 1
    assert (done.code, "the key is another one" in done.last) == (3, True), done.out


def test_a_plan_on_another_ledger_is_stale(ready: Field) -> None:
    """Somebody wrote the past anew."""
    fresh = str(ready.ask("plan", SYSTEM, "--requester=max")["plan"])
    with rewritten(ready.state / "ledger.sqlite"), nothing_changed(ready):
        done = go_live(ready, fresh)
    assert (done.code, "the ledger is contradicted at record 1" in done.last) == (3, True), done.out


@contextmanager
def rewritten(ledger: Path) -> Iterator[None]:
    with altered(ledger, ledger.read_bytes()):
        with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
            change = (
                "update records set line = replace(line, 'alpaca', 'kraken') where seq = 1 and line like '%alpaca%'"
            )
            assert connection.execute(change).rowcount == 1
        yield


def test_a_plan_for_another_release_is_stale(ready: Field) -> None:
    """Last, since it makes every drill stale too: they were done with the release as it was."""
    fresh = str(ready.ask("plan", SYSTEM, "--requester=max")["plan"])
    with ExitStack() as stack:
        for host in ("host-1", "host-2"):
            file = ready.root(host) / "release" / "bots" / "__init__.py"
            stack.enter_context(altered(file, file.read_bytes() + b"# touched\n"))
        done = go_live(ready, fresh)
    assert (done.code, "input release-host-1 has changed" in done.last) == (3, True), done.out
    assert records(ready, "transition.opened", "signature.added") == []
