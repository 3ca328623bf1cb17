"""Sees one host, once, for all assertions of `tests/hosts/`: prints one JSON document and changes nothing.

Sent over stdin to a bare `python3 -I -S -` on the host (standard library alone, Python 3.9 or newer), with a last line
`main('{"root": ...}')`. It shares no line with the host program, so that the two are two opinions. What leaves the host
of a secret is a fingerprint that Interlock already knows, or the name of the variable that holds it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import json
import os
import re
import shlex
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

PROC = Path("/proc")
ENTRIES_MAX = 200_000
LOG_TAIL_BYTES = 262_144
SECRET_MIN_CHARS = 8
COMMAND_MAX_SECONDS = 10
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
URL_PASSWORD = re.compile(rb"://[^/@]*?:([^/@]{8,})@")


# --- files ------------------------------------------------------------------------------------------------------------


def file_facts(path):
    """{"kind": file | folder | link | socket | other | missing, owner, mode ...} of the entry itself, link or not."""
    try:
        info = path.lstat()
    except OSError as error:
        return {"path": str(path), "kind": "missing", "why": error.strerror}
    return {
        "path": str(path),
        "kind": kind_of(info.st_mode),
        "uid": info.st_uid,
        "mode": stat.S_IMODE(info.st_mode),
        "links": info.st_nlink,
        "bytes": info.st_size,
        "written": info.st_mtime,
        "access_list": has_access_list(path),
    }


def kind_of(mode):
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "other")


def has_access_list(path):
    """Whether an access list says more than the mode; a file system that keeps none has none."""
    try:
        return "system.posix_acl_access" in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False


def open_to_others(info):
    """Whether somebody but the owner and root may write: everybody, or a group that is not the owner's private one."""
    everybody = info.st_mode & 0o002 and not info.st_mode & stat.S_ISVTX
    return bool(everybody or (info.st_mode & 0o020 and info.st_gid != 0 and not private_group(info)))


def private_group(info):
    """Debian gives each person a group of the same name; with nobody else in it, it is as good as the person."""
    import grp
    import pwd

    try:
        person, group = pwd.getpwuid(info.st_uid), grp.getgrgid(info.st_gid)
    except KeyError:
        return False
    return person.pw_gid == info.st_gid and set(group.gr_mem) <= {person.pw_name} and group.gr_name == person.pw_name


def way_down(folder):
    """Every folder from / to this one: who owns it, and whether others may write to it."""
    found = []
    for path in (*reversed(folder.parents), folder):
        info = path.stat()
        found.append({"path": str(path), "uid": info.st_uid, "open": open_to_others(info)})
    return found


def walk(folder, wanted):
    """The entries below for which `wanted(info)` holds, relative; None at the end if there are too many to look at."""
    found, seen = [], 0
    for where, folders, names in os.walk(folder):
        for name in (*folders, *names):
            seen += 1
            path = Path(where, name)
            try:
                info = path.lstat()
            except OSError:
                continue  # gone since it was listed
            if not stat.S_ISLNK(info.st_mode) and wanted(info):
                found.append(str(path.relative_to(folder)))
        if seen > ENTRIES_MAX:
            return [*found, None]
    return found


def sha256_of(path):
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


# --- the env file and its secrets -------------------------------------------------------------------------------------


class Secrets:
    """The secret values of this bot as they stand on this host, and what may be told of them."""

    def __init__(self, ask):
        self.ask, self.salt, self.values = ask, ask["salt"].encode(), set()

    def learn(self, pairs):
        """Takes the secret variables' values out of an env file or an environment."""
        for name in self.ask["secret"]:
            value = pairs.get(name.encode(), b"")
            self.values |= {value, *URL_PASSWORD.findall(value)} if len(value) >= SECRET_MIN_CHARS else set()

    def fingerprint(self, value):
        return hmac.new(self.salt, value, hashlib.sha256).hexdigest()[:16]

    def told(self, pairs):
        """Mode variables in clear; of the secret ones, fingerprints; who holds a foreign key."""
        return {
            "variables": {name: pairs.get(name.encode(), b"").decode(errors="replace") for name in self.ask["mode"]},
            "fingerprints": {
                n: self.fingerprint(pairs[n.encode()]) for n in self.ask["secret"] if pairs.get(n.encode())
            },
            "foreign": self.foreign(pairs),
        }

    def foreign(self, pairs):
        """The names of the variables that hold a key which must not be here."""
        marks = set(self.ask["foreign"])
        return [self.named(name) for name, value in pairs.items() if self.fingerprint(value) in marks]

    def named(self, name):
        """A variable's name if it is one we know; another may be a part of a key that was pasted in lines."""
        text = name.decode(errors="replace")
        return text if text in (*self.ask["secret"], *self.ask["mode"]) else "a variable that the profile does not name"

    def stand_in(self, data):
        return any(value in data for value in self.values)


