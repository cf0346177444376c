from __future__ import annotations

import pytest

from tests.gateway.harness import data_plane, echo, get, replica
from tests.gateway.malformed import CORPUS, STATUS

pytestmark = pytest.mark.uvloop


def test_corpus_is_large() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.parametrize("name", CORPUS)
async def test_malformed_request_is_refused_and_not_forwarded(name: str) -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(CORPUS[name])
        answer = await caller.answer()
        behind = await caller.rest()

        assert answer.status == STATUS.get(name, 400)
        assert answer["connection"] == "close"
        assert answer["x-call-id"]
        assert answer["x-start-time"].isdigit()
        assert behind == b""
        assert server.connections == 0


@pytest.mark.parametrize("name", CORPUS)
async def test_malformed_request_byte_by_byte_reaches_no_replica_whole(name: str) -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        head, body = CORPUS[name][:200], CORPUS[name][200:]

        for byte in head:
            caller.writer.write(bytes([byte]))
            await caller.writer.drain()
        caller.writer.write(body)
        answer = await caller.answer()

        # A head that is in order is on its way before its body is seen; the body must never come to an end there.
        assert answer.status == STATUS.get(name, 400)
        assert all(not received.body for received in server.received)


async def test_malformed_request_behind_a_good_one_spoils_only_itself() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(get() + CORPUS["both lengths"] + get())
        first, second = await caller.answer(), await caller.answer()

        assert (first.status, second.status) == (200, 400)
        assert await caller.rest() == b""
        assert len(server.received) == 1


async def test_malformed_requests_are_counted_under_one_name() -> None:
    async with data_plane() as gateway, gateway.connect() as caller:
        await caller.send(CORPUS["no host"])
        await caller.rest()

        assert gateway.plane.unknown.metrics.refused == {"malformed": 1}
