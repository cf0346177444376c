"""What a write says about the term it is made in, and what becomes of one from a term that is over."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.memory.provider import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput, Conflict, Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import leadership
from springtide.wire.leadership import (
    LEADER_HEADER,
    MAX_ROLES,
    Always,
    Standby,
    Terms,
    decode,
    read_headers,
    write_headers,
)
from springtide.wire.provider_client import ProviderClient

ECHO = FunctionRef("openfaas-fn", "echo")
USER = Credentials("admin", "secret")


@dataclass
class Said:
    """A Leadership that is what the test says."""

    term: int | None
    left: float = 60.0
    role: str = "ns/idler"

    def hold(self) -> int | None:
        return self.term

    def left_s(self) -> float:
        return self.left

    async def change(self, known: int | None) -> int | None:
        raise NotImplementedError


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[tuple[int, MemoryProvider]]:
    functions = MemoryProvider()
    await functions.deploy(FunctionSpec(ref=ECHO, image="none"))
    api = build(ProviderApiSettings(port=0), ProviderApiDeps(provider=functions, credentials=USER))
    await api.start()
    try:
        yield api.port, functions
    finally:
        await api.stop()


@contextlib.asynccontextmanager
async def client(port: int, leading: Said | None) -> AsyncIterator[ProviderClient]:
    made = ProviderClient(f"http://127.0.0.1:{port}", USER, leadership=leading)
    try:
        yield made
    finally:
        await made.aclose()


async def test_term_that_is_over_writes_no_more_though_nobody_wrote_since() -> None:
    async with provider() as (port, functions), client(port, Said(5)) as old, client(port, Said(6)) as new:
        version = (await old.read(ECHO)).scale.version
        assert (await new.read(ECHO)).scale.version == version

        with pytest.raises(Conflict, match="written in term 5, but term 6 has begun"):
            await old.write(ECHO, 3, expect=version, decision=None)
        await new.write(ECHO, 2, expect=version, decision=None)

        assert (await functions.read(ECHO)).scale.desired == 2


async def test_write_whose_body_comes_late_is_judged_when_it_is_whole() -> None:
    async with provider() as (port, functions), client(port, Said(6)) as new, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"serviceName":"echo","replicas":5}'
        head = (
            f"POST /system/scale-function/echo HTTP/1.1\r\nHost: x\r\nAuthorization: {USER.header}\r\n"
            f"{LEADER_HEADER}: ns/idler 5\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        # Enough of it for the provider to begin, then the writer is stopped.
        writer.write(head.encode() + body[:10])
        await writer.drain()
        await new.read(ECHO)
        writer.write(body[10:])
        answer = await reader.readuntil(b"\r\n")
        writer.close()

        assert b"412" in answer
        assert (await functions.read(ECHO)).scale.desired == 1


async def test_copy_that_does_not_lead_reads_but_does_not_write() -> None:
    async with provider() as (port, functions), client(port, Said(None, 0)) as standby:
        assert (await standby.read(ECHO)).scale.desired == 1
        with pytest.raises(Standby):
            await standby.write(ECHO, 3, expect=None, decision=None)

        assert (await functions.read(ECHO)).scale.desired == 1


async def test_write_is_given_up_before_the_term_can_end() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client(port, Said(5, left=0.2)) as short, asyncio.timeout(4):
        with pytest.raises(Unavailable, match="no whole answer in time"):
            await short.write(ECHO, 3, expect=None, decision=None)


def test_only_copy_says_nothing_of_terms() -> None:
    assert read_headers(Always()) == write_headers(Always()) == {}
    assert (Always().hold(), Always().left_s()) == (0, math.inf)


def test_leader_names_role_and_term() -> None:
    assert read_headers(Said(7)) == write_headers(Said(7)) == {LEADER_HEADER: "ns/idler 7"}
    assert read_headers(Said(None)) == {}


def test_roles_are_judged_apart_and_people_not_at_all() -> None:
    terms = Terms()
    terms.check("ns/idler 9")

    terms.check("ns/alert-receiver 3")
    terms.check(None)
    terms.check("ns/idler 9")
    with pytest.raises(Conflict):
        terms.check("ns/idler 8")


def test_roles_are_bounded() -> None:
    terms = Terms()
    for number in range(MAX_ROLES):
        terms.check(f"role-{number} 1")

    terms.check("role-0 2")
    with pytest.raises(BadInput):
        terms.check("one-more 1")


@pytest.mark.parametrize("text", ["", "role", "role x", " 5", "role -1", "role 1.5", "role ²", "x" * 500 + " 1"])
def test_header_that_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=LEADER_HEADER):
        decode(text)


async def test_open_paths_say_nothing_of_terms() -> None:
    async with provider() as (port, _), client(port, Said(5)) as leader:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: x\r\n{LEADER_HEADER}: ns/idler 999\r\n\r\n".encode())
        assert b"200" in await reader.readuntil(b"\r\n")
        writer.close()

        await leader.write(ECHO, 2, expect=None, decision=None)


def test_metric_says_who_leads_at_each_scrape() -> None:
    registry, said = CollectorRegistry(), Said(5)
    leadership.show(said, registry)

    leading = registry.get_sample_value("springtide_leader")
    said.term = None

    assert (leading, registry.get_sample_value("springtide_leader")) == (1, 0)
