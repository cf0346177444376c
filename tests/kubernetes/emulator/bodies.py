"""Request bodies: JSON and YAML, with the fields that came twice."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml

from tests.kubernetes.emulator.statuses import bad_request, unsupported_media_type

JSON_TYPES = (
    "application/json",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    # What a client sends that names no type.
    "application/octet-stream",
)
YAML_TYPES = ("application/yaml", "application/apply-patch+yaml")


def parsed(raw: bytes, content_type: str) -> tuple[Any, list[str]]:
    """The value, and the paths of fields given twice. Raises ApiError."""
    if content_type in YAML_TYPES:
        value = _yaml(raw)
    elif content_type in JSON_TYPES:
        value = _json(raw)
    else:
        raise unsupported_media_type(["application/json", "application/yaml"])
    duplicates: list[str] = []
    return _plain(value, "", duplicates), duplicates


class _Repeating(dict[str, Any]):
    """An object in which some names came twice; the last one counts."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    found = _Repeating(plain)
    names = [name for name, _ in pairs]
    found.repeated = tuple(name for name in plain if names.count(name) > 1)
    return found


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_object)
    except ValueError as error:
        raise bad_request(f"error decoding the body: {error}") from error


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it: no dates, and repeated names told."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    pairs: list[tuple[Hashable, Any]] = [
        (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True))
        for key, value in node.value
    ]
    return _object([(name if isinstance(name, str) else json.dumps(name), value) for name, value in pairs])


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def _yaml(raw: bytes) -> Any:
    try:
        return yaml.load(raw, _Loader)  # noqa: S506 - a safe loader with two constructors more
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from error


def _plain(value: Any, path: str, duplicates: list[str]) -> Any:
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]", duplicates) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if isinstance(value, _Repeating):
        duplicates += [f"{path}.{name}" if path else name for name in value.repeated]
    return {name: _plain(item, f"{path}.{name}" if path else name, duplicates) for name, item in value.items()}
