"""``GET /system/load?watch=true``: what a gateway tells of its calls once a second, newline-delimited JSON.

The first line has every function, each later one those whose numbers changed; a line comes each second even when
nothing did. Both ends use this module.

    {"at": 1700000000.5, "functions": {"echo.openfaas-fn": [STARTED, COMPLETED, IN_FLIGHT, WAITING], …},
     "gateway": "…", "partial": "…"?}
    {"end": true}

``STARTED`` and ``COMPLETED`` count calls and only grow within one stream. ``IN_FLIGHT`` are those under way, of which
``WAITING`` have no replica yet. ``null`` instead of the four: the function was deleted; if it returns it begins anew.
``gateway`` names one life of a gateway: where it is the same as before, the counters of an earlier stream go on.
``partial`` is why a part of the numbers is older than it should be: a worker process of the gateway does not answer.
The last line of a gateway that ends by intention is ``{"end": true}``; a stream that breaks off has none.
Members that a reader does not know are passed over. Without ``watch`` the answer is the first line alone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from springtide.runtime import bounded_json
from springtide.runtime.errors import Unavailable

PATH = "/system/load"

INTERVAL_S = 1.0
"""Between two lines."""

MAX_LINE_BYTES = 8 * 1024 * 1024
"""20,000 functions with names of 300 characters would need three quarters of it."""

MAX_FUNCTIONS = 20_000
"""Of one gateway: what a reader keeps in mind."""

MAX_NAME = 320
"""Characters of a name, its namespace and the dot between them."""

MAX_COUNT = 2**53
"""Beyond it JSON's numbers are no longer exact."""

MAX_INSTANT = 253_402_300_800.0
"""The year 10000."""

MAX_TEXT = 200
"""Characters of ``gateway`` and ``partial``."""


class Load(NamedTuple):
    """One function's calls at one gateway; ``waiting`` is a part of ``in_flight``."""

    started: int
    completed: int
    in_flight: int
    waiting: int


@dataclass(frozen=True, slots=True)
class LoadLine:
    """``at`` is by the gateway's clock, in seconds since 1970; a function that is None was deleted."""

    at: float
    functions: Mapping[str, Load | None] = field(default_factory=dict)
    gateway: str = ""
    partial: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The gateway ends, and its calls with it."""


def encode(line: LoadLine | End) -> bytes:
    """One line, with its newline."""
    value: dict[str, Any]
    if isinstance(line, End):
        value = {"end": True}
    else:
        value = {"at": round(line.at, 3), "functions": line.functions, "gateway": line.gateway}
        if line.partial:
            value["partial"] = line.partial[:MAX_TEXT]
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def decode(text: bytes) -> LoadLine | End:
    """Raises Unavailable for what is no such line, or is not within bounds."""
    try:
        value = _object(bounded_json.loads(text), "the line")
        if value.get("end") is True:
            return End()
        functions = _object(value["functions"], "functions")
        return LoadLine(
            at=_number(value["at"], "at", MAX_INSTANT),
            functions={_name(name): _load(numbers, name) for name, numbers in functions.items()},
            gateway=_text(value.get("gateway", ""), "gateway"),
            partial=_text(value.get("partial", ""), "partial"),
        )
    except KeyError as error:
        raise Unavailable(f"not a line of the load: {error} is missing") from error
    except ValueError as error:
        raise Unavailable(f"not a line of the load: {error}") from error


async def lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The lines of a body that comes in pieces. Raises Unavailable when one is longer than ``MAX_LINE_BYTES``."""
    parts: list[bytes] = []
    length = 0
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            yield b"".join((*parts, piece))
            parts, length = [], 0
        parts.append(rest)
        length += len(rest)
        if length > MAX_LINE_BYTES:
            raise Unavailable(f"not a line of the load: it is longer than {MAX_LINE_BYTES} bytes")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > MAX_FUNCTIONS:
        raise ValueError(f"{what}: not an object of at most {MAX_FUNCTIONS} members")
    return value


def _name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"{name[:40]!r} is not a function's name")
    return name


def _load(value: Any, name: str) -> Load | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != len(Load._fields):
        raise ValueError(f"{name[:MAX_NAME]}: not {len(Load._fields)} numbers")
    return Load(*(_count(number, name) for number in value))


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"{what[:MAX_NAME]}: {str(value)[:40]} is not a count between 0 and {MAX_COUNT}")
    return value


def _number(value: Any, what: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{what}: {str(value)[:40]} is not a number between 0 and {most:g}")
    return float(value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"{what}: not a text of at most {MAX_TEXT} characters")
    return value
