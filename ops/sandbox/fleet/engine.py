"""A host with a Docker engine: an overlay of this very machine, with processes, mounts and network of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_DOCKER_SETTINGS = """\
{{"iptables": false, "bridge": "none", "exec-root": "/run/docker", "hosts": ["unix:///var/run/docker.sock"],
 "cgroup-parent": "/{group}/containers", "live-restore": false}}
"""
_SSHD_SETTINGS = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
AuthorizedKeysFile /etc/ssh/fleet_keys
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 200
MaxSessions 100
Subsystem sftp internal-sftp
"""
# The shell stays as the first process, since somebody must bury what containers leave behind. It also runs the watchers
# of the hosts' own deadlines, which a host with systemd has units for.
_BOOT = """\
mkdir -p /run/sshd /run/lock
/usr/sbin/sshd -f /etc/ssh/sshd_fleet
dockerd >>/var/log/dockerd.log 2>&1 &
docker=$!
trap 'kill $docker; wait $docker; exit 0' TERM
while sleep 0.5; do
    for program in /srv/*/interlock/interlock_host.py; do
        [ -f "$program" ] && /usr/bin/python3 -I -S "$program" --watch "${program%/*}/watch.json"
    done
done &
wait
"""
# Nothing of what people keep in their homes here reaches it: not their files, and not what their shells run at a login.
_MOUNTS = """\
set -e
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mount -t tmpfs -o mode=0700 tmpfs "$1/root"
mount -t tmpfs tmpfs "$1/home"
mkdir -p "$1/var/lib/docker"
mount --bind "$2" "$1/var/lib/docker"
mount --bind -o ro "$3" "$1$4"
hostname "$5"
exec chroot "$1" /bin/sh /etc/fleet-boot
"""


def files(group: str, admitted: str) -> Mapping[str, str]:
    """What is laid on its disk, by path. `group`: the control group that its containers are put into; `admitted`: the
    public key that may log in as root."""
    return {
        "etc/docker/daemon.json": _DOCKER_SETTINGS.format(group=group),
        "etc/ssh/sshd_fleet": _SSHD_SETTINGS,
        "etc/ssh/fleet_keys": f"{admitted}\n",
        "etc/fleet-boot": _BOOT,
    }


def command(disk: Path, store: Path, libraries: tuple[Path, str], network: Path, name: str) -> list[str]:
    """The command line that boots it. `store`: where the engine keeps images and containers, no overlay itself;
    `libraries`: a folder of this machine, and where the host has it, read-only."""
    return [
        "nsenter", f"--net={network}", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
        "/bin/sh", "-c", _MOUNTS, "sh", str(disk), str(store), *map(str, libraries), name,
    ]  # fmt: skip
