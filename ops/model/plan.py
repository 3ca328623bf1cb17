"""The frozen text of one transition. People sign this text, so it says in words everything that matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ops.model.canonical import digest, utc_text, utc_time

# One namespace per action: a signature for one can never approve another (PROTOCOL.sshsig).
NAMESPACE = "interlock-{verb}@v1"


@dataclass(frozen=True)
class Plan:
    """What one transition will do, to what, on what evidence. Secrets appear as fingerprints only.

    `accounts` maps a venue to the account, its address and the fingerprints of the keys that will be in force there;
    `changes` maps a variable to (before, after); `hosts` maps a host to the digest of the env file that is there now;
    `inputs` maps the name of each input (profile, checklist, release ...) to its digest; `fleet` maps a host to what it
    shows now and what must not change until the plan is carried out.
    """

    verb: str
    system: str
    environment: str
    requester: str
    stage_from: str
    stage_to: str
    accounts: Mapping[str, str]
    size_pct: int
    changes: Mapping[str, tuple[str, str]]
    limits: Mapping[str, str]
    hosts: Mapping[str, str]
    services: tuple[str, ...]
    inputs: Mapping[str, str]
    findings: Mapping[str, int]
    findings_digest: str
    switch_reason: str
    ledger_seq: int
    ledger_hash: str
    commit: str
    nonce: str
    made_at: datetime
    expires_at: datetime
    fleet: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The canonical text: one fact a line, the same bytes on every machine."""
        lines = [
            "Interlock plan, version 1",
            f"{self.verb}: {self.system} in {self.environment}, from {self.stage_from} to {self.stage_to}",
            f"asked for by {self.requester}",
            *(f"account {text} ({venue})" for venue, text in sorted(self.accounts.items())),
            f"order size {self.size_pct} %",
        ]
        lines += [f"limit {name} {value}" for name, value in sorted(self.limits.items())]
        lines += [f"change {name}: {old} -> {new}" for name, (old, new) in sorted(self.changes.items())]
        lines += [f"host {name} with env file {sha or 'none'}" for name, sha in sorted(self.hosts.items())]
        lines += [f"host {name} shows {text}" for name, text in sorted(self.fleet.items())]
        lines += [f"recreate service {name}" for name in self.services]
        lines += [f"input {name} {sha}" for name, sha in sorted(self.inputs.items())]
        lines += [f"findings {name} {count}" for name, count in sorted(self.findings.items())]
        lines += [
            f"findings digest {self.findings_digest}",
            f"switch tripped for {self.switch_reason or 'no reason'}",
            f"commit {self.commit}",
            f"ledger record {self.ledger_seq} {self.ledger_hash}",
            f"made {utc_text(self.made_at)}",
            f"expires {utc_text(self.expires_at)}",
            f"nonce {self.nonce}",
        ]
        return "\n".join(_single_line(line) for line in lines) + "\n"

    @property
    def id(self) -> str:
        """The first 12 hex digits of the text's digest: what people call the plan."""
        return digest(self.text)[:12]

    @property
    def namespace(self) -> str:
        """The SSHSIG namespace in which this plan must be signed."""
        return NAMESPACE.format(verb=self.verb)

    def as_dict(self) -> dict[str, Any]:
        """For the ledger and the plan file; `from_dict` is the reverse."""
        document = asdict(self)
        document.update(made_at=utc_text(self.made_at), expires_at=utc_text(self.expires_at))
        document["changes"] = {name: list(pair) for name, pair in self.changes.items()}
        document["services"] = list(self.services)
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Plan:
        """Raises KeyError, TypeError or ValueError for a document that is not a plan."""
        fields = dict(document)
        fields["made_at"], fields["expires_at"] = utc_time(fields["made_at"]), utc_time(fields["expires_at"])
        fields["changes"] = {name: (pair[0], pair[1]) for name, pair in fields["changes"].items()}
        fields["services"] = tuple(fields["services"])
        return cls(**fields)


def _single_line(text: str) -> str:
    """No line break, no bidi mark, no homoglyph: whatever is not printable ASCII is spelt out, the backslash too."""
    return text.encode("unicode_escape").decode("ascii")
