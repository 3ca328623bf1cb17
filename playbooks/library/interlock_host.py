#!/usr/bin/python
"""Everything Interlock ever does on a host, in one program of the standard library alone.

It is the body of our Ansible module and, byte for byte, what the kill path runs or sends over OpenSSH:

    (as an Ansible module)                       one parameter, `request`
    interlock_host.py --stdin  < request.json    answers with one JSON document
    interlock_host.py --watch  watch.json        the host's own revert deadline, run by the service manager

Operations: look, kill, trip, arm, flip, restart, rearm, disarm, drill. Those that change the host take its lock and
compare the fence (transition, epoch): an older controller's late effect is refused. `kill` is never refused.

It runs as root on a real host and as the one user of the sandbox. Imports that only some requests need stand where they
are used: on the way to a kill every millisecond of them counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
import urllib.parse
from datetime import datetime, timedelta, timezone
from pathlib import Path

MEANS_DEAD = ("STOPPED", "EXITED", "FATAL", "GONE")
ENV_KEY = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\Z")
ENV_VALUE = re.compile(rb"[!%*+,\-./0-9:=?@A-Z\[\]^_a-z{}]*\Z")
ENV_MAX_BYTES = 65536
URL_PASSWORD = re.compile(r"://[^/@]*?:([^/@]{8,})@")
TAIL_BYTES = 262144
ANSWER_MAX_BYTES = 1_000_000
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
# So long a bot that reads its gate or its switch file on each loop may take to heed it.
HEED_SECONDS = 6.0
# So long a bot that did not confirm a trip may take to end before it is killed.
STOP_SECONDS = 8.0
# So long a service may take to end in an orderly way, whatever its definition gives it.
PATIENCE_SECONDS = 60.0
# So long the watcher of the deadline may take to say that it watches it; it beats this often in any case.
ACKNOWLEDGE_SECONDS = 5.0
BEAT_SECONDS = 2.0
BEAT_FILE = "watcher.json"
WATCH_SECONDS = 0.1
# What of a request the watcher needs in order to take the host back by itself.
WATCHED = ("host", "system", "root", "env_file", "gate_file", "release", "salt", "watch", "service", "api")
# A service manager is asked in a clean environment: an exported variable must not reach a compose file.
TOOLS = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
DOCKER = "/var/run/docker.sock"


class HostRefused(Exception):
    """The request may not be carried out: `code` for the machine, the text for the person."""

    def __init__(self, code, text):
        self.code = code
        super().__init__(text)


def now():
    return datetime.now(timezone.utc)


def utc(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- files -----------------------------------------------------------------------------------------------------------


def write_durably(path, data, sync=os.fsync, still_wanted=lambda: None):
    """Temp file, fsync, rename, fsync of the folder: at every instant the old or the new file, whole, 0600.
    `still_wanted` raises right before the rename if somebody else has taken over meanwhile."""
    make_folder(path.parent)
    refuse_unwritable(path.parent)
    temp = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temp.unlink()
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            sync(stream.fileno())
        still_wanted()
        os.rename(temp, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temp.unlink()
        raise
    sync_folder(path.parent, sync)


def make_folder(path):
    """Where root runs, the bot is another user, who may see that there is a gate and nothing else."""
    if not path.is_dir():
        path.mkdir(exist_ok=True)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)


@contextlib.contextmanager
def as_owner(root, name):
    """Does as the user who owns the bot's own folder (`logs/...`, `data/...`): neither a link that the bot planted nor
    a file that root would leave behind can do harm. Changes nothing where all belongs to one user."""
    me, group = os.geteuid(), os.getegid()
    try:
        owner = (Path(root) / Path(name).parts[0]).lstat()
    except (OSError, IndexError):
        owner = None
    if me != 0 or owner is None or owner.st_uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(me)
        os.setegid(group)
        os.setgroups(groups)


def refuse_unwritable(folder):
    """Root may write anywhere, so the mode bits are asked, not only the kernel."""
    if not (folder.stat().st_mode & stat.S_IWUSR and os.access(folder, os.W_OK)):
        raise HostRefused("read-only", f"the folder {folder} is read-only")


def sync_folder(folder, sync=os.fsync):
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def remove_durably(path):
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def remove_leftovers(path):
    """What a write that was killed left beside the file may hold a secret. Only under the host's lock."""
    for temp in path.parent.glob(f".{path.name}.*"):
        temp.unlink()


def read_json(path):
    """The document, None if there is no file, {"unreadable": True} if it is damaged or says nothing."""
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        document = None
    return document if document and isinstance(document, dict) else {"unreadable": True}


