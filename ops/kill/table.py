"""How a kill's end reads: a line per host and account, what needs a person, the residue, and the one sentence."""

from __future__ import annotations

from collections.abc import Iterator

from ops.kill.kill import KillEnd, SystemEnd
from ops.kill.venues import VenueEnd


def table(end: KillEnd) -> list[str]:
    """The lines; the last one is the sentence."""
    lines = [line for system in end.systems for line in _system(system)]
    return [*lines, *(f"RESIDUE {text}" for text in end.residue), _sentence(end)]


def _system(system: SystemEnd) -> Iterator[str]:
    name = f"{system.system:<18}"
    for host in system.hosts:
        yield f"{name} {host.host:<16} switch {host.switch}, gate {host.gate}"
    for venue in system.venues:
        yield f"{name} {venue.account:<16} {_stopped(venue)}, {_halt(venue)}, positions: {_held(venue)}"
        for text in _remarks(venue):
            yield f"{'':<35} {text}"
    if system.left_alone:
        yield f"{name} {', '.join(system.left_alone)}: left alone, not meant by this kill; its bots are tripped"


def _stopped(venue: VenueEnd) -> str:
    after = f" after {venue.seconds} s" if venue.seconds else ""
    before = "UNKNOWN" if venue.before is None else venue.before
    return f"{venue.state}{after} ({before} open before, {venue.named} seen, {venue.looked_up} of them seen ended)"


def _halt(venue: VenueEnd) -> str:
    if venue.halted is None:
        return "the venue has no halt"
    return f"{venue.halt} set" if venue.halted else f"{venue.halt} UNKNOWN"


def _held(venue: VenueEnd) -> str:
    return "UNKNOWN" if venue.positions is None else ", ".join(venue.positions) or "flat"


def _remarks(venue: VenueEnd) -> Iterator[str]:
    if venue.foreign:
        left = "UNKNOWN" if venue.foreign_left is None else venue.foreign_left
        yield f"{len(venue.foreign)} orders not ours, cancelled with the rest, {left} of them left:"
    yield from (f"  {order}" for order in venue.foreign)
    yield from (f"WITHOUT ITS STOP: {position}" for position in venue.unprotected)
    yield from (f"note: {note}" for note in venue.notes)


def _sentence(end: KillEnd) -> str:
    names = ", ".join(system.system for system in end.systems) or "nothing"
    took = f"{end.seconds:.1f} s, recorded in {end.recorded}"
    if end.residue:
        return (
            f"{names}: NOT proven stopped, {len(end.residue)} things are UNKNOWN or open ({took}). "
            "Use the venue's dashboard now, then run kill again"
        )
    return (
        f"{names}: every bot tripped and zero open orders proven on every account{_meant(end)}{_watch(end)} ({took}). "
        "Next: invoke status | invoke rollback | invoke rearm"
    )


def _meant(end: KillEnd) -> str:
    """The sentence alone must not sound as if it spoke of accounts that the kill was not meant for."""
    alone = [f"{system.system} {name}" for system in end.systems for name in system.left_alone]
    return f" that was meant; left alone, with no bot to manage it: {', '.join(alone)}" if alone else ""


def _watch(end: KillEnd) -> str:
    venues = [venue for system in end.systems for venue in system.venues]
    held = sum(len(venue.positions or ()) for venue in venues)
    bare = sum(len(venue.unprotected) for venue in venues)
    stops = f", {bare} without their stop" if bare else ""
    return f"; {held} positions are left{stops}: somebody must watch them" if held else ""
