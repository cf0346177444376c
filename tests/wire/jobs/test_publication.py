"""Messages as we write them ourselves: what is read of them is what the client's own way of writing gives."""

from __future__ import annotations

import asyncio

import pytest
from nats.errors import MaxPayloadError
from nats.js.api import Header

from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.publication import _AS_KNOWN, encoded, publish


def test_the_client_is_as_it_is_known() -> None:
    assert _AS_KNOWN


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({"Springtide-Job": '{"v":1,"path":"/a b"}'}, b"\x00\r\nbody", id="one"),
        pytest.param({"A": "1", Header.MSG_ID: "0f.0", "C": "x: y"}, b"", id="several and no body"),
    ],
)
async def test_it_is_read_as_what_the_client_writes(broker: Broker, headers: dict[str, str], body: bytes) -> None:
    client = await broker.connection.client()
    subscription = await client.subscribe("written")
    await client.publish("written", body, "answer.to", headers)
    await publish(client, "written", body, "answer.to", headers)
    async with asyncio.timeout(60):
        theirs, ours = [await subscription.next_msg(timeout=None) for _ in range(2)]
    assert (ours.subject, ours.reply, ours.headers, ours.data) == (
        theirs.subject,
        theirs.reply,
        theirs.headers,
        theirs.data,
    )
    await subscription.unsubscribe()


async def test_what_is_too_large_is_refused_before_it_is_sent(broker: Broker) -> None:
    client = await broker.connection.client()
    with pytest.raises(MaxPayloadError):
        await publish(client, "written", bytes(client.max_payload - 10), "answer.to", {"A": "1"})


@pytest.mark.parametrize("value", ["a\r\nB: 2", "a\n", "\r"])
def test_a_header_of_several_lines_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="more than one line"):
        encoded({"A": value})