def contents(path):
    """The bytes of a file; none if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def digest(data):
    return hashlib.sha256(data).hexdigest() if data else None


def read_gate(path):
    """What the gate says; None if there is none. One made by hand is a gate whatever is in it, a dangling link too."""
    return (read_json(path) or {"unreadable": True}) if os.path.lexists(path) else None


def env_values(data):
    """(values, problems): the canonical subset only; problems carry the line and never a value."""
    values, problems = {}, []
    if data.startswith(b"\xef\xbb\xbf"):
        problems.append({"line": 1, "text": "begins with a byte order mark"})
        data = data[3:]
    if data and not data.endswith(b"\n"):
        problems.append({"line": data.count(b"\n") + 1, "text": "the last line has no line feed"})
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line or line.startswith(b"#"):
            continue
        key, sign, value = line.partition(b"=")
        problem = line_problem(line, key, sign, value, values)
        if problem:
            problems.append({"line": number, "text": problem})
        else:
            values[key.decode()] = value.decode()
    return values, problems


def line_problem(line, key, sign, value, values):
    if line.endswith(b"\r") or b"\r" in line:
        return "has a carriage return (CRLF line end)"
    if not sign:
        return "is not KEY=value"
    if key.startswith(b"export "):
        return "begins with export"
    if not ENV_KEY.match(key):
        return "the key is not a plain ASCII name"
    name = key.decode()
    if name in values:
        return f"{name} stands twice"
    if value[:1] in (b'"', b"'") or value[-1:] in (b'"', b"'"):
        return f"the value of {name} is quoted"
    if b"#" in value:
        return f"{name} has an inline comment"
    if not ENV_VALUE.match(value):
        return f"the value of {name} has a space or a character that readers disagree on"
    return None


def env_file(path):
    """What the env file is: (facts without values, values). A file that cannot be trusted has problems."""
    facts = {"path": str(path), "sha256": None, "mode": None, "problems": []}
    try:
        info = path.lstat()
        facts["mode"] = format(stat.S_IMODE(info.st_mode), "04o")
        facts["problems"] += file_problems(path, info)
        if stat.S_ISLNK(info.st_mode):
            return facts, {}
        data = path.read_bytes()
    except OSError as error:
        facts["problems"].append({"line": None, "text": f"cannot be read: {error.strerror}"})
        return facts, {}
    facts["sha256"] = hashlib.sha256(data).hexdigest()
    values, problems = env_values(data)
    facts["problems"] += problems
    return facts, values


def file_problems(path, info):
    texts = []
    if stat.S_ISLNK(info.st_mode):
        texts.append("is a symbolic link")
    elif not stat.S_ISREG(info.st_mode):
        texts.append("is not a plain file")
    elif info.st_nlink != 1:
        texts.append("has more than one hard link")
    if info.st_uid != os.geteuid():
        texts.append("belongs to another user")
    if stat.S_IMODE(info.st_mode) & 0o077 and not stat.S_ISLNK(info.st_mode):
        texts.append("may be read by others (mode wider than 0600)")
    if info.st_size > ENV_MAX_BYTES:
        texts.append("is larger than 64 KiB")
    if not stat.S_ISLNK(info.st_mode) and "system.posix_acl_access" in attributes(path):
        texts.append("has an access list")
    if info.st_mode & stat.S_IWUSR and stat.S_ISREG(info.st_mode) and not os.access(path, os.W_OK):
        texts.append("is immutable, or on a read-only disk")
    return [{"line": None, "text": text} for text in (*texts, *folder_problems(path.parent))]


def attributes(path):
    try:
        return os.listxattr(path)
    except OSError:  # a file system without them
        return []


def folder_problems(parent):
    """Whoever may write to a folder may replace what lies in it, and so may whoever owns it, all the way up."""
    info = parent.stat()
    if info.st_mode & 0o022:
        yield "lies in a folder that others may write to"
    if not info.st_mode & stat.S_IWUSR:
        yield "lies in a read-only folder"
    for folder in sorted({parent, *parent.parents, *parent.resolve().parents}):
        info = folder.stat()
        if info.st_uid not in (0, os.geteuid()):
            yield f"lies below {folder}, which belongs to another user"
        shared = info.st_mode & 0o002 or (info.st_mode & 0o020 and info.st_gid not in (0, os.getegid()))
        if folder != parent and shared and not info.st_mode & stat.S_ISVTX:
            yield f"lies below {folder}, which others may write to"


# --- one exchange over HTTP ------------------------------------------------------------------------------------------


def exchange(place, method, target, body=b"", seconds=2.0, kind="application/json"):
    """(status, body) of one HTTP/1.0 exchange, which no server may answer in chunks, all within `seconds`.

    `place` is a URL, or the path of a unix socket. Written out here because the library's client costs a kill more
    time than everything else. Raises OSError for no whole answer, ValueError for a target that is no ASCII.
    """
    until = time.monotonic() + seconds
    parts = urllib.parse.urlsplit(place)
    head = f"{method} {parts.path.rstrip('/') if parts.scheme else ''}{target} HTTP/1.0\r\n"
    head += f"Host: {parts.netloc or 'localhost'}\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Type: {kind}\r\n\r\n" if body else "\r\n"
    with contextlib.closing(connected(place, parts, seconds)) as line:
        line.sendall(head.encode("ascii") + body)
        data = b""
        while not is_whole(data):
            line.settimeout(max(until - time.monotonic(), 0.001))
            part = line.recv(65536)
            data += part
            if not part or len(data) > ANSWER_MAX_BYTES:
                break
    return parsed(data)


def connected(place, parts, seconds):
    if parts.scheme:
        default = 443 if parts.scheme == "https" else 80
        line = socket.create_connection((parts.hostname, parts.port or default), seconds)
        return secured(line, parts.hostname) if parts.scheme == "https" else line
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(seconds)
    try:
        line.connect(place)
    except OSError:
        line.close()
        raise
    return line


def secured(line, name):
    import ssl

    try:
        return ssl.create_default_context().wrap_socket(line, server_hostname=name)
    except OSError:
        line.close()
        raise


def is_whole(data):
    head, end, body = data.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    return bool(end and length and len(body) >= int(length[1]))


def parsed(data):
    head, end, body = data.partition(b"\r\n\r\n")
    words, length = head.split(None, 2), LENGTH.search(head)
    if not end or len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise OSError("no HTTP answer")
    if length and len(body) < int(length[1]):
        raise OSError("the answer breaks off")
    return int(words[1]), body[: int(length[1])] if length else body


# --- the service managers --------------------------------------------------------------------------------------------
#
# Each has: names (the bot's service, then those beside it); statuses(names) -> {name: {"state", "pid", ...}}, where the
# state is `unreachable` if the manager does not answer; stop(names, seconds), where no seconds mean as many as the
# service's own definition gives it; start(name); text(), the bytes that define the services; healers(); and `shows`:
# whether the process is the manager's own, so that it must hold the whole env file.


def run(words, seconds, folder="/"):
    """The output of a tool. Raises OSError if it is not there, fails, or does not end in time."""
    try:
        done = subprocess.run(
            words, cwd=folder, env=TOOLS, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{words[0]} did not end within {seconds:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise OSError(f"{words[0]} ended with {done.returncode}: {said[-1][:300]}")
    return done.stdout


def unreachable(names):
    return {name: {"state": "unreachable", "pid": None} for name in names}


class Supervisord:
    """Services under supervisord. Stop and start run the whole command again, so the env file is read anew."""

    # The process may be a wrapper that reads the env file itself.
    shows = False

    def __init__(self, root, service):
        self.socket, self.names = service["socket"], [service["name"], *service.get("also", ())]

    def call(self, method, *given):
        """The answer over XML-RPC; None for a fault, such as the stop of what does not run."""
        import xml.parsers.expat
        import xmlrpc.client

        body = xmlrpc.client.dumps(given, f"supervisor.{method}").encode()
        status, data = exchange(self.socket, "POST", "/RPC2", body, 20, "text/xml")
        try:
            return xmlrpc.client.loads(data)[0][0]
        except xmlrpc.client.Fault as fault:
            raise HostRefused("manager", f"supervisord: {fault.faultString}") from None
        except (xmlrpc.client.Error, xml.parsers.expat.ExpatError):
            raise OSError(f"supervisord answers HTTP {status}") from None

    def statuses(self, names):
        return {name: self.status(name) for name in names}

    def status(self, name):
        try:
            info = self.call("getProcessInfo", name)
        except (OSError, HostRefused):
            return {"state": "unreachable", "pid": None}
        return {"state": info["statename"], "pid": info["pid"] or None}

    def stop(self, names, seconds=None):
        for name in names:
            with contextlib.suppress(HostRefused):  # not running is what we want
                self.call("stopProcess", name, True)

    def start(self, name):
        self.call("startProcess", name, False)

    def text(self):
        return None

    def healers(self):
        return []


class Systemd:
    """Units of systemd. Each start reads `EnvironmentFile=` anew."""

    shows = True
    PROPERTIES = (
        "LoadState", "ActiveState", "SubState", "Result", "MainPID", "NRestarts", "ConditionResult",
        "NeedDaemonReload", "TriggeredBy",
    )  # fmt: skip
    STATES = {
        "active": "RUNNING", "reloading": "RUNNING", "refreshing": "RUNNING", "activating": "STARTING",
        "deactivating": "STOPPING", "inactive": "STOPPED", "failed": "FATAL",
    }  # fmt: skip

    def __init__(self, root, service):
        self.names = [service["name"], *service.get("also", ())]

    def facts(self, names):
        """{name: properties}. Raises OSError when systemd does not answer for each."""
        asked = ["systemctl", "show", "--property", ",".join(self.PROPERTIES), "--", *map(unit, names)]
        blocks = run(asked, 10).decode(errors="replace").strip().split("\n\n")
        if len(blocks) != len(names):
            raise OSError("systemd does not know each unit")
        pairs = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
        return {name: pairs[number] for number, name in enumerate(names)}

    def statuses(self, names):
        try:
            return {name: self.status(facts) for name, facts in self.facts(names).items()}
        except (OSError, ValueError, KeyError):
            return unreachable(names)

    def status(self, facts):
        """A unit that is not there tells nothing: the bot may run under another name."""
        state = self.STATES.get(facts["ActiveState"], "unreachable")
        if facts["LoadState"] not in ("loaded", "masked"):
            state = "unreachable"
        elif facts["SubState"] == "exited":
            state = "EXITED"
        shown = {"result": facts["Result"], "restarts": int(facts["NRestarts"])}
        return {"state": state, "pid": int(facts["MainPID"]) or None, **shown}

    def stop(self, names, seconds=None):
        words = [*map(unit, names)]
        try:
            run(["systemctl", "stop", "--", *words], seconds or PATIENCE_SECONDS)
        except OSError:
            with contextlib.suppress(OSError):
                run(["systemctl", "kill", "--signal=KILL", "--kill-who=all", "--", *words], 5)
            run(["systemctl", "stop", "--", *words], 5)

    def start(self, name):
        """Five starts in ten seconds leave a unit down, and a transition may need more: its count begins anew."""
        with contextlib.suppress(OSError):  # a unit that is not loaded has not failed
            run(["systemctl", "reset-failed", "--", unit(name)], 10)
        run(["systemctl", "start", "--no-block", "--", unit(name)], 10)

    def text(self):
        """All files of all units; None if they are not what systemd has loaded."""
        try:
            stale = any(facts["NeedDaemonReload"] != "no" for facts in self.facts(self.names).values())
            return None if stale else run(["systemctl", "cat", "--", *map(unit, self.names)], 10)
        except (OSError, KeyError):
            return None

    def healers(self):
        """The timers, sockets and paths that start the units."""
        try:
            return sorted({one for facts in self.facts(self.names).values() for one in facts["TriggeredBy"].split()})
        except (OSError, KeyError):
            return []


def unit(name):
    return f"{name}.service"


class Compose:
    """Services of a Docker Compose project. A start makes the container anew, since a restart keeps its old
    environment."""

    shows = True
    STATES = {
        "running": "RUNNING", "paused": "RUNNING", "restarting": "STARTING", "removing": "STOPPING",
        "created": "STOPPED", "exited": "EXITED", "dead": "FATAL",
    }  # fmt: skip

    def __init__(self, root, service):
        self.root, self.file, self.project = root, service["file"], service["project"]
        self.names = [service["name"], *service.get("also", ())]

    def ask(self, method, target, document=None, seconds=10):
        """What the Docker Engine answers. Raises OSError for a refusal too."""
        body = b"" if document is None else json.dumps(document).encode()
        status, data = exchange(DOCKER, method, target, body, seconds)
        if status >= 400:
            raise OSError(f"docker answers HTTP {status}")
        return json.loads(data or b"null")

    def containers(self, names):
        """{name: its containers, newest first}, as they are listed."""
        wanted = json.dumps({"label": [f"com.docker.compose.project={self.project}"]})
        found = {name: [] for name in names}
        for one in self.ask("GET", f"/containers/json?all=1&filters={urllib.parse.quote(wanted)}"):
            found.get(one["Labels"].get("com.docker.compose.service"), []).append(one)
        return {name: sorted(each, key=lambda one: -one["Created"]) for name, each in found.items()}

    def statuses(self, names):
        try:
            return {name: self.status(each) for name, each in self.containers(names).items()}
        except (OSError, ValueError, KeyError, TypeError):
            return unreachable(names)

    def status(self, containers):
        """Of the container that compose keeps; without one nobody knows under which name the bot runs."""
        kept = [one for one in containers if one["Labels"].get("com.docker.compose.oneoff") != "True"]
        if not kept:
            return {"state": "unreachable", "pid": None}
        one = self.ask("GET", f"/containers/{kept[0]['Id']}/json")
        pid = one["State"]["Pid"] or None
        shared = one["HostConfig"]["NetworkMode"] == "host"
        return {
            "state": self.STATES.get(one["State"]["Status"], "unreachable"),
            "pid": behind_init(pid) if pid else None,
            "restarts": one["RestartCount"],
            "published": None if shared else published(one["NetworkSettings"]["Ports"] or {}),
            "container": {"id": one["Id"], "created_at": one["Created"], "image": one["Image"]},
        }

    def stop(self, names, seconds=None):
        """Every container of these services, one-off ones too, all at once. Without its restart policy none comes
        back with the daemon or the machine either; the next one that is made has the policy of the file again."""
        import threading

        running = [one["Id"] for each in self.containers(names).values() for one in each]
        for name in running:
            with contextlib.suppress(OSError):
                self.ask("POST", f"/containers/{name}/update", {"RestartPolicy": {"Name": "no"}})
        ends = [threading.Thread(target=self.end, args=(name, seconds)) for name in running]
        for end in ends:
            end.start()
        for end in ends:
            end.join()

    def end(self, container, seconds):
        with contextlib.suppress(OSError):  # what still runs shows in the next look
            given = "" if seconds is None else f"?t={seconds:.0f}"
            self.ask("POST", f"/containers/{container}/stop{given}", seconds=(seconds or PATIENCE_SECONDS) + 10)

    def start(self, name):
        words = ["-f", self.file, "-p", self.project, "up", "-d", "--force-recreate", "--no-deps", "--no-build", name]
        run([*self.command(), *words], 60, self.root)

    def command(self):
        try:
            run(["docker", "compose", "version"], 10)
        except OSError:
            return ["docker-compose"]
        return ["docker", "compose"]

    def text(self):
        return contents(self.root / self.file) or None

    def healers(self):
        return []


def behind_init(pid):
    """The bot's own process: an init of a container stands before it and holds the same environment, but no proof."""
    while contents(f"/proc/{pid}/comm").strip() in (b"tini", b"docker-init", b"dumb-init", b"catatonit"):
        children = contents(f"/proc/{pid}/task/{pid}/children").split()
        if not children:
            break
        pid = int(children[0])
    return pid


