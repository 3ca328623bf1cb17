"""What `provider:` in an environment.yml stands for: who brings the machines up, and who can sign at once.

`none`: the machines are there, people sign when they can. `sandbox`: the embedded sandbox is started, and two approvers
whose keys were made on the spot sign at once. `fleet`: the same approvers, but the hosts are machines that only
`invoke fleet.up` starts. The transitions know nothing of the difference.
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
    from ops.sandbox.blueprint import Blueprint, SandboxHost
    from ops.sandbox.manager import Sandbox

Say = Callable[[str], None]
SIMULATED = ("sandbox", "fleet")
NAMESPACES = "interlock-go-live@v1,interlock-rearm@v1,interlock-rotate-keys@v1,interlock-attest@v1"


def _prepares_nothing() -> None:
    return None


def sandbox_of(doors: Doors, say: Say, prepare: Callable[[], None] = _prepares_nothing) -> Sandbox:
    """The sandbox of one system, on folders or on the machines of a fleet; `prepare` makes bare machines into hosts of
    the system. Raises InputError if its environment is not provided by it, or gives it no port."""
    from ops.sandbox.manager import Sandbox

    plan = _blueprint(doors)
    if doors.environment.provider == "sandbox":
        return Sandbox(plan, say)
    from ops.sandbox.fleet.ground import Ground
    from ops.sandbox.fleet.system import FleetSystem

    return FleetSystem(plan, Ground.of(doors.place.state), prepare, say)


def _blueprint(doors: Doors) -> Blueprint:
    from ops.sandbox.blueprint import Blueprint

    setting, profile, place = doors.environment.sandbox, doors.profile, doors.place
    if doors.environment.provider not in SIMULATED or setting is None:
        raise InputError(f"{place.name} is not a sandbox", remedy="use --env=sandbox")
    if profile.system not in setting.admin_ports:
        raise InputError(
            f"the sandbox has no admin port for {profile.system}",
            file=place.inventory / "environment.yml",
            expected=f"sandbox.admin_ports.{profile.system}",
        )
    return Blueprint(
        profile=profile,
        state=place.state,
        run=place.run,
        admin_port=setting.admin_ports[profile.system],
        hosts=_sandbox_hosts(doors),
        documents=tuple(place.path(document.path) for document in profile.documents.values()),
        secrets=doors.secrets,
        host_program=PLAYBOOKS / "library" / "interlock_host.py",
        env_texts=lambda: doors.fleet.env_texts("paper", 100, doors.bot_credentials("paper")),
    )


def _sandbox_hosts(doors: Doors) -> tuple[SandboxHost, ...]:
    from ops.sandbox.blueprint import SandboxHost, port_of

    place, socket = doors.place, doors.profile.service.socket
    return tuple(
        SandboxHost(
            name=name,
            root=place.path(host.root, name),
            socket=place.path(socket or "", name),
            port=None if host.api is None else port_of(host.api),
        )
        for name, host in doors.profile.hosts.items()
    )


def wipe(place: Place) -> None:
    """Removes everything that an environment of the sandbox ever wrote; its processes must have ended."""
    shutil.rmtree(place.run, ignore_errors=True)
    shutil.rmtree(place.state, ignore_errors=True)


def ensure_up(doors: Doors, say: Say) -> bool:
    """Starts what the provider can start; True if it had to. A fleet is started by its own command only."""
    if doors.environment.provider != "sandbox":
        refuse_asleep(doors)
        return False
    started = sandbox_of(doors, say).start()
    make_approvers(doors)
    return started


def refuse_asleep(doors: Doors) -> None:
    """A reading task starts nothing: it says what is not running. Raises InputError."""
    provider = doors.environment.provider
    if provider in SIMULATED and not sandbox_of(doors, lambda text: None).awake:
        remedy = "invoke fleet.up" if provider == "fleet" else "invoke sandbox.up, or invoke go-live, which starts it"
        raise InputError(f"the {provider} is not running", remedy=remedy)


def approver(doors: Doors) -> Callable[[Plan], Mapping[str, str]]:
    """Who signs at once: nobody, except the approvers of a sandbox or a fleet, whose private keys lie in its state."""
    if doors.environment.provider not in SIMULATED:
        return lambda plan: {}
    return lambda plan: {
        person: sign(plan.text, plan.namespace, _key(doors, person))
        for person in doors.people
        if person != plan.requester
    }


def _key(doors: Doors, person: str) -> Path:
    return Path(doors.environment.allowed_signers).parent / person


def make_approvers(doors: Doors) -> None:
    """Keys for the people of a simulated environment, beside its list of them; once."""
    signers = Path(doors.environment.allowed_signers)
    if signers.exists():
        return
    lines = [f'{person} namespaces="{NAMESPACES}" {new_key(_key(doors, person), person)}' for person in doors.people]
    doors.secrets.store(signers, "\n".join(lines) + "\n")


def interlock_user() -> str:
    """Who asks, if the environment variable says so: for control machines that several people share."""
    return os.environ.get("INTERLOCK_USER", "")
