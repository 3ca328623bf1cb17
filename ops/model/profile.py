"""What a system's profile says: the schema behind `inventory/<env>/systems/<system>.yml`.

The commented example, `inventory/sandbox/systems/alpaca-bot.yml`, explains each key to the person who fills it in;
unknown keys are refused, and there is no default for anything that limits money.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ops.model.mode import Mode, Switch

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\-]+(:\d+)?(/\S*)?$")]
Text = Annotated[str, StringConstraints(min_length=1)]
# A bot's own key may be one per host: two processes on one Kraken key break each other's nonces.
KeyName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}(\{host\})?$")]
# A service's name goes to its manager as a word of a command.
ServiceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@:-]*$")]
# IBKR's gateway speaks over a plain TCP socket.
Endpoint = Annotated[str, StringConstraints(pattern=r"^(https?|tcp)://[A-Za-z0-9.\-]+(:\d+)?(/\S*)?$")]
Folder = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$")]
Kind = Literal["alpaca", "kraken", "kalshi", "polymarket", "ibkr"]
Slot = Literal["paper", "live"]


class _Frozen(BaseModel):
    # Errors never echo the input: a secret pasted into the wrong key must not be printed back.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TwoValues(_Frozen):
    """One mode variable's value in each mode."""

    paper: Text
    live: Text


class Readout(_Frozen):
    """Where the bot shows something: a path of its API, or a file of its own.

    `path`: GET it, the answer is a JSON object. `file` (under root): the last line that matches `pattern`, a regular
    expression whose named groups are the object; `age_s` is added, from the group `at` (UTC) or else from the file's
    time. `field` is the one that is meant; dots lead into nested objects.
    """

    path: Text | None = None
    file: Text | None = None
    pattern: Text | None = None
    field: Text

    @model_validator(mode="after")
    def _one_place(self) -> Readout:
        if (self.path is None) == (self.file is None) or (self.file is None) != (self.pattern is None):
            raise ValueError("expected either path, or file with pattern")
        return self


class ModeSetting(_Frozen):
    """All the variables that together make the mode; they must all agree."""

    variables: dict[Variable, TwoValues] = Field(min_length=1)
    readout: Readout
    # Which field of the same answer names the account in use, per venue; a venue left out is not shown by the bot.
    accounts: dict[Name, Text] = Field(default_factory=dict)
    words: dict[str, Mode]


class SwitchSetting(_Frozen):
    """How to read, trip and re-arm the bot's own switch, and what its words mean.

    `trip` and `rearm`: `POST /path?x={reason}` on its API, or `WRITE file text` under root. Left out where the bot has
    no switch of its own: then the gate file is the verb, and the readout shows that the bot heeds it.
    """

    readout: Readout
    reason_field: Text | None = None
    words: dict[str, Switch]
    trip: Text | None = None
    rearm: Text | None = None


class HealthSetting(_Frozen):
    """The bot's liveness: the age of its last trading loop, not the age of its process."""

    readout: Readout
    loop_age_max_seconds: Annotated[int, Field(gt=0)]


class Host(_Frozen):
    """One host: its folder, the bot's API on it, and the env variables that are its own."""

    root: Text
    api: Url | None = None
    variables: dict[Variable, Text] = Field(default_factory=dict)
    order_prefix: Text


class Service(_Frozen):
    """The service that runs the bot, and the manager that starts it. `start_gated`: ConditionPathExists=! on the gate.

    `name`, `also`: programs of supervisord, units without `.service`, or services of the compose `file` (under root).
    """

    manager: Literal["supervisord", "systemd", "compose"]
    name: ServiceName
    also: tuple[ServiceName, ...] = ()
    socket: Text | None = None
    file: Text | None = None
    project: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")] | None = None
    start_gated: bool = False
    start_max_seconds: Annotated[int, Field(gt=0, le=300)] = 30

    @model_validator(mode="after")
    def _of_its_manager(self) -> Service:
        own = {"socket": "supervisord", "file": "compose", "project": "compose", "start_gated": "systemd"}
        for key, manager in own.items():
            if getattr(self, key) and self.manager != manager:
                raise ValueError(f"expected {key} only for {manager}")
        if self.manager == "supervisord" and self.socket is None:
            raise ValueError("expected socket, where supervisord listens")
        if self.manager == "systemd" and any(name.endswith(".service") for name in (self.name, *self.also)):
            raise ValueError("expected the names of units without .service")
        return self


