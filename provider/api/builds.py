"""``POST /build`` and ``GET /publickey``: OpenFaaS's builder API, so that ``faas-cli up --remote-builder`` works here.

Who builds is known by the signature of the body alone (``X-Build-Signature``): it is written to a file while it is
hashed, and nothing of it is looked at before the signature is found right.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import math
import re
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from springtide.provider.ports import Build, ImageBuilder
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.errors import (
    BadInput,
    BodyTimeout,
    BodyTooLarge,
    SpringtideError,
    TooMany,
    Unauthenticated,
    Unsupported,
    status_of,
)
from springtide.runtime.files import read_whole
from springtide.runtime.line_stream import LineStream
from springtide.runtime.routes import Routes

BUILD_PATH = "/build"
SIGNATURE = "x-build-signature"
NDJSON = "application/x-ndjson"
MAX_UPLOADS = 8
"""Bodies received at once, whoever sends them: each is a file until its signature is known."""
RETRY_AFTER_S = 5
DRAIN_S = 10.0
MAX_UNREAD_LINES = 10_000
"""Of a build whose client reads too slowly; what comes beyond it is not told."""
KEPT_FIRST_LINES, KEPT_LAST_LINES = 200, 2_000
"""Of an answer that is one object."""
_SIGNATURE = re.compile(r"sha256=([0-9a-fA-F]{64})")
NOT_HERE = (
    "functions are not built here: they are where they run as processes of one machine (springtide up). For a cluster "
    "build the image with a container engine, push it, and deploy it: faas-cli up without --remote-builder"
)
NO_SECRETS = (
    "build secrets are not taken here, so there is no public key: nothing is built in a container that they could be "
    "mounted into. Leave out build_secrets and --builder-public-key; a private package index is set in the "
    "requirements.txt, or in uv's and npm's own configuration of the user who runs the suite"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of the answer, in the builder API's words. The duration is a whole number: any client can read one."""

    image: str
    log: tuple[str, ...] = ()
    status: str = "in_progress"
    error: str = ""
    duration_s: int | None = None

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"log": list(self.log), "image": self.image, "status": self.status}
        value |= {"error": self.error} if self.error else {}
        return value | ({} if self.duration_s is None else {"duration": self.duration_s})


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRules:
    """``secret_file`` empty: nobody can build. Durations in seconds."""

    secret_file: str = ""
    max_bytes: int = 128 << 20
    timeout_s: float = 900.0
    upload_timeout_s: float = 300.0
    at_once: int = 2


def router(builder: ImageBuilder | None, rules: BuildRules, stopping: asyncio.Event) -> Routes:
    """``builder`` None: where functions run is no place to build them."""
    routes = Routes()
    uploads = ConcurrencyLimit(MAX_UPLOADS, "uploads of build contexts")
    builds = ConcurrencyLimit(rules.at_once, "builds")

    @routes.get("/publickey")
    async def public_key() -> Response:
        raise Unsupported(NOT_HERE if builder is None else NO_SECRETS)

    @routes.post(BUILD_PATH)
    async def build(request: Request) -> Response:
        try:
            if builder is None:
                raise Unsupported(NOT_HERE)
            archive = await _received(request, builder.scratch, rules, uploads, builds)
        except SpringtideError as error:
            await _drain(request, rules)
            return _refused(error)
        with contextlib.ExitStack() as held:
            held.callback(archive.close)
            try:
                held.enter_context(builds.place())
                accepted = await builder.accept(archive)
            except SpringtideError as error:
                return _refused(error)
            held.callback(accepted.discard)
            lines = _lines(accepted, rules.timeout_s)
            if NDJSON in request.headers.get("accept", ""):
                return LineStream(lines, _line, stopping=stopping, place=held.pop_all())
            return await _whole(lines)

    return routes


def _refused(error: SpringtideError) -> Response:
    again = {"retry-after": str(RETRY_AFTER_S)} if isinstance(error, TooMany) else None
    return PlainTextResponse(str(error), status_of(error), headers=again)


async def _drain(request: Request, rules: BuildRules) -> None:
    """Read what is left of a body that is refused, within bounds: clients read no answer before they sent it all."""
    left = rules.max_bytes
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(DRAIN_S):
            async for piece in request.stream():
                left -= len(piece)
                if left < 0:
                    return


