"""What `provider:` in an environment.yml stands for: who brings the machines up, and who can sign at once.

`none`: the machines are there, people sign when they can. `sandbox`: the embedded sandbox is started, and two approvers
whose keys were made on the spot sign at once. The transitions know nothing of the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ops.doors import Doors
from ops.errors import InputError
from ops.hosts.ansible import PLAYBOOKS
from ops.model.plan import Plan
from ops.signatures import new_key, sign

if TYPE_CHECKING:
    from ops.sandbox.manager import Sandbox

Say = Callable[[str], None]
NAMESPACES = "interlock-go-live@v1,interlock-rearm@v1,interlock-rotate-keys@v1,interlock-attest@v1"


def sandbox_of(doors: Doors, say: Say) -> Sandbox:
    """The sandbox of this environment. Raises InputError if the environment is not provided by it."""
    from ops.sandbox.manager import Blueprint, Sandbox, SandboxHost

    if doors.environment.provider != "sandbox" or doors.environment.sandbox is None:
        raise InputError(f"{doors.place.name} is not a sandbox", remedy="use --env=sandbox")
    profile, place = doors.profile, doors.place
    hosts = tuple(
        SandboxHost(
            name, place.path(host.root, name), int(host.api.rsplit(":", 1)[1]), place.path(profile.service.socket, name)
        )
        for name, host in profile.hosts.items()
    )
    venue = profile.venue
    return Sandbox(
        Blueprint(
            state=place.state,
            run=place.run,
            ports=doors.environment.sandbox.model_dump(),
            accounts={"paper": venue.paper.account, "live": venue.live.account},
            credentials={"paper": venue.paper.credentials, "live": venue.live.credentials},
            hosts=hosts,
            secrets=doors.secrets,
            host_program=PLAYBOOKS / "library" / "interlock_host.py",
            env_texts=lambda: doors.fleet.env_texts("paper", 100, doors.credentials("paper")),
            watches=lambda: {name: doors.fleet.request(name, "look") for name in profile.hosts},
        ),
        say,
    )


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
