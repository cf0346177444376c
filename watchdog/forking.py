"""Modes that start a program for every call: classic, streaming and serializing."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from typing import NoReturn

from .calls import (
    INTERNAL,
    Caller,
    CallerLeftError,
    Receive,
    Scope,
    Send,
    SlowCallerError,
    exec_limit,
    guarded,
    reply,
)
from .config import Mode, WatchdogConfig, not_there
from .handler_fork import ForkedCall
from .log import log
from .program import ForkedProgram, StartedProcess, start
from .sniffing import SNIFFED_BYTES, content_type_of
from .timeouts import timeout

VERBS = ("POST", "PUT", "PATCH", "DELETE", "GET")
"""Of the classic watchdog; the other modes run the program for any."""
CONNECTION_CLOSED = "its connection was closed, by the caller or by a time-out of the gateway,"
"""From here the two look the same; the gateway's own answer, or its log, tells them apart."""
OURS = (INTERNAL, b"of-watchdog")
MAX_CAUSE = 300
"""Bytes of a failed program's last line that the log repeats."""


class Forking:
    """``fprocess`` reads the body on standard input and writes the answer to standard output."""

    def __init__(self, config: WatchdogConfig, env: Mapping[str, str]) -> None:
        """Raises FileNotFoundError when there is no such program, so that no replica is ready that cannot answer."""
        if missing := not_there(config, env):
            raise FileNotFoundError(missing)
        self._config, self._env = config, env
        self._classic = config.mode is Mode.CLASSIC

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._classic and scope["method"] not in VERBS:
            await reply(send, 405, b"", [(b"allow", ", ".join(VERBS).encode())])
            return
        began = time.perf_counter()
        limit = exec_limit(scope["headers"], self._config.exec_timeout_s)
        answer = _Answer(self._config, scope, send, began)
        if self._classic:
            log("Forking fprocess.")
        try:
            async with timeout(limit.seconds):
                await self._run(scope, Caller(receive), answer)
        except TimeoutError:
            log(f"Killed process after {time.perf_counter() - began:.3f}s: it ran longer than {limit}")
            await answer.fail(408 if self._classic else 504, f"Killed process. It ran longer than {limit}.".encode())
        except SlowCallerError as error:
            log(f"Killed process: {error}")
            await answer.fail(408, str(error).encode())
        except CallerLeftError:
            log(f"Killed process: {CONNECTION_CLOSED} after {time.perf_counter() - began:.3f}s")
        except OSError as error:
            log(f"cannot run fprocess: {error}")
            await answer.fail(500, f"cannot run fprocess: {error}\n".encode())

    async def _run(self, scope: Scope, caller: Caller, answer: _Answer) -> None:
        env = environment_of_call(self._env, scope) if self._config.cgi_headers else self._env
        async with ForkedProgram(self._started(env)) as program:
            await guarded(answer.take(program), self._feed(program, caller, scope))

    def _started(self, env: Mapping[str, str]) -> StartedProcess:
        """Raises OSError."""
        if self._config.forks_handler and self._config.handler is not None:
            return ForkedCall(self._config.handler, env, merge_errors=merges(self._config))
        return start(self._config.command, env, merge_errors=merges(self._config))

    async def _feed(self, program: ForkedProgram, caller: Caller, scope: Scope) -> NoReturn:
        await program.feed(_marshalled(caller, scope) if self._config.marshal_request else caller.chunks())
        await caller.leaves()


def merges(config: WatchdogConfig) -> bool:
    """Whether what the program writes to standard error is part of its answer."""
    return config.mode is Mode.CLASSIC and config.combine_output


