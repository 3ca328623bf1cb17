"""The same command over several systems: one after the other, each with its own end, and one line that sums them up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

BY_KEYBOARD = "stopped by the keyboard before anything was changed there"

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
    begun: list[str] = []
    marks = {name: _mark(env, name) for name in names} if raises else {}
    for name in names:
        if raises and _mark(env, name) != marks[name]:
            ends[name] = Told(f"{name} was not begun, since somebody killed or rolled it back meanwhile", code=REFUSED)
        elif any(told.sentence.endswith(BY_KEYBOARD) for told in ends.values()):
            ends[name] = Told(f"{name} was not begun, since the keyboard stopped those before it", code=REFUSED)
        elif raises and any(told.code in TURNED_BACK for told in ends.values()):
            ends[name] = Told(f"{name} was not begun, since another system turned back", code=REFUSED)
        else:
            begun.append(name)
            ends[name] = _end(go, env, name, ends)
        if not json:
            show(ends[name])
    return _summed(ends, begun)


def _end(go: Go, env: str, name: str, ends: Mapping[str, Told]) -> Told:
    """How one system ends. The keyboard stops those behind it too, and what ended before is still told."""
    try:
        return ended(go, env, name)
    except KeyboardInterrupt:
        if not ends:
            raise
        return Told(f"{name}: {BY_KEYBOARD}", code=REFUSED)


def _mark(env: str, name: str) -> int:
    from ops.inventory import place
    from ops.transitions.halt import halt_mark_of

    return halt_mark_of(place(env).state, name)


def _summed(ends: Mapping[str, Told], begun: Sequence[str]) -> Told:
    worst = min((told.code for told in ends.values()), key=WORST_FIRST.index)
    parts = []
    for code in WORST_FIRST:
        names = [name for name in begun if ends[name].code == code]
        parts += [f"{WORDS[code]}: {', '.join(names)}"] if names else []
    parts += [f"not begun: {', '.join(left)}"] if (left := [name for name in ends if name not in begun]) else []
    documents: dict[str, Any] = {
        name: {**told.document, "exit_code": told.code, "sentence": told.sentence} for name, told in ends.items()
    }
    told = f"{len(ends)} systems: {'; '.join(parts)}. Next: {_next(ends, worst)}"
    return Told(told, document={"systems": documents}, code=worst)


def _next(ends: Mapping[str, Told], worst: int) -> str:
    """What helps those that did not end well, and them only: a rollback without a name takes the healthy ones too."""
    if worst == DONE:
        return "invoke status"
    names = ",".join(name for name, told in ends.items() if told.code == RESIDUE)
    return (
        f"wake a person; invoke kill --reason=... --system={names}" if names else "invoke status; mend it, run it again"
    )
