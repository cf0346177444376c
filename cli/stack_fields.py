"""The values of a stack file, each read as the kind that its key asks for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from springtide.cli import stack_shape
from springtide.cli.stack_shape import FUNCTION_KEYS

_TRUE, _FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")
"""As YAML 1.1 has them, and faas-cli's reader."""


class StackFields:
    """Reads values and keeps what is wrong with them, each with its key and a remedy.

    ``where`` is what comes before the key, such as ``functions.hello.``.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def known(self, value: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
        """Warn of keys nobody reads."""
        for key in value:
            if key not in keys and stack_shape.is_function(value[key]):
                self.problems.append(f"{where}{key}: a function within another; indent both alike")
            elif key not in keys:
                near = difflib.get_close_matches(key, keys, n=1)
                self.warnings.append(f"{where}{key}: unknown, ignored" + (f"; is it {near[0]}?" if near else ""))

    def mapping(self, value: object, where: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.append(f"{where}: must be a mapping of keys to values, not {_kind(value)}")
            return {}
        return {str(key): item for key, item in value.items()}

    def strings(self, entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
        given = self.mapping(entry.get(key), where + key)
        for name, item in given.items():
            if not isinstance(item, str | None):
                hint = "; if it is a key of the function, it is indented too far" if name in FUNCTION_KEYS else ""
                self.problems.append(f"{where}{key}.{name}: must be a single value, not {_kind(item)}{hint}")
        return {name: item or "" for name, item in given.items() if isinstance(item, str | None)}

    def texts(self, entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
        value = entry.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.problems.append(f"{where}{key}: must be a list of values, one '- value' a line, not {_kind(value)}")
            return ()
        return tuple(value)

    def text(self, entry: Mapping[str, Any], key: str, where: str) -> str:
        value = entry.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            problem = f"{where}{key}: must be a single value, not {_kind(value)}"
            if problem not in self.problems:
                self.problems.append(problem)
            return ""
        return value.strip()

    def flag(self, entry: Mapping[str, Any], key: str, where: str) -> bool:
        value = self.text(entry, key, where).lower()
        if value not in ("", *_TRUE, *_FALSE):
            self.problems.append(f"{where}{key}: {value!r} is neither true nor false")
        return value in _TRUE


def _kind(value: object) -> str:
    """In place of the content, which may be a secret, or a megabyte."""
    if isinstance(value, list):
        return "a list of other things" if any(not isinstance(item, str) for item in value) else "a list"
    return "a mapping" if isinstance(value, dict) else "a single value"
