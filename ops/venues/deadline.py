"""A bound on the whole of a call: a library's own timeout starts anew with every byte that a venue drips."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Answer = TypeVar("Answer")


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """What `call` returns or raises. Raises TimeoutError when the time is up; the call is left to itself then."""
    ended: Future[Answer] = Future()

    def work() -> None:
        try:
            ended.set_result(call())
        except BaseException as error:
            ended.set_exception(error)

    Thread(target=work, daemon=True).start()
    return ended.result(timeout=seconds)
