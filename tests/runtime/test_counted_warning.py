from __future__ import annotations

import asyncio
import logging

import pytest
from structlog.testing import capture_logs

from springtide.runtime.asgi import Receive, Scope, Send, respond
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.counted_warning import CountedWarning


@pytest.mark.virtual_time
async def test_first_is_told_at_once_and_the_rest_each_minute() -> None:
    warning = CountedWarning("knocking")
    with capture_logs() as lines:
        warning.seen(client="first")
        await asyncio.sleep(0.5)
        for second in range(129):
            warning.seen(client=f"10.0.0.{second}")
            await asyncio.sleep(1)
        await asyncio.sleep(1000)
        warning.seen(client="late")

    assert [(line["times"], line["client"]) for line in lines] == [
        (1, "first"),
        (60, "10.0.0.0"),
        (60, "10.0.0.60"),
        (9, "10.0.0.120"),
        (1, "late"),
    ]


async def test_requests_that_are_no_http_write_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 200)

    server = AsgiServer(hello, name="test")
    await server.start()
    with capture_logs() as lines, caplog.at_level(logging.DEBUG):
        for _ in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"nonsense\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
    await server.stop()

    assert [(line["event"], line["times"], line["client"]) for line in lines] == [
        ("requests that are no HTTP were answered 400", 1, "127.0.0.1")
    ]
    assert not [record for record in caplog.records if "Invalid HTTP" in record.getMessage()]


async def test_answers_that_are_broken_off_write_no_line_of_the_servers(caplog: pytest.LogCaptureFixture) -> None:
    async def half(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})

    server = AsgiServer(half, name="test")
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with caplog.at_level(logging.DEBUG):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not (await reader.read()).endswith(b"0\r\n\r\n"), "the caller notices"
    writer.close()
    await server.stop()

    assert [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"] == []