def published(ports):
    """The addresses of this machine at which a container is reached, `127.0.0.1:8000`."""
    return sorted(
        {
            f"[{one['HostIp']}]:{one['HostPort']}" if ":" in one["HostIp"] else f"{one['HostIp']}:{one['HostPort']}"
            for each in ports.values()
            for one in each or ()
        }
    )


MANAGERS = {"supervisord": Supervisord, "systemd": Systemd, "compose": Compose}


# --- what the bot shows, and is told ----------------------------------------------------------------------------------


def call(base, method, wish, seconds=2.0):
    """(status, document) of `/path`, or of `/path {JSON}` with that body. Raises OSError or ValueError when there is no
    typed answer; one without a body is an empty document."""
    path, _, body = wish.partition(" ")
    status, data = exchange(base, method, path, body.encode(), seconds)
    return status, json.loads(data or b"{}")


def readout(host, name):
    """What the bot shows in one place: an object, or {"error": why there is none}."""
    place = host.api["readouts"][name]
    if not place.get("path"):
        return last_line(host, place, name)
    try:
        status, document = call(host.api["url"], "GET", place["path"])
    except (OSError, ValueError) as error:
        return {"error": type(error).__name__}
    return document if status == 200 and isinstance(document, dict) else {"error": f"HTTP {status}"}


def last_line(host, place, name):
    """The named groups of the last whole line that matches, and its age; only the end of the file is read.

    A line that carries its time tells of a loop: an old one, or one of a process that is gone, tells nothing.
    """
    try:
        with as_owner(host.root, place["file"]):
            lines, written = tail(inside(host.root, place["file"]))
        found = next(filter(None, map(re.compile(place["pattern"]).search, reversed(lines))), None)
        if found is None:
            return {"error": "no line matches"}
        facts = found.groupdict()
        at = facts.get("at")
        moment = datetime.fromisoformat(at.replace("Z", "+00:00")).replace(tzinfo=timezone.utc) if at else written
    except (OSError, ValueError, HostRefused) as error:
        return {"error": type(error).__name__}
    age = (now() - moment).total_seconds()
    if at and name != "health" and not -2 <= age <= host.api["health"]["age_max"]:
        return {"error": f"the last line is {age:.0f} s old"}
    return {**facts, "age_s": age}


