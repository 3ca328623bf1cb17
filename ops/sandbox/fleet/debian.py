"""The tree that every systemd host is an overlay of: a small Debian, made once by debootstrap and kept.

It has what a rented machine has: systemd, sshd, Python, sudo and an administrator's account; nothing of Interlock's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from ops.errors import InputError
from ops.sandbox.fleet.needs import run

RELEASE = "bookworm"
PYTHON = (3, 11)
USER, UID = "interlock", 1000
IMAGE = "interlock-bots:fleet"
# Raise it with every change of what is made here: a kept tree of another number is not used.
_VERSION = 1
# python3-apt brings the whole of python3; python3-minimal alone cannot run Ansible's modules.
_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3-minimal", "iproute2", "python3-apt", "sudo",
)  # fmt: skip
# Terminals, package jobs and disk jobs: on dozens of hosts on one machine they cost memory and time and say nothing.
_MASKED = (
    "getty.target", "getty@.service", "console-getty.service", "apt-daily.timer", "apt-daily-upgrade.timer",
    "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "dpkg-db-backup.timer",
    "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-remount-fs.service",
    "systemd-journal-flush.service", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    "dev-hugepages.mount", "sys-fs-fuse-connections.mount",
)  # fmt: skip
_SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 200
MaxSessions 100
"""
# What a container needs of the tree to run Python, and no more: an import takes as long as it is big.
_NOT_IN_IMAGE = (
    "boot", "dev", "home", "proc", "root", "run", "sys", "tmp", "srv", "var", "usr/share", "usr/include",
    "usr/lib/systemd", "usr/lib/udev", "usr/sbin", "usr/lib/x86_64-linux-gnu/perl-base", "etc/systemd",
)  # fmt: skip


def folder() -> Path:
    """Where the tree is kept: INTERLOCK_FLEET_BASE, else /var/cache/interlock-fleet."""
    return Path(os.environ.get("INTERLOCK_FLEET_BASE") or "/var/cache/interlock-fleet")


def tree() -> Path:
    """The tree itself."""
    return folder() / f"{RELEASE}-{_VERSION}"


def image() -> Path:
    """The same tree's Python as an archive for `docker import`."""
    return folder() / f"{RELEASE}-{_VERSION}.tar"


def refuse_other_python() -> None:
    """The hosts run the bots on the libraries of this very Python: raises InputError if the two cannot share them."""
    if sys.version_info[:2] != PYTHON:
        raise InputError(
            "the hosts' Python cannot use the libraries of this one",
            expected="Python {}.{} (Debian 12's)".format(*PYTHON), seen="Python {}.{}".format(*sys.version_info[:2]),
            remedy="run Interlock from a virtual environment of that Python",
        )  # fmt: skip


def ensure(say: Callable[[str], None]) -> None:
    """Makes tree and archive if they are not there, each in one rename. Raises InputError, HostError."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder cannot be made: {error.strerror}", file=folder(), remedy="name one in INTERLOCK_FLEET_BASE"
        ) from None
    with (folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree().is_dir():
            say("fetching a small Debian for the hosts; only the first time, a minute or two")
            _make_tree(tree().with_suffix(".part"))
            tree().with_suffix(".part").rename(tree())
        if not image().is_file():
            _make_image(image().with_suffix(".part"))
            image().with_suffix(".part").rename(image())


def _make_tree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    run(["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", RELEASE, str(path)])
    run(["useradd", "--root", str(path), "--uid", str(UID), "--create-home", "--shell", "/bin/bash", USER])
    (path / "etc/sudoers.d" / USER).write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    (path / "etc/sudoers.d" / USER).chmod(0o440)
    (path / "etc/ssh/sshd_config.d/fleet.conf").write_text(_SSHD)
    for unit in _MASKED:
        target = path / "etc/systemd/system" / unit
        target.unlink(missing_ok=True)
        target.symlink_to("/dev/null")
    default = path / "etc/systemd/system/default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("/lib/systemd/system/multi-user.target")
    (path / "etc/machine-id").write_text("")
    for key in (path / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    # With this folder the journal would be kept on disk: eight megabytes of memory for each host.
    shutil.rmtree(path / "var/log/journal", ignore_errors=True)
    shutil.rmtree(path / "var/cache/apt/archives", ignore_errors=True)


def _make_image(path: Path) -> None:
    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = entry.name.removeprefix("./")
        within = any(name.startswith(f"{folder}/") for folder in _NOT_IN_IMAGE if folder != "usr/share")
        shared = name.startswith("usr/share/") and not name.startswith(("usr/share/zoneinfo", "usr/share/python"))
        return None if within or shared else entry

    with tarfile.open(path, "w") as archive:
        archive.add(tree(), arcname=".", filter=wanted)
