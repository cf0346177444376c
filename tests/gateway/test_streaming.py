from __future__ import annotations

import asyncio
import gc
import socket
from pathlib import Path

import pytest

from tests.gateway.harness import Conversation, data_plane, get, post, replica, response

pytestmark = pytest.mark.uvloop


MEBIBYTE = 1024 * 1024
BOUND = 4 * MEBIBYTE
"""More than every buffer on the way: two of the kernel's and two of ours on each connection."""


def upload(total: int) -> bytes:
    return b"POST /function/echo HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n\r\n" % total


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def small_buffers(conversation_socket: socket.socket) -> None:
    conversation_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    conversation_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)


async def test_server_sent_events_arrive_one_by_one() -> None:
    said = asyncio.Semaphore(0)

    async def events(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(5):
            await conversation.send(b"9\r\ndata: %d\n\n\r\n" % number)
            await said.acquire()
        await conversation.send(b"0\r\n\r\n")

    async with data_plane() as gateway, replica(events) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(get("/function/echo", "Accept: text/event-stream\r\n"))
        head = await caller.reader.readuntil(b"\r\n\r\n")

        assert b"Content-Type: text/event-stream" in head
        for number in range(5):
            # The next event is sent only when this one has been seen, so none can have been held back.
            assert await caller.reader.readexactly(14) == b"9\r\ndata: %d\n\n\r\n" % number
            said.release()
        assert await caller.reader.readexactly(5) == b"0\r\n\r\n"


async def test_lines_of_a_body_without_length_arrive_one_by_one() -> None:
    said = asyncio.Semaphore(0)

    async def lines(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for number in range(5):
            await conversation.send(b'{"n":%d}\n' % number)
            await said.acquire()

    async with data_plane() as gateway, replica(lines) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(get())
        await caller.reader.readuntil(b"\r\n\r\n")

        for number in range(5):
            assert await caller.reader.readexactly(13) == b'8\r\n{"n":%d}\n\r\n' % number
            said.release()


async def test_request_body_arrives_as_it_is_sent_and_the_answer_may_begin_before_its_end() -> None:
    async def parrot(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(4):
            await conversation.send(await conversation.reader.readexactly(5))

    async with data_plane() as gateway, replica(parrot) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(b"POST /function/echo HTTP/1.1\r\nHost: gateway\r\nContent-Length: 20\r\n\r\n")
        await caller.reader.readuntil(b"\r\n\r\n")

        for word in (b"aaaaa", b"bbbbb", b"ccccc", b"ddddd"):
            await caller.send(word)
            assert await caller.reader.readexactly(5) == word


async def test_whole_answer_before_the_end_of_the_request_closes_the_connection_after_it() -> None:
    async def hasty(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(response(b"no", status="413 Too Large"))
        await conversation.gone()

    async with data_plane() as gateway, replica(hasty) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(b"POST /function/echo HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10000000\r\n\r\n")

        answer = await caller.answer()
        # What the caller is still sending is read and dropped: a reset could destroy the answer on its way.
        await caller.send(b"x" * MEBIBYTE)

        assert (answer.status, answer.body, answer["connection"]) == (413, b"no", "close")
        assert await caller.rest() == b""


async def test_slow_caller_stops_the_replica() -> None:
    sent = 0
    total = 64 * MEBIBYTE

    async def flood(conversation: Conversation) -> None:
        nonlocal sent
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            await conversation.send(b"x" * 65536)
            sent += 65536

    async with data_plane() as gateway, replica(flood) as server:
        gateway.publish("echo", [server])
        raw = socket.create_connection(("127.0.0.1", gateway.port))
        small_buffers(raw)
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw, limit=65536)
        writer.write(get())
        await gateway.until(lambda: len(gateway.plane.timeouts.write) == 1)
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            for _ in range(50):
                await asyncio.sleep(0.001)

        assert sent < total / 2

        await reader.readuntil(b"\r\n\r\n")
        received = 0
        while received < total:
            received += len(await reader.read(MEBIBYTE))
        assert received == total
        writer.close()


async def test_slow_replica_stops_the_caller() -> None:
    go_on = asyncio.Event()
    total = 64 * MEBIBYTE

    async def slow(conversation: Conversation) -> None:
        await conversation.head()
        await go_on.wait()
        received = 0
        while received < total:
            received += len(await conversation.reader.read(MEBIBYTE))
        await conversation.send(response(b"%d" % received))

    async with data_plane() as gateway, replica(slow) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        sent = 0

        async def send() -> None:
            nonlocal sent
            await caller.send(upload(total))
            while sent < total:
                await caller.send(b"x" * 65536)
                sent += 65536

        sending = asyncio.create_task(send())
        before = -1
        while before != sent or not sent:
            before = sent
            for _ in range(50):
                await asyncio.sleep(0.001)

        assert sent < total / 2

        go_on.set()
        await sending
        assert (await caller.answer()).body == b"%d" % total


async def test_memory_stays_flat_while_much_is_streamed_both_ways() -> None:
    """Both ends are in this process as well, and bounded too, so what grows would be the gateway's."""
    total = 512 * MEBIBYTE

    async def mirror(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        left = total
        while left:
            data = await conversation.reader.read(65536)
            left -= len(data)
            await conversation.send(data)

    async with data_plane() as gateway, replica(mirror) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        block = b"x" * 65536

        async def send() -> None:
            await caller.send(upload(total))
            for _ in range(total // len(block)):
                await caller.send(block)

        gc.collect()
        before = resident()
        sending = asyncio.create_task(send())
        await caller.reader.readuntil(b"\r\n\r\n")
        received, most = 0, 0
        while received < total:
            received += len(await caller.reader.read(65536))
            most = max(most, resident())
        await sending

        assert received == total
        assert most - before < 20 * MEBIBYTE


async def test_held_caller_with_a_large_body_is_not_read_from_until_its_function_is_ready() -> None:
    total = 32 * MEBIBYTE

    async def count(conversation: Conversation) -> None:
        await conversation.head()
        received = 0
        while received < total:
            received += len(await conversation.reader.read(MEBIBYTE))
        await conversation.send(response(b"%d" % received))

    async with data_plane() as gateway, replica(count) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0)
        sending = asyncio.create_task(caller.send(upload(total) + b"x" * total))
        await gateway.target.written.wait()
        for _ in range(200):
            await asyncio.sleep(0.001)

        assert not sending.done()
        assert gateway.plane.admission.kept_bytes < BOUND

        gateway.publish("echo", [server])
        assert (await caller.answer()).body == b"%d" % total
        await sending


async def test_answer_that_breaks_off_is_seen_by_the_caller_as_broken_off() -> None:
    for head in (b"Content-Length: 10", b"Transfer-Encoding: chunked"):

        async def broken(conversation: Conversation, head: bytes = head) -> None:
            await conversation.request()
            await conversation.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n5\r\nab")

        async with data_plane() as gateway, replica(broken) as server, gateway.connect() as caller:
            gateway.publish("echo", [server])
            await caller.send(get())
            await caller.reader.readuntil(b"\r\n\r\n")

            try:
                rest = await caller.rest()
            except ConnectionResetError:
                rest = b""

            assert not rest.endswith(b"0\r\n\r\n")
            await gateway.until(lambda gateway=gateway: not gateway.route().metrics.in_flight)  # type: ignore[misc]
            assert gateway.route().metrics.refused == {"answer_cut": 1}


async def test_bad_chunk_after_the_head_was_forwarded_is_refused_and_never_completed() -> None:
    ended = asyncio.Event()

    async def patient(conversation: Conversation) -> None:
        await conversation.head()
        body = await conversation.reader.read()
        assert b"0\r\n\r\n" not in body
        ended.set()

    async with data_plane() as gateway, replica(patient) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(b"POST /function/echo HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n")
        await server.heads.acquire()
        await caller.send(b"5\r\nhello\r\nzz\r\n0\r\n\r\n")

        answer = await caller.answer()

        assert (answer.status, answer["connection"]) == (400, "close")
        await ended.wait()


async def test_post_of_ten_kilobytes_in_small_pieces_arrives_whole() -> None:
    async def whole(conversation: Conversation) -> None:
        request = await conversation.request()
        await conversation.send(response(request.body))

    async with data_plane() as gateway, replica(whole) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        body = bytes(range(256)) * 40
        data = post(body)

        for at in range(0, len(data), 97):
            await caller.send(data[at : at + 97])
            await asyncio.sleep(0)

        assert (await caller.answer()).body == body