def tail(path):
    """(the last whole lines, when the file was written). A single line needs no line feed."""
    with path.open("rb") as stream:
        info = os.fstat(stream.fileno())
        stream.seek(max(0, info.st_size - TAIL_BYTES))
        text = stream.read(TAIL_BYTES).decode(errors="replace")
    lines = text.split("\n")
    if info.st_size > TAIL_BYTES:
        lines = lines[1:]
    whole = lines if len(lines) == 1 else lines[:-1]
    return whole, datetime.fromtimestamp(info.st_mtime, timezone.utc)


def inside(root, name):
    """A path of the bot's folder; refuses one that leads out of it."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise HostRefused("outside", f"{name} leads out of {root}")
    return path


def field_of(document, name):
    """A field of what the bot showed; dots lead into nested objects. None if it is not there."""
    for part in (name or "").split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def tell(host, verb, reason):
    """Trips or re-arms the bot in the way it has: a call of its API, a file, or nothing but the gate.

    `told` is True where the bot itself has answered; otherwise its readout must show that it has heeded.
    """
    text = host.api.get(verb)
    if text is None:
        return {"ok": True, "told": False}
    method, rest = text.split(" ", 1)
    try:
        if method == "WRITE":
            name, content = rest.split(" ", 1)
            with as_owner(host.root, name):  # the bot itself must read it
                write_durably(inside(host.root, name), content.replace("{reason}", reason).encode() + b"\n")
            return {"ok": True, "told": False}
        path, space, body = rest.partition(" ")
        path = path.replace("{reason}", urllib.parse.quote(reason, safe=""))
        wish = path + space + body.replace("{reason}", json.dumps(reason)[1:-1])
        status, document = call(host.api["url"], method, wish, 5.0)
    except (OSError, ValueError, HostRefused) as error:
        return {"ok": False, "told": False, "error": type(error).__name__}
    return {"ok": 200 <= status < 300, "told": True, "status": status, "answer": document}


def switch_word(host, since=None):
    """armed, tripped or unknown by the bot's own readout; with `since` (monotonic), only what it wrote after that."""
    document = readout(host, "switch")
    if since is not None and written_before(host, "switch", document, since):
        return "unknown"
    return word_of(host, document)


def word_of(host, document):
    setting = host.api["switch"]
    return setting["words"].get(spelled(field_of(document, setting["field"])), "unknown")


def spelled(value):
    """A value as JSON and YAML write it: true and false, not True and False."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def written_before(host, name, document, since):
    """Whether this is a line of a log that is older than an instant (monotonic)."""
    dated = not host.api["readouts"][name].get("path") and document.get("at")
    return bool(dated) and document["age_s"] > time.monotonic() - since


def awaited(host, word, seconds, since):
    """Whether the bot shows this word in time. One of which nothing runs at all trades as little as a tripped one."""
    until = time.monotonic() + seconds
    while True:
        if switch_word(host, since) == word or (word == "tripped" and host.is_dead()):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.05)


# --- what the host shows ---------------------------------------------------------------------------------------------


class Host:
    """One request's view of the host."""

    def __init__(self, request):
        self.request = request
        self.root = Path(request["root"])
        self.own = self.root / "interlock"
        self.env_path = self.root / request["env_file"]
        self.gate_path = self.root / request["gate_file"]
        self.fence_path = self.own / "fence.json"
        self.deadline_path = self.own / "deadline.json"
        self.revert_path = self.own / "revert.env"
        self.watch_path = self.own / "watch.json"
        self.beat_path = self.own / BEAT_FILE
        service = request["service"]
        self.names = [service["name"], *service.get("also", ())]
        self.gated = service.get("start_gated", False)
        self.manager = MANAGERS[service["manager"]](self.root, service)
        self.api = request["api"]
        self.hidden = []

    # What the manager says.

    def statuses(self):
        """{service: status}, the bot's own first."""
        return self.manager.statuses(self.names)

    def status(self):
        """Of the bot's own service."""
        return self.manager.statuses(self.names[:1])[self.names[0]]

    def is_dead(self):
        """Whether nothing of this bot runs, as far as manager and processes show."""
        states = {one["state"] for one in self.statuses().values()}
        return states <= {*MEANS_DEAD} or (states <= {*MEANS_DEAD, "unreachable"} and not self.traces(processes()))

    def traces(self, running):
        """What may be this bot while its manager does not answer: processes in its folder or, where they may be in
        containers, with any variable of its env file."""
        watch = self.request["watch"]
        names = {name.encode() for name in (*watch["shown"], *watch["secret"])} if self.manager.shows else set()
        return [p for p, one in running.items() if not one.ours and (one.is_under(self.root) or names & one.names)]

    # What may be shown.

    def fingerprint(self, value):
        salt = self.request["salt"].encode()
        return hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()[:16]

    def shown(self, values):
        """The variables that may be shown, and fingerprints of the secret ones; nothing else leaves the host."""
        watch = self.request["watch"]
        return {
            "variables": {name: values.get(name) for name in watch["shown"]},
            "fingerprints": {n: self.fingerprint(values[n]) if values.get(n) else None for n in watch["secret"]},
        }

    def shown_text(self, values):
        """The same as lines, for a difference that people read."""
        shown = self.shown(values)
        secret = {name: mark and f"(fingerprint {mark})" for name, mark in shown["fingerprints"].items()}
        lines = [f"{name}={value}\n" for name, value in {**shown["variables"], **secret}.items() if value is not None]
        return "".join(sorted(lines))

    def kept(self, values):
        """The lines of the bot's own secrets, which stand nowhere but in this file."""
        return "".join(f"{n}={values[n]}\n" for n in self.request["watch"].get("kept", ()) if values.get(n))

    # The look.

    def look(self, brief=False):
        """Everything that the host shows; `brief` leaves out what a kill has no time for."""
        facts, values = env_file(self.env_path)
        statuses, running, watch = self.statuses(), processes(), self.request["watch"]
        process = self.process(statuses, running)
        environ = self.environ(process["pid"])
        secrets = [v[n] for v in (values, environ) for n in watch["secret"] if len(v.get(n) or "") >= 8]
        self.hidden = hidden(secrets)
        said = {name: self.said(name, process) for name in self.api["readouts"]}
        gate, instances = read_gate(self.gate_path), self.instances(statuses, running, values)
        unknown = [named(n) for n in sorted(set(values) - {*watch["shown"], *watch["secret"]})]
        return {
            "at": utc(now()),
            "env": {**facts, **self.shown(values), "unknown_keys": unknown},
            "loaded": self.shown(environ) if process["pid"] else None,
            "process": {**process, "started_at": started_at(process["pid"])},
            "also": {name: self.beside(statuses[name], running) for name in self.names[1:]},
            "instances": instances,
            "api": said,
            "gate": gate,
            "switch": self.verdict(word_of(self, said["switch"]), gate, process["state"], instances["strays"]),
            "fence": read_json(self.fence_path),
            "deadline": read_json(self.deadline_path),
            **({} if brief else self.scanned(secrets, running)),
            **({"evidence": self.evidence()} if self.request.get("evidence") else {}),
        }

    def scanned(self, secrets, running):
        """What takes time to find, and does not change from one second to the next."""
        disk = os.statvfs(self.root)
        wanted = [secret.encode() for secret in secrets]
        return {
            "machine": machine(self.root),
            "helper": {"sha256": digest(contents(self.own / "interlock_host.py"))},
            "watcher": {"at": (read_json(self.beat_path) or {}).get("at")},
            "unit_sha256": digest(self.manager.text()),
            "healers": self.manager.healers(),
            **release_facts(self.root / self.request["release"], secrets),
            "disk": {"free_bytes": disk.f_bavail * disk.f_frsize, "free_inodes": disk.f_favail},
            "secret_in_argv_pids": [pid for pid, one in running.items() if any(w in one.argv for w in wanted)],
        }

    def said(self, name, process):
        """What the bot shows; a file tells nothing of a bot that does not run."""
        written = not self.api["readouts"][name].get("path")
        return {"error": "the bot does not run"} if written and not process["pid"] else readout(self, name)

    def verdict(self, word, gate, process, strays):
        """armed, tripped or unknown by all that is seen: a gate speaks against armed, and stands for a bot that is
        dead; a bot without a switch of its own is tripped by nothing but a gate. No word speaks for a stray process."""
        if word == "unknown" and gate and process in MEANS_DEAD:
            word = "tripped"
        own = self.api.get("trip") is not None or process in MEANS_DEAD
        vain = (word == "armed" and gate) or (word == "tripped" and (strays or not (gate or own)))
        return "unknown" if vain else word

    def process(self, statuses, running):
        """The bot's own process and where it listens; GONE if its manager is silent and nothing of it runs."""
        status = statuses[self.names[0]]
        if status["state"] == "unreachable" and not self.traces(running):
            status = {**status, "state": "GONE"}
        return {**status, "listening": addresses(status, running)}

    def beside(self, status, running):
        """A service beside the main one: its process, and what it has loaded."""
        loaded = self.shown(self.environ(status["pid"])) if status["pid"] else None
        return {**status, "listening": addresses(status, running), "loaded": loaded}

    def environ(self, pid):
        pairs = contents(f"/proc/{pid}/environ").split(b"\0") if pid else []
        return dict(p.decode(errors="replace").split("=", 1) for p in pairs if b"=" in p)

    def instances(self, statuses, running, values):
        """{"expected", "strays"}: the processes that the manager runs, and those of this bot beside them.

        A stray holds every variable of the env file that may be shown, with this host's own values; or works in the
        bot's folder with the arguments of a process of the manager. None if there is no env file to tell by.
        """
        expected = sorted(one["pid"] for one in statuses.values() if one["pid"])
        if not values:
            return {"expected": expected, "strays": None}
        watch = self.request["watch"]
        names = {name.encode() for name in watch["shown"] if name in values}
        own = {f"{name}={values[name]}".encode() for name in watch.get("own", ()) if name in values}
        managed, argvs = self.managed(expected, running), {running[pid].argv for pid in expected if pid in running}
        strays = []
        for pid in sorted(running.keys() - managed):
            one, near = running[pid], running[pid].is_under(self.root)
            holds = names and own <= one.pairs and names <= one.names
            if not one.ours and ((near and one.argv in argvs) or (holds and (near or self.manager.shows))):
                strays.append(pid)
        return {"expected": expected, "strays": strays}

    def managed(self, expected, running):
        """The processes of the manager with all that came from them, by descent and by control group."""
        groups = {contents(f"/proc/{pid}/cgroup") for pid in expected} - {b""} if self.manager.shows else set()
        found = {*expected}
        for pid in sorted(running):
            line = [pid]
            while line[-1] in running and line[-1] not in found and len(line) < 64:
                line.append(running[line[-1]].parent)
            if line[-1] in found or (groups and contents(f"/proc/{pid}/cgroup") in groups):
                found.update(line[:-1] if line[-1] not in found else line)
        return found

    def evidence(self):
        """The bot's own records since an instant, read without the bot and as the user who wrote them."""
        import sqlite3

        wanted = self.request["evidence"]
        with as_owner(self.root, wanted["log"]["path"]):
            result = {"log": log_evidence(self.root / wanted["log"]["path"], wanted, self.hidden)}
        database = self.root / wanted["database"]
        try:
            with (
                as_owner(self.root, wanted["database"]),
                contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=2)) as connection,
            ):
                connection.row_factory = sqlite3.Row
                for name, query in wanted["queries"].items():
                    rows = connection.execute(query, {"since": wanted["since"]})
                    result[name] = loop_days(rows) if name == "loops" else [dict(row) for row in rows]
        except sqlite3.Error as error:
            result["error"] = f"{database.name}: {error}"
        return result