def pairs_of(data, separator):
    return dict(line.split(b"=", 1) for line in data.split(separator) if b"=" in line and not line.startswith(b"#"))


def env_facts(ask, secrets):
    """The env file's content: the digest of what was planned in it, and what may be told. (facts, pairs)"""
    path = Path(ask["root"], ask["env_file"])
    try:
        data = path.read_bytes()
    except OSError as error:
        return {"error": error.strerror}, {}
    left_out = tuple(f"{name}=".encode() for name in ask["left_out"])
    planned = b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(left_out))
    pairs = pairs_of(data, b"\n")
    secrets.learn(pairs)
    beside = [p.name for p in path.parent.iterdir() if path.name in p.name and p.name != path.name]
    told = {**secrets.told(pairs), "foreign": secrets.foreign(pairs_of(data.replace(b"#", b""), b"\n"))}
    return {"sha256": hashlib.sha256(planned).hexdigest(), "beside": beside, **told}, pairs


# --- processes --------------------------------------------------------------------------------------------------------


def process_table():
    """pid -> parent, ticks since boot at its start, arguments; one pass, without kernel threads and zombies."""
    rows = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
                argv = (folder / "cmdline").read_bytes()
            except OSError:
                continue  # ended since it was listed
            if argv:
                rows[int(folder.name)] = {"parent": int(fields[1]), "ticks": int(fields[19]), "argv": argv}
    return rows


def family(rows, pid):
    """A process and all that it has started, as far as it runs."""
    found = [pid] if pid in rows else []
    for known in found:
        found += [child for child, row in rows.items() if row["parent"] == known and child not in found]
    return found


def ancestors(rows, pid):
    found = set()
    while pid in rows and pid not in found:
        found.add(pid)
        pid = rows[pid]["parent"]
    return found


def environ(pid):
    try:
        return pairs_of((PROC / str(pid) / "environ").read_bytes(), b"\0")
    except OSError:
        return {}


def link(pid, name):
    try:
        return str((PROC / str(pid) / name).readlink())
    except OSError:
        return ""


def process_facts(pid, row, env_pairs, secrets):
    """What one process of the bot has loaded, where it listens, as whom it runs."""
    pairs = environ(pid)
    secrets.learn(pairs)
    boot = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
    return {
        "began": boot + row["ticks"] / TICKS_PER_SECOND,
        "uid": int(field_of(pid, "status", r"^Uid:\s+\d+\s+(\d+)", "-1")),
        "core_bytes": field_of(pid, "limits", r"^Max core file size\s+(\S+)", "unknown"),
        "own_network": link(pid, "ns/net") != link("self", "ns/net"),
        "listening": listening(pid),
        "unlike_env_file": [secrets.named(name) for name, value in env_pairs.items() if pairs.get(name) != value],
        **secrets.told(pairs),
    }


