"""A question that every gateway can answer: the first that does is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import NotFound, SpringtideError, Unavailable, Unsupported, error_for_status, reason_of
from springtide.runtime.tls import client_context
from springtide.wire.json_api import NONSENSE

T = TypeVar("T")

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""100,000 functions, whose names and numbers take 300 bytes each."""


class FirstGateway:
    """``deadline_s`` is of one gateway; the next one is asked then."""

    def __init__(self, urls: Sequence[str], credentials: Credentials | None, *, deadline_s: float, what: str) -> None:
        """``urls`` are those of the gateways' public ports, such as ``http://gateway:8080``; ``what`` is asked for."""
        self._deadline_s, self._what = deadline_s, what
        self._urls = tuple(url.rstrip("/") for url in urls)
        headers = {"User-Agent": "springtide"}
        if credentials is not None:
            headers["Authorization"] = credentials.header
        self._http = httpx.AsyncClient(timeout=deadline_s, trust_env=False, verify=client_context(), headers=headers)

    def __repr__(self) -> str:
        return f"<FirstGateway of {', '.join(self._urls)}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, read: Callable[[Any], T]) -> T:
        """As ``ask``."""
        return await self.ask("GET", path, read)

    async def ask(self, method: str, path: str, read: Callable[[Any], T], *, body: bytes | None = None) -> T:
        """What ``read`` makes of the answer; it raises what ``NONSENSE`` has for another shape.

        Raises Unsupported where the gateways know no such thing, and other SpringtideErrors.
        """
        problem: SpringtideError = Unavailable("there is no gateway to ask")
        for url in self._urls:
            try:
                return await self._told(method, url, path, read, body)
            except NotFound as error:
                problem = Unsupported(f"the gateway at {url} knows no {self._what}: {error}")
            except SpringtideError as error:
                problem = error
        raise problem

    async def _told(self, method: str, url: str, path: str, read: Callable[[Any], T], body: bytes | None) -> T:
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._http.stream(method, url + path, content=body) as response,
            ):
                content = bytearray()
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > MAX_ANSWER_BYTES:
                        raise Unavailable(
                            f"the gateway at {url} told more than {MAX_ANSWER_BYTES} bytes of its {self._what}"
                        )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(
                f"the gateway at {url} did not tell its {self._what} within {self._deadline_s:g} s"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"the gateway at {url} cannot be asked for its {self._what}: {reason_of(error)}"
            ) from error
        if response.status_code != 200:
            text = content.decode(errors="replace").strip()[:200] or response.reason_phrase
            raise error_for_status(response.status_code)(text)
        try:
            return read(bounded_json.loads(bytes(content)))
        except NONSENSE as error:
            raise Unavailable(
                f"what the gateway at {url} tells of its {self._what} makes no sense: {error!r:.200}"
            ) from error
