#!/usr/bin/python
"""Everything Interlock ever does on a host, in one program of the standard library alone.

It is the body of our Ansible module and, byte for byte, what the kill path runs or sends over OpenSSH:

    (as an Ansible module)                       one parameter, `request`
    interlock_host.py --stdin  < request.json    answers with one JSON document
    interlock_host.py --watch  request.json      the host's own revert deadline, run by the service manager

Operations: look, kill, trip, arm, flip, restart, rearm, disarm, drill. Those that change the host take its lock and
compare the fence (transition, epoch): an older controller's late effect is refused. `kill` is never refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import sqlite3
import stat
import sys
import time
import urllib.parse
import xmlrpc.client
from datetime import datetime, timedelta, timezone
from pathlib import Path

MEANS_RUNNING = ("RUNNING", "STARTING")
MEANS_DEAD = ("STOPPED", "EXITED", "FATAL", "GONE")
ENV_KEY = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*\Z")
ENV_VALUE = re.compile(rb"[!%*+,\-./0-9:=?@A-Z\[\]^_a-z{}]*\Z")
ENV_MAX_BYTES = 65536
URL_PASSWORD = re.compile(r"://[^/@]*?:([^/@]{8,})@")
TAIL_BYTES = 262144
# So long a bot that reads its gate or its switch file on each loop may take to heed it.
HEED_SECONDS = 6.0


# What comes from a disk or a service manager that is in trouble.
BROKEN = (OSError, xmlrpc.client.Error, http.client.HTTPException)


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


def write_durably(path, data):
    """Temp file, fsync, rename, fsync of the folder: at every instant the old or the new file, whole, 0600."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    refuse_unwritable(path.parent)
    temp = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temp.unlink()
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temp, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temp.unlink()
        raise
    sync_folder(path.parent)


def refuse_unwritable(folder):
    """Root may write anywhere, so the mode bits are asked, not only the kernel."""
    if not (folder.stat().st_mode & stat.S_IWUSR and os.access(folder, os.W_OK)):
        raise HostRefused("read-only", f"the folder {folder} is read-only")


def sync_folder(folder):
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
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
    parent = path.parent.stat()
    if parent.st_mode & 0o022:
        texts.append("lies in a folder that others may write to")
    if not parent.st_mode & stat.S_IWUSR:
        texts.append("lies in a read-only folder")
    return [{"line": None, "text": text} for text in texts]


# --- the service manager ---------------------------------------------------------------------------------------------


class UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over the unix socket of supervisord."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        connection = http.client.HTTPConnection("localhost", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(20)
        try:
            connection.sock.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection


class Supervisord:
    """A service under supervisord. Stop and start run the whole command again, so the env file is read anew."""

    def __init__(self, socket_path, name):
        self.name = name
        self.rpc = xmlrpc.client.ServerProxy("http://localhost", transport=UnixTransport(socket_path)).supervisor

    def status(self):
        """{"state", "pid"}; state is `unreachable` when the manager does not answer."""
        try:
            info = self.rpc.getProcessInfo(self.name)
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return {"state": "unreachable", "pid": None}
        return {"state": info["statename"], "pid": info["pid"] or None}

    def stop(self):
        with contextlib.suppress(xmlrpc.client.Fault):  # not running is what we want
            self.rpc.stopProcess(self.name, True)

    def start(self):
        self.rpc.startProcess(self.name, False)


MANAGERS = {"supervisord": Supervisord}


# --- what the bot shows, and is told ----------------------------------------------------------------------------------


