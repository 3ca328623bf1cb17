"""How each host is reached: hosts.yml read as Ansible reads it, and OpenSSH's options, the same for Ansible, the kill
path and testinfra, so that they share their connections."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.errors import InputError
from ops.inventory import Place
from ops.yaml_source import Place as YamlPlace
from ops.yaml_source import YamlSource

CONNECT_MAX_SECONDS = 10
"""TCP and the whole handshake: a host that takes a connection and then says nothing is given up too."""
ALIVE_SECONDS, ALIVE_MISSED_MAX = 5, 3
"""A connection that has died without a word is noticed after 15 s."""
PERSIST_SECONDS = 300
"""So long an open connection waits for the next phase, or for a kill."""

KNOWN = {
    "ansible_connection": "connection", "ansible_host": "hostname", "ansible_port": "port", "ansible_user": "user",
    "ansible_ssh_private_key_file": "key", "ansible_become": "become", "ansible_python_interpreter": "python",
}  # fmt: skip
# Said by many inventories, and true here anyway.
GIVEN = {"ansible_become_method": "sudo", "ansible_become_user": "root", "ansible_shell_type": "sh"}
OUR_OWN_PYTHON = "{{ ansible_playbook_python }}"
CHOSEN_BY_ANSIBLE = ("auto", "auto_silent", "auto_legacy", "auto_legacy_silent")
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

# Known to playbooks/action_plugins/interlock_host.py too, which imports nothing of ours.
READER = (
    "import sys;i=sys.stdin.buffer;p=i.read(int(i.readline()));"
    "exec(compile(p,'interlock_host.py','exec',dont_inherit=True))"
)

_Setting = tuple[Any, YamlPlace]


@dataclass(frozen=True)
class Address:
    """How one host is reached. None for port, user, key: OpenSSH's own choice (its config file, then its default)."""

    host: str
    connection: str = "ssh"
    hostname: str = ""
    port: int | None = None
    user: str | None = None
    key: str | None = None
    become: bool = False
    python: str = "python3"

    @property
    def local(self) -> bool:
        """Whether it is a folder on this machine."""
        return self.connection == "local"

    @property
    def through_sudo(self) -> bool:
        """Whether commands there need sudo to be root's."""
        return self.become and self.user != "root"


@dataclass
class _Group:
    vars: dict[str, _Setting] = field(default_factory=dict)
    children: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)


def addresses(inventory: Path) -> dict[str, Address]:
    """Every host of `hosts.yml` by name. `inventory`: the file itself.

    Raises InputError, with file and line, for what only Ansible could resolve or only Ansible would know: the kill path
    reaches hosts without it.
    """
    source = YamlSource(inventory)
    if not isinstance(source.value, dict):
        raise InputError("holds no hosts", file=inventory, expected="all: {hosts: {NAME: {...}}}")
    _refuse_settings_beside(inventory)
    groups, own = _walked(source)
    depths = _depths(groups)
    return {host: _address(source, host, _settings(host, groups, depths, own[host])) for host in own}


def _walked(source: YamlSource) -> tuple[dict[str, _Group], dict[str, dict[str, _Setting]]]:
    """(groups, each host's own settings): a group or a host may stand in several places."""
    groups: dict[str, _Group] = {"all": _Group()}
    own: dict[str, dict[str, _Setting]] = {}

    def walk(name: str, value: Any, place: YamlPlace) -> None:
        group = groups.setdefault(name, _Group())
        parts = {part: _mapping(_mapping(value).get(part)) for part in ("vars", "hosts", "children")}
        group.vars |= {str(key): (one, (*place, "vars", key)) for key, one in parts["vars"].items()}
        for host, mine in parts["hosts"].items():
            _refuse_pattern(source, str(host), (*place, "hosts", host))
            group.hosts.add(str(host))
            settings = {str(key): (one, (*place, "hosts", host, key)) for key, one in _mapping(mine).items()}
            own.setdefault(str(host), {}).update(settings)
        for child, inner in parts["children"].items():
            group.children.add(str(child))
            walk(str(child), inner, (*place, "children", child))

    for name, value in source.value.items():
        groups["all"].children |= {str(name)} - {"all"}
        walk(str(name), value, (name,))
    return groups, own


def _depths(groups: Mapping[str, _Group]) -> dict[str, int]:
    """The longest way from `all` to each group: what is nearer to a host wins."""
    depths = dict.fromkeys(groups, 0)
    for _ in groups:  # as many rounds as there can be levels
        for name, group in groups.items():
            for child in group.children:
                depths[child] = max(depths[child], depths[name] + 1)
    return depths


def _settings(
    host: str, groups: Mapping[str, _Group], depths: Mapping[str, int], own: Mapping[str, _Setting]
) -> dict[str, _Setting]:
    """A host's settings: those of its groups, the outermost first and alike ones by name, then its own."""
    mine = {name for name, group in groups.items() if host in group.hosts} | {"all"}
    for _ in groups:
        mine |= {name for name, group in groups.items() if group.children & mine}
    found: dict[str, _Setting] = {}
    for name in sorted(mine, key=lambda name: (depths[name], name)):
        found |= groups[name].vars
    return {**found, **own}


def _address(source: YamlSource, host: str, settings: Mapping[str, _Setting]) -> Address:
    found: dict[str, Any] = {}
    for name, (value, place) in settings.items():
        if name.startswith("ansible_"):
            _refuse_foreign(source, name, value, place)
            if name in KNOWN and value is not None:
                found[KNOWN[name]] = _value(source, name, value, place)
    if found.get("connection", "ssh") not in ("ssh", "local"):
        line = source.line(settings["ansible_connection"][1])
        raise InputError(f"{host} is reached in a way that the kill path does not know", file=source.path, line=line,
                         expected="ansible_connection: ssh or local", seen=str(found["connection"]))  # fmt: skip
    if found.get("python") == sys.executable and found.get("connection") != "local":
        line = source.line(settings["ansible_python_interpreter"][1])
        raise InputError(f"{host} would be asked for this machine's own Python", file=source.path, line=line,
                         expected="the path of Python on the host", remedy="leave it out for python3")  # fmt: skip
    return Address(**{"host": host, "hostname": host, **found})


