"""The running process: that it is the bot, that it began after the env file, and that it loaded it."""

from __future__ import annotations

from datetime import datetime


def test_is_running(facts):
    assert facts["process"]["state"] in ("RUNNING", "STARTING")
    assert facts["process"]["pid"]


def test_began_after_the_env_file_was_written(machine, facts):
    written = machine.file(facts["env_file"]).mtime.timestamp()
    began = datetime.fromisoformat(facts["process"]["started_at"].replace("Z", "+00:00")).timestamp()
    # The kernel counts process starts in hundredths of a second.
    assert began >= written - 1.5


def test_loaded_the_mode_variables(machine, facts):
    environ = machine.file(f"/proc/{facts['process']['pid']}/environ").content.split(b"\0")
    for variable, value in facts["mode_variables"].items():
        assert f"{variable}={value}".encode() in environ


def test_listens_on_loopback_only(facts):
    assert facts["process"]["listening"], "the bot's API is not listening"
    assert all(address.startswith("127.") for address in facts["process"]["listening"])
    assert any(address.endswith(":" + facts["api_port"]) for address in facts["process"]["listening"])
