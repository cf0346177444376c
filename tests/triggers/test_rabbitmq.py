"""What only RabbitMQ has: its headers, queues that are made, messages that come again, logins and permissions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq import spec

from springtide.runtime.errors import BadInput, SpringtideError, Unavailable
from springtide.triggers.source import Source
from springtide.triggers.sources import kinds
from springtide.triggers.sources.rabbitmq import QueueAsked, queues
from tests import rabbitmq_server
from tests.certificates import self_signed
from tests.fakes.events import Call, MemoryFunctions, MemoryGateway
from tests.free_ports import free_port
from tests.rabbitmq_server import READER
from tests.triggers.contract import rabbitmq_systems
from tests.triggers.contract.rabbitmq_systems import RabbitmqSystem
from tests.triggers.reading import eventually, first, reading


class Broker(RabbitmqSystem):
    channel: AbstractChannel

    def source(self, **keys: str) -> Source:
        asked = {**self.asked, **keys}
        return kinds.build(asked.pop("kind"), "r", asked)

    async def send(self, body: bytes, *, key: str = "orders", exchange: str = "", **properties: Any) -> None:
        to = await self.channel.get_exchange(exchange, ensure=False) if exchange else self.channel.default_exchange
        await to.publish(aio_pika.Message(body, **properties), key)

    async def told(self, **keys: str) -> str:
        """Why it cannot be connected to."""
        with pytest.raises(BadInput) as error:
            async with self.source(**keys).connect():
                pass
        return str(error.value)


@pytest.fixture
@contextlib.asynccontextmanager
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    made = Broker(rabbitmq_server.shared(), tmp_path)
    async with await made.connected() as connection:
        made.channel = await connection.channel()
        try:
            yield made
        finally:
            for name in (*rabbitmq_systems.TOPICS, "passing", "mine"):
                await (await connection.channel()).queue_delete(name)


class WithoutId(spec.Basic.Properties):
    """The library gives one an id, as others do not."""

    @property
    def message_id(self) -> None:
        return None

    @message_id.setter
    def message_id(self, _: str | None) -> None: ...


async def _called(broker: Broker, **properties: Any) -> Call:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders")
    async with reading(broker.source(), gateway, functions) as copy:
        await broker.send(b"\xff1", **properties)
        await eventually(lambda: len(gateway.calls) == 1)
        await copy.stop()
    [call] = gateway.calls
    return call


async def test_an_event_has_the_headers_of_the_contract(broker: Broker) -> None:
    call = await _called(broker, message_id="order-1", content_type="application/json", timestamp=1_700_000_000)

    assert call.body == b"\xff1"
    assert [header for header in call.headers if not header[0].startswith(b"ce-")] == [
        (b"Content-Type", b"application/json"),
        (b"X-Topic", b"orders"),
        (b"X-Connector", b"connector-sdk"),
        (b"X-Connector", b"rabbitmq-connector"),
        (b"User-Agent", b"springtide/rabbitmq-connector"),
        (b"X-Rabbitmq-Msg-Id", b"order-1"),
        (b"X-Rabbitmq-Routing-Key", b"orders"),
        (b"Idempotency-Key", call.key),
    ]
    assert dict(call.headers)[b"ce-id"] == b"order-1"
    assert call.values("ce-source") == [b"/r/orders"]
    assert call.values("ce-time") == [b"2023-11-14T22:13:20.000Z"]


async def test_the_routing_key_is_that_of_the_exchange(broker: Broker) -> None:
    await (await broker.channel.declare_queue("orders", durable=True)).bind("amq.topic", "shop.#")

    call = await _called(broker, key="shop.berlin", exchange="amq.topic")

    assert (call.values("X-Topic"), call.values("X-Rabbitmq-Routing-Key")) == ([b"orders"], [b"shop.berlin"])


async def test_attributes_of_cloud_events_are_kept(broker: Broker) -> None:
    call = await _called(broker, headers={"cloudEvents:type": "order.new", "cloudEvents_subject": "7", "x-other": 1})

    assert (call.values("ce-type"), call.values("ce-subject")) == ([b"order.new"], [b"7"])
    assert call.values("ce-other") == []


async def test_an_id_is_the_same_when_a_message_comes_again(broker: Broker) -> None:
    source = broker.source()
    async with source.connect() as feed:
        await broker.send(b"with one", message_id="order-1")
        [before] = await first(feed)
    async with source.connect() as feed:
        [again] = await first(feed)
        await again.taken()

    assert (again.event.id, again.event.body) == (before.event.id, before.event.body)


async def test_messages_that_come_again_are_counted(broker: Broker) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    async with broker.source().connect() as feed:
        await broker.send(b"one")
        await first(feed)
    await broker.send(b"two")
    async with reading(broker.source(), gateway, functions) as copy:
        await eventually(lambda: len(copy.reading.journal.newest(9)) == 2)
        await copy.stop()

    assert copy.value("springtide_connector_redelivered_events_total", source="events") == 1


async def test_messages_without_an_id_are_events_of_their_own(broker: Broker) -> None:
    """Two may be alike."""
    below = await broker.channel.get_underlay_channel()
    async with broker.source().connect() as feed:
        for _ in range(2):
            await below.basic_publish(b"ping", routing_key="orders", properties=WithoutId())
        events = await first(feed, 2)
        for each in events:
            await each.taken()

    assert len({each.event.id for each in events}) == 2
    assert all(each.event.headers == (("X-Rabbitmq-Routing-Key", "orders"),) for each in events)


async def test_what_is_given_back_is_given_to_whoever_asks(broker: Broker) -> None:
    async with broker.source().connect() as feed:
        await broker.send(b"one", message_id="1")
        [one] = await first(feed)
        await one.give_back()
        [again] = await first(feed)
        await again.taken()

    assert again.event.id == one.event.id


async def test_no_more_is_lent_than_is_asked_for(broker: Broker) -> None:
    async with broker.source(prefetch="3").connect() as feed:
        for number in range(10):
            await broker.send(b"%d" % number)
        lent = await first(feed, 3)
        ready = (await broker.channel.declare_queue("orders", passive=True)).declaration_result.message_count
        assert (len(lent), ready) == (3, 7)
        for each in lent:
            await each.taken()
        assert [each.event.body for each in await first(feed, 3)] == [b"3", b"4", b"5"]


async def test_a_queue_is_made_as_it_is_asked_for_and_taken_as_it_is(broker: Broker) -> None:
    await broker.channel.declare_queue("passing", durable=False, auto_delete=False)
    asked = (
        '[{"name": "passing", "durable": true}, {"name": "mine", "durable": false, "autodelete": true, "nowait": true}]'
    )
    async with broker.source(queues=asked).connect() as feed:
        await broker.send(b"one", key="mine")
        await (await first(feed))[0].taken()

    with pytest.raises(ChannelNotFoundEntity):  # it was one that goes with whoever listens
        await broker.channel.declare_queue("mine", passive=True)


async def test_a_queue_that_is_removed_is_noticed_and_made_again(broker: Broker) -> None:
    source = broker.source()
    async with source.connect() as feed:
        await broker.channel.queue_delete("orders")
        with pytest.raises(Unavailable, match="the server ended a subscription"):
            await feed.take(1)
    async with source.connect() as feed:
        await broker.send(b"one")
        await (await first(feed))[0].taken()


async def test_a_connection_that_is_left_cannot_be_told(broker: Broker) -> None:
    async with broker.source().connect() as feed:
        await broker.send(b"one")
        [received] = await first(feed)

    with pytest.raises(Unavailable):
        await received.taken()


async def test_wrong_logins_are_told_and_not_shown(broker: Broker, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wr0ng\n")

    told = await broker.told(password_path=str(wrong))
    assert "it refuses the credentials; see user and password_path" in told
    assert "wr0ng" not in told
    assert "has no virtual host nowhere, or does not let springtide in" in await broker.told(
        url=f"amqp://127.0.0.1:{broker.server.port}/nowhere"
    )


async def test_a_queue_that_may_not_be_made_is_told(broker: Broker) -> None:
    told = await broker.told(user=READER)
    assert f"queues: orders is missing, and {READER} may not make it" in told
    assert "rabbitmqctl set_permissions" in told

    for name in rabbitmq_systems.TOPICS:
        await broker.channel.declare_queue(name, durable=True)
    async with broker.source(user=READER).connect() as feed:
        await broker.send(b"one")
        await (await first(feed))[0].taken()


async def test_a_server_that_is_not_there_is_tried_again(broker: Broker) -> None:
    with pytest.raises(Unavailable):
        async with broker.source(url=f"amqp://127.0.0.1:{free_port()}").connect():
            pass


async def test_a_server_that_is_not_trusted_or_does_not_encrypt_is_told(tmp_path: Path) -> None:
    """The library hides it behind an error of a lost connection, which would be tried again for ever."""
    shown, other = self_signed(tmp_path), self_signed(tmp_path, "other")

    async def told(server: asyncio.Server, scheme: str, *, kind: type[SpringtideError], **keys: str) -> str:
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(kind) as error:
            async with kinds.build("rabbitmq", "r", {"queues": "orders", "url": url, **keys}).connect():
                pass
        return str(error.value)

    async with await asyncio.start_server(_refusing, "127.0.0.1", 0, ssl=shown.context()) as server:
        for keys in ({}, {"ca_path": str(other.crt)}):
            assert "its certificate is not trusted (self-signed certificate); see ca_path and url" in await told(
                server, "amqps", kind=BadInput, **keys
            )
        assert "see whether it wants TLS" in await told(server, "amqp", kind=Unavailable)
    async with await asyncio.start_server(_refusing, "127.0.0.1", 0) as server:
        assert "it does not speak TLS there; see url" in await told(server, "amqps", kind=BadInput)


async def _refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As RabbitMQ answers what it does not understand."""
    await reader.read(8)
    writer.write(b"AMQP\x00\x00\x09\x01")
    writer.close()