class _Answer:
    """What goes back for one call: whole at the end, or as it comes in streaming mode."""

    def __init__(self, config: WatchdogConfig, scope: Scope, send: Send, began: float) -> None:
        self._config, self._scope, self._send, self._began = config, scope, send, began
        self._started = False

    async def take(self, program: ForkedProgram) -> None:
        """Send what the program writes."""
        if self._config.mode is Mode.STREAMING:
            await self._stream(program)
        else:
            await self._whole(program)

    async def fail(self, status: int, text: bytes, *, content_type: str = "") -> None:
        """An answer of our own. One that is under way can only be broken off, which is what the caller must see."""
        if self._started:
            raise ConnectionAbortedError(text.decode(errors="replace"))
        headers = () if self._config.mode is Mode.CLASSIC else (OURS,)
        await reply(self._send, status, text, headers, content_type=content_type)

    def _failure(self, status: int) -> bytes:
        return describe(status).encode() + (b"\n" if self._config.mode is Mode.CLASSIC else b"")

    async def _whole(self, program: ForkedProgram) -> None:
        output = bytearray()
        async for data in program.output():
            output += data
        status = await program.status()
        seconds = time.perf_counter() - self._began
        if status != 0:
            # What it wrote to standard error is in the log already, unless it goes to the caller with the rest.
            said = bytes(output[-MAX_CAUSE:]).strip() if merges(self._config) else b""
            last = said.rpartition(b"\n")[2].decode(errors="replace")
            log(f"fprocess failed: {describe(status)}" + (f": {last}" if last else ""))
            # The classic watchdog shows what the program wrote until then; the newer one says how it ended, no more.
            output = bytearray(self._failure(status)) + (output if self._config.mode is Mode.CLASSIC else b"")
        elif self._config.write_debug:
            log(output.decode(errors="replace"))
        if self._config.mode is Mode.CLASSIC:
            log(f"Wrote {len(output)} Bytes - Duration: {seconds:.6f}s")
        headers = [(b"x-duration-seconds", f"{seconds:.6f}".encode())]
        if status != 0 and self._config.mode is not Mode.CLASSIC:
            headers.append(OURS)
        kind = "" if status and self._config.mode is Mode.CLASSIC else self._content_type(bytes(output[:SNIFFED_BYTES]))
        await reply(self._send, 500 if status else 200, bytes(output), headers, content_type=kind)

    async def _stream(self, program: ForkedProgram) -> None:
        async for data in program.output():
            await self._begin()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        status = await program.status()
        if status != 0:
            log(f"fprocess failed: {describe(status)}")
            await self.fail(500, self._failure(status), content_type=self._content_type())
            return
        await self._begin()
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self) -> None:
        if not self._started:
            self._started = True
            headers = [(b"content-type", self._content_type().encode("latin-1"))]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _content_type(self, output: bytes = b"") -> str:
        """The one that the settings force; else the classic watchdog repeats the request's, or says what it looks like.

        That is what Go's server does where nobody names a type: a page is HTML, a picture a picture.
        """
        if self._config.content_type:
            return self._config.content_type
        if self._config.mode is not Mode.CLASSIC:
            return "application/octet-stream"
        given = [value for name, value in self._scope["headers"] if name == b"content-type"]
        return given[0].decode("latin-1") if given else content_type_of(output)


def describe(status: int) -> str:
    return f"exit status {status}" if status > 0 else f"killed by signal {-status}"


async def _marshalled(caller: Caller, scope: Scope) -> AsyncIterator[bytes]:
    """The request as one JSON object: its headers, and its body in base64."""
    body = await caller.body()
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(canonical(name), []).append(value.decode("latin-1"))
    yield json.dumps({"header": headers, "body": {"raw": base64.b64encode(body).decode()}}).encode()


def environment_of_call(base: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """What a program sees of the call: its headers, method, path and query as ``Http_…``, on top of the replica's."""
    env = dict(base)
    for name, value in scope["headers"]:
        # A header that comes twice is joined, as CGI does it.
        key, text = "Http_" + canonical(name).replace("-", "_"), os.fsdecode(value)
        env[key] = f"{env[key]}, {text}" if key in env and key not in base else text
    env["Http_Method"] = scope["method"]
    if "Http_Transfer_Encoding" not in env:
        env.setdefault("Http_Content_Length", "0")
        env["Http_ContentLength"] = env["Http_Content_Length"]
    if scope["query_string"]:
        env["Http_Query"] = os.fsdecode(scope["query_string"])
    env["Http_Path"] = scope["path"].replace("\0", "")
    return env


def canonical(name: bytes) -> str:
    """``x-call-id`` becomes ``X-Call-Id``."""
    return "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
