"""Reading the environment: strict, once, and with every problem named in one go and no value shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from .venue import Secret

_Value = TypeVar("_Value")


class SettingsError(Exception):
    """The environment cannot be used; names every variable at fault and never a value."""


class Reader:
    """Reads variables and collects the problems, so that one start names all of them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], _Value], expected: str, fallback: _Value) -> _Value:
        """The parsed value; on a problem it is noted and `fallback` stands in until the whole is refused."""
        text = self.environ.get(name)
        if text is None or text == "":
            self.problems.append(f"{name} is missing (expected {expected})")
            return fallback
        try:
            return parse(text)
        except (ValueError, InvalidOperation):
            self.problems.append(f"{name} is invalid (expected {expected})")
            return fallback

    def optional(self, name: str, default: str, parse: Callable[[str], _Value], expected: str) -> _Value:
        """As `read`, but an absent or empty variable is `default`."""
        if self.environ.get(name, "") == "":
            return parse(default)
        return self.read(name, parse, expected, parse(default))

    def secret(self, name: str) -> Secret:
        """A text without spaces that must be there."""
        return Secret(self.read(name, matching(r"[!-~]+"), "a secret", ""))

    def url(self, name: str, default: str = "") -> str:
        """An http(s) address without its last slash; needed unless there is a default."""
        expected = "http(s)://host[:port]"
        text = self.optional(name, default, _url, expected) if default else self.read(name, _url, expected, "")
        return text.rstrip("/")

    def amount(self, name: str, unit: str = "an amount above 0") -> Decimal:
        """A positive number that must be there: a limit has no default."""
        return self.read(name, POSITIVE, unit, Decimal(0))

    def refuse(self) -> None:
        """Raises SettingsError if there was any problem."""
        if self.problems:
            raise SettingsError("; ".join(self.problems))


def matching(pattern: str) -> Callable[[str], str]:
    """A parser that takes only a text of that form."""

    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError
        return text

    return parse


def between(low: Decimal, high: Decimal) -> Callable[[str], Decimal]:
    """A parser of a finite number in that range, both ends included."""

    def parse(text: str) -> Decimal:
        value = Decimal(text)
        if not value.is_finite() or not low <= value <= high:
            raise ValueError
        return value

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of digits in that range."""
    check = between(Decimal(low), Decimal(high))

    def parse(text: str) -> int:
        return int(check(matching(r"[0-9]+")(text)))

    return parse


POSITIVE = between(Decimal("0.01"), Decimal("1000000000"))
_url = matching(r"https?://[A-Za-z0-9.:\-\[\]]+(/[A-Za-z0-9./_\-]*)?")
