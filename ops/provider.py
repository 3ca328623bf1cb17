"""What `provider:` in an environment.yml stands for: who brings the machines up, and who can sign at once.

`none`: the machines are there, people sign when they can. `sandbox`: the embedded sandbox is started, and two approvers
whose keys were made on the spot sign at once. The transitions know nothing of the difference.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ops.doors import Doors
from ops.errors import InputError
from ops.hosts.ansible import PLAYBOOKS
from ops.inventory import Place
from ops.model.plan import Plan
from ops.signatures import new_key, sign

if TYPE_CHECKING:
    from ops.sandbox.blueprint import SandboxHost
    from ops.sandbox.manager import Sandbox

Say = Callable[[str], None]
NAMESPACES = "interlock-go-live@v1,interlock-rearm@v1,interlock-rotate-keys@v1,interlock-attest@v1"


def sandbox_of(doors: Doors, say: Say) -> Sandbox:
    """The sandbox of one system. Raises InputError if its environment is not provided by it, or gives it no port."""
    from ops.sandbox.blueprint import Blueprint
    from ops.sandbox.manager import Sandbox

    setting, profile, place = doors.environment.sandbox, doors.profile, doors.place
    if doors.environment.provider != "sandbox" or setting is None:
        raise InputError(f"{place.name} is not a sandbox", remedy="use --env=sandbox")
    if profile.system not in setting.admin_ports:
        raise InputError(
            f"the sandbox has no admin port for {profile.system}",
            file=place.inventory / "environment.yml",
            expected=f"sandbox.admin_ports.{profile.system}",
        )
    return Sandbox(
        Blueprint(
            profile=profile,
            state=place.state,
            run=place.run,
            admin_port=setting.admin_ports[profile.system],
            hosts=_sandbox_hosts(doors),
            documents=tuple(place.path(document.path) for document in profile.documents.values()),
            secrets=doors.secrets,
            host_program=PLAYBOOKS / "library" / "interlock_host.py",
            env_texts=lambda: doors.fleet.env_texts("paper", 100, doors.bot_credentials("paper")),
            watches=lambda: {name: doors.fleet.request(name, "look") for name in profile.hosts},
        ),
        say,
    )


def _sandbox_hosts(doors: Doors) -> tuple[SandboxHost, ...]:
    from ops.sandbox.blueprint import SandboxHost, port_of

    place, socket = doors.place, doors.profile.service.socket
    return tuple(
        SandboxHost(
            name=name,
            root=place.path(host.root, name),
            socket=place.path(socket, name),
            port=None if host.api is None else port_of(host.api),
        )
        for name, host in doors.profile.hosts.items()
    )


def wipe(place: Place) -> None:
    """Removes everything that an environment of the sandbox ever wrote; its processes must have ended."""
    shutil.rmtree(place.run, ignore_errors=True)
    shutil.rmtree(place.state, ignore_errors=True)


def ensure_up(doors: Doors, say: Say) -> bool:
    """Starts what the provider can start; True if it had to."""
    if doors.environment.provider != "sandbox":
        return False
    started = sandbox_of(doors, say).start()
    _make_approvers(doors)
    return started


def refuse_asleep(doors: Doors) -> None:
    """A reading task starts nothing: it says what is not running. Raises InputError."""
    if doors.environment.provider == "sandbox" and not sandbox_of(doors, lambda text: None).awake:
        raise InputError("the sandbox is not running", remedy="invoke sandbox.up, or invoke go-live, which starts it")


def approver(doors: Doors) -> Callable[[Plan], Mapping[str, str]]:
    """Who signs at once: nobody, except the sandbox's approvers, whose private keys lie beside the sandbox's state."""
    if doors.environment.provider != "sandbox":
        return lambda plan: {}
    return lambda plan: {
        person: sign(plan.text, plan.namespace, _key(doors, person))
        for person in doors.people
        if person != plan.requester
    }


def _key(doors: Doors, person: str) -> Path:
    return Path(doors.environment.allowed_signers).parent / person


def _make_approvers(doors: Doors) -> None:
    signers = Path(doors.environment.allowed_signers)
    if signers.exists():
        return
    lines = [f'{person} namespaces="{NAMESPACES}" {new_key(_key(doors, person), person)}' for person in doors.people]
    doors.secrets.store(signers, "\n".join(lines) + "\n")


def interlock_user() -> str:
    """Who asks, if the environment variable says so: for control machines that several people share."""
    return os.environ.get("INTERLOCK_USER", "")
