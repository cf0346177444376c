from __future__ import annotations

import pytest

from springtide.queue_worker.callback_request import JOB_ID
from tests.gateway.harness import Conversation, Replica, data_plane, echo, get, post, replica, response

pytestmark = pytest.mark.uvloop


async def once(conversation: Conversation) -> None:
    """Answers one request and closes when the next comes, without a word, as a server does at its keep-alive's end."""
    await conversation.request()
    await conversation.send(response(b"ok"))
    await conversation.head()


async def dies(conversation: Conversation) -> None:
    """Takes a request and breaks the connection."""
    await conversation.head()
    conversation.reset()


@pytest.mark.parametrize(
    ("retry_posts", "request_"),
    [
        pytest.param(True, post(b"body"), id="by default any"),
        pytest.param(False, get(), id="that may be repeated, if no other is"),
    ],
)
async def test_connection_closed_as_the_call_came_is_never_the_callers_error(
    retry_posts: bool, request_: bytes
) -> None:
    async with data_plane(retry_posts=retry_posts) as gateway, replica(once) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            answers = []
            for _ in range(10):
                await caller.send(request_)
                answers.append(await caller.answer())

        assert [answer.body for answer in answers] == [b"ok"] * 10
        assert gateway.route().metrics.refused == {}


async def test_refused_connection_is_retried_on_another_replica() -> None:
    gone = Replica(name="gone")
    await gone.start()
    gone.close()
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [gone, server])

        for number in range(20):
            await caller.send(post(b"%d" % number))
            assert (await caller.answer()).body == b"%d" % number


async def test_call_whose_replica_died_before_answering_is_sent_to_another() -> None:
    async with data_plane() as gateway, replica(dies) as bad, replica(echo) as good, gateway.connect() as caller:
        gateway.publish("echo", [bad])
        await caller.send(post(b"once"))
        await bad.heads.acquire()
        gateway.publish("echo", [good])

        assert (await caller.answer()).body == b"once"
        assert [received.body for received in good.received] == [b"once"]


async def test_post_whose_replica_died_is_not_repeated_when_that_is_switched_off() -> None:
    async with data_plane(retry_posts=False) as gateway, replica(dies) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(post(b"pay"))
        posted = await caller.answer()

        assert posted.status == 502
        assert len(server.received) == 1
        assert gateway.route().metrics.refused == {"upstream_failed": 1}


async def test_call_of_a_queue_worker_is_not_repeated_for_that_counts_its_tries() -> None:
    async with data_plane() as gateway, replica(dies) as first, replica(dies) as second:
        gateway.publish("echo", [first, second])
        async with gateway.connect() as caller:
            answer = await caller.get(headers=f"{JOB_ID}: an-id\r\n")

        assert answer.status == 502
        assert answer["x-openfaas-internal"] == "gateway"
        assert len(first.received) + len(second.received) == 1


async def test_post_is_not_repeated_on_a_kept_alive_connection_either_when_that_is_switched_off() -> None:
    """A replica that closed an idle connection and one that died with the call in its hands look the same."""

    async with data_plane(retry_posts=False) as gateway, replica(once) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(post(b"first"))
        warm = await caller.answer()
        await caller.send(post(b"second"))
        posted = await caller.answer()

        assert (warm.status, posted.status) == (200, 502)


async def test_call_that_kills_every_replica_is_given_up() -> None:
    async with data_plane() as gateway, replica(dies) as first, replica(dies) as second:
        gateway.publish("echo", [first, second])
        async with gateway.connect() as caller:
            answer = await caller.get()

        assert answer.status == 502
        assert answer["x-openfaas-internal"] == "gateway"
        assert len(first.received) + len(second.received) == 3


async def test_large_body_is_not_sent_twice() -> None:
    async def swallows(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.reader.readexactly(1_000_000)
        conversation.reset()

    async with data_plane() as gateway, replica(swallows) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(post(b"x" * 1_000_000))

        assert (await caller.answer()).status == 502
        assert len(server.received) == 1


async def test_answer_once_begun_is_never_begun_again() -> None:
    async def half(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        conversation.writer.close()

    async with data_plane() as gateway, replica(half) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(get())
        head = await caller.reader.readuntil(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 200")
        await gateway.until(lambda: not gateway.route().metrics.in_flight)
        assert len(server.received) == 1


async def test_call_is_not_sent_again_once_a_byte_of_its_answer_has_come() -> None:
    async def stutters(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 20")
        conversation.writer.close()

    async with data_plane() as gateway, replica(stutters) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        assert (await caller.get()).status == 502
        assert len(server.received) == 1


async def test_call_waits_for_a_replica_that_comes_back() -> None:
    server = Replica()
    await server.start()
    port = server.port
    server.close()
    async with data_plane() as gateway, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(post(b"patience"))
        await gateway.until(lambda: gateway.route().metrics.held == 1)

        again = Replica()
        await again.start(port)

        assert (await caller.answer()).body == b"patience"
        assert gateway.target.writes == []
        again.close()


async def test_call_whose_replica_went_away_is_woken_for_when_the_function_went_to_sleep() -> None:
    async with data_plane() as gateway, replica(dies) as bad, replica(echo) as good, gateway.connect() as caller:
        gateway.publish("echo", [bad])
        await caller.send(post(b"still here"))
        await bad.heads.acquire()
        gateway.publish("echo", [], desired=0)

        await gateway.target.written.wait()
        gateway.publish("echo", [good])

        assert (await caller.answer()).body == b"still here"


async def test_replica_that_stays_away_is_502_with_the_reason() -> None:
    gone = Replica()
    await gone.start()
    gone.close()
    async with data_plane(reroute_timeout_s=0.1) as gateway, gateway.connect() as caller:
        gateway.publish("echo", [gone])

        answer = await caller.get()

        assert answer.status == 502
        assert b"refused" in answer.body.lower()
        assert (await caller.get()).status == 502