def started_at(pid):
    """The process's start in UTC text, from the kernel's own count of ticks since boot."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        boot = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
        return utc(datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), timezone.utc))
    except (OSError, ValueError, IndexError):
        return None


class Process:
    """One process of the machine, as one pass over /proc finds it; what may not be read is empty."""

    def __init__(self, pid, argv):
        self.argv, self.pid = argv, pid
        self.ours = b"interlock_host.py" in argv or pid == os.getpid()
        self.pairs = set(contents(f"/proc/{pid}/environ").split(b"\0"))
        self.names = {pair.partition(b"=")[0] for pair in self.pairs}
        try:
            self.cwd = os.readlink(f"/proc/{pid}/cwd")
            self.parent = int(contents(f"/proc/{pid}/stat").rsplit(b")", 1)[-1].split()[1])
        except (OSError, ValueError, IndexError):
            self.cwd, self.parent = "", 0

    def is_under(self, folder):
        """Whether it works in this folder or below."""
        return f"{self.cwd}/".startswith(f"{folder}/")


def processes():
    """{pid: process} of everything that runs; kernel threads and what has ended have no arguments."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = ((pid, contents(f"/proc/{pid}/cmdline")) for pid in pids)
    return {pid: Process(pid, argv) for pid, argv in found if argv}


def addresses(status, running):
    """Where a service listens: a container with a network of its own where it is published, else its processes."""
    if status.get("published") is not None:
        return status["published"]
    return listening({status["pid"]} | {one.pid for one in running.values() if one.parent == status["pid"]} - {None})


def listening(pids):
    """The addresses on which these processes listen, as `127.0.0.1:18411`; IPv6 ones as hex."""
    inodes, tables = set(), {}
    for pid in pids - {None}:
        with contextlib.suppress(OSError):
            tables[os.readlink(f"/proc/{pid}/ns/net")] = pid
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):  # closed since it was listed, as a busy bot's connections are
                    inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    found = set()
    for pid in tables.values():
        for table in ("tcp", "tcp6"):
            for line in contents(f"/proc/{pid}/net/{table}").decode().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                    found.add(address(*fields[1].split(":")))
    return sorted(found)


def address(host, port):
    name = socket.inet_ntoa(bytes.fromhex(host)[::-1]) if len(host) == 8 else f"[{host}]"
    return f"{name}:{int(port, 16)}"


def hidden(secrets):
    """What no answer may show: the secrets and the passwords in those that are addresses, the longest first."""
    passwords = [found[1] for found in map(URL_PASSWORD.search, secrets) if found]
    return sorted({*secrets, *passwords, *map(urllib.parse.unquote, passwords)}, key=len, reverse=True)


def masked(value, secrets):
    """The same without any of these: a bot, a log or an error text that echoes one must not carry it to a report."""
    if isinstance(value, dict):
        return {name: masked(each, secrets) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each, secrets) for each in value]
    for secret in secrets if isinstance(value, str) else ():
        value = value.replace(secret, "***")
    return value


def named(key):
    """An unknown name of the env file. One in mixed case may be the last line of a key that was pasted in lines."""
    return key if key.isupper() or key.islower() else f"(a name in mixed case, {len(key)} characters)"


