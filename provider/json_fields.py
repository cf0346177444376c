"""Fields of a JSON object, read so that every problem is found: missing and null are empty, the rest must fit.

Problems name the key and the kind of what was there, never the content: it may be a secret, or a megabyte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def text_of(value: Mapping[str, Any], key: str, problems: list[str]) -> str:
    item = value.get(key)
    if item is None:
        return ""
    if not isinstance(item, str):
        problems.append(f"{key}: must be a string, not {_kind(item)}")
        return ""
    return item


def flag_of(value: Mapping[str, Any], key: str, problems: list[str]) -> bool:
    item = value.get(key)
    if item is not None and not isinstance(item, bool):
        problems.append(f"{key}: must be true or false, not {_kind(item)}")
    return item is True


def strings_of(value: Mapping[str, Any], key: str, problems: list[str]) -> dict[str, str]:
    item = value.get(key)
    if item is None:
        return {}
    if not isinstance(item, dict) or not all(isinstance(text, str) for text in item.values()):
        problems.append(f"{key}: must be an object of strings, not {_kind(item)}")
        return {}
    return dict(item)


def list_of(value: Mapping[str, Any], key: str, problems: list[str]) -> tuple[str, ...]:
    item = value.get(key)
    if item is None:
        return ()
    if not isinstance(item, list) or not all(isinstance(text, str) for text in item):
        problems.append(f"{key}: must be a list of strings, not {_kind(item)}")
        return ()
    return tuple(item)


def _kind(item: object) -> str:
    """In JSON's words; of a list or an object, the kinds of what is in it."""
    if isinstance(item, dict):
        return f"an object of {_kinds(item.values())}"
    if isinstance(item, list):
        return f"a list of {_kinds(item)}"
    return _scalar(item)


def _kinds(items: Iterable[object]) -> str:
    return ", ".join(sorted({_scalar(item) for item in items})) or "nothing"


def _scalar(item: object) -> str:
    names: tuple[tuple[type, str], ...] = (
        (str, "a string"),
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
        (dict, "an object"),
        (list, "a list"),
    )
    return next((name for kind, name in names if isinstance(item, kind)), "null")
