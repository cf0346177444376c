"""A gateway asks the provider: one that is away is waited for, and what is no answer is no yes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.webhooks import checks
from springtide.wire.webhooks.checks import NoChecks, ProviderChecks
from springtide.wire.webhooks.proof import Proof

FUNCTION, PROOF = FunctionRef("ns", "f"), Proof(tokens=(b"t",))


@contextlib.asynccontextmanager
async def provider(answer: bytes, port: int = 0) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"POST /system/webhook-check?function=f&namespace=ns " in head
        await reader.readexactly(4)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answer(status: int, body: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def asked(port: int) -> bool:
    client = ProviderChecks(f"http://127.0.0.1:{port}/", Credentials("u", "p"))
    try:
        return await client.right(FUNCTION, PROOF, b"body")
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("body", "right"), [('{"right": true}', True), ('{"right": false}', False), ('{"right": 1}', False)]
)
async def test_only_a_yes_is_one(body: str, right: bool) -> None:
    async with provider(answer(200, body)) as port:
        assert await asked(port) is right


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (answer(503, "secret s: is empty"), "secret s: is empty"),
        (answer(404, "404 page not found"), "this provider has no secrets to check webhooks with"),
        (answer(401, ""), "401"),
        (answer(200, "[]"), "makes no sense"),
        (answer(200, "yes"), "makes no sense"),
        (b"nonsense\r\n\r\n", "did not answer"),
    ],
)
async def test_what_is_no_answer_is_told_and_no_yes(given: bytes, told: str) -> None:
    async with provider(given) as port:
        with pytest.raises(Unavailable, match=told):
            await asked(port)


async def test_a_provider_that_is_about_to_be_back_is_waited_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        asking = asyncio.create_task(asked(port))
        await asyncio.wait([asking], timeout=0.05)
    async with provider(answer(200, '{"right": true}'), port):
        assert await asking is True


async def test_one_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE_S", 0.0)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="cannot be reached"):
            await asked(taken.getsockname()[1])
    with pytest.raises(Unavailable):
        await NoChecks().right(FUNCTION, PROOF, b"")
