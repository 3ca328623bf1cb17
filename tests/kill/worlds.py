"""A simulated world with a kill target of its own, and the ground truth: what the order log says is still open."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ops.kill.kill import KillEnd, kill
from ops.kill.targets import HostTarget, Target, VenueTarget, folder
from ops.sandbox.clock import WorldClock
from ops.sandbox.embedded import embedded_world, free_ports_config
from ops.sandbox.world import World
from ops.secrets import Secrets

NUMBERS = {"paper": "PA3SANDBOX01", "live": "912345678"}
OURS = "a1-"


@dataclass(frozen=True)
class Scene:
    """One world, one system in it with both accounts, and Interlock's state folder."""

    world: World
    state: Path

    def admin(self, path: str, **body: Any) -> Any:
        url = f"http://127.0.0.1:{self.world.ports['admin']}/admin/{path}"
        answer = requests.post(url, json=body, headers={"X-Sandbox-Token": "admin-token"}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def fault(self, name: str, slot: str = "live", on: bool = True, **parameters: Any) -> None:
        self.admin("faults", environment=slot, fault=name, on=on, **parameters)

    def venue(self, method: str, path: str, slot: str = "live", **options: Any) -> requests.Response:
        key, secret = Secrets(self.state / "secrets").credentials(f"alpaca-{slot}").values()
        headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
        url = f"http://127.0.0.1:{self.world.ports[f'alpaca_{slot}']}/v2{path}"
        return requests.request(method, url, headers=headers, timeout=10, **options)

    def rest(self, name: str, slot: str = "live") -> requests.Response:
        """A buy order far below the market."""
        body = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "100"}
        return self.venue("POST", "/orders", slot, json={**body, "time_in_force": "gtc", "client_order_id": name})

    def truly_open(self, slot: str = "live") -> set[str]:
        """The client ids that the order log shows as accepted and not ended."""
        still: set[str] = set()
        text = (self.world.config.state / "orders.jsonl").read_text()
        for line in text.rpartition("\n")[0].splitlines():  # the rest is being written at this moment
            row = json.loads(line)
            if row["environment"] == slot and row["event"] == "accepted":
                still.add(row["client_order_id"])
            elif row["environment"] == slot and row["event"] in ("canceled", "fill", "replaced"):
                still.discard(row["client_order_id"])
        return still

    def aim(self, system: str = "alpaca-bot", hosts: tuple[HostTarget, ...] = (), **endpoints: str) -> None:
        """Writes the system's kill target; `endpoints` replace an account's address."""
        venues = tuple(
            VenueTarget(
                slot, "alpaca", endpoints.get(slot, f"http://127.0.0.1:{self.world.ports[f'alpaca_{slot}']}"), number,
                str(self.state / "secrets" / f"alpaca-{slot}.env"), (OURS,),
            )
            for slot, number in NUMBERS.items()
        )  # fmt: skip
        target = Target(system, str(HOST_PROGRAM), hosts, venues)
        Secrets.store(folder(self.state) / f"{system}.target.json", target.as_text())

    def kill(self, *systems: str, say: Any = lambda text: None) -> KillEnd:
        return kill(self.state, "a test", "tester", systems, say)


HOST_PROGRAM = Path(__file__).resolve().parents[2] / "playbooks" / "library" / "interlock_host.py"


@contextmanager
def scene(root: Path) -> Iterator[Scene]:
    """A world with fresh keys in Interlock's secret store, and a target that aims at both accounts."""
    with embedded_world(free_ports_config(root / "world"), random.Random(1), WorldClock()) as world:
        opened = Scene(world, root / "state")
        for slot in NUMBERS:
            pair = opened.admin("keys", environment=slot)
            Secrets(root / "state" / "secrets").put(f"alpaca-{slot}", pair["key_id"], pair["secret"])
        opened.aim()
        yield opened
