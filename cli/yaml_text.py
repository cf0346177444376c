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
        return yaml.load(text, _TextLoader)  # noqa: S506 - derived from the safe loader
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: not YAML: {_place(error)}") from error


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).replace("\n", " ")
    return what if mark is None else f"{what} (line {mark.line + 1}, column {mark.column + 1})"


class _TextLoader(yaml.SafeLoader):
    """A safe loader that leaves scalars as text, but for null, and refuses a key that is written twice."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _TextLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    written: set[Any] = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in written:
            raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is written twice", key.start_mark)
        written.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_TextLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
