"""What requests say: JSON bodies, the namespace from body or query, and query parameters with a form of their own.

What cannot be understood is BadInput (400), named with its value and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request

from springtide.provider.json_fields import text_of
from springtide.provider.spec import check_name
from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput, Unauthenticated
from springtide.scaler.core.vocabulary import Instant

RESERVED_NAMESPACE = "kube-system"
TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")
"""In capitals, too: what Go's clients write, and what people do."""
MAX_SHOWN = 80
"""Characters of a wrong value that are repeated."""
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_BLANK_ZONE = re.compile(r" (\d\d:?\d\d)$")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


async def read_json(request: Request) -> Any:
    """The JSON value of the body. Raises BadInput for what is not JSON, or out of bounds."""
    try:
        return bounded_json.loads(await request.body())
    except ClientDisconnect as error:
        raise BadInput("the client left before its body was complete") from error
    except ValueError as error:
        raise BadInput(f"the body is not readable as JSON: {error}") from error


async def read_object(request: Request) -> dict[str, Any]:
    value = await read_json(request)
    if not isinstance(value, dict):
        raise BadInput("the body must be a JSON object")
    return value


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """Which namespace a request means: its body's, else its query's, else the default one."""

    default: str

    def of(self, request: Request, body: Mapping[str, Any] | None = None) -> str:
        problems: list[str] = []
        given = text_of(body or {}, "namespace", problems)
        if problems:
            raise BadInput(problems[0])
        return allowed_namespace(given or self.of_query(request))

    def of_query(self, request: Request) -> str:
        """What stands where the body says nothing; not checked."""
        return request.query_params.get("namespace") or self.default


def allowed_namespace(name: str) -> str:
    if name == RESERVED_NAMESPACE:
        raise Unauthenticated(f"namespace {RESERVED_NAMESPACE} is not for functions")
    return check_name("namespace", name)


def yes_or_no(request: Request, key: str) -> bool:
    """False when not given. Raises BadInput: a slip is told, not taken for no."""
    text = request.query_params.get(key, "")
    if text and text.lower() not in TRUE + FALSE:
        raise BadInput(f"{key}: {text[:MAX_SHOWN]!r} is neither yes nor no; write true or false")
    return text.lower() in TRUE


def only(request: Request, *known: str) -> None:
    """For routes that are ours alone. Raises BadInput for a parameter that there is not, which would change nothing."""
    for key in request.query_params:
        if key not in known:
            raise BadInput(f"{key[:MAX_SHOWN]}: there is no such parameter; there are {', '.join(known)}")


def instant(key: str, text: str | None) -> Instant | None:
    """RFC 3339, or seconds since the epoch; None when not given."""
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return Instant(float(text))
    try:
        # A plus that was not written as %2B arrives as a blank: `date --iso-seconds` writes +00:00.
        at = datetime.fromisoformat(_BLANK_ZONE.sub(r"+\1", text))
        if at.tzinfo is not None:
            return Instant(at.timestamp())
    except (ValueError, OverflowError):
        pass
    raise BadInput(f"{key}: {text[:MAX_SHOWN]!r} is not an RFC 3339 time such as 2026-01-31T12:00:00Z or epoch seconds")


def tail(text: str | None) -> int | None:
    """How many of the newest; None (for 0, -1 or not given) means all."""
    if not text:
        return None
    if not _INTEGER.fullmatch(text) or int(text) < -1:
        raise BadInput(f"tail: {text[:MAX_SHOWN]!r} is not a number; write how many of the newest, or -1 or 0 for all")
    return int(text) if int(text) > 0 else None
