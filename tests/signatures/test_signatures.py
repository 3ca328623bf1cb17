"""Signatures by OpenSSH itself: one person, one text, one namespace, in date. Whatever else there is does not count."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.errors import InputError
from ops.signatures import SIGNATURE_MAX_BYTES, new_key, sign, verify

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NAMESPACE, TEXT = "interlock-go-live@v1", "Interlock plan, version 1\ngo-live: alpaca-bot\n"


class Office:
    """Two people with keys of their own, and the file that says so."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.signers = folder, folder / "allowed_signers"
        self.public = {name: new_key(folder / name, name) for name in ("ana", "raj", "eve")}
        self.allow(f"ana {self.public['ana']}", f"raj {self.public['raj']}")

    def allow(self, *lines: str) -> None:
        self.signers.write_text("\n".join(lines) + "\n")

    def signed(self, by: str = "ana", text: str = TEXT, namespace: str = NAMESPACE) -> str:
        return sign(text, namespace, self.folder / by)

    def judged(
        self, armored: str, person: str = "ana", text: str = TEXT, namespace: str = NAMESPACE
    ) -> tuple[str, str]:
        return verify(text, namespace, person, armored, self.signers, NOW)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("office"))


@pytest.fixture
def office(shared: Office) -> Office:
    shared.signers.unlink(missing_ok=True)
    shared.allow(f"ana {shared.public['ana']}", f"raj {shared.public['raj']}")
    return shared


def test_a_persons_signature_over_this_very_text_counts_and_names_the_key(office: Office) -> None:
    (ana, problem), (raj, _) = office.judged(office.signed()), office.judged(office.signed("raj"), "raj")
    assert (problem, ana[:7], raj[:7]) == ("", "SHA256:", "SHA256:")
    assert ana != raj
    assert office.judged(office.signed()) == (ana, "")


def test_the_order_of_the_signers_and_their_comments_change_nothing(office: Office) -> None:
    office.allow("# who may sign", "", f"raj {office.public['raj']}", f"ana {office.public['ana']}")
    assert office.judged(office.signed())[1] == ""


FORGED: dict[str, Callable[[Office], tuple[str, str]]] = {
    "over another text": lambda o: o.judged(o.signed(text=TEXT.replace("alpaca", "kraken"))),
    "over a text with one more space": lambda o: o.judged(o.signed(text=TEXT + " ")),
    "over a text with other line ends": lambda o: o.judged(o.signed(text=TEXT.replace("\n", "\r\n"))),
    "for another action": lambda o: o.judged(o.signed(namespace="interlock-rearm@v1")),
    "for an action of which this one is a beginning": lambda o: o.judged(o.signed(namespace=NAMESPACE + "2")),
    "by another person": lambda o: o.judged(o.signed("raj")),
    "by a key that nobody knows": lambda o: o.judged(o.signed("eve")),
    "under a name that nobody has": lambda o: o.judged(o.signed(), person="eve"),
    "under the beginning of a name": lambda o: o.judged(o.signed(), person="an"),
    "under a pattern as a name": lambda o: o.judged(o.signed(), person="*"),
    "under no name": lambda o: o.judged(o.signed(), person=""),
    "empty": lambda o: o.judged(""),
    "some words": lambda o: o.judged("signed, ana\n"),
    "an armor around nothing": lambda o: o.judged("-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n"),
    "cut off": lambda o: o.judged(o.signed()[:-60]),
    "with one letter changed": lambda o: o.judged(changed(o.signed())),
    "two armors joined": lambda o: o.judged(o.signed("raj") + o.signed()),
    "too large": lambda o: o.judged(o.signed() + "\n" * SIGNATURE_MAX_BYTES),
}  # fmt: skip


def changed(armored: str) -> str:
    middle = len(armored) // 2
    return armored[:middle] + ("A" if armored[middle] != "A" else "B") + armored[middle + 1 :]


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_signature_that_is_not_quite_it_does_not_count(office: Office, forged) -> None:
    key, problem = forged(office)
    assert key == ""
    assert problem


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ('valid-before="20261120120100Z"', True),
        ('valid-before="20261120115900Z"', False),
        ('valid-before="20200101"', False),
        ('valid-after="20261120115900Z"', True),
        ('valid-after="20261120120100Z"', False),
        (f'namespaces="{NAMESPACE}"', True),
        ('namespaces="interlock-rearm@v1"', False),
        ('namespaces="file,git"', False),
    ],
)
def test_a_key_counts_only_in_its_time_and_for_its_actions(office: Office, options: str, counts: bool) -> None:
    office.allow(f"ana {options} {office.public['ana']}")
    assert (office.judged(office.signed())[1] == "") is counts


def test_a_key_that_was_taken_off_the_list_no_longer_counts(office: Office) -> None:
    armored = office.signed()
    office.allow(f"raj {office.public['raj']}")
    assert office.judged(armored)[0] == ""


@pytest.mark.parametrize("who", ["*", "a*", "an?", "*,!raj", "ana,*"])
def test_a_signer_named_by_a_pattern_makes_the_whole_list_worthless(office: Office, who: str) -> None:
    """Else whoever holds that key could sign under every name there is."""
    office.allow(f"raj {office.public['raj']}", f"{who} {office.public['eve']}")
    assert office.judged(office.signed("eve"))[0] == ""
    assert "pattern" in office.judged(office.signed("raj"), "raj")[1]


def test_one_key_under_two_names_shows_the_same_fingerprint_twice(office: Office) -> None:
    """Which is how the quorum finds it out."""
    office.allow(f"ana {office.public['ana']}", f"raj {office.public['ana']}")
    armored = office.signed()
    assert office.judged(armored, "ana") == office.judged(armored, "raj")
    assert office.judged(armored, "ana")[0]


@pytest.mark.parametrize("what", ["missing", "a folder", "a link"])
def test_a_list_of_signers_that_is_no_plain_file_lets_nobody_sign(office: Office, what: str) -> None:
    armored = office.signed()
    office.signers.rename(office.folder / "elsewhere")
    if what == "a folder":
        office.signers.mkdir()
    elif what == "a link":
        office.signers.symlink_to(office.folder / "elsewhere")
    key, problem = office.judged(armored)
    if what == "a folder":
        office.signers.rmdir()
    assert (key, "no plain file" in problem) == ("", True)


def test_a_key_file_that_is_missing_is_named(office: Office) -> None:
    with pytest.raises(InputError, match="no such private key"):
        sign(TEXT, NAMESPACE, office.folder / "nobody")


def test_a_private_key_that_others_may_read_is_not_used(office: Office) -> None:
    (office.folder / "raj").chmod(0o644)
    with pytest.raises(InputError, match="may be read by others"):
        office.signed("raj")
    (office.folder / "raj").chmod(0o600)


def test_a_file_that_is_no_key_is_told_and_not_shown(office: Office) -> None:
    path = office.folder / "none"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    with pytest.raises(InputError) as caught:
        office.signed("none")
    assert "could not sign" in caught.value.text()
    assert "hunter2" not in caught.value.text()


def test_without_ssh_keygen_it_says_what_to_install(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    armored = office.signed()
    monkeypatch.setenv("PATH", str(office.folder))
    for act in (office.signed, lambda: office.judged(armored)):
        with pytest.raises(InputError, match="ssh-keygen is missing"):
            act()


def test_nothing_of_a_signature_is_left_in_the_temporary_folder(office: Office, tmp_path: Path) -> None:
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path)
    try:
        office.judged(office.signed())
    finally:
        tempfile.tempdir = before
    assert list(tmp_path.iterdir()) == []