def call(base, method, wish, seconds=2.0):
    """(status, document) of `/path`, or of `/path {JSON}` with that body. Raises OSError or ValueError when there is no
    typed answer; one without a body is an empty document."""
    parts = urllib.parse.urlsplit(base)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=seconds)
    path, _, body = wish.partition(" ")
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, parts.path.rstrip("/") + path, body.encode() or None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read(1_000_000) or b"{}")
    except http.client.HTTPException as error:
        raise OSError(type(error).__name__) from None
    finally:
        connection.close()


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
    """Whether the bot shows this word in time. One that does not run at all trades as little as a tripped one."""
    until = time.monotonic() + seconds
    while True:
        if switch_word(host, since) == word:
            return True
        if word == "tripped" and host.process()["state"] in MEANS_DEAD:
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
        service = request["service"]
        self.service = MANAGERS[service["manager"]](service["socket"], service["name"])
        self.also = [MANAGERS[service["manager"]](service["socket"], name) for name in service.get("also", ())]
        self.api = request["api"]
        self.hidden = []

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

    def kept(self, values):
        """The lines of the bot's own secrets, which stand nowhere but in this file."""
        return "".join(f"{n}={values[n]}\n" for n in self.request["watch"].get("kept", ()) if values.get(n))

    def look(self):
        facts, values = env_file(self.env_path)
        known = {*self.request["watch"]["shown"], *self.request["watch"]["secret"]}
        process = self.process()
        environ = self.environ(process["pid"])
        secrets = [v[n] for v in (values, environ) for n in self.request["watch"]["secret"] if len(v.get(n) or "") >= 8]
        self.hidden = hidden(secrets)
        disk = os.statvfs(self.root)
        api = {name: self.said(name, process) for name in self.api["readouts"]}
        gate = read_gate(self.gate_path)
        return {
            "at": utc(now()),
            "env": {**facts, **self.shown(values), "unknown_keys": [named(n) for n in sorted(set(values) - known)]},
            "loaded": self.shown(environ) if process["pid"] else None,
            "process": {**process, "listening": listening(process["pid"])},
            "also": {service.name: self.beside(service) for service in self.also},
            "api": api,
            "gate": gate,
            "switch": self.verdict(word_of(self, api["switch"]), gate, process["state"]),
            "fence": read_json(self.fence_path),
            "deadline": read_json(self.deadline_path),
            "release_sha256": tree_sha256(self.root / self.request["release"]),
            "disk": {"free_bytes": disk.f_bavail * disk.f_frsize, "free_inodes": disk.f_favail},
            "secret_in_argv_pids": argv_holders(secrets),
            "secret_in_release_files": release_holders(self.root / self.request["release"], secrets),
            **({"evidence": self.evidence()} if self.request.get("evidence") else {}),
        }

    def said(self, name, process):
        """What the bot shows; a file tells nothing of a bot that does not run."""
        written = not self.api["readouts"][name].get("path")
        return {"error": "the bot does not run"} if written and not process["pid"] else readout(self, name)

    def verdict(self, word, gate, process):
        """armed, tripped or unknown by all that is seen: a gate speaks against armed, and stands for a bot that is
        dead; a bot without a switch of its own is tripped by nothing but a gate."""
        if word == "unknown" and gate and process in MEANS_DEAD:
            return "tripped"
        own = self.api.get("trip") is not None
        return "unknown" if (word == "armed" and gate) or (word == "tripped" and not gate and not own) else word

    def beside(self, service):
        """A service beside the main one: its process, and what it has loaded."""
        status = service.status()
        loaded = self.shown(self.environ(status["pid"])) if status["pid"] else None
        return {**status, "listening": listening(status["pid"]), "loaded": loaded}

    def process(self):
        status = self.service.status()
        if status["state"] == "unreachable" and not processes_under(self.root):
            status["state"] = "GONE"
        pid = status["pid"]
        return {**status, "started_at": started_at(pid) if pid else None}

    def environ(self, pid):
        try:
            pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if pid else []
        except OSError:
            return {}
        return dict(p.decode(errors="replace").split("=", 1) for p in pairs if b"=" in p)

    def evidence(self):
        """The bot's own records since an instant, read without the bot."""
        wanted = self.request["evidence"]
        result = {"log": log_evidence(self.root / wanted["log"]["path"], wanted, self.hidden)}
        database = self.root / wanted["database"]
        try:
            with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=2)) as connection:
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