def code_files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def release_facts(folder, secrets):
    """One digest over names and contents of a folder of code, None if there is none; and the files in which a secret
    stands, which cannot be rotated, None if there was nothing to scan. Each file is read once."""
    if not folder.is_dir():
        return {"release_sha256": None, "secret_in_release_files": None}
    total, wanted, files, holders = hashlib.sha256(), [secret.encode() for secret in secrets], code_files(folder), []
    for path in files:
        data, name = path.read_bytes(), path.relative_to(folder)
        total.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
        holders += [str(name)] if any(each in data for each in wanted) else []
    return {
        "release_sha256": total.hexdigest(),
        "secret_in_release_files": holders if wanted and files else None,
    }


def machine(root):
    """Which machine this is, and what on it decides how a bot reads time and text."""
    import pwd

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return {
        "id": (digest(contents("/etc/machine-id").strip()) or "")[:16] or None,
        "boot_id": boot_id(),
        "user": user,
        "python": ".".join(map(str, sys.version_info[:3])),
        "utc_offset_s": time.localtime().tm_gmtoff,
        "root": os.path.realpath(root),
    }


def boot_id():
    return contents("/proc/sys/kernel/random/boot_id").decode().strip() or None


def log_evidence(path, wanted, secrets):
    """Counts over the log since an instant, rotated files included; lines begin with their UTC time."""
    seen = {"first_at": None, "last_at": None, "lines": 0, "exceptions": []}
    for part in sorted(path.parent.glob(f"{path.name}*"), reverse=True):
        with contextlib.suppress(OSError), part.open(errors="replace") as stream:
            at = None
            for line in stream:
                at = line[:27] if line[:2] == "20" else at
                if at is None or at < wanted["since"]:
                    continue
                seen["lines"] += 1
                seen["first_at"], seen["last_at"] = seen["first_at"] or at, at
                if any(phrase in line for phrase in wanted["log"]["exceptions"]):
                    # Masked first: a secret that is cut off is not recognised any more.
                    seen["exceptions"].append({"at": at, "text": masked(line.strip(), secrets)[:160]})
    return seen


def loop_days(rows):
    """Loops by UTC day, since a real week has more rows than anyone should carry: count, errors, modes, gaps."""
    days, last = {}, None
    for row in rows:
        day = days.setdefault(
            row["at"][:10], {"loops": 0, "errors": 0, "modes": [], "gap_max_s": 0, "first_at": row["at"]}
        )
        at = datetime.fromisoformat(row["at"].replace("Z", "+00:00"))
        if last is not None:
            day["gap_max_s"] = max(day["gap_max_s"], int((at - last).total_seconds()))
        last = at
        day["loops"] += 1
        day["errors"] += 1 if row["error"] else 0
        day["last_at"] = row["at"]
        if row["mode"] not in day["modes"]:
            day["modes"].append(row["mode"])
    return days


