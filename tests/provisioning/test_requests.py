"""What `invoke host.prepare` asks of a host, and the files that this becomes; no host and no root needed."""

from __future__ import annotations

import configparser
import json
import shlex
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from ops.errors import InputError
from ops.hosts.fleet import Fleet
from ops.hosts.prepare import requests_of
from ops.inventory import Place, load_profile
from ops.yaml_source import YamlSource
from tests.field import ROOT

AT = datetime(2026, 1, 2, tzinfo=UTC)
ODD = "/usr/bin/python3 -m bot 'a b' 50% $HOME"
ENVIRONMENT = {"BOT_HOME": "{root}", "ODD": '5% "of" $X'}
SECRET = "k-canary-0123456789"


def requested(tmp_path: Path, system: str, service: Mapping[str, Any], prepare: Mapping[str, Any]) -> dict[str, Any]:
    """The request for the one host of a shipped system that runs under another manager."""
    inventory = tmp_path / "real"
    shutil.copytree(ROOT / "inventory" / "sandbox", inventory)
    path = inventory / "systems" / f"{system}.yml"
    profile = YamlSource(path).value
    name, host = next(iter(profile["hosts"].items()))
    hosts = {name: {**host, "root": f"/srv/{system}"}}
    profile |= {"hosts": hosts, "service": dict(service), "prepare": {"user": "bot", **prepare}}
    path.write_text(yaml.safe_dump(profile))
    place = Place("real", inventory, tmp_path / "state")
    fleet = Fleet(place, load_profile(place, system), "salt")
    return dict(requests_of(fleet, {name: f"KEY={SECRET}\n"}, [name], AT)[name])


