"""What requests carry: bodies bounded in size and time, their JSON, and the namespace from body or query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request

from springtide.provider.json_fields import text_of
from springtide.provider.spec import check_name
from springtide.runtime import bounded_json
from springtide.runtime.asgi import App, Receive, Scope, Send, bounded
from springtide.runtime.errors import BadInput, Unauthenticated

MAX_BODY_BYTES = 1 << 20
RESERVED_NAMESPACE = "kube-system"


class BoundBody:
    """Refuses bodies that are too large (413) or too slow (408), whatever handler reads them."""

    def __init__(self, app: App, *, max_bytes: int, deadline_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        receive = bounded(receive, max_bytes=self._max_bytes, deadline_s=self._deadline_s)
        await self._app(scope, receive, send)


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
