from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from springtide.runtime.asgi import Receive, Scope, Send, respond
from springtide.runtime.asgi_server import AsgiServer, bind
from springtide.runtime.errors import Unavailable


async def hello(scope: Scope, _receive: Receive, send: Send) -> None:
    await respond(send, 200, scope["path"].encode())


class Application:
    """An application that is an object, and whose method can serve as one, too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)

    async def method(self, scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)


@pytest.mark.parametrize(
    "app", [hello, Application(), Application().method], ids=["a function", "an object", "a bound method"]
)
async def test_application_is_served_on_the_port_really_bound(app: object) -> None:
    server = AsgiServer(app, name="test")  # type: ignore[arg-type]
    assert server.port == 0
    await server.start()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}/x")
    await server.stop()

    assert (answer.status_code, answer.text) == (200, "/x")
    assert "server" not in answer.headers


async def test_each_answer_has_the_date_of_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    server = AsgiServer(hello, name="test")
    await server.start()
    dates = []
    async with httpx.AsyncClient() as client:
        for now in (1_700_000_000.9, 1_700_000_001.2, 1_700_000_000.0):
            monkeypatch.setattr(time, "time", lambda now=now: now)
            dates += (await client.get(f"http://127.0.0.1:{server.port}/")).headers.get_list("date")
    await server.stop()

    assert dates == [f"Tue, 14 Nov 2023 22:13:{second} GMT" for second in (20, 21, 20)]


async def test_idle_connection_is_kept_for_longer_than_its_client_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were both to close it after five seconds, each request about then could meet a connection that is just closed."""
    loop, timers = asyncio.get_running_loop(), dict[str, float]()
    call_later = loop.call_later

    def noted(delay: float, callback: Callable[..., object], *given: Any, **named: Any) -> asyncio.TimerHandle:
        timers[getattr(callback, "__name__", "")] = delay
        return call_later(delay, callback, *given, **named)

    monkeypatch.setattr(loop, "call_later", noted)
    server = AsgiServer(hello, name="test")
    await server.start()
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{server.port}/")
    await server.stop()

    assert timers["timeout_keep_alive_handler"] > (httpx.Limits().keepalive_expiry or 0.0)


async def test_private_server_is_reached_by_its_own_process_while_it_serves() -> None:
    server = AsgiServer(hello, name="test", private=True)
    with pytest.raises(ConnectionRefusedError, match="test does not serve"):
        await server.connect()
    await server.start()
    for path in ("/x", "/y"):
        reader, writer = await asyncio.open_unix_connection(sock=await server.connect())
        writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n" + path.encode())
    assert (server.port, repr(server)) == (0, "<AsgiServer test private serving>")
    reader, writer = await asyncio.open_unix_connection(sock=await server.connect())
    await server.stop()

    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError, match="test does not serve"):
        await server.connect()


async def test_state_is_shown_also_after_the_end() -> None:
    server = AsgiServer(hello, name="test")
    assert repr(server) == "<AsgiServer test 0 stopped>"
    await server.start()
    assert repr(server) == f"<AsgiServer test {server.port} serving>"
    await server.stop()
    await server.stop()
    assert repr(server) == f"<AsgiServer test {server.port} stopped>"


async def test_port_in_use_is_told_with_the_remedy() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as taken:
        taken.listen()
        server = AsgiServer(hello, name="test", port=taken.getsockname()[1])
        with pytest.raises(Unavailable, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use; stop what"):
            await server.start()
        await server.stop()


async def test_stop_finishes_the_request_under_way_and_takes_no_new_one() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await respond(send, 200, b"finished")

    server = AsgiServer(slow, name="test")
    await server.start()
    url = f"http://127.0.0.1:{server.port}/"
    async with httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.get(url))
        await begun.wait()
        stopping = asyncio.create_task(server.stop())
        async with asyncio.timeout(60):
            while await listens(server.port):
                pass
        go_on.set()

        assert (await asking).text == "finished"
        await stopping


async def test_server_that_leaves_answers_on_and_ends_each_connection_before_it_closes() -> None:
    server = AsgiServer(hello, name="test", leave_s=60)
    await server.start()
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient() as client:
        before = await client.get(f"{url}/x")
        leaving = asyncio.create_task(server.leave())
        await asyncio.sleep(0)

        kept, new = await client.get(f"{url}/x"), await client.get(f"{url}/y")
        ready = await client.get(f"{url}/readyz")

        assert [answer.status_code for answer in (before, kept, new, ready)] == [200, 200, 200, 503]
        assert "connection" not in before.headers
        assert [answer.headers["connection"] for answer in (kept, new, ready)] == ["close"] * 3
        assert not leaving.done()
    leaving.cancel()
    await server.stop()

    assert not await listens(server.port)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True


async def test_wait_returns_when_the_server_stopped() -> None:
    server = AsgiServer(hello, name="test")
    await server.start()
    waiting = asyncio.create_task(server.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await server.stop()
    async with asyncio.timeout(60):
        await waiting
