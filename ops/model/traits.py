"""What is particular about each kind of venue, as far as others than its own modules must know: one row per kind."""

from __future__ import annotations

from dataclasses import dataclass

from ops.model.profile import Kind


@dataclass(frozen=True)
class Traits:
    """`new_key`: what a person does at the venue to get one, with `{slot}` and `{account}`; empty where there are none.

    `paper_prefix`: how a paper account's number begins, where that tells it from a live one; `paper_form` shows it.
    """

    new_key: str
    paper_prefix: str = ""
    paper_form: str = ""
    key_per_host: bool = False
    """Two processes on one key break each other's nonces."""
    keeps_client_ids: bool = True
    """Without them the adapter shows `<owner's key id>:<order hash>`, so that the bots' key ids tell whose it is."""

    @property
    def keyed(self) -> bool:
        """Whether it knows credentials at all."""
        return bool(self.new_key)


# venues.md 2.2, 3.2, 3.3, 4.7, 5.2, 6.1. Kalshi and Polymarket make keys by API too: that comes with the watch.
TRAITS: dict[Kind, Traits] = {
    "alpaca": Traits(
        "Alpaca has no API for keys. In Alpaca's dashboard, on the {slot} account {account}, press Regenerate "
        "under API keys (the old key dies at once, so invoke kill first if the bots use it)",
        paper_prefix="PA",
        paper_form="PA...",
    ),
    "kraken": Traits(
        "Kraken makes keys on its site only. In its API settings, on account {account}, make a {slot} key that "
        "may query and trade and not withdraw, and delete the old one when this is done",
        key_per_host=True,
    ),
    "kalshi": Traits(
        "On Kalshi's site, on the {slot} account {account}, make a key with the scopes read and write::trade"
    ),
    "polymarket": Traits(
        "With the wallet of account {account}, make new {slot} API credentials", keeps_client_ids=False
    ),
    "ibkr": Traits("", paper_prefix="D", paper_form="DU... or DF..."),
}