def test_queues_are_names_or_the_list_of_openfaas() -> None:
    assert queues("orders, invoices") == (QueueAsked(name="orders"), QueueAsked(name="invoices"))
    assert queues('[{"name": "a", "durable": false, "nowait": false, "autodelete": true, "exclusive": true}]') == (
        QueueAsked(name="a", durable=False, autodelete=True, exclusive=True),
    )


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "queues: there is none; write queues:"),
        ({"queues": "[{"}, "queues: it is no JSON"),
        ({"queues": "[7]"}, 'queues: 7 has no name; write {"name": "orders"'),
        ({"queues": '[{"name": "a", "lazy": true}]'}, "queues: a: lazy is none of durable, nowait, autodelete"),
        ({"queues": '[{"name": "a", "durable": "yes"}]'}, "queues: a: durable is none of .*, or not true or false"),
        ({"queues": '[{"name": ""}]'}, "queues: '' is there twice, or has not 1 to 255 bytes"),
        ({"queues": "a, a"}, "queues: 'a' is there twice"),
        ({"queues": "a", "url": "amqp://u:s3cret@host"}, "url: it holds a user or a password; put them into"),
        ({"queues": "a", "url": "http://host"}, "url: 'http://host' is no address"),
        ({"queues": "a", "url": "amqp://host:port"}, "url: it cannot be read"),
        ({"queues": "a", "prefetch": "0"}, "prefetch: 0 is out of range"),
        ({"queues": "a", "password_path": "/nowhere"}, "password_path: /nowhere: No such file"),
        ({"queues": "a", "url": "amqps://host", "ca_path": "/nowhere"}, "ca_path: /nowhere: No such file"),
    ],
)
def test_what_is_wrong_with_its_keys_is_told(keys: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as error:
        kinds.build("rabbitmq", "r", keys)
    assert "s3cret" not in str(error.value)