class Prepare(_Frozen):
    """What `invoke host.prepare` needs to make a bare Debian host into one of this system's.

    `{root}` in commands and `environment` is the host's; whatever else differs between hosts belongs into the env file,
    since units must be alike. `uid`, `image` and `mounts` are for compose.
    """

    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")]
    uid: Annotated[int, Field(ge=100, le=60000)] | None = None
    commands: dict[Text, Text] = Field(default_factory=dict)
    environment: dict[Variable, str] = Field(default_factory=dict)
    writable: tuple[Folder, ...] = ()
    packages: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.+-]+$")], ...] = ()
    node_metrics: bool = False
    image: Text | None = None
    mounts: tuple[Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/@+-]+$")], ...] = ()


class Account(_Frozen):
    """One venue account as it must be: where, which number, under which named credentials.

    `credentials` are the bot's, with `{host}` where each host has a key of its own. `observer` (reads only) and `kill`
    (cancels only) are Interlock's own, where the venue can tell them apart; without them the bot's pair serves.
    """

    endpoint: Endpoint
    account: Text
    credentials: KeyName | None = None
    observer: Name | None = None
    kill: Name | None = None


class VenueVariables(_Frozen):
    """The env variables that carry each part of the credentials, the address and the account number to the bot."""

    key: Variable | None = None
    secret: Variable | None = None
    passphrase: Variable | None = None
    wallet: Variable | None = None
    endpoint: Variable | None = None
    account: Variable | None = None

    @property
    def secrets(self) -> dict[str, str]:
        """Variable -> part of the credentials, in a fixed order."""
        parts = ("key", "secret", "passphrase", "wallet")
        return {getattr(self, part): part for part in parts if getattr(self, part) is not None}


class VenueSetting(_Frozen):
    """One venue of the system, and the paper and the live account there."""

    kind: Kind
    variables: VenueVariables
    paper: Account
    live: Account
    plain_http_reason: str = ""
    # Whether the venue's usual restarts count, which it does not announce by an answer; a simulator has none.
    restarts: bool = True

    def slot(self, slot: Slot) -> Account:
        """The account of a slot."""
        return self.paper if slot == "paper" else self.live


class Size(_Frozen):
    """The knob that scales every order."""

    variable: Variable


class RampStage(_Frozen):
    """One row of the ramp: how big, how long at least, how closely watched."""

    stage: Annotated[str, StringConstraints(pattern=r"^live-[1-9]$")]
    size_pct: Annotated[int, Field(gt=0, le=100)]
    stay_min_days: Annotated[int, Field(ge=0)]
    watch: Text


class Limit(_Frozen):
    """A limit and the env variable by which the bot enforces it; a limit wired to nothing is decorative."""

    variable: Variable
    value: Annotated[Decimal, Field(gt=0)]


class Limits(_Frozen):
    """Limits that must all be set before live trading (RTS 6 art. 8: instruments; price, value and number of
    orders; positions; venues), plus the two triggers of seed 000. None has a default."""

    instruments_max: Annotated[int, Field(gt=0)]
    venues_max: Annotated[int, Field(gt=0)]
    order_notional_max_usd: Limit
    orders_daily_max: Limit
    position_max_usd: Limit
    loss_daily_max_usd: Limit
    slippage_max_bps: Limit
    # What only this bot limits (seed 002: balance, bet, return on investment; seed 004: rules R1 to R12).
    own: dict[str, Limit] = Field(default_factory=dict)

    def wired(self) -> dict[str, Limit]:
        """The limits that the bot enforces, by name."""
        names = (
            "order_notional_max_usd",
            "orders_daily_max",
            "position_max_usd",
            "loss_daily_max_usd",
            "slippage_max_bps",
        )
        return {**{name: getattr(self, name) for name in names}, **self.own}


class LogFile(_Frozen):
    """The bot's log and the phrases in it that mean an unhandled exception."""

    path: Text
    exceptions: tuple[Text, ...] = Field(min_length=1)


class Records(_Frozen):
    """Where the bot keeps its own records. `{mode}` in `database` is the mode; each query takes `:since`."""

    database: Text
    log: LogFile
    loops: Text
    decisions: Text
    orders: Text
    fills: Text


class Evidence(_Frozen):
    """The figures that evidence is judged by."""

    soak_days: Annotated[int, Field(ge=1)]
    soak_gap_max_minutes: Annotated[int, Field(gt=0)]
    capital_min_usd: Annotated[Decimal, Field(gt=0)]
    price_tolerance_bps: Annotated[Decimal, Field(ge=0)]
    fill_vs_paper_tolerance_bps: Annotated[Decimal, Field(gt=0)]
    key_age_max_days: Annotated[int, Field(gt=0)]
    drill_age_max_hours: Annotated[int, Field(gt=0)]
    pnl_daily_tolerance_usd: Annotated[Decimal, Field(gt=0)]


