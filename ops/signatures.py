"""The door to OpenSSH's ssh-keygen: signs a plan's text and verifies signatures over it (SSHSIG)."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path

from ops.errors import InputError, Refused

_SIGNED = re.compile(r'Good "(?P<namespace>[^"]+)" signature for (?P<person>\S+) with \S+ key (?P<key>SHA256:\S+)')
# A line of allowed signers whose first field is not plain names: `*`, `?` and `!` are patterns to OpenSSH.
_PATTERN = re.compile(r"^\s*[^#\s]*[*?!]", re.MULTILINE)
SIGNATURE_MAX_BYTES = 16384


def _ssh_keygen() -> str:
    found = shutil.which("ssh-keygen")
    if not found:
        raise InputError("ssh-keygen is missing", remedy="install OpenSSH's client programs")
    return found


def sign(text: str, namespace: str, key: Path) -> str:
    """The armored signature. Raises InputError if the key cannot be used. The key's passphrase is asked by OpenSSH."""
    if not key.is_file():
        raise InputError("no such private key", file=key, remedy="name your key with --key")
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        raise InputError("the private key may be read by others", file=key, remedy=f"chmod 600 {key}")
    with tempfile.TemporaryDirectory(prefix="interlock-sign-") as folder:
        message = Path(folder) / "plan"
        message.write_text(text)
        done = subprocess.run(
            [_ssh_keygen(), "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(message)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        armored = message.with_suffix(".sig")
        if done.returncode != 0 or not armored.exists():
            raise InputError("ssh-keygen could not sign with this key", file=key, seen=_first_line(done.stderr))
        return armored.read_text()


def verify(text: str, namespace: str, person: str, armored: str, signers: Path, at: datetime) -> tuple[str, str]:
    """(the key's fingerprint, "") if the person signed exactly this text in this namespace at `at`.

    ("", why) if not.
    """
    if len(armored) > SIGNATURE_MAX_BYTES or armored.count("-----BEGIN SSH SIGNATURE-----") != 1:
        return "", "this is not one SSH signature"
    if not signers.is_file() or signers.is_symlink():
        return "", f"there is no plain file of allowed signers at {signers}"
    if _PATTERN.search(signers.read_text(errors="replace")):
        return "", f"{signers} names a signer by a pattern: it could be anybody"
    with tempfile.TemporaryDirectory(prefix="interlock-verify-") as folder:
        signature = Path(folder) / "plan.sig"
        signature.write_text(armored)
        done = subprocess.run(
            [
                _ssh_keygen(), "-Y", "verify", "-f", str(signers), "-I", person, "-n", namespace,
                "-s", str(signature), "-O", f"verify-time={at:%Y%m%d%H%M%S}Z",
            ],
            input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
    found = _SIGNED.search(done.stdout)
    if done.returncode == 0 and found and (found["person"], found["namespace"]) == (person, namespace):
        return found["key"], ""
    return "", f"does not verify as {person} over this plan: {_first_line(done.stderr) or 'refused'}"


def new_key(path: Path, comment: str) -> str:
    """Makes an ed25519 key pair without a passphrase (for the sandbox's approvers) and returns the public line."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = subprocess.run(
        [_ssh_keygen(), "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Refused(f"ssh-keygen could not make a key at {path}: {_first_line(done.stderr)}")
    return path.with_suffix(".pub").read_text().strip()


def _first_line(text: str) -> str:
    return next((line.strip()[:160] for line in text.splitlines() if line.strip()), "")
