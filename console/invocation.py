"""Calling a function by hand: what was sent, what came back, how long it took and whether it was cold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from springtide.console.gateway_api import why
from springtide.console.view import PART_WORDS, Json
from springtide.runtime.errors import BadInput, TooMany, Unavailable
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_BODY_BYTES = 1 << 20
MAX_SHOWN_BYTES = 256 * 1024
"""Of an answer's body. The rest is not read: a page is no place for a download."""

CLOSING_S = 0.5
"""So long before a call's deadline its answer is taken as it is."""

REFUSED_BY = frozenset(("gateway", "proxy"))
"""What ``X-OpenFaaS-Internal`` says of answers that no replica gave. Watchdogs write it, too, when a handler fails."""

MAX_AT_ONCE = 20
_TIMING = re.compile(r"([a-z-]+);dur=([0-9]+(?:\.[0-9]+)?)")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(("host", "content-length", "transfer-encoding", "connection", "authorization", "expect"))


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the form describes it. ``path`` has its query and begins with a slash."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def from_json(cls, value: Any) -> Call:
        """Raises BadInput naming the field."""
        if not isinstance(value, dict):
            raise BadInput("the call must be a JSON object")
        method, path = str(value.get("method") or "POST").upper(), str(value.get("path") or "/")
        if method not in METHODS:
            raise BadInput(f"method: {method!r} is none of {', '.join(METHODS)}")
        body = _encoded("body", value)
        if len(body) > MAX_BODY_BYTES:
            raise BadInput(f"body: has more than {MAX_BODY_BYTES} bytes; use the command line for it")
        _encoded("path", value)
        path = quote(path if path.startswith(("/", "?")) else f"/{path}", safe="/?&=%:@!$'()*+,;~-._")
        return cls(
            method, path if path.startswith("/") else f"/{path}", _headers(str(value.get("headers") or "")), body
        )


class Invoker:
    """Calls through the gateway as anybody would: without the suite's credentials."""

    def __init__(self, http: httpx.AsyncClient, gateway_url: str, *, clock: Clock, deadline_s: float) -> None:
        self._http = http
        self._clock = clock
        self._url = gateway_url
        self._deadline_s = deadline_s
        self._under_way = 0

    async def invoke(self, ref: FunctionRef, call: Call) -> Json:
        """What came back. Raises TooMany, or Unavailable when nothing did."""
        if self._under_way >= MAX_AT_ONCE:
            raise TooMany(f"{MAX_AT_ONCE} calls made by hand are under way already; wait for one to end")
        self._under_way += 1
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                return await self._invoke(ref, call, until=deadline.when())
        except (TimeoutError, httpx.TimeoutException) as error:
            limit = f"console_invoke_deadline ({self._deadline_s:g} s) of the console"
            raise Unavailable(f"{ref.name} did not answer within {limit}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the call broke off: {why(error)}") from error
        finally:
            self._under_way -= 1

    async def _invoke(self, ref: FunctionRef, call: Call, *, until: float | None) -> Json:
        url = httpx.URL(self._url)
        target = f"{url.path.rstrip('/')}/function/{quote(str(ref), safe='')}{call.path}"
        content = call.body if call.body or call.method in ("POST", "PUT", "PATCH") else None
        started = self._clock.now()
        async with self._http.stream(
            call.method,
            url,
            headers=list(call.headers),
            content=content,
            timeout=self._deadline_s,
            # As it was written: left to the library, dots in it would lead out of the function and into the gateway.
            extensions={"target": target.encode()},
        ) as response:
            body = bytearray()
            broken = await _read(response, body, until=until)
            seconds = self._clock.now() - started
        return {
            "status": response.status_code,
            "statusText": response.reason_phrase,
            "seconds": round(seconds, 6),
            "headers": [[name, value] for name, value in response.headers.multi_items()],
            "cold": cold_parts(response.headers),
            "refused": response.headers.get("x-openfaas-internal") in REFUSED_BY,
            "bytes": len(body),
            "whole": not broken,
            "broken": broken,
            "text": _text(bytes(body), whole=not broken),
        }


def cold_parts(headers: Mapping[str, str]) -> Json | None:
    """The parts of a held call's time, from the gateway's ``Server-Timing``; None for a call that was not held."""
    milliseconds = {name: float(value) for name, value in _TIMING.findall(headers.get("server-timing", ""))}
    if "hold" not in milliseconds:
        return None
    parts = [
        {"part": part, "text": text, "seconds": milliseconds[part.replace("_", "-")] / 1e3}
        for part, text in PART_WORDS.items()
        if part.replace("_", "-") in milliseconds
    ]
    return {"seconds": milliseconds["hold"] / 1e3, "parts": parts}


def _encoded(field: str, value: Mapping[str, Any]) -> bytes:
    """A field as UTF-8. JSON can spell halves of characters, which nothing else can."""
    try:
        return str(value.get(field) or "").encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{field}: is not text that can be sent") from error


async def _read(response: httpx.Response, body: bytearray, *, until: float | None) -> str:
    """Fill ``body``; why it is not whole, if so. What came before an answer broke off is shown, too."""
    try:
        # What has come is worth more than that it took too long.
        async with asyncio.timeout_at(None if until is None else until - CLOSING_S):
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_SHOWN_BYTES:
                    del body[MAX_SHOWN_BYTES:]
                    return f"Only the first {MAX_SHOWN_BYTES // 1024} KiB are shown."
    except (TimeoutError, httpx.TimeoutException):
        return "It has not ended in time; this is what had come until then."
    except httpx.HTTPError as error:
        return f"It broke off after this: {why(error)}."
    return ""


def _text(body: bytes, *, whole: bool) -> str | None:
    """None for what is no text. A cut may have gone through a character."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        return None if whole or error.start < len(body) - 3 else body[: error.start].decode()


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name.strip()) or not value.isprintable() or not value.isascii():
            raise BadInput(f"headers: {line!r} is not of the form Name: value")
        if name.strip().lower() in _OURS:
            raise BadInput(f"headers: {name.strip()} is set by the console itself; leave it out")
        found.append((name.strip(), value.strip()))
    return tuple(found)
