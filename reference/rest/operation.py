"""One request of an API, and what answers it may have."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]

JSON, LINES, TEXT, BYTES = "application/json", "application/x-ndjson", "text/plain", "application/octet-stream"
PARAMETER = re.compile(r"\{(\w+)\}")


class Api(enum.StrEnum):
    SYSTEM = "system"
    """The gateway's."""
    PROVIDER = "provider"


BOTH = frozenset(Api)
SYSTEM, PROVIDER = frozenset((Api.SYSTEM,)), frozenset((Api.PROVIDER,))


@dataclass(frozen=True, slots=True)
class Parameter:
    """Of the query, or a header."""

    name: str
    meaning: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    required: bool = False
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Body:
    """``schema`` None: bytes of any kind."""

    meaning: str
    schema: Schema | None = None
    media: str = JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """``schema`` None: no body, or one that is told by ``meaning``; of LINES it is each line's."""

    meaning: str
    schema: Schema | None = None
    media: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A request that a test makes, in the order of the rows, and the status that it is answered with.

    ``keeps`` names what later examples say in braces: by a path into the answer, as ``letters.0.id``, or a header.
    ``eventually``: it is made again until it is answered so, and has all that it keeps.
    """

    path: str = ""
    """What stands for the path's parameters; empty: the path has none."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    status: int = 200
    keeps: Mapping[str, str] = field(default_factory=dict)
    eventually: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """``name`` is unique. ``open``: where it needs no credentials. ``parts``: what each parameter of the path means."""

    name: str
    method: str
    path: str
    summary: str
    says: str = ""
    apis: frozenset[Api] = BOTH
    open: frozenset[Api] = frozenset()
    parts: Mapping[str, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Answer]
    example: Example

    @property
    def in_path(self) -> tuple[str, ...]:
        return tuple(PARAMETER.findall(self.path))
