"""Doors that lead into a simulated world: everything behind them is Interlock's own code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ops.doors import Doors
from ops.hosts.fleet import Fleet
from ops.hosts.reply import Reply
from ops.inventory import Environment, Person, Place, load_environment, load_profile
from ops.ledger.store import Ledger
from ops.model.plan import Plan
from ops.model.profile import Profile, Slot
from ops.model.record import GENESIS, Record
from ops.provider import NAMESPACES
from ops.secrets import Secrets
from ops.signatures import new_key, sign
from ops.transitions import signoff
from ops.transitions.plans import account_texts
from ops.transitions.preflight import current_history
from tests.transitions.world import SimHost, SimVenue, World, digest_of

INVENTORY = Path(__file__).resolve().parents[2] / "inventory" / "sandbox"
PEOPLE = {"ana": Person(roles=("risk",)), "raj": Person(roles=("operator",))}
REQUESTER = "kim"


class WorldLedger(Ledger):
    """The ledger of a simulated world."""

    def __init__(self, world: World) -> None:
        super().__init__(Path("ledger.sqlite"), REQUESTER, lambda: world.now)
        self._world = world

    def append(self, kind: str, body: Mapping[str, Any]) -> Record:
        return self._world.append(kind, self.actor, body)

    def records(self) -> list[Record]:
        return list(self._world.records)

    def head(self) -> tuple[int, str]:
        records = self._world.records
        return (len(records), records[-1].hash) if records else (0, GENESIS)

    def hash_at(self, seq: int) -> str | None:
        return GENESIS if seq == 0 else self._world.records[seq - 1].hash


class WorldFleet(Fleet):
    """Sends the fleet's own requests to simulated hosts. A request or its answer can be lost on the way."""

    def __init__(self, place: Place, profile: Profile, salt: str, world: World) -> None:
        super().__init__(place, profile, salt)
        self._world = world

    def _send(
        self,
        playbook: str,
        op: str,
        more: Mapping[str, Any],
        each: Mapping[str, Mapping[str, Any]] | None = None,
        hosts: Iterable[str] | None = None,
    ) -> dict[str, Reply]:
        replies, asked = {}, list(self._world.hosts if hosts is None else hosts)
        self._world.waves.append((op, asked))
        for name in asked:
            request = {**self.request(name, op), **more, **(each or {}).get(name, {})}
            replies[name] = self._ask(self._world.hosts[name], request)
        return replies

    def _ask(self, host: SimHost, request: Mapping[str, Any]) -> Reply:
        self._world.requests += 1
        if self._world.on_request:
            self._world.on_request(host.name, request)
        lost = self._world.request_fails(self._world.requests, host.name)
        if lost == "before":
            return Reply.dark(host.name, "unreachable")
        answer = host.perform(request)
        return Reply.dark(host.name, "the answer was lost") if lost else Reply.of(host.name, answer)


@dataclass(frozen=True)
class Stage:
    """What all worlds of a test share: profile, people, keys, secrets; nothing that changes."""

    place: Place
    environment: Environment
    profile: Profile
    secrets: Secrets

    def doors(self, world: World) -> Doors:
        """Doors into a world."""
        fleet = WorldFleet(self.place, self.profile, self.secrets.salt(), world)
        return Doors(
            self.place, self.environment, self.profile, PEOPLE, WorldLedger(world), fleet, self.secrets, REQUESTER,
            lambda: world.now, world.new_id, world.pass_time, world.monotonic,
            {f"alpaca/{slot}/current": venue for slot, venue in world.venues.items()},
        )  # fmt: skip

    def world(self, slot: Slot) -> World:
        """A world whose hosts all run in one mode, armed, with nothing in the ledger."""
        world = World()
        alpaca, doors = self.profile.venues["alpaca"], self.doors(world)
        world.venues = {s: SimVenue(s, alpaca.slot(s).account, world) for s in ("paper", "live")}
        texts = doors.fleet.env_texts(slot, 100 if slot == "paper" else 50, doors.bot_credentials(slot))
        for name, text in texts.items():
            gated = self.profile.service.start_gated
            world.hosts[name] = SimHost(name, text, world, unit="6" * 64 if gated else None, starts_gated=gated)
            world.hosts[name].loaded = world.hosts[name].declared
        return world

    def signed_plan(self, world: World, verb: str, stage_to: str) -> Plan:
        """A plan over the world as it is, signed by two people with their own keys."""
        doors = self.doors(world)
        slot: Slot = "live" if stage_to.startswith("live") else "paper"
        seq, head = doors.ledger.head()
        plan = Plan(
            verb=verb, system=self.profile.system, environment=self.place.name, requester=REQUESTER,
            stage_from=current_history(doors).stage, stage_to=stage_to,
            accounts=account_texts(doors, slot), size_pct=50 if slot == "live" else 100, changes={}, limits={},
            hosts={name: digest_of(host.env_text) for name, host in world.hosts.items()}, services=(), inputs={},
            findings={}, findings_digest="", switch_reason="", ledger_seq=seq, ledger_hash=head, commit="none",
            nonce=world.new_id(), made_at=world.now, expires_at=world.now + timedelta(hours=1),
        )  # fmt: skip
        body = {"system": plan.system, "plan": plan.id, "verb": verb, "document": plan.as_dict()}
        doors.ledger.append("plan.made", body)
        for person, armored in self.approve(plan).items():
            signoff.add_signature(doors, plan, person, armored, current_history(doors))
        return plan

    def approve(self, plan: Plan) -> dict[str, str]:
        """Everybody signs at once."""
        return {person: sign(plan.text, plan.namespace, self.key(person)) for person in PEOPLE}

    def key(self, person: str) -> Path:
        """A person's private key."""
        return Path(self.environment.allowed_signers).parent / person


def set_stage(folder: Path, hosts: int = 2, gated: bool = False) -> Stage:
    """The sandbox's own profile on so many hosts, with keys and credentials of its own; `gated`: under systemd, by a
    unit that does not start while the gate stands."""
    place = Place("sandbox", INVENTORY, folder)
    environment = load_environment(place)
    secrets = Secrets(Path(environment.secrets))
    profile = load_profile(place, "alpaca-bot")
    first = profile.hosts["host-1"]
    each = {f"host-{n}": first.model_copy(update={"order_prefix": f"host-{n}-"}) for n in range(1, hosts + 1)}
    profile = profile if hosts == len(profile.hosts) else profile.model_copy(update={"hosts": each})
    systemd = profile.service.model_copy(update={"manager": "systemd", "socket": None, "start_gated": True})
    profile = profile.model_copy(update={"service": systemd}) if gated else profile
    stage = Stage(place, environment, profile, secrets)
    for slot in ("paper", "live"):
        secrets.put(f"alpaca-{slot}", {"key": f"{slot}-key-000000", "secret": f"{slot}-secret-000000"})
    lines = [f'{person} namespaces="{NAMESPACES}" {new_key(stage.key(person), person)}' for person in PEOPLE]
    secrets.store(Path(environment.allowed_signers), "\n".join(lines) + "\n")
    return stage