def _value(source: YamlSource, name: str, value: Any, place: YamlPlace) -> Any:
    """A setting as its type. Raises InputError for one that is not a plain value of that type."""
    text = str(value).strip()
    if name == "ansible_python_interpreter" and text == OUR_OWN_PYTHON:
        return sys.executable
    fit: Any = None
    if "{{" in text or "{%" in text:
        fit = None
    elif name == "ansible_port":
        fit = int(text) if text.isdigit() and 0 < int(text) < 65536 else None
    elif name == "ansible_become":
        fit = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}.get(text.lower())
    elif name == "ansible_ssh_private_key_file":
        fit = str(Path(text).expanduser()) if text[:1] in ("/", "~") else None
    elif name == "ansible_python_interpreter":
        fit = "python3" if text in CHOSEN_BY_ANSIBLE else text
    else:  # a value that begins with a hyphen would be an option of ssh
        fit = text if re.fullmatch(r"[^\s\-][^\s]*", text) else None
    if fit is None:
        raise InputError(
            f"{name} cannot be read without Ansible, or is no fit value", file=source.path, line=source.line(place),
            expected=EXPECTED.get(name, "a plain word"), seen=text, remedy="write the value itself, not a template",
        )  # fmt: skip
    return fit


EXPECTED = {
    "ansible_port": "a number from 1 to 65535",
    "ansible_become": "true or false",
    "ansible_ssh_private_key_file": "a path that begins with / or ~",
    "ansible_python_interpreter": "a path on the host",
}


def _refuse_foreign(source: YamlSource, name: str, value: Any, place: YamlPlace) -> None:
    if name not in KNOWN and GIVEN.get(name) != value:
        raise InputError(
            f"{name} is a setting that the kill path does not know", file=source.path, line=source.line(place),
            expected=f"one of: {', '.join(KNOWN)}",
            remedy=f"what ssh must know besides stands in {source.path.with_name('ssh_config')}",
        )  # fmt: skip


def _refuse_pattern(source: YamlSource, host: str, place: YamlPlace) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", host):
        raise InputError(
            f"{host!r} is not the name of one host", file=source.path, line=source.line(place),
            expected="letters, digits, dots, hyphens", remedy="write each host by itself; a port is ansible_port",
        )  # fmt: skip


def _refuse_settings_beside(inventory: Path) -> None:
    """Ansible would also read group_vars/ and host_vars/; how to reach a host must not stand there."""
    wanted = re.compile(r"^\s*(ansible_\w+)\s*:", re.MULTILINE)
    for path in _beside(inventory.parent):
        text = path.read_text(errors="replace")
        if found := wanted.search(text):
            raise InputError(
                f"{found[1]} stands where the kill path does not look", file=path,
                line=text[: found.start(1)].count("\n") + 1, expected=f"it in {inventory}",
            )  # fmt: skip


def _beside(folder: Path) -> Iterator[Path]:
    for name in ("group_vars", "host_vars"):
        yield from sorted(path for path in (folder / name).rglob("*") if path.is_file())


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def ssh_options(place: Place) -> tuple[str, ...]:
    """OpenSSH's options for every host of an environment. The first of two wins, so more may follow, or precede.

    Makes the folder of the control sockets. Raises InputError if somebody else could put a socket of his own there.
    """
    _private(place.run)
    config = place.inventory / "ssh_config"
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{place.inventory / "known_hosts"}"',
        "UpdateHostKeys": "no",
        "ConnectTimeout": CONNECT_MAX_SECONDS,
        "ServerAliveInterval": ALIVE_SECONDS,
        "ServerAliveCountMax": ALIVE_MISSED_MAX,
        "ControlMaster": "auto",
        "ControlPersist": PERSIST_SECONDS,
        "ControlPath": f'"{place.run}/%C"',
    }
    own = ("-F", str(config)) if config.is_file() else ()
    return (*own, *(word for name, value in options.items() for word in ("-o", f"{name}={value}")))


def _private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise InputError(
            "the folder of ssh's control sockets is not ours alone", file=folder, expected="our own folder, mode 0700",
            seen=f"owner {info.st_uid}, mode {stat.S_IMODE(info.st_mode):04o}", remedy="find out who made it",
        )  # fmt: skip


def ssh_argv(place: Place, address: Address, remote_command: str) -> tuple[str, ...]:
    """The whole command that runs `remote_command` (for a POSIX shell) on a host, as root where the address says so."""
    options = {"Port": address.port, "User": address.user, "IdentityFile": _quoted(address.key)}
    own = [word for name, value in options.items() if value is not None for word in ("-o", f"{name}={value}")]
    sudo = f"sudo -n -H -- /bin/sh -c {shlex.quote(remote_command)}"
    return ("ssh", *ssh_options(place), *own, "-T", "--", address.hostname,
            sudo if address.through_sudo else remote_command)  # fmt: skip


def host_program_command(python: str) -> str:
    """The shell's words that run a host program which comes on standard input: a line that says how many bytes it has,
    the program, and then what it reads itself. Ansible's way to a host uses the same."""
    return shlex.join([python, "-I", "-S", "-c", READER, "--stdin"])


def _quoted(path: str | None) -> str | None:
    return None if path is None else f'"{path}"'
