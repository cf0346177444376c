"""What requests carry: bodies bounded in size and time, their JSON, and the namespace from body or query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from springtide.provider.json_fields import text_of
from springtide.provider.spec import check_name
from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import App, Receive, Scope, Send
from springtide.runtime.errors import BadInput, Unauthenticated

MAX_BODY_BYTES = 1 << 20
RESERVED_NAMESPACE = "kube-system"


class BoundBody:
    """Refuses bodies that are too large (413) or too slow (408), whatever handler reads them."""

    def __init__(self, app: App, *, most_bytes: int, deadline_s: float) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        taken, complete = 0, False

        async def bounded() -> MutableMapping[str, Any]:
            nonlocal taken, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body did not arrive within {self._deadline_s:g} s") from None
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > self._most_bytes:
                raise HTTPException(413, f"the body is larger than {self._most_bytes} bytes")
            return message

        await self._app(scope, bounded, send)


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
