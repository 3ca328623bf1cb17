"""The world's configuration file: JSON, mode 0600, unknown keys refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

Port = Annotated[int, Field(ge=0, le=65535)]


class ConfigError(Exception):
    """The configuration cannot be used; the text names file, field and remedy, and holds no secret."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Admin(_Part):
    port: Port
    token: SecretStr


class VenueAccount(_Part):
    """One account: its listener's port, its number, its cash in USD at the beginning."""

    port: Port
    number: str
    cash: Decimal = Field(gt=0)


class Venue(_Part):
    """Two accounts at one venue and the listed symbols with their base price in USD."""

    kind: str
    paper: VenueAccount
    live: VenueAccount
    symbols: dict[str, Annotated[Decimal, Field(gt=0)]]
    requests_per_minute: int = Field(default=100_000, gt=0)


class Prometheus(_Part):
    """Jobs with their instances; `addresses` says where an instance is scraped that cannot be at its own name."""

    port: Port
    jobs: dict[str, list[str]] = {}
    addresses: dict[str, str] = {}
    scrape_seconds: float = Field(default=1, gt=0)


class Grafana(_Part):
    port: Port
    token: SecretStr
    dashboards: list[Path] = []


class Slack(_Part):
    port: Port
    token: SecretStr
    channel: str
    acknowledge_after_seconds: float = Field(default=1, ge=0)


class Telegram(_Part):
    port: Port
    token: SecretStr
    chat_id: int | str
    acknowledge_after_seconds: float = Field(default=1, ge=0)


class WorldConfig(_Part):
    """What one system sees of the outside: its venues by name, its monitoring, its channels.

    Port 0 asks the machine for a free one; `<state>/ports.json` then says which it gave. `venues_address`: where the
    venues listen; anything but loopback only in a network without a way out. All else is on loopback.
    """

    state: Path
    seed: int
    venues_address: str = "127.0.0.1"
    admin: Admin
    venues: dict[str, Venue] = Field(min_length=1)
    prometheus: Prometheus
    grafana: Grafana
    slack: Slack | None = None
    telegram: Telegram | None = None


def read_config(path: Path) -> WorldConfig:
    """Raises ConfigError when the file is missing, readable by others, not JSON, or has a wrong field."""
    try:
        mode, text = path.stat().st_mode, path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); pass --config FILE") from None
    if mode & 0o077:
        raise ConfigError(f"{path}: holds tokens but others may read it; run: chmod 600 {path}")
    try:
        return WorldConfig.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}") from None
    except ValueError:
        raise ConfigError(f"{path}: is not JSON") from None
