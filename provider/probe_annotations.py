"""Reads the annotations that say how a function is asked whether it is ready, and whether it is alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from springtide.provider import annotation_table, annotation_values

T = TypeVar("T")


class ProbeReader:
    """Reads the annotations of one probe and keeps what is wrong with them."""

    def __init__(self, annotations: Mapping[str, str], prefix: str, problems: list[str] | None = None) -> None:
        self._annotations, self._prefix = annotations, prefix
        self._problems = [] if problems is None else problems

    def get(self, name: str, parse: Callable[[str], T], default: T) -> T:
        value = self._annotations.get(self._prefix + name, "").strip()
        if not value:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self._problems.append(f"{self._prefix}{name}={value[: annotation_values.MAX_SHOWN]!r}: {error}")
            return default

    def time(self, name: str, default: int, *, least: int = 0) -> int:
        """Whole seconds, the rest cut off."""
        parse = partial(annotation_table.probe_seconds, least=least)
        return self.get(f"{name}Seconds", parse, self.get(name, parse, default))