def processes_under(folder):
    """The processes that work in this folder: how to know that none runs when its manager does not answer."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                ours = b"interlock_host.py" in (entry / "cmdline").read_bytes()
                if not ours and Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                    found.append(int(entry.name))
    return found


def listening(pid):
    """The addresses on which the process listens, as `127.0.0.1:18411`; IPv6 ones as hex."""
    found, inodes = [], set()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd") if pid else ():
            with contextlib.suppress(OSError):  # closed since it was listed, as a busy bot's connections are
                inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                    found.append(address(*fields[1].split(":")))
    return sorted(found)


def address(host, port):
    name = socket.inet_ntoa(bytes.fromhex(host)[::-1]) if len(host) == 8 else f"[{host}]"
    return f"{name}:{int(port, 16)}"


def argv_holders(secrets):
    """The processes in whose argument list a secret stands."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and secrets:
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes()
                if any(secret.encode() in line for secret in secrets):
                    found.append(int(folder.name))
    return found


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


def release_holders(folder, secrets):
    """The files of the release in which a secret stands, which cannot be rotated; None if there was nothing to scan."""
    wanted, files = [secret.encode() for secret in secrets], code_files(folder)
    if not wanted or not files:
        return None
    return [str(p.relative_to(folder)) for p in files if any(w in p.read_bytes() for w in wanted)]


def tree_sha256(folder):
    """One digest over names and contents of a folder of code; None if there is no such folder."""
    if not folder.is_dir():
        return None
    total = hashlib.sha256()
    for path in code_files(folder):
        total.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


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
    host.own.mkdir(mode=0o700, exist_ok=True)
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


def match_fence(host):
    given, stored = host.request["fence"], read_json(host.fence_path) or {}
    if (given["transition"], given["epoch"]) != (stored.get("transition"), stored.get("epoch")) or stored.get(
        "reverted"
    ):
        said = (
            "went back by its own deadline" if stored.get("reverted") else f"is fenced for epoch {stored.get('epoch')}"
        )
        raise HostRefused("fenced", f"this host {said}")


def trip(host, by):
    """Gate first (it holds whatever happens next), then the bot's own switch, if it has one.

    A bot that does not confirm is stopped, and what runs beside it.
    """
    done = {}
    try:
        write_durably(host.gate_path, json.dumps({"by": by, "at": utc(now())}).encode())
        done["gate"] = "set"
    except (OSError, HostRefused) as error:
        done["gate"] = f"NOT set: {error}"
    began = time.monotonic()
    done["api"] = tell(host, "trip", by)
    if not (done["api"]["ok"] and (done["api"]["told"] or awaited(host, "tripped", HEED_SECONDS, began))):
        for service in (host.service, *host.also):
            if service.status()["state"] in MEANS_RUNNING:
                service.stop()
                done["service"] = host.service.status()["state"]
    return done


def op_look(host):
    return {}


def op_kill(host):
    return trip(host, host.request["by"])


def op_trip(host):
    with locked(host):
        take_fence(host)
        return trip(host, host.request["by"])


def op_arm(host):
    """Keeps the present env file as the one to go back to, and sets the instant at which the host goes back alone."""
    with locked(host):
        match_fence(host)
        until = now() + timedelta(seconds=host.request["deadline_seconds"])
        remove_leftovers(host.revert_path)
        write_durably(host.revert_path, host.env_path.read_bytes())
        write_durably(host.deadline_path, json.dumps({**host.request["fence"], "at": utc(until)}).encode())
        return {"until": utc(until)}


