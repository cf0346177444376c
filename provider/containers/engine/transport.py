"""HTTP over the engine's socket: every request has a deadline, every answer a bound, every failure is one of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.errors import (
    AlreadyExists,
    BadInput,
    NotFound,
    SpringtideError,
    Unavailable,
    reason_of,
)

DEADLINE_S = 30.0
"""For the engine to answer a request that waits for nothing."""
MAX_ANSWER_BYTES = 32 << 20
"""A list of ten thousand containers is some 20 MB."""
MAX_LINE_BYTES = 1 << 20
"""Of a stream of JSON: a container's event carries all its labels."""
MAX_SHOWN = 400
"""Characters of the engine's complaint that are repeated."""
NOT_MODIFIED = 304
"""Started already, or stopped."""
ERRORS: Mapping[int, type[SpringtideError]] = {400: BadInput, 404: NotFound, 409: AlreadyExists}


class EngineTransport:
    """``prefix`` is the version of the API, such as ``/v1.41``; empty until it is known."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.prefix = ""
        transport = httpx.AsyncHTTPTransport(
            uds=str(socket), limits=httpx.Limits(max_connections=None, max_keepalive_connections=16)
        )
        self._http = httpx.AsyncClient(transport=transport, base_url="http://engine", trust_env=False)

    def __repr__(self) -> str:
        return f"<EngineTransport {self.socket}{self.prefix}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        deadline_s: float = DEADLINE_S,
    ) -> Any:
        """What the engine answers, as JSON; None for nothing.

        Raises BadInput, NotFound or AlreadyExists as the engine says, Unavailable for anything else.
        """
        async with self.stream(method, path, query=query, body=body, deadline_s=deadline_s) as answer:
            data = await _bounded(answer)
        try:
            return bounded_json.loads(data) if data.strip() else None
        except ValueError as error:
            raise Unavailable(f"the container engine answers {path} with what is no JSON") from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        head_s: float | None = DEADLINE_S,
    ) -> AsyncGenerator[httpx.Response, None]:
        """An answer that is a success, its body not read yet. ``deadline_s`` is between two pieces of it, None for a
        stream that may be silent; ``head_s`` until it begins, None where an engine begins with the first piece."""
        timeout = httpx.Timeout(deadline_s or DEADLINE_S, read=deadline_s)
        request = self._http.build_request(
            method,
            self.prefix + path,
            params=dict(query or {}),
            json=body,
            content=content,
            headers=dict(headers or {}),
            timeout=timeout,
        )
        try:
            async with asyncio.timeout(deadline_s or head_s):
                answer = await self._http.send(request, stream=True)
            try:
                await _check(answer, path)
                yield answer
            finally:
                await answer.aclose()
        except httpx.ConnectError as error:
            raise Unavailable(
                f"no container engine at {self.socket} ({reason_of(error)}); start Docker or Podman's socket, or name "
                "another one in DOCKER_HOST"
            ) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            raise Unavailable(f"the container engine did not answer {method} {path} in time") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"the container engine broke off {method} {path}: {reason_of(error)}") from error


async def json_lines(answer: httpx.Response) -> AsyncGenerator[Any, None]:
    """Each object of a stream, whatever is between them. Raises Unavailable for a line without bounds."""
    rest = b""
    async for data in answer.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                yield _object(line)
        if len(rest) > MAX_LINE_BYTES:
            raise Unavailable("the container engine sends a line without end")
    if rest.strip():
        yield _object(rest)


def _object(line: bytes) -> Any:
    try:
        return bounded_json.loads(line)
    except ValueError as error:
        raise Unavailable("the container engine sends what is no JSON") from error


async def _check(answer: httpx.Response, path: str) -> None:
    if answer.is_success or answer.status_code == NOT_MODIFIED:
        return
    data = await _bounded(answer)
    try:
        value = bounded_json.loads(data)
        said = str(value["message"])
    except (ValueError, TypeError, KeyError):
        said = data.decode(errors="replace")
    kind = ERRORS.get(answer.status_code, Unavailable)
    raise kind(f"the container engine refuses {path.partition('?')[0]}: {said.strip()[:MAX_SHOWN]}")


async def _bounded(answer: httpx.Response) -> bytes:
    data = bytearray()
    async for chunk in answer.aiter_bytes():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise Unavailable(f"the container engine answers with more than {MAX_ANSWER_BYTES} bytes")
    return bytes(data)
