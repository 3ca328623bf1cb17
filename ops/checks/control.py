"""Is it in the mode it should be in, and may it trade."""

from __future__ import annotations

from ops.checks.sight import Params, Sight, dark_hosts, loaded_values
from ops.hosts.reply import is_behind_its_gate, mode_reading, observed_account, switch_state
from ops.model.mode import Mode, Switch, agreed_mode, agreed_switch
from ops.model.outcome import Finding
from ops.model.profile import Slot


def mode_consistency(sight: Sight, params: Params) -> Finding:
    """Declared, loaded and observed mode agree on every host, and the bot names the pinned account."""
    expected = Mode(params.get("expect", sight.slot))
    dark = dark_hosts(sight)
    if dark:
        return sight.finding("mode_consistency", None, f"hosts did not answer: {dark}", str(expected))
    readings = {host: mode_reading(reply.look, sight.profile) for host, reply in sight.replies.items()}
    slot: Slot = "live" if expected is Mode.LIVE else "paper"
    wrong = [f"{host}: {reading}" for host, reading in readings.items() if reading.agreed is not expected]
    wrong += [text for venue in sight.profile.mode.accounts for text in _other_accounts(sight, venue, slot)]
    accounts = ", ".join(setting.slot(slot).account for setting in sight.profile.venues.values())
    seen = "; ".join(wrong) or f"{expected} on {len(readings)} hosts, account {accounts}"
    dead = [
        h for h, r in sight.replies.items() if not (r.look.get("loaded") or is_behind_its_gate(r.look, sight.profile))
    ]
    remedy = "find out which reading lies before anything trades: invoke status; invoke rollback"
    if dead:  # as a kill leaves a bot that did not confirm
        remedy = f"the bot does not run on {', '.join(dead)}: invoke rollback starts it on paper, tripped; then go-live"
    return sight.finding(
        "mode_consistency", not wrong, seen, f"{expected} by all three readings", remedy if wrong else ""
    )


def _other_accounts(sight: Sight, venue: str, slot: Slot) -> list[str]:
    """The hosts whose bot says that it uses another account there than the pinned one. One that waits at its gate says
    nothing yet."""
    pinned, profile = sight.profile.venues[venue].slot(slot).account, sight.profile
    looks = {host: reply.look for host, reply in sight.replies.items() if not is_behind_its_gate(reply.look, profile)}
    accounts = {host: observed_account(look, profile, venue) for host, look in looks.items()}
    at = "" if len(sight.profile.venues) == 1 else f" at {venue}"
    return [f"{h} uses account {seen or 'unknown'}{at}" for h, seen in accounts.items() if seen != pinned]


def switch(sight: Sight, params: Params) -> Finding:
    """The switch is in the expected state on every host. Unknown is never a pass."""
    states = {host: switch_state(reply.look, sight.profile) for host, reply in sight.replies.items()}
    expected = Switch(params["expect"])
    seen = ", ".join(f"{host} {state}" for host, state in states.items())
    ok = None if Switch.UNKNOWN in states.values() else agreed_switch(states.values()) is expected
    return sight.finding("killswitch.state", ok, seen, str(expected))


def size_multiplier(sight: Sight, params: Params) -> Finding:
    """The size that the running process has loaded equals the stage's, and what the health readout shows agrees."""
    stage = sight.history.stage
    percent = sight.profile.stage(stage).size_pct if sight.history.live else 100
    expected = f"{percent / 100:.2f}"
    name = sight.profile.size.variable
    loaded = {host: loaded_values(reply.look, sight.profile).get(name) for host, reply in sight.replies.items()}
    seen = ", ".join(f"{host} {value}" for host, value in loaded.items())
    ok = None if None in loaded.values() else set(loaded.values()) == {expected}
    return sight.finding("config_value", ok, seen, f"{name}={expected}")


def limits(sight: Sight, params: Params) -> Finding:
    """Each limit of the profile is the one the process runs with, and not too many instruments were traded."""
    dark, orders = dark_hosts(sight), sight.rows("orders")
    if dark or orders is None:
        return sight.finding("limits", None, dark or "the bots' order records cannot be read")
    wanted = {limit.variable: format(limit.value, "f") for limit in sight.profile.limits.wired().values()}
    wrong = []
    for host, reply in sight.replies.items():
        loaded = loaded_values(reply.look, sight.profile)
        wrong += [
            f"{host}: {name} is {loaded.get(name)}" for name, value in wanted.items() if loaded.get(name) != value
        ]
    traded = {row["symbol"] for row in orders}
    most = sight.profile.limits.instruments_max
    wrong += [f"{len(traded)} instruments were traded, at most {most} are allowed"] if len(traded) > most else []
    return sight.finding("limits", not wrong, "; ".join(wrong) or f"{len(wanted)} limits loaded on every host")


def fleet_mode(sight: Sight) -> Mode:
    """The one mode of the whole fleet, by all three readings of every host."""
    return agreed_mode(mode_reading(reply.look, sight.profile).agreed for reply in sight.replies.values())


def fleet_switch(sight: Sight) -> Switch:
    """The one switch state of the whole fleet."""
    return agreed_switch(switch_state(reply.look, sight.profile) for reply in sight.replies.values())