def op_flip(host):
    """The whole env file in one rename, only while halted and only if the file is still the one that was planned."""
    with locked(host):
        match_fence(host)
        if not os.path.lexists(host.gate_path):
            raise HostRefused("not-halted", "the gate is not set: an env file changes only while the bot is halted")
        compare = host.request.get("compare_sha256")
        facts, values = env_file(host.env_path)
        if compare and facts["sha256"] != compare:
            raise HostRefused("changed", f"{host.env_path.name} is not the file that was planned: somebody changed it")
        if facts["problems"] and compare:
            raise HostRefused("unfit", f"{host.env_path.name}: {facts['problems'][0]['text']}")
        remove_link(host.env_path)
        remove_leftovers(host.env_path)
        write_durably(host.env_path, (host.request["env_text"] + host.kept(values)).encode())
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
    what runs beside it is up."""
    for service in (*reversed(host.also), host.service):
        service.stop()
    began = time.monotonic()
    until = began + host.request["service"]["start_max_seconds"]
    host.service.start()
    await_loop(host, began, until)
    for service in host.also:
        service.start()
        while not has_loaded(host, service):
            if time.monotonic() > until:
                raise HostRefused("not-healthy", f"{service.name} did not come up with the env file in time")
            time.sleep(0.05)
    return {"service": host.service.status()["state"]}


def has_loaded(host, service):
    """Whether a service runs, and with every value of the env file: its starter may still be reading it."""
    status, values = service.status(), env_file(host.env_path)[1]
    return status["state"] == "RUNNING" and values.items() <= host.environ(status["pid"]).items()


def await_loop(host, began, until):
    health = host.api["health"]
    while time.monotonic() < until:
        document = readout(host, "health")
        age = field_of(document, health["field"])
        young = isinstance(age, (int, float)) and age <= health["age_max"]
        if young and not written_before(host, "health", document, began):
            return
        time.sleep(0.05)
    raise HostRefused("not-healthy", "the bot did not come up in time")


def op_rearm(host):
    """Lifts the halt only if nobody set it anew since: the gate and the bot's reason are still the expected ones."""
    with locked(host):
        match_fence(host)
        refuse_foreign_gate(host, host.gate_path)
        if read_json(host.deadline_path) is not None:
            raise HostRefused("armed-deadline", "the host's own deadline is still running")
        lift_gate(host)
        began = time.monotonic()
        done = tell(host, "rearm", host.request["expected_reason"])
        if not (done["ok"] and (done["told"] or awaited(host, "armed", HEED_SECONDS, began))):
            write_durably(host.gate_path, json.dumps({"by": host.request["by"], "at": utc(now())}).encode())
            raise HostRefused("not-rearmed", f"the bot did not re-arm, it is tripped for: {reason_shown(host)}")
        return done


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
    write_durably(request, json.dumps({**json.loads(text), "id": mark}).encode())
    while time.monotonic() < until:
        found = read_json(request.with_suffix(".answer")) or {}
        if found.get("id") == mark:
            return found.get("status"), found.get("answer")
        time.sleep(0.05)
    raise HostRefused("no-answer", "the bot did not answer the drill in time")


def refuse_drill(host, before):
    shown, setting = host.shown(host.environ(host.service.status()["pid"])), host.request["drill"]["paper"]
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
    """Carries out one request; the answer always has ok, changed and (unless it was a kill) a fresh look."""
    host = Host(request)
    op = request["op"]
    answer = {"host": request["host"], "op": op, "ok": True, "changed": False, "error": None, "done": {}}
    try:
        if op in CHANGES and not check_mode:
            answer["done"] = OPERATIONS[op](host)
            answer["changed"] = True
        answer["look"] = host.look()
    except HostRefused as error:
        answer.update(ok=False, error={"code": error.code, "text": str(error)}, look=host.look())
    except BROKEN as error:
        answer.update(ok=False, error={"code": "broken", "text": f"{type(error).__name__}: {error}"})
        with contextlib.suppress(OSError):
            answer["look"] = host.look()
    return masked(answer, host.hidden)


def watch(path):
    """The host's own deadline: when it has passed without a commit, the host goes back to paper + tripped by itself."""
    host = Host(json.loads(Path(path).read_text()))
    while True:
        deadline = read_json(host.deadline_path)
        if deadline and (deadline.get("unreadable") or utc(now()) >= deadline.get("at", "")):
            with contextlib.suppress(HostRefused, *BROKEN), locked(host):  # what fails is tried again
                if read_json(host.deadline_path) == deadline:
                    revert(host, deadline)
        time.sleep(0.5)


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
        json.dump(perform(json.load(sys.stdin)), sys.stdout)
        return
    if sys.argv[1:2] == ["--watch"]:
        watch(sys.argv[2])
    # Imported late: on the kill path there is no Ansible, and nothing here may need it.
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule({"request": {"type": "str", "required": True, "no_log": True}}, supports_check_mode=True)
    answer = perform(json.loads(module.params["request"]), module.check_mode)
    module.exit_json(changed=answer["changed"], failed=not answer["ok"], interlock=answer)


if __name__ == "__main__":
    main()