def field_of(pid, name, pattern, otherwise):
    try:
        found = re.search(pattern, (PROC / str(pid) / name).read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else otherwise


def listening(pid):
    """[address, port] of each TCP socket on which the process itself listens."""
    inodes, found = set(), []
    try:
        for entry in (PROC / str(pid) / "fd").iterdir():
            inodes.add(link(pid, f"fd/{entry.name}"))
        for table in ("net/tcp", "net/tcp6"):
            for line in (PROC / str(pid) / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                    found.append(spoken(*fields[1].split(":")))
    except OSError:
        return found
    return found


def spoken(address, port):
    """The kernel writes addresses as words of four bytes, each the wrong way round."""
    words = bytes.fromhex(address)
    raw = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return [socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)]


def strays(ask, rows, known, mains):
    """Processes of this bot that its manager does not know: with its keys, or with its program in its folder."""
    root = ask["root"].encode()
    programs, aside = (
        {link(pid, "exe") for pid in mains} - {""},
        set().union(*(ancestors(rows, p) for p in (*mains, os.getpid()))),
    )
    found = []
    for pid, row in rows.items():
        if pid in known or pid in aside or b"interlock_host.py" in row["argv"]:
            continue
        here = root + b"/" in row["argv"] or Path(link(pid, "cwd") or "/").is_relative_to(ask["root"])
        if ask["keys"].stand_in(b"\n".join(environ(pid).values())) and (here or not ask["shared"]):
            found.append({"pid": pid, "why": "holds this bot's keys"})
        elif here and link(pid, "exe") in programs and of_the_release(ask, pid, row):
            found.append({"pid": pid, "why": "runs this bot's program"})
    return found


def of_the_release(ask, pid, row):
    release = str(Path(ask["root"], ask["release"]))
    return (release + "/").encode() in row["argv"] or link(pid, "cwd") == release


def watchers(ask, rows):
    mark = str(Path(ask["root"], "interlock", "watch.json")).encode()
    return [pid for pid, row in rows.items() if b"--watch" in row["argv"] and mark in row["argv"].split(b"\0")]


# --- the service manager ----------------------------------------------------------------------------------------------


def supervisord(ask):
    """Service -> state and pid, by its XML-RPC over the unix socket."""
    import http.client
    import xmlrpc.client

    class Transport(xmlrpc.client.Transport):
        def make_connection(self, host):
            connection = http.client.HTTPConnection("localhost", timeout=COMMAND_MAX_SECONDS)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(COMMAND_MAX_SECONDS)
            connection.sock.connect(ask["socket"])
            return connection

    try:
        rows = xmlrpc.client.ServerProxy("http://localhost", Transport()).supervisor.getAllProcessInfo()
    except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
        return {"error": f"supervisord does not answer: {type(error).__name__}"}
    return {row["name"]: {"state": row["statename"], "pid": row["pid"]} for row in rows}


SHOWN = (
    "Id,ActiveState,SubState,UnitFileState,NRestarts,MainPID,FragmentPath,DropInPaths,EnvironmentFiles,Environment,"
    "NeedDaemonReload,Restart"
)


def systemd(ask):
    """Service -> what `systemctl show` says of its unit, and whose files it is made of."""
    units = [f"{name}.service" for name in (*ask["services"], ask["watch_unit"])]
    text, error = output("systemctl", "show", "-p", SHOWN, "--", *units)
    return {"error": error} if error else {unit["name"]: unit for unit in map(unit_facts, text.strip().split("\n\n"))}


def unit_facts(block):
    fields = {}
    for line in block.splitlines():
        name, _, value = line.partition("=")
        fields[name] = f"{fields[name]}\n{value}" if name in fields else value
    running = (fields["ActiveState"], fields["SubState"]) == ("active", "running")
    own = [Path(path) for path in (fields["FragmentPath"], *fields["DropInPaths"].split()) if path]
    return {
        "name": fields["Id"].removesuffix(".service"),
        "state": "RUNNING" if running else f"{fields['ActiveState']} ({fields['SubState']})",
        "pid": int(fields["MainPID"]),
        "comes_back": fields["UnitFileState"],
        "restart": fields["Restart"],
        "restarts": int(fields["NRestarts"] or 0),
        "reload": fields["NeedDaemonReload"],
        "env_files": [line.split(" (")[0] for line in fields.get("EnvironmentFiles", "").splitlines() if line],
        "sets": sorted({pair.partition("=")[0] for pair in shlex.split(fields.get("Environment", ""))}),
        "files": [file_facts(path) for path in own],
        "conditions": [found for path in own for found in condition_lines(path)],
    }


def condition_lines(path):
    try:
        return re.findall(r"^ConditionPathExists=(.*)$", path.read_text(), re.MULTILINE)
    except OSError:
        return []


def compose(ask):
    """Service -> what Docker says of its container; several of one service are told as such."""
    label = f"label=com.docker.compose.project={ask['project']}"
    ids, error = output("docker", "ps", "-aq", "--no-trunc", "--filter", label)
    text, error = output("docker", "inspect", *ids.split()) if ids.split() and not error else ("[]", error)
    if error:
        return {"error": error}
    found = {}
    for one in map(container_facts, json.loads(text)):
        twice = one["name"] in found
        found[one["name"]] = {**one, "state": "several containers"} if twice else one
    return found


def container_facts(one):
    host, state, labels = one["HostConfig"], one["State"], one["Config"]["Labels"]
    ports = one["NetworkSettings"].get("Ports") or {}
    return {
        "name": labels["com.docker.compose.service"],
        "state": "RUNNING" if state["Status"] == "running" else state["Status"],
        "pid": state["Pid"],
        "comes_back": host["RestartPolicy"]["Name"],
        "restarts": one["RestartCount"],
        "created": one["Created"],
        "privileged": host["Privileged"],
        "published": [[to["HostIp"], int(to["HostPort"])] for places in ports.values() for to in places or ()],
        "mounts": sorted(mount.get("Source", "") for mount in one["Mounts"]),
    }


def output(*command):
    """(what it printed, why it could not)."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_MAX_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{command[0]}: {type(error).__name__}"
    return done.stdout, "" if done.returncode == 0 else f"{command[0]}: {done.stderr.strip()[-200:]}"


MANAGERS = {"supervisord": supervisord, "systemd": systemd, "compose": compose}


# --- the machine ------------------------------------------------------------------------------------------------------


def log_facts(ask, secrets):
    path = Path(ask["root"], ask["log_file"])
    facts = {**file_facts(path), "rotated_by": rotation(Path(ask["logrotate"]), str(path)), "holds_secret": None}
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, facts.get("bytes", 0) - LOG_TAIL_BYTES))
            facts["holds_secret"] = secrets.stand_in(stream.read(LOG_TAIL_BYTES))
    except OSError:
        pass
    return facts


def rotation(folder, log):
    """The file of this folder of logrotate's that names the log; None if none does."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            words = path.read_text(errors="replace").replace('"', " ").replace("{", " ").split()
        except OSError:
            continue
        if any(word.startswith("/") and fnmatch.fnmatch(log, word) for word in words):
            return str(path)
    return None


def machine_facts(root):
    disk = os.statvfs(root)
    pattern = (PROC / "sys/kernel/core_pattern").read_text().strip()
    return {
        "uid": os.geteuid(),
        "python": list(sys.version_info[:3]),
        "utc_offset_s": time.localtime().tm_gmtoff,
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "inodes": disk.f_files,
        "free_inodes": disk.f_favail,
        "core_pattern": pattern,
    }


def interlock_files(root):
    folder = root / "interlock"
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        names = []
    return {name: file_facts(folder / name) for name in names}


def look(ask):
    """The whole document."""
    at, root, secrets = time.time(), Path(ask["root"]), Secrets(ask)
    env, env_pairs = env_facts(ask, secrets)
    services, rows = MANAGERS[ask["manager"]](ask), process_table()
    mains = {name: services[name]["pid"] for name in ask["services"] if (services.get(name) or {}).get("pid")}
    bot = {pid: name for name, main in mains.items() for pid in family(rows, main)}
    processes = {
        str(pid): {"service": name, "main": pid in mains.values(), **process_facts(pid, rows[pid], env_pairs, secrets)}
        for pid, name in bot.items()
    }
    return {
        "at": at,
        "machine": machine_facts(root),
        "env": {**file_facts(root / ask["env_file"]), **env},
        "gate": file_facts(root / ask["gate_file"]),
        "folders": way_down(Path(root, ask["env_file"]).parent),
        "interlock": {**file_facts(root / "interlock"), "files": interlock_files(root)},
        "helper_sha256": sha256_of(root / "interlock" / "interlock_host.py"),
        "release": {**file_facts(root / ask["release"]), "open": walk(root / ask["release"], open_to_others)},
        "writable_by_all": walk(
            root, lambda info: kind_of(info.st_mode) in ("file", "folder") and info.st_mode & 0o002
        ),
        "socket": file_facts(Path(ask["socket"])) if ask.get("socket") else None,
        "compose_file": compose_file(root, ask) if ask["manager"] == "compose" else None,
        "services": services,
        "processes": processes,
        "strays": strays({**ask, "keys": secrets}, rows, bot, tuple(mains.values())),
        "watchers": watchers(ask, rows),
        "secret_in_argv_pids": [pid for pid, row in rows.items() if secrets.stand_in(row["argv"])],
        "log": log_facts(ask, secrets),
    }


def compose_file(root, ask):
    path = root / ask["file"]
    try:
        words = path.read_text()
    except OSError:
        words = ""
    return {**file_facts(path), "names_env_file": "env_file" in words and ask["env_file"] in words}


def main(text):
    """Prints what is seen; what it could not see is an error in words, never a traceback."""
    try:
        document = {**look(json.loads(text)), "until": time.time()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        document = {"error": f"the probe failed: {type(error).__name__}: {getattr(error, 'strerror', '') or ''}"}
    json.dump(document, sys.stdout)
