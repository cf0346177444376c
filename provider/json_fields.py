"""Fields of a JSON object, read so that every problem is found: missing and null are empty, the rest must fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_of(value: Mapping[str, Any], key: str, problems: list[str]) -> str:
    item = value.get(key)
    if item is None:
        return ""
    if not isinstance(item, str):
        problems.append(f"{key}: must be a string, not {item!r}")
        return ""
    return item


def flag_of(value: Mapping[str, Any], key: str, problems: list[str]) -> bool:
    item = value.get(key)
    if item is not None and not isinstance(item, bool):
        problems.append(f"{key}: must be true or false, not {item!r}")
    return item is True


def strings_of(value: Mapping[str, Any], key: str, problems: list[str]) -> dict[str, str]:
    item = value.get(key)
    if item is None:
        return {}
    if not isinstance(item, dict) or not all(isinstance(text, str) for text in item.values()):
        problems.append(f"{key}: must be an object of strings, not {item!r}")
        return {}
    return dict(item)


def list_of(value: Mapping[str, Any], key: str, problems: list[str]) -> tuple[str, ...]:
    item = value.get(key)
    if item is None:
        return ()
    if not isinstance(item, list) or not all(isinstance(text, str) for text in item):
        problems.append(f"{key}: must be a list of strings, not {item!r}")
        return ()
    return tuple(item)
