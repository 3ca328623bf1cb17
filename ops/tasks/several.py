"""The same command over several systems: one after the other, each with its own end, and one line that sums them up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ops.tasks.opening import chosen_place, meant_systems
from ops.tasks.telling import BAD_INPUT, DONE, FAULT, REFUSED, RESIDUE, SAFE_FAILURE, WAITING, Told, ended, show

# From worst to best: the exit code of several is that of the worst (runbooks/exit-codes.md).
WORST_FIRST = (RESIDUE, FAULT, SAFE_FAILURE, REFUSED, WAITING, BAD_INPUT, DONE)
WORDS = {
    DONE: "done", FAULT: "a fault in Interlock", BAD_INPUT: "bad input", REFUSED: "refused", WAITING: "waiting",
    SAFE_FAILURE: "failed and safe", RESIDUE: "RESIDUE",
}  # fmt: skip
# After one of these nothing more is raised: what went wrong here may go wrong there too.
TURNED_BACK = (FAULT, SAFE_FAILURE, RESIDUE)

Go = Callable[[str, str], Told]


def each_system(env: str, system: str, go: Go, json: bool, raises: bool = False) -> Told:
    """`go(environment, system)` for every system that is meant. Only one: exactly its own end.

    With `raises`, the systems behind one that turned back are not begun.
    """
    where = chosen_place(env)
    return over(where.name, meant_systems(where, system), go, json, raises)


def over(env: str, names: Sequence[str], go: Go, json: bool, raises: bool = False) -> Told:
    """The same for systems that are chosen already."""
    if len(names) == 1:
        return go(env, names[0])
    ends: dict[str, Told] = {}
    for name in names:
        if raises and any(told.code in TURNED_BACK for told in ends.values()):
            ends[name] = Told(f"{name} was not begun, since another system turned back", code=REFUSED)
        else:
            ends[name] = ended(go, env, name)
        if not json:
            show(ends[name])
    return _summed(ends)


def _summed(ends: dict[str, Told]) -> Told:
    worst = min((told.code for told in ends.values()), key=WORST_FIRST.index)
    parts = []
    for code in WORST_FIRST:
        names = [name for name, told in ends.items() if told.code == code]
        parts += [f"{WORDS[code]}: {', '.join(names)}"] if names else []
    documents: dict[str, Any] = {
        name: {**told.document, "exit_code": told.code, "sentence": told.sentence} for name, told in ends.items()
    }
    nxt = "invoke status" if worst == DONE else "invoke status | invoke rollback"
    return Told(f"{len(ends)} systems: {'; '.join(parts)}. Next: {nxt}", document={"systems": documents}, code=worst)