def rendered(name: str, request: Mapping[str, Any], **more: Any) -> str:
    """A template as Ansible fills it in."""
    role, _, file = name.partition("/")
    loader = jinja2.FileSystemLoader(ROOT / "playbooks" / "roles" / role / "templates")
    environment = jinja2.Environment(
        loader=loader, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["to_json"] = json.dumps
    return environment.get_template(file).render(prepare=request, **more)


SYSTEMD = {"manager": "systemd", "name": "bot", "start_gated": True}


def on_systemd(tmp_path: Path, system: str = "alpaca-bot", **prepare: Any) -> dict[str, Any]:
    return requested(tmp_path, system, SYSTEMD, {"commands": {"bot": ODD}, "environment": ENVIRONMENT, **prepare})


def test_a_fresh_host_has_its_gate_before_anything_that_makes_it_look_prepared(tmp_path: Path) -> None:
    request = on_systemd(tmp_path)
    entries = {entry["path"]: entry for entry in request["entries"]}
    helper, env = f"{request['own']}/interlock_host.py", request["env"]
    assert list(entries).index(request["gate"]) < min(list(entries).index(helper), list(entries).index(env))
    assert entries[request["gate"]]["unless"] == [helper, env] and entries[request["gate"]]["keep"]


def test_who_owns_what(tmp_path: Path) -> None:
    entries = {e["path"].removeprefix("/srv/alpaca-bot"): e for e in on_systemd(tmp_path, writable=["data"])["entries"]}
    rights = {path: (entry["user"], entry["mode"]) for path, entry in entries.items()}
    assert rights[""] == ("root", "0755") and rights["/interlock"] == ("root", "0711")
    assert rights["/var"] == rights["/var/log"] == rights["/data"] == ("bot", "0750")
    files = {path for path, entry in entries.items() if entry["kind"] == "file"}
    assert {rights[path] for path in files} == {("root", "0600")}
    assert entries["/keys.env"]["keep"], "an env file that is there is a transition's affair"


def test_the_helper_is_the_host_program_byte_for_byte(tmp_path: Path) -> None:
    (text,) = [e["text"] for e in on_systemd(tmp_path)["entries"] if e["path"].endswith("/interlock_host.py")]
    assert text.encode() == (ROOT / "playbooks" / "library" / "interlock_host.py").read_bytes()


def test_the_key_stands_nowhere_but_in_the_env_file(tmp_path: Path) -> None:
    request = on_systemd(tmp_path)
    assert [e["path"] for e in request["entries"] if SECRET in e.get("text", "")] == [request["env"]]
    assert SECRET not in json.dumps({name: part for name, part in request.items() if name != "entries"})


def test_a_unit_means_what_the_profile_says(tmp_path: Path) -> None:
    request = on_systemd(tmp_path)
    (service,) = request["services"]
    unit = rendered("systemd/bot.service.j2", request, service=service)
    assert 'ExecStart="/usr/bin/python3" "-m" "bot" "a b" "50%%" "$$HOME"\n' in unit
    assert 'Environment="BOT_HOME=/srv/alpaca-bot"\nEnvironment="ODD=5%% \\"of\\" $X"\n' in unit
    asked = rendered("systemd/interlock.conf.j2", request, service=service)
    for line in (
        "EnvironmentFile=/srv/alpaca-bot/keys.env",
        "ConditionPathExists=!/srv/alpaca-bot/interlock/gate",
        "StartLimitIntervalSec=0",
        "ReadWritePaths=/srv/alpaca-bot/var",
        "ExecStop=-+/usr/bin/python3 -I -S /srv/alpaca-bot/interlock/interlock_stop.py "
        "/srv/alpaca-bot/interlock/stop.json",
    ):
        assert f"\n{line}\n" in asked


@pytest.mark.parametrize(
    ("system", "wish"),
    [
        ("alpaca-bot", {"method": "POST", "path": "/kill_switch?reason=service-stopped", "body": ""}),
        ("kraken-bot", None),
    ],
)
def test_a_unit_trips_its_bot_only_where_that_has_a_verb(
    tmp_path: Path, system: str, wish: dict[str, str] | None
) -> None:
    request = on_systemd(tmp_path, system)
    found = [json.loads(e["text"]) for e in request["entries"] if e["path"].endswith("/stop.json")]
    assert [{k: one[k] for k in wish} for one in found] == [wish] if wish else found == []
    assert ("ExecStop" in rendered("systemd/interlock.conf.j2", request, service=request["services"][0])) == bool(wish)


def test_a_compose_file_means_what_the_profile_says(tmp_path: Path) -> None:
    names = ("api", "dashboard")
    service = {"manager": "compose", "name": "api", "also": ["dashboard"]}
    prepare = {"image": "bots:1", "mounts": ["/opt/lib"], "commands": dict.fromkeys(names, ODD),
               "environment": ENVIRONMENT}  # fmt: skip
    request = requested(tmp_path, "ibkr-assistant", service, prepare)
    document = yaml.safe_load(rendered("compose/compose.yml.j2", request, compose_user="990:990"))
    assert list(document["services"]) == list(names)
    api = document["services"]["api"]
    assert api["command"] == ["/usr/bin/python3", "-m", "bot", "a b", "50%", "$$HOME"]
    assert api["environment"] == {"BOT_HOME": "/srv/ibkr-assistant", "ODD": '5% "of" $$X'}
    assert (api["init"], api["restart"], api["network_mode"]) == (True, "always", "host")
    assert api["env_file"] == ["/srv/ibkr-assistant/.env"]
    writable = [volume for volume in api["volumes"] if not volume.endswith(":ro")]
    assert {volume.split(":")[0].rpartition("/")[2] for volume in writable} == {"var", "logs"}


def test_a_program_of_supervisord_reads_the_env_file_before_it_becomes_the_bots_user(tmp_path: Path) -> None:
    service = {"manager": "supervisord", "socket": "/run/supervisor.sock", "name": "bot"}
    request = requested(tmp_path, "alpaca-bot", service, {"commands": {"bot": ODD}, "environment": ENVIRONMENT})
    text = rendered("supervisord/programs.conf.j2", request, host_files={"systemd": False})
    parser = configparser.ConfigParser()
    parser.read_string(text)
    assert set(parser.sections()) == {"program:bot", "program:interlock-watch-alpaca-bot"}
    shell, option, line = shlex.split(parser["program:bot"]["command"])
    assert (shell, option) == ("/bin/sh", "-c")
    before, _, after = line.partition("exec ")
    assert ". /srv/alpaca-bot/keys.env" in before
    assert shlex.split(after)[0] == "setpriv" and shlex.split(after)[-2:] == ["50%", "$HOME"]


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        ({"commands": {"other": ODD}}, "no service"),
        ({"commands": {"bot": "python3 -m bot"}}, "no command"),
        ({"commands": {"bot": "/usr/bin/python3 'open"}}, "no command"),
        ({"environment": {"TRADING_MODE": "live"}}, "stands in the env file too"),
        ({"user": "root"}, "is root"),
        ({"image": "bots:1"}, "compose only"),
        ({"writable": ["../etc"]}, "prepare.writable.0 is wrong"),
        ({"comands": {}}, "unknown key"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(tmp_path: Path, prepare: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        requested(tmp_path, "alpaca-bot", SYSTEMD, prepare)
