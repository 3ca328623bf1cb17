"""Reads YAML so that every complaint can name its line: YAML 1.2 words only, no floats, no duplicate keys."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ops.errors import InputError

Place = tuple[str | int, ...]

# What a template leaves for people to fill in: [YOUR EMAIL], your_secure_key, test_key, changeme, <token> ...; but not
# the name of a group in a regular expression, (?P<name>...).
PLACEHOLDER = re.compile(
    r"\[[A-Z][A-Z0-9 _-]*\]|\byour[_ -]\w+|\btest_key\b|\bchange_?me\b|(?<!\?P)<[a-z][\w -]*>|\bTODO\b|\bxxx+\b",
    re.IGNORECASE,
)


class _Loader(yaml.SafeLoader):
    """Only true/false are booleans (a switch word OFF stays text), 0.5 stays text for Decimal, and whole numbers are in
    base ten (YAML 1.1 reads 0500 as 320 and 1:30 as 90)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if not tag.endswith((":bool", ":int", ":float", ":timestamp"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^(?:0|-?[1-9][0-9]*)$"), list("-0123456789"))


class YamlSource:
    """A parsed file: its value, and the line on which each place in it stands."""

    def __init__(self, path: Path) -> None:
        """Raises InputError for a file that is missing, unreadable, not YAML, or holds a duplicate key."""
        self.path = path
        self.lines: dict[Place, int] = {}
        self._inside: list[yaml.Node] = []
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise InputError("no such file", file=path, remedy="check --env and --system") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {type(error).__name__}", file=path) from None
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            self.value: Any = None if node is None else self._build(loader, node, ())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = None if mark is None else mark.line + 1
            problem = getattr(error, "problem", None) or "not valid YAML"
            raise InputError(f"not valid YAML: {problem}", file=path, line=line) from None

    def line(self, place: Place) -> int | None:
        """The line of a place, or of the nearest enclosing one that has a line."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return None

    def _build(self, loader: _Loader, node: yaml.Node, place: Place) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if any(node is outer for outer in self._inside):
            raise InputError("a value refers to itself", file=self.path, line=self.line(place))
        self._inside.append(node)
        value = self._value(loader, node, place)
        self._inside.pop()
        return value

    def _value(self, loader: _Loader, node: yaml.Node, place: Place) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, item, (*place, i)) for i, item in enumerate(node.value)]
        value = loader.construct_object(node)
        self._refuse_placeholder(value, place)
        return value

    def _mapping(self, loader: _Loader, node: yaml.MappingNode, place: Place) -> dict[Hashable, Any]:
        result: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                line = key_node.start_mark.line + 1
                raise InputError("a key is not a plain word", file=self.path, line=line)
            key = loader.construct_object(key_node)
            here = (*place, key)
            self.lines[here] = key_node.start_mark.line + 1
            if key in result:
                raise InputError(
                    f"{key!r} stands twice", file=self.path, line=self.lines[here], remedy="keep one of them"
                )
            result[key] = self._build(loader, value_node, here)
        return result

    def _refuse_placeholder(self, value: Any, place: Place) -> None:
        if isinstance(value, str) and PLACEHOLDER.search(value):
            raise InputError(
                f"{'.'.join(map(str, place))} is still a placeholder",
                file=self.path,
                line=self.line(place),
                expected="a real value",
                seen=PLACEHOLDER.search(value).group(0),  # type: ignore[union-attr]
                remedy="fill it in",
            )
