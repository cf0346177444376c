"""Which sources a connector has: from a small YAML file, or from an environment as OpenFaaS's connectors are given.

gateway_url: http://127.0.0.1:8080      # any setting of the connector, by its environment name
sources:
  - kind: nats
    name: orders                        # its kind, unless it is said
    url: nats://127.0.0.1:4222
    topics: [orders.new, orders.paid]   # or "orders.new, orders.paid"
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from springtide.cli.yaml_text import load
from springtide.runtime.errors import BadInput
from springtide.triggers.sources import kinds

SOURCES, KIND, NAME = "sources", "kind", "name"
MAX_SOURCES = 100
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class SourceLines:
    """One source as it is asked for; ``values`` by key are its kind's to read."""

    kind: str
    name: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConnectorFile:
    """``settings`` by environment name."""

    settings: Mapping[str, str]
    sources: tuple[SourceLines, ...]


def from_text(text: str, file: str) -> ConnectorFile:
    """Raises BadInput naming ``file``, key, value and remedy."""
    document = load(text, file)
    if not isinstance(document, dict) or not isinstance(document.get(SOURCES), list) or not document[SOURCES]:
        raise BadInput(f"{file}: it has no list of sources; write\nsources:\n  - kind: nats\n    topics: orders")
    if len(document[SOURCES]) > MAX_SOURCES:
        raise BadInput(f"{file}: {len(document[SOURCES])} sources; a connector has at most {MAX_SOURCES}")
    settings = {key: _text(value, f"{file}: {key}") for key, value in document.items() if key != SOURCES}
    sources = [_source(item, f"{file}: sources[{number}]") for number, item in enumerate(document[SOURCES])]
    _check_names([source.name for source in sources], file)
    return ConnectorFile(settings, tuple(sources))


def from_environment(kind: str, environ: Mapping[str, str]) -> SourceLines:
    """One source of that kind: OpenFaaS's names for its connector, and ``KIND_KEY`` for every key, which wins."""
    known = kinds.checked_kind(kind)
    values = {key: environ[name] for name, key in known.openfaas.items() if environ.get(name)}
    values |= {key: environ[f"{kind}_{key}"] for key in kinds.keys(kind) if environ.get(f"{kind}_{key}")}
    return SourceLines(kind, kind, values)


def _source(item: Any, where: str) -> SourceLines:
    if not isinstance(item, dict) or not isinstance(item.get(KIND), str):
        raise BadInput(f"{where}: it has no kind; write kind: and one of {', '.join(kinds.KINDS)}")
    values = {key: _text(value, f"{where}.{key}") for key, value in item.items()}
    kind, name = values.pop(KIND), values.pop(NAME, item[KIND])
    try:
        kinds.checked_kind(kind)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{where}.name: {name[:70]!r} is no name; take small letters, digits and hyphens, 63 of them at most"
        )
    return SourceLines(kind, name, values)


def _text(value: Any, where: str) -> str:
    """Lists of words are what they are when they are written with commas; nothing is nothing."""
    if isinstance(value, list) and all(isinstance(word, str) and "," not in word for word in value):
        return ",".join(value)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{where}: it is neither a text nor a list of texts")
    return value


def _check_names(names: Sequence[str], file: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"{file}: several sources are called {twice[0]}; give each a name: of its own")