class Prometheus(_Frozen):
    """The Prometheus server that scrapes the bots."""

    url: Url
    job: Text


class Grafana(_Frozen):
    """The Grafana dashboard that people look at; `token` names a secret."""

    url: Url
    token: Name
    dashboard: Text


class Channel(_Frozen):
    """An alert channel; `token` names a secret, `to` is the Slack channel or the Telegram chat id."""

    kind: Literal["slack", "telegram"]
    url: Url
    token: Name
    to: Text


class Monitoring(_Frozen):
    """Where the system is watched from."""

    prometheus: Prometheus
    grafana: Grafana
    channels: tuple[Channel, ...] = Field(min_length=1)


class Drill(_Frozen):
    """One rehearsal: a call to the bot's API on its host, and what must follow.

    `until` is the switch state that must be reached; `expect` maps fields of the answer to the text of their value,
    `at_least` to a count below which the rehearsal proves nothing.
    """

    call: Text
    within_seconds: Annotated[int, Field(gt=0, le=120)]
    paper_only: bool
    until: Switch | None = None
    expect: dict[str, str] = Field(default_factory=dict)
    at_least: dict[str, int] = Field(default_factory=dict)


class Contact(_Frozen):
    """A person or desk to reach in an emergency."""

    name: Text
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s\[\]]+@[^@\s\[\]]+$")]


class Document(_Frozen):
    """A written procedure; the file carries a line `Reviewed: YYYY-MM-DD`."""

    path: Text
    headings: tuple[Text, ...] = ()


class SignOff(_Frozen):
    """Which roles must sign each action: one distinct person per role, the requester never among them."""

    go_live: tuple[Name, ...] = Field(alias="go-live", min_length=2)
    rearm: tuple[Name, ...] = Field(min_length=2)
    rotate_keys: tuple[Name, ...] = Field(alias="rotate-keys", min_length=1)
    valid_minutes: Annotated[int, Field(gt=0, le=1440)]

    def roles(self, action: str) -> tuple[str, ...]:
        """The roles for an action; KeyError for an action that is never signed."""
        return {"go-live": self.go_live, "rearm": self.rearm, "rotate-keys": self.rotate_keys}[action]


class Profile(_Frozen):
    """One trading system under management."""

    system: Name
    seed: Text
    checklist: Name
    hosts: dict[Name, Host] = Field(min_length=1)
    service: Service
    prepare: Prepare | None = None
    release: Text
    env_file: Text
    # Variables in it with secrets that are the bot's own affair: Interlock leaves them, and shows fingerprints only.
    own_secrets: tuple[Variable, ...] = ()
    gate_file: Text
    host_deadline_seconds: Annotated[int, Field(ge=10, le=3600)]
    mode: ModeSetting
    switch: SwitchSetting
    health: HealthSetting
    brakes: tuple[Literal["api", "file", "gate", "process", "size", "venue"], ...] = Field(min_length=1)
    venues: dict[Name, VenueSetting] = Field(min_length=1)
    size: Size
    ramp: tuple[RampStage, ...] = Field(min_length=1)
    limits: Limits
    records: Records
    evidence: Evidence
    drills: dict[str, Drill] = Field(min_length=1)
    monitoring: Monitoring
    contacts: dict[str, Contact]
    documents: dict[str, Document]
    sign_off: SignOff

    def stage(self, name: str) -> RampStage:
        """The ramp row of a stage; KeyError if the ramp has none of that name."""
        return {row.stage: row for row in self.ramp}[name]

    def bot_keys(self, venue: str, slot: Slot) -> dict[str, str]:
        """Host -> the name of its bot's credentials at a venue; empty where the venue knows none."""
        name = self.venues[venue].slot(slot).credentials
        return {} if name is None else {host: name.replace("{host}", host) for host in self.hosts}

    def secret_variables(self) -> tuple[str, ...]:
        """The env variables whose values are only ever shown as fingerprints."""
        return (*(name for venue in self.venues.values() for name in venue.variables.secrets), *self.own_secrets)

    def shown_variables(self) -> tuple[str, ...]:
        """The env variables that may be read back in clear: mode, addresses, accounts, size, limits, the host's own."""
        own = {name for host in self.hosts.values() for name in host.variables}
        limits = {limit.variable for limit in self.limits.wired().values()}
        places = {v for venue in self.venues.values() for v in (venue.variables.endpoint, venue.variables.account) if v}
        return tuple(sorted({*self.mode.variables, *places, self.size.variable, *limits, *own}))