# --- what can be done ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(host):
    """The host's own lock: one change at a time, whoever sent it. Waits at most 30 s."""
    make_folder(host.own)
    handle = os.open(host.own / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise HostRefused("locked", "another change is under way on this host") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def take_fence(host):
    """Raises the fence to this request's epoch; refuses one that is older than the host has seen. A damaged fence is
    nobody's: it keeps no one from tripping."""
    given, stored = host.request["fence"], read_json(host.fence_path) or {}
    epoch = stored.get("epoch") if isinstance(stored.get("epoch"), int) else -1
    if given["epoch"] < epoch or (given["epoch"] == epoch and given["transition"] != stored.get("transition")):
        raise HostRefused("fenced", f"epoch {given['epoch']} is older than this host's {epoch}")
    if given["epoch"] > epoch:
        write_durably(host.fence_path, json.dumps(given).encode())


def match_fence(host, lowers=False):
    """Only the transition that tripped the host may go on; one that raises not where the host has gone back by its own
    deadline meanwhile. One that lowers goes the same way, and takes over from the deadline."""
    given, stored = host.request["fence"], read_json(host.fence_path) or {}
    if (given["transition"], given["epoch"]) != (stored.get("transition"), stored.get("epoch")):
        raise HostRefused("fenced", f"this host is fenced for epoch {stored.get('epoch')}")
    if stored.get("reverted") and not lowers:
        raise HostRefused("fenced", "this host went back by its own deadline")
    if stored.get("reverted"):
        write_durably(host.fence_path, json.dumps(given).encode())


def trip(host, by):
    """Gate first (it holds whatever happens next), then the bot's own switch, if it has one.

    A bot that does not confirm is stopped, and what runs beside it.
    """
    done = {}
    try:
        set_gate(host, by, halts(host) if host.gated else [])
        done["gate"] = "set"
    except (OSError, HostRefused) as error:
        done["gate"] = f"NOT set: {error}"
    began = time.monotonic()
    done["api"] = tell(host, "trip", by)
    if not (done["api"]["ok"] and (done["api"]["told"] or awaited(host, "tripped", HEED_SECONDS, began))):
        done.update(stopped(host))
    return done


def stopped(host):
    """Stops every service that is not seen dead; says how the bot's own ended."""
    names = [name for name, status in host.statuses().items() if status["state"] not in MEANS_DEAD]
    if not names or host.is_dead():
        return {}
    try:
        host.manager.stop(names, STOP_SECONDS)
    except OSError as error:
        return {"service": f"NOT stopped: {error}"}
    return {"service": host.status()["state"]}


def op_look(host):
    return {}


def op_kill(host):
    return trip(host, host.request["by"])


def op_trip(host):
    """Behind a change that hangs, or on a disk that takes no fence, it trips without them, as a kill does, and says so.
    Only an older controller is kept from it."""
    try:
        with locked(host):
            take_fence(host)
            return trip(host, host.request["by"])
    except (HostRefused, OSError) as error:
        if getattr(error, "code", "") != "fenced":
            trip(host, host.request["by"])
        raise


def op_arm(host):
    """Keeps the present env file as the one to go back to, and sets the instant at which the host goes back alone.

    A deadline that nobody watches is none: the watcher must say that it has read this very one, else it is taken away.
    """
    with locked(host):
        match_fence(host)
        armed, seconds = now(), host.request["deadline_seconds"]
        remove_leftovers(host.revert_path)
        write_durably(host.revert_path, host.env_path.read_bytes())
        watched = json.dumps({"op": "look", **{key: host.request[key] for key in WATCHED}}).encode()
        write_durably(host.watch_path, watched)
        until = utc(armed + timedelta(seconds=seconds))
        deadline = {
            **host.request["fence"], "at": until, "armed_at": utc(armed), "boot_id": boot_id(),
            "boottime": time.clock_gettime(time.CLOCK_BOOTTIME) + seconds,
        }  # fmt: skip
        write_durably(host.deadline_path, json.dumps(deadline).encode())
        if not acknowledged(host, until, digest(watched)):
            remove_durably(host.deadline_path)
            remove_durably(host.revert_path)
            raise HostRefused("unwatched", "nobody watches the deadline: start the host's watcher, interlock-watch")
        return {"until": until}


def acknowledged(host, at, watched):
    """Whether the watcher says in time that it watches this deadline, with this request in hand."""
    until = time.monotonic() + ACKNOWLEDGE_SECONDS
    while time.monotonic() < until:
        beat = read_json(host.beat_path) or {}
        if (beat.get("deadline"), beat.get("watch")) == (at, watched):
            return True
        time.sleep(0.02)
    return False


def op_flip(host):
    """The whole env file in one rename, only while halted and only if the file is still the one that was planned."""
    compare = host.request.get("compare_sha256")

    def still_ours():
        match_fence(host, lowers=compare is None)

    with locked(host):
        still_ours()
        if not os.path.lexists(host.gate_path):
            raise HostRefused("not-halted", "the gate is not set: an env file changes only while the bot is halted")
        facts, values = env_file(host.env_path)
        if compare and facts["sha256"] != compare:
            raise HostRefused("changed", f"{host.env_path.name} is not the file that was planned: somebody changed it")
        if facts["problems"] and compare:
            raise HostRefused("unfit", f"{host.env_path.name}: {facts['problems'][0]['text']}")
        remove_link(host.env_path)
        remove_leftovers(host.env_path)
        text = host.request["env_text"] + host.kept(values)
        # A change that hung for so long that the host went back without waiting for it must not land after all.
        write_durably(host.env_path, text.encode(), still_wanted=still_ours)
        return recreate(host)


def remove_link(path):
    """A rename would replace a link anyway; saying so keeps its target out of doubt."""
    if path.is_symlink():
        path.unlink()


def op_restart(host):
    with locked(host):
        match_fence(host)
        return recreate(host)


def recreate(host):
    """Stop and start, so that each process reads the env file anew; waits until the bot's own loop has turned and
    what runs beside it is up. A bot that does not start behind its gate stays stopped there."""
    seconds = host.request["service"]["start_max_seconds"]
    before, made = host.statuses(), utc(now())
    host.manager.stop([*reversed(host.names)])
    if host.gated and os.path.lexists(host.gate_path):
        if not host.is_dead():
            raise HostRefused("not-stopped", "the bot still runs behind its gate")
        return {"service": host.status()["state"], "behind_gate": True}
    began_up(host, time.monotonic() + seconds)
    for name, status in host.statuses().items():
        refuse_old_container(name, before[name], status, made)
    return {"service": host.status()["state"]}


def began_up(host, until):
    """Starts the services in order; each must be up with the env file as it stands."""
    began = time.monotonic()
    host.manager.start(host.names[0])
    await_loop(host, began, until)
    for name in host.names if host.manager.shows else host.names[1:]:
        if name != host.names[0]:
            host.manager.start(name)
        while not has_loaded(host, name):
            if time.monotonic() > until:
                raise HostRefused("not-healthy", f"{name} did not come up with the env file in time")
            time.sleep(0.05)


def refuse_old_container(name, before, after, made):
    """H3: a container that was restarted, or never touched, still has its old environment."""
    new, old = after.get("container"), before.get("container") or {}
    if new and (new["id"] == old.get("id") or new["created_at"] < made):
        raise HostRefused("not-recreated", f"{name} still runs in the container of {new['created_at'][:19]}Z")


def has_loaded(host, name):
    """Whether a service runs, and with every value of the env file: its starter may still be reading it."""
    status, values = host.manager.statuses([name])[name], env_file(host.env_path)[1]
    return status["state"] == "RUNNING" and values.items() <= host.environ(status["pid"]).items()


def await_loop(host, began, until):
    health = host.api["health"]
    while time.monotonic() < until:
        document = readout(host, "health")
        age = field_of(document, health["field"])
        young = isinstance(age, (int, float)) and age <= health["age_max"]
        if young and not written_before(host, "health", document, began):
            return
        refuse_given_up(host)
        time.sleep(0.05)
    raise HostRefused("not-healthy", "the bot did not come up in time")


def refuse_given_up(host):
    """No need to wait for what its manager has given up, or starts again and again."""
    status = host.status()
    if status["state"] == "FATAL" or status.get("restarts"):
        why = f"{status.get('restarts', 0)} restarts, {status.get('result', status['state'])}"
        raise HostRefused("not-healthy", f"the bot does not stay up: {why}")


def op_rearm(host):
    """Lifts the halt only if nobody set it anew since: the gate and the bot's reason are still the expected ones."""
    with locked(host):
        match_fence(host)
        refuse_foreign_gate(host, host.gate_path)
        if read_json(host.deadline_path) is not None:
            raise HostRefused("armed-deadline", "the host's own deadline is still running")
        before = halts(host)
        lift_gate(host)
        if host.gated:
            return started_armed(host, before)
        began = time.monotonic()
        done = tell(host, "rearm", host.request["expected_reason"])
        if not (done["ok"] and (done["told"] or awaited(host, "armed", HEED_SECONDS, began))):
            set_gate(host, host.request["by"])
            raise HostRefused("not-rearmed", f"the bot did not re-arm, it is tripped for: {reason_shown(host)}")
        return done


def started_armed(host, before):
    """A bot that starts only without its gate: it must come up in the declared mode and armed, else it goes back.

    It may show the halt of any transition that set its gate while it did not run, and nobody else's.
    """
    try:
        began_up(host, time.monotonic() + host.request["service"]["start_max_seconds"])
        refuse_other_mode(host)
        expected = (*before, host.request["by"], host.request["expected_reason"])
        if host.api.get("rearm") and switch_word(host) == "tripped" and reason_shown(host) not in expected:
            raise HostRefused("not-rearmed", f"the bot did not re-arm, it is tripped for: {reason_shown(host)}")
        began = time.monotonic()
        if switch_word(host) != "armed":
            done = tell(host, "rearm", str(reason_shown(host) or ""))
            if not (done["ok"] and (done["told"] or awaited(host, "armed", HEED_SECONDS, began))):
                raise HostRefused("not-rearmed", "the bot came up and did not re-arm")
        return {"ok": True, "told": False, "service": host.status()["state"]}
    except (OSError, HostRefused):
        set_gate(host, host.request["by"], before)
        stopped(host)
        raise


def set_gate(host, by, before=()):
    """`before`: who had set it earlier: a bot that does not run behind it still shows the halt told to it last."""
    known = {"before": [*dict.fromkeys(before)][-20:]} if before else {}
    write_durably(host.gate_path, json.dumps({"by": by, "at": utc(now()), **known}).encode())


def halts(host):
    """Who has set the standing gate, the last one last."""
    gate = read_gate(host.gate_path) or {}
    before = gate.get("before")
    return [name for name in [*(before if isinstance(before, list) else ()), gate.get("by")] if isinstance(name, str)]


def refuse_other_mode(host):
    """The bot's own word must mean the mode that its env file declares."""
    mode, values = host.api["mode"], env_file(host.env_path)[1]
    declared = [
        name
        for name in ("paper", "live")
        if all(values.get(variable) == two[name] for variable, two in mode["variables"].items())
    ]
    word = spelled(field_of(readout(host, "mode"), mode["field"]))
    if declared != [mode["words"].get(word)]:
        raise HostRefused("other-mode", f"the bot came up and says {word!r} of its mode, which is not the declared one")


def reason_shown(host):
    return field_of(readout(host, "switch"), host.api["switch"]["reason"])


def refuse_foreign_gate(host, path):
    gate = read_gate(path)
    if gate is not None and gate.get("by") != host.request["by"]:
        raise HostRefused("tripped-anew", f"the gate was set anew by {gate.get('by')}")


def lift_gate(host):
    """Set aside, then read once more: a kill may have set its own gate since the first look, and that one must stay."""
    aside = host.gate_path.with_name(host.gate_path.name + ".lifted")
    with contextlib.suppress(FileNotFoundError):
        os.rename(host.gate_path, aside)
    try:
        refuse_foreign_gate(host, aside)
    except HostRefused:
        if not os.path.lexists(host.gate_path):
            os.rename(aside, host.gate_path)
        raise
    remove_durably(aside)
    sync_folder(host.gate_path.parent)


def op_disarm(host):
    with locked(host):
        match_fence(host)
        remove_durably(host.deadline_path)
        remove_durably(host.revert_path)
        return {}


def op_drill(host):
    """Drives one control to its limit, on paper only, waits for what must follow, and puts the switch back."""
    drill = host.request["drill"]
    with locked(host):
        before = switch_word(host)
        refuse_drill(host, before)
        began = time.monotonic()
        status, answer = rehearse(host, drill["call"])
        seen = before
        while drill.get("until") and time.monotonic() - began < drill["within_seconds"]:
            seen = switch_word(host)
            if seen == drill["until"]:
                break
            time.sleep(0.05)
        took = time.monotonic() - began
        if before == "armed" and switch_word(host) == "tripped":
            tell(host, "rearm", str(reason_shown(host) or ""))
            awaited(host, "armed", HEED_SECONDS, time.monotonic())
        return {"status": status, "answer": answer, "before": before, "seen": seen, "seconds": f"{took:.2f}"}


def rehearse(host, wish):
    """(status, answer) of a drill: a call of the bot's API, or `WRITE var/drill.request {JSON}`: the object, with an
    id added, goes into that file, and the bot answers in `var/drill.answer` under the same id."""
    method, rest = wish.split(" ", 1)
    if method != "WRITE":
        return call(host.api["url"], method, rest, 10.0)
    name, text = rest.split(" ", 1)
    request, mark, until = inside(host.root, name), f"{time.time_ns():x}", time.monotonic() + 10
    with as_owner(host.root, name):
        write_durably(request, json.dumps({**json.loads(text), "id": mark}).encode())
    while time.monotonic() < until:
        with as_owner(host.root, name):
            found = read_json(request.with_suffix(".answer")) or {}
        if found.get("id") == mark:
            return found.get("status"), found.get("answer")
        time.sleep(0.05)
    raise HostRefused("no-answer", "the bot did not answer the drill in time")


def refuse_drill(host, before):
    shown, setting = host.shown(host.environ(host.status()["pid"])), host.request["drill"]["paper"]
    if host.request["drill"]["paper_only"] and any(shown["variables"].get(n) != v for n, v in setting.items()):
        raise HostRefused("not-paper", "the process is not on paper: this drill runs on paper only")
    if host.request["drill"].get("until") and before != "armed":
        raise HostRefused(
            "not-armed", f"the switch is {before}: a drill of a trigger needs an armed bot; re-arm it first"
        )


OPERATIONS = {
    "look": op_look,
    "kill": op_kill,
    "trip": op_trip,
    "arm": op_arm,
    "flip": op_flip,
    "restart": op_restart,
    "rearm": op_rearm,
    "disarm": op_disarm,
    "drill": op_drill,
}
CHANGES = tuple(name for name in OPERATIONS if name != "look")


def perform(request, check_mode=False):
    """Carries out one request; the answer always has ok, changed and a fresh look, a brief one after a kill.

    Under check mode nothing changes; a flip then shows what it would change, secrets as fingerprints.
    """
    host = Host(request)
    op = request["op"]
    answer = {"host": request["host"], "op": op, "ok": True, "changed": False, "error": None, "done": {}}
    try:
        if op == "flip" and check_mode:
            answer["diff"] = difference(host)
        elif op in CHANGES and not check_mode:
            answer["done"] = OPERATIONS[op](host)
            answer["changed"] = True
        answer["look"] = host.look(brief=op == "kill")
    except HostRefused as error:
        answer.update(ok=False, error={"code": error.code, "text": str(error)}, look=host.look())
    except OSError as error:
        answer.update(ok=False, error={"code": "broken", "text": f"{type(error).__name__}: {error}"})
        with contextlib.suppress(OSError):
            answer["look"] = host.look()
    return masked(answer, host.hidden)


def difference(host):
    """The env file before and after, as far as it may be shown."""
    values = env_file(host.env_path)[1]
    after = env_values((host.request["env_text"] + host.kept(values)).encode())[0]
    return {"before": host.shown_text(values), "after": host.shown_text(after)}


# --- the host's own deadline -----------------------------------------------------------------------------------------


class Watcher:
    """Takes the host back to paper + tripped when its deadline has passed without a commit. `op_arm` writes the file
    that says where everything is; until then it only says that it is there."""

    def __init__(self, path):
        self.path = Path(path)
        self.data, self.host, self.told = b"", None, None
        self.code = code_mark()

    def look_round(self):
        """One round: reads what to watch, says what it watches, acts if it is time."""
        if code_mark() not in (None, self.code):
            sys.exit("a newer helper lies here: it is the one that must watch")  # the service manager starts it
        self.read()
        deadline = read_json(self.host.deadline_path) if self.host else None
        self.beat(deadline)
        if deadline and is_over(deadline):
            with contextlib.suppress(HostRefused, OSError):  # what fails is tried again
                self.take_back(deadline)

    def take_back(self, deadline):
        """Behind a change that hangs it goes without the lock, since nothing else would end that one."""
        try:
            with locked(self.host):
                if read_json(self.host.deadline_path) == deadline:
                    revert(self.host, deadline)
        except HostRefused as error:
            if error.code != "locked":
                raise
            revert(self.host, deadline)

    def read(self):
        data = contents(self.path)
        if data != self.data:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a damaged one leaves the last good one
                self.host, self.data = Host(json.loads(data)), data

    def beat(self, deadline):
        said = {"deadline": (deadline or {}).get("at"), "watch": digest(self.data)}
        moment = time.monotonic()
        if self.told is None or self.told[0] != said or not 0 <= moment - self.told[1] < BEAT_SECONDS:
            with contextlib.suppress(HostRefused, OSError):
                # Not synced: it tells of this very moment, and after a crash it must not.
                write_durably(self.path.with_name(BEAT_FILE), json.dumps({**said, "at": utc(now())}).encode(), sync=int)
                self.told = said, moment


def code_mark():
    """What this program's file is now; None while it is not there."""
    try:
        info = os.stat(__file__)
    except OSError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_size


def is_over(deadline):
    """By the clock, or by the time since this boot: a clock that was set back or stands still delays nothing. After
    another boot, a clock from before the arming can tell nothing, so the time is up. So it is for a damaged record."""
    try:
        moment = utc(now())
        same_boot = deadline["boot_id"] is not None and deadline["boot_id"] == boot_id()
        passed = same_boot and time.clock_gettime(time.CLOCK_BOOTTIME) >= deadline["boottime"]
        return passed or moment >= deadline["at"] or (not same_boot and moment < deadline["armed_at"])
    except (KeyError, TypeError):
        return True


def watch(path):
    """Runs the watcher until the service manager ends it."""
    watcher = Watcher(path)
    while True:
        watcher.look_round()
        time.sleep(WATCH_SECONDS)


def revert(host, deadline):
    trip(host, f"deadline-{deadline.get('transition', 'unreadable')}")
    fence = read_json(host.fence_path) or {"transition": "deadline", "epoch": 0}
    write_durably(host.fence_path, json.dumps({**fence, "reverted": True}).encode())
    if host.revert_path.exists():
        write_durably(host.env_path, host.revert_path.read_bytes())
    with contextlib.suppress(HostRefused):
        recreate(host)
    write_durably(host.own / "deadline-fired.json", json.dumps({**deadline, "fired_at": utc(now())}).encode())
    remove_durably(host.deadline_path)


def main():
    if sys.argv[1:] == ["--stdin"]:
        request = json.load(sys.stdin)
        json.dump(perform(request, bool(request.get("check_mode"))), sys.stdout)
        return
    if sys.argv[1:2] == ["--watch"]:
        watch(sys.argv[2])
    # Imported late: on the kill path there is no Ansible, and nothing here may need it.
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule({"request": {"type": "str", "required": True, "no_log": True}}, supports_check_mode=True)
    answer = perform(json.loads(module.params["request"]), module.check_mode)
    more = {"diff": answer["diff"]} if "diff" in answer else {}
    module.exit_json(changed=answer["changed"], failed=not answer["ok"], interlock=answer, **more)


if __name__ == "__main__":
    main()