async def _received(
    request: Request, scratch: Path, rules: BuildRules, uploads: ConcurrencyLimit, builds: ConcurrencyLimit
) -> IO[bytes]:
    """The body as a file without a name, signed as it must be. Raises the error of whatever is wrong with it."""
    key = await asyncio.to_thread(_secret, rules.secret_file)
    given = request.headers.get(SIGNATURE, "")
    signature = _SIGNATURE.fullmatch(given.strip())
    if signature is None:
        raise Unauthenticated("X-Build-Signature: missing or not sha256=HEX; sign the body with the payload secret")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > rules.max_bytes:
        raise BodyTooLarge(_too_large(rules))
    builds.check()
    with uploads.place():
        archive: IO[bytes] = await asyncio.to_thread(tempfile.TemporaryFile, dir=scratch)
        with contextlib.ExitStack() as unused:
            unused.callback(archive.close)
            digest = await _spooled(request, archive, hmac.new(key, digestmod=hashlib.sha256), rules)
            _check(digest, signature[1].lower())
            archive.seek(0)
            unused.pop_all()
    return archive


def _check(digest: str, signature: str) -> None:
    if not hmac.compare_digest(digest, signature):
        raise Unauthenticated(
            "X-Build-Signature: not this body's; sign it by HMAC-SHA256 with the payload secret of this suite "
            "(springtide up prints its file)"
        )


async def _spooled(request: Request, archive: IO[bytes], digest: hmac.HMAC, rules: BuildRules) -> str:
    size = 0
    try:
        async with asyncio.timeout(rules.upload_timeout_s):
            async for piece in request.stream():
                size += len(piece)
                if size > rules.max_bytes:
                    raise BodyTooLarge(_too_large(rules))
                digest.update(piece)
                await asyncio.to_thread(archive.write, piece)
    except TimeoutError:
        raise BodyTimeout(f"the body did not arrive within {rules.upload_timeout_s:g} s") from None
    except ClientDisconnect as error:
        raise BadInput("the client left before its body was complete") from error
    return digest.hexdigest()


def _too_large(rules: BuildRules) -> str:
    return f"the body has more than {rules.max_bytes} bytes (build_max_bytes); leave out what is not needed"


def _secret(file: str) -> bytes:
    if not file:
        raise Unsupported("nobody can build here: there is no payload secret; set payload_secret to a file with one")
    try:
        key = read_whole(Path(file)).strip()
    except OSError as error:
        raise Unsupported(f"nobody can build here: payload_secret {file}: {error.strerror}") from error
    if not key:
        raise Unsupported(f"nobody can build here: payload_secret {file} is empty; write a secret into it")
    return key


async def _lines(build: Build, timeout_s: float) -> AsyncGenerator[_Line, None]:
    """What happens, as it happens; that it failed, or took too long, is a line, too: the answer has begun by then.

    Who closes this ends the build.
    """
    loop = asyncio.get_running_loop()
    began, told = loop.time(), asyncio.Queue[str](MAX_UNREAD_LINES)
    running = asyncio.create_task(_run(build, timeout_s, told), name=f"build of {build.image}")
    try:
        while not running.done() or not told.empty():
            line = asyncio.ensure_future(told.get())
            try:
                await asyncio.wait([line, running], return_when=asyncio.FIRST_COMPLETED)
                if line.done():
                    yield _Line(image=build.image, log=(line.result(),))
            finally:
                line.cancel()
        error = running.result()
    finally:
        running.cancel()
        await asyncio.wait([running])
    took_s = math.ceil(loop.time() - began)
    yield _Line(image=build.image, status="failed" if error else "success", error=error, duration_s=took_s)


async def _run(build: Build, timeout_s: float, told: asyncio.Queue[str]) -> str:
    """Why it failed; empty when it did not."""
    try:
        async with asyncio.timeout(timeout_s):
            await build.run(partial(_tell, told))
    except TimeoutError:
        return f"the build took longer than {timeout_s:g} s (max_build_time) and was ended"
    except SpringtideError as error:
        return str(error)
    return ""


def _tell(told: asyncio.Queue[str], line: str) -> None:
    with contextlib.suppress(asyncio.QueueFull):
        told.put_nowait(line)


def _line(line: _Line) -> bytes:
    return json.dumps(line.to_json(), separators=(",", ":")).encode() + b"\n"


async def _whole(lines: AsyncGenerator[_Line, None]) -> Response:
    """All of it as one object, once the build is over."""
    log: list[str] = []
    async with contextlib.aclosing(lines):
        async for line in lines:
            log += line.log
            del log[KEPT_FIRST_LINES : max(KEPT_FIRST_LINES, len(log) - KEPT_LAST_LINES)]
            last = line
    return JSONResponse({**last.to_json(), "log": log})
