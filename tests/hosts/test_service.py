"""The running processes: that they are the bot, that it began after the env file, and that each has loaded it."""

from __future__ import annotations

from datetime import datetime


def test_is_running(facts):
    for name, process in facts["processes"].items():
        assert process["state"] in ("RUNNING", "STARTING"), name
        assert process["pid"], name


def test_began_after_the_env_file_was_written(machine, facts):
    written = machine.file(facts["env_file"]).mtime.timestamp()
    began = datetime.fromisoformat(facts["process"]["started_at"].replace("Z", "+00:00")).timestamp()
    # The kernel counts process starts in hundredths of a second.
    assert began >= written - 1.5


def test_loaded_the_mode_variables(machine, facts):
    for name, process in facts["processes"].items():
        environ = machine.file(f"/proc/{process['pid']}/environ").content.split(b"\0")
        for variable, value in facts["mode_variables"].items():
            assert f"{variable}={value}".encode() in environ, name


def test_listens_on_loopback_only(facts):
    addresses = [address for process in facts["processes"].values() for address in process["listening"]]
    assert all(address.startswith("127.") for address in addresses)


def test_listens_where_its_api_is(facts):
    """A bot without an API has no port to listen on."""
    port = facts["api_port"]
    assert port is None or any(address.endswith(":" + port) for address in facts["process"]["listening"])
