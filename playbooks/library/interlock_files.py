#!/usr/bin/python
"""The folders and files of a host as they must be: owner, group, mode, text. One task, one round trip.

One parameter, `request`: {"entries": [...]}, each {"path", "kind": folder | file, "user", "group", "mode"} and for a
file {"text"}; `keep`: what stands in an existing file is left alone; `unless`: the entry is left alone where all of
these paths exist. The answer names each path that changed and how, never a text.

It runs as root in folders that a bot owns. So no symbolic link is followed anywhere on the way to an entry, a file is
replaced by one rename, and what is there and is no plain file or folder is refused.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import stat

from ansible.module_utils.basic import AnsibleModule

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotSo(Exception):
    """Something stands there that may not be touched."""


def main():
    module = AnsibleModule({"request": {"type": "str", "required": True, "no_log": True}}, supports_check_mode=True)
    if os.geteuid() != 0:
        module.fail_json(msg="not root on this host; remedy: ansible_become: true in hosts.yml, or ansible_user: root")
    changes, path = [], ""
    try:
        for entry in json.loads(module.params["request"])["entries"]:
            path = entry["path"]
            changes += [f"{path}: {what}" for what in settled(entry, module.check_mode)]
    except (NotSo, OSError) as error:
        module.fail_json(msg=f"{path}: {error.strerror if isinstance(error, OSError) else error}")
    systemd = os.path.isdir("/run/systemd/system")
    module.exit_json(changed=bool(changes), interlock_changes=changes, systemd=systemd)


def settled(entry, check_mode):
    """Brings one entry about; what had to change, in words. Under check mode only the words."""
    if entry.get("unless") and all(os.path.lexists(path) for path in entry["unless"]):
        return []
    with contextlib.ExitStack() as opened:
        parent = open_folder(os.path.dirname(entry["path"]), opened, check_mode)
        if parent is None:  # only ever under check mode: a folder before it is not made yet
            return ["made"]
        return (folder if entry["kind"] == "folder" else plain_file)(entry, parent, check_mode)


def open_folder(path, opened, check_mode):
    """A handle of a folder, one component after the other from `/`. Parents that are missing are made, root's, 0755."""
    handle = keep_open(os.open("/", FOLDER), opened)
    for part in filter(None, path.split("/")):
        try:
            handle = keep_open(os.open(part, FOLDER, dir_fd=handle), opened)
        except FileNotFoundError:
            if check_mode:
                return None
            os.mkdir(part, 0o755, dir_fd=handle)
            handle = keep_open(os.open(part, FOLDER, dir_fd=handle), opened)
            os.fchmod(handle, 0o755)
        except NotADirectoryError:
            raise NotSo(f"{part} on the way to it is a symbolic link or no folder; name the real path") from None
    return handle


def keep_open(handle, opened):
    opened.callback(os.close, handle)
    return handle


def folder(entry, parent, check_mode):
    name, made = os.path.basename(entry["path"]), False
    try:
        handle = os.open(name, FOLDER, dir_fd=parent)
    except NotADirectoryError:
        raise NotSo("is a symbolic link or no folder; take it away") from None
    except FileNotFoundError:
        if check_mode:
            return ["made"]
        os.mkdir(name, 0o700, dir_fd=parent)
        handle, made = os.open(name, FOLDER, dir_fd=parent), True
    try:
        changed = owned(handle, entry, check_mode)
        return ["made"] if made else changed
    finally:
        os.close(handle)


def plain_file(entry, parent, check_mode):
    name = os.path.basename(entry["path"])
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return ["made"] if check_mode else replaced(entry, name, parent, "made")
    except OSError:
        raise NotSo("is a symbolic link or cannot be read; take it away") from None
    with os.fdopen(handle, "rb") as stream:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
            raise NotSo("is no plain file, or has more than one hard link; take it away")
        if entry.get("keep") or stream.read() == entry["text"].encode():
            return owned(handle, entry, check_mode)
    return ["text"] if check_mode else replaced(entry, name, parent, "text")


def replaced(entry, name, parent, word):
    """The whole file in one rename: at every instant the old or the new one, never readable by more than it may be."""
    temp = f".{name}.interlock"
    with contextlib.suppress(FileNotFoundError):  # of a run that was killed
        os.unlink(temp, dir_fd=parent)
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(entry["text"].encode())
        stream.flush()
        owned(handle, entry, False)
        os.fsync(handle)
    os.rename(temp, name, src_dir_fd=parent, dst_dir_fd=parent)
    os.fsync(parent)
    return [word]


def owned(handle, entry, check_mode):
    """Owner, group and mode of what is open; what had to change."""
    info, changed = os.fstat(handle), []
    wanted, mode = f"{entry['user']}:{entry['group']}", int(entry["mode"], 8)
    seen = f"{user_name(info.st_uid)}:{group_name(info.st_gid)}"
    if seen != wanted:
        changed.append(f"owner {seen} -> {wanted}")
        if not check_mode:
            os.fchown(handle, pwd.getpwnam(entry["user"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid)
    if stat.S_IMODE(info.st_mode) != mode:
        changed.append(f"mode {stat.S_IMODE(info.st_mode):04o} -> {mode:04o}")
        if not check_mode:
            os.fchmod(handle, mode)
    return changed


def user_name(number):
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_name(number):
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


if __name__ == "__main__":
    main()
