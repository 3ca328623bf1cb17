"""How a task ends: its output, the one sentence, the exit code. Every task passes here, so none can end otherwise."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from invoke import Context, Exit, task

# What each code means is written down in runbooks/exit-codes.md.
DONE, FAULT, BAD_INPUT, REFUSED, WAITING, SAFE_FAILURE, RESIDUE = range(7)


@dataclass(frozen=True)
class Told:
    """What a task says: lines for people, a document for `--json`, the one sentence, the exit code.

    `bare` leaves code and sentence out of the document, where its shape is a contract of its own.
    """

    sentence: str
    lines: Sequence[str] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    code: int = DONE
    bare: bool = False


Body = Callable[..., Told]


def operator_task(
    *, help: Mapping[str, str], changes: bool = False, name: str | None = None, iterable: Sequence[str] = ()
) -> Callable[[Body], Any]:
    """An Invoke task around a body that returns what to say. Errors become one sentence and their exit code.

    `changes` marks a task that changes something: it refuses Invoke's `--dry`, which would pretend, and `warn`,
    which would go on after a failure.
    """

    def wrap(body: Body) -> Any:
        @functools.wraps(body)
        def run(context: Context, *arguments: Any, **options: Any) -> None:
            wants_json = bool(options.get("json", False))
            told = _refusal(context) if changes and _pretends(context) else _told(body, arguments, options)
            _say(told, wants_json)
            if told.code != DONE:
                raise Exit(code=told.code)

        _adopt_signature(run, body)
        return task(help=dict(help), name=name, iterable=list(iterable))(run)

    return wrap


def _adopt_signature(run: Any, body: Body) -> None:
    """Invoke reads a task's options from its signature: the body's, behind the context."""
    import inspect

    parameters = list(inspect.signature(body).parameters.values())
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([context, *parameters])
    del run.__wrapped__


def _pretends(context: Context) -> bool:
    return bool(context.config.run.dry or context.config.run.warn)


def _refusal(context: Context) -> Told:
    which = "--dry" if context.config.run.dry else "run.warn"
    return Told(f"Refused under {which}: nothing was changed. To see what would happen: invoke plan", code=REFUSED)


def _told(body: Body, arguments: Sequence[Any], options: Mapping[str, Any]) -> Told:
    try:
        return ended(body, *arguments, **options)
    except KeyboardInterrupt:
        return Told("Stopped by the keyboard before anything was changed", code=REFUSED)


def ended(body: Body, *arguments: Any, **options: Any) -> Told:
    """What a body says, or the sentence and exit code of the error it ended with. Lets KeyboardInterrupt pass."""
    from ops.errors import InterlockError, Refused, ResidueLeft

    try:
        return body(*arguments, **options)
    except ResidueLeft as error:
        residue = [f"RESIDUE {text}" for text in error.residue]
        sentence = f"{error}: {len(error.residue)} things are UNKNOWN or open. Wake a person; next: invoke kill"
        return Told(sentence, residue, {"residue": list(error.residue)}, error.exit_code)
    except Refused as error:
        return Told(
            str(error), [f"- {text}" for text in error.reasons], {"reasons": list(error.reasons)}, error.exit_code
        )
    except InterlockError as error:
        return Told(str(error), code=error.exit_code)
    except Exception as error:  # the one place besides the engine's: never a traceback for an operator
        return Told(f"A fault in Interlock: {type(error).__name__} in {_where(error)}. Please report it", code=FAULT)


def _where(error: BaseException) -> str:
    """The innermost frame of our own; no values, since they could hold a secret."""
    trace, found = error.__traceback__, "nowhere"
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        found = f"{module}:{trace.tb_lineno}" if module.startswith("ops.") else found
        trace = trace.tb_next
    return found


def _say(told: Told, wants_json: bool) -> None:
    if wants_json:
        more = {} if told.bare else {"exit_code": told.code, "sentence": told.sentence}
        print(json.dumps({**told.document, **more}, default=str))
        return
    show(told)


def show(told: Told) -> None:
    """Lines, then the sentence."""
    for line in told.lines:
        print(line)
    print(told.sentence)
    sys.stdout.flush()
