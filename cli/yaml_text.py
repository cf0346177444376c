"""YAML as stack files use it: ``${VAR:-default}`` filled in first, and every value read as the text that was written.

Text, because labels and environment variables are text: ``1.0``, ``0755`` and ``yes`` must arrive as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from springtide.runtime.errors import BadInput

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
MAX_CHARS = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 50
_QUOTED = re.compile(r"'[^'<][^']+'|\"[^\"<][^\"]+\"")
"""Of what the library says. Its own words for parts of a document begin with ``<``; single characters tell nothing."""
_HALF = re.compile("[\ud800-\udfff]")
_KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


def substitute(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """``text`` with its variables filled in, and the names of those that have neither value nor default.

    An empty variable counts as unset, as ``:-`` does in a shell. Comment lines are left alone.
    """
    unset: list[str] = []

    def value(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if variables.get(name):
            return variables[name]
        if default is None and name not in unset and name not in variables:
            unset.append(name)
        return default or ""

    lines = text.splitlines(keepends=True)
    filled = [line if line.lstrip().startswith("#") else _VARIABLE.sub(value, line) for line in lines]
    return "".join(filled), unset


def load(text: str, source: str) -> Any:
    """The document as mappings, lists, strings and None. Raises BadInput naming ``source`` and the place."""
    try:
        check_bounds(text)
        return yaml.load(text, _TextLoader)  # noqa: S506 - derived from the safe loader
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: not YAML: {place(error)}") from error


def check_bounds(text: str) -> None:
    """Raises yaml.YAMLError for what would take the machine's memory to build, or more levels than Python has.

    An alias stands for all that its anchor holds: nine lines of nine aliases each are half a billion values. And the
    library builds nested values by nested calls.
    """
    if len(text) > MAX_CHARS:
        raise yaml.YAMLError(f"it has more than {MAX_CHARS} characters")
    bounds = _Bounds()
    for event in yaml.parse(text, yaml.SafeLoader):
        bounds.see(event)


class _Bounds:
    """What was seen of a document, counted."""

    def __init__(self) -> None:
        self._values = 0
        self._anchored: dict[str | None, int] = {}
        self._open: list[tuple[str | None, int]] = []  # the anchor of each level, and how many values came before it

    def see(self, event: yaml.Event) -> None:
        """Raises yaml.YAMLError at the first event out of bounds."""
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            self._anchored[anchor] = self._values - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise _out_of_bounds("an alias, *…, stands for nothing that is whole before it", event)
            self._count(self._anchored[event.anchor], event)
        elif isinstance(event, yaml.ScalarEvent):
            if _HALF.search(event.value):
                raise _out_of_bounds("a text is not Unicode: it has half of a surrogate pair", event)
            self._count(1, event)
            self._anchored[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            self._anchored.pop(event.anchor, None)
            self._open.append((event.anchor, self._values))
            if len(self._open) > MAX_DEPTH:
                raise _out_of_bounds(f"it is nested more than {MAX_DEPTH} levels deep", event)
            self._count(1, event)

    def _count(self, values: int, event: yaml.Event) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _out_of_bounds(f"it has more than {MAX_VALUES} values, aliases followed", event)


def _out_of_bounds(problem: str, event: yaml.Event) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]  # another mark of the same kind


def place(error: yaml.YAMLError) -> str:
    """What is wrong and where, in one line, without the values of the file."""
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).replace("\n", " ")
    if not isinstance(error, _KeyTwiceError):
        what = _QUOTED.sub("'…'", what)  # a piece of the file: a value, perhaps a password
    return what if mark is None else f"{what} (line {mark.line + 1}, column {mark.column + 1})"


class _KeyTwiceError(yaml.constructor.ConstructorError):
    """Its message names the key, which is no value."""


class _TextLoader(yaml.SafeLoader):
    """A safe loader that leaves scalars as text, but for null, and refuses a key that is written twice."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _as_written(loader: _TextLoader, node: yaml.ScalarNode) -> Any:
    return loader.construct_scalar(node)


def _mapping(loader: _TextLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    written: set[Any] = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
        if key.value in written:
            raise _KeyTwiceError(None, None, f"{key.value[:100]!r} is written twice", key.start_mark)
        written.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_TextLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
for _kind in ("int", "float", "bool", "timestamp", "binary"):
    _TextLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _as_written)
