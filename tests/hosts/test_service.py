"""The running processes: that they are the bot, that each began after the env file and has loaded it, their doors."""

from __future__ import annotations

import ipaddress
import math

import pytest

# The kernel counts process starts in hundredths of a second, and the time of its boot in whole ones.
START_SLACK_SECONDS = 1.5
RUNNING, DOWN = ("RUNNING", "STARTING"), ("STOPPED", "EXITED", "FATAL", "inactive (dead)", "exited", "created")
COMES_BACK = {"systemd": ("enabled",), "compose": ("always", "unless-stopped")}


def test_services_run(services, halted):
    """Or are down, where the profile says that none may start while the gate stands."""
    expected = DOWN if halted else RUNNING
    wrong = {name: one["state"] for name, one in services.items() if one["state"] not in expected}
    assert not wrong, f"{wrong}"


def test_services_come_back_after_a_reboot(services, wanted, under):
    under("systemd", "compose")
    wrong = {name: one.get("comes_back") for name, one in services.items()
             if one.get("comes_back") not in COMES_BACK[wanted["manager"]]}  # fmt: skip
    assert not wrong, f"{wrong}"


def test_services_did_not_restart_by_themselves(services, under):
    under("systemd", "compose")
    wrong = {name: one.get("restarts") for name, one in services.items() if one.get("restarts") != 0}
    assert not wrong, f"restarts that nobody asked for: {wrong}"


def test_processes_began_after_the_env_file_was_written(mains, seen):
    written = seen["env"].get("written", math.inf)
    late = [name for name, one in mains.items() if one["began"] < written - START_SLACK_SECONDS]
    assert not late, f"older than the env file: {', '.join(late)}"


def test_processes_loaded_the_mode(mains, wanted):
    wrong = {name: one["variables"] for name, one in mains.items() if one["variables"] != wanted["mode"]}
    assert not wrong, f"{wrong}"


def test_processes_loaded_the_whole_env_file(mains):
    wrong = {name: one["unlike_env_file"] for name, one in mains.items() if one["unlike_env_file"]}
    assert not wrong, f"other values than the env file has: {wrong}"


def test_processes_loaded_the_planned_keys(mains, wanted):
    if not wanted["keys"]:
        pytest.skip("the venues of this bot know no keys")
    wrong = [
        f"{name}: {variable}" for name, one in mains.items() for variable, mark in wanted["keys"].items()
        if one["fingerprints"].get(variable) != mark
    ]  # fmt: skip
    assert not wrong, f"another key, or none: {', '.join(wrong)}"


def test_processes_hold_no_key_of_the_other_mode(mains, seen, wanted):
    """Not the main processes alone, but each that they have started."""
    if not wanted["foreign"]:
        pytest.skip("no key of the other mode is known here")
    wrong = {pid: one["foreign"] for pid, one in seen["processes"].items() if one["foreign"]}
    assert not wrong, f"by process id: {wrong}"


def test_no_stray_instance(seen):
    assert not seen["strays"], f"{seen['strays']}"


def test_processes_do_not_run_as_root(mains, under, real):
    under("systemd", "supervisord")
    wrong = [name for name, one in mains.items() if one["uid"] == 0]
    assert not wrong, f"as root: {', '.join(wrong)}"


def test_no_core_dump_may_hold_its_keys(mains, seen):
    """A core file lands in the bot's folder with its keys in it, unless the system takes it over, for root alone."""
    taken_over = seen["machine"]["core_pattern"].startswith("|")
    wrong = {name: one["core_bytes"] for name, one in mains.items() if one["core_bytes"] != "0" and not taken_over}
    assert not wrong, f"core files are written: {wrong}"


def test_listens_on_loopback_only(mains, seen, services, wanted):
    """Or on the one address that the profile gives; a container's own network counts by what is published of it."""
    found = [where for one in seen["processes"].values() if not one["own_network"] for where in one["listening"]]
    found += [where for one in services.values() for where in one.get("published", ())]
    reachable = [f"{address}:{port}" for address, port in found if not inside(address, wanted["api_host"])]
    assert not reachable, f"{', '.join(reachable)}"


def inside(address, own):
    place = ipaddress.ip_address(address or "0.0.0.0")
    place = getattr(place, "ipv4_mapped", None) or place
    return place.is_loopback or (str(place) == own and not place.is_unspecified)


def test_listens_where_its_api_is(mains, seen, services, wanted):
    """A bot without an API has no port to listen on."""
    if wanted["api_port"] is None:
        pytest.skip("this bot offers no API")
    found = {port for one in seen["processes"].values() if not one["own_network"] for _, port in one["listening"]}
    found |= {port for one in services.values() for _, port in one.get("published", ())}
    assert wanted["api_port"] in found, f"it listens on {sorted(found) or 'nothing'}"
