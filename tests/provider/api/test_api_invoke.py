from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from springtide.runtime.asgi import Receive, Scope, Send
from tests.provider.api.served import Served, serving


async def respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], *chunks: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked."""
    asked = {
        "method": scope["method"],
        "target": scope["raw_path"].decode("latin-1") + "?" + scope["query_string"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": (await body_of(receive)).decode("latin-1"),
    }
    await respond(send, 200, [(b"content-type", b"application/json")], json.dumps(asked).encode())


async def invoke(served: Served, method: str, target: str, **more: Any) -> httpx.Response:
    """Sends ``target`` exactly as written; no credentials."""
    async with httpx.AsyncClient(base_url=served.http.base_url, trust_env=False) as stranger:
        request = stranger.build_request(method, "/", extensions={"target": target.encode("latin-1")}, **more)
        return await stranger.send(request)


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        pytest.param("/function/echo", "/?", id="bare"),
        pytest.param("/function/echo/", "/?", id="slash"),
        pytest.param("/function/echo/a/b?x=1&y=%20", "/a/b?x=1&y=%20", id="path and query"),
        pytest.param("/function/echo/a%2Fb%3Fc%25", "/a%2Fb%3Fc%25?", id="escapes stay"),
        pytest.param("/function/echo//a/../b/./", "//a/../b/./?", id="dots and slashes stay"),
        pytest.param("/function/echo.openfaas-fn/a", "/a?", id="namespace in the name"),
        pytest.param("/function/e%63ho/a", "/a?", id="escaped name"),
    ],
)
async def test_call_reaches_the_replica_with(target: str, seen: str) -> None:
    async with serving(mirror) as served:
        await served.ready()

        assert (await invoke(served, "GET", target)).json()["target"] == seen


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_verb_and_body_arrive(method: str) -> None:
    async with serving(mirror) as served:
        await served.ready()

        seen = (await invoke(served, method, "/function/echo", content=b"hello\xff")).json()

        assert (seen["method"], seen["body"]) == (method, "hello\xff")


async def test_chunked_body_arrives_and_no_body_is_made_up() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async with serving(mirror) as served:
        await served.ready()

        chunked = (await invoke(served, "POST", "/function/echo", content=chunks())).json()
        bare = (await invoke(served, "GET", "/function/echo")).json()

        assert chunked["body"] == "ab"
        assert {"content-length", "transfer-encoding"} & {name for name, _ in bare["headers"]} == set()


async def test_headers_of_the_call_arrive_but_for_those_of_the_connection() -> None:
    sent = [
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("Authorization", "Bearer of-the-function"),
        ("Accept-Encoding", "br"),
        ("Connection", "close, x-hop"),
        ("X-Hop", "1"),
        ("Te", "trailers"),
        ("Upgrade", "websocket"),
    ]

    async with serving(mirror) as served:
        await served.ready()

        headers = (await invoke(served, "GET", "/function/echo", headers=sent)).json()["headers"]

        names = {name for name, _ in headers}
        assert [value for name, value in headers if name == "x-twice"] == ["1", "2"]
        assert ["authorization", "Bearer of-the-function"] in headers
        assert ["accept-encoding", "br"] in headers
        assert {"x-hop", "te", "upgrade", "proxy-connection"} & names == set()
        (host,) = [value for name, value in headers if name == "host"]
        assert host != served.http.base_url.netloc.decode()


async def test_answer_comes_back_as_it_is() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"application/x-gzip"),
            (b"content-encoding", b"gzip"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"location", b"/elsewhere"),
            (b"connection", b"x-hop"),
            (b"x-hop", b"1"),
        ]
        await respond(send, 302, headers, b"not really gzip")

    async with serving(app) as served:
        await served.ready()

        async with served.http.stream("GET", "/function/echo") as answer:
            body = b"".join([chunk async for chunk in answer.aiter_raw()])

        assert (answer.status_code, body) == (302, b"not really gzip")
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert answer.headers["location"] == "/elsewhere"
        assert "x-hop" not in answer.headers
        assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("application/json", "application/json"), (None, "text/plain")],
    ids=["the call's", "plain text"],
)
async def test_answer_without_a_type_gets(asked: str | None, answered: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, [], b"x")

    async with serving(app) as served:
        await served.ready()

        headers = {"content-type": asked} if asked else {}
        assert (await invoke(served, "POST", "/function/echo", headers=headers)).headers["content-type"] == answered


async def test_head_has_no_body_and_keeps_its_length() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as served:
        await served.ready()

        answer = await invoke(served, "HEAD", "/function/echo")

        assert (answer.headers["content-length"], answer.content) == ("5", b"")


@pytest.mark.parametrize(
    ("method", "target", "status", "internal"),
    [
        pytest.param("GET", "/function/", 400, False, id="no name"),
        pytest.param("GET", "/function/ghost", 404, True, id="unknown function"),
        pytest.param("GET", "/function/.openfaas-fn", 404, True, id="no name but a namespace"),
        pytest.param("GET", "/function/../system/functions", 404, True, id="a way out"),
        pytest.param("GET", "/function/%2e%2e%2fsystem%2ffunctions", 404, True, id="a hidden way out"),
        pytest.param("GET", "/function/asleep", 503, True, id="no replica"),
        pytest.param("PROPFIND", "/function/echo", 405, False, id="unknown verb"),
        pytest.param("GET", "/function/echo", 500, True, id="replica that is not there"),
    ],
)
async def test_call_that_reaches_nobody(served: Served, method: str, target: str, status: int, internal: bool) -> None:
    await served.ready()
    await served.ready("asleep")
    await served.http.post("/system/scale-function/asleep", json={"replicas": 0})

    answer = await invoke(served, method, target)

    assert answer.status_code == status
    assert (answer.headers.get("x-openfaas-internal") == "proxy") is internal


async def test_replica_that_is_silent_too_long_is_500() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(app, read_timeout_s=0.2) as served:
        await served.ready()

        answer = await invoke(served, "GET", "/function/echo")

        assert (answer.status_code, answer.headers["x-openfaas-internal"]) == (500, "proxy")
        assert answer.text == (
            "Can't reach service for: echo. It was silent for longer than read_timeout (0.2 s) of the provider."
        )


async def test_answer_streams_while_the_function_still_works() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async with serving(app) as served:
        await served.ready()
        async with served.http.stream("GET", "/function/echo") as answer:
            chunks = answer.aiter_raw()
            assert await anext(chunks) == b"first"
            go_on.set()
            assert await anext(chunks) == b"second"


async def test_body_streams_while_the_caller_still_sends() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"first"
        arrived.set()
        await respond(send, 200, [], await body_of(receive))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await go_on.wait()
        yield b"second"

    async with serving(app) as served:
        await served.ready()
        call = asyncio.create_task(served.http.post("/function/echo", content=chunks()))
        await arrived.wait()
        go_on.set()
        assert (await call).content == b"second"


@pytest.mark.parametrize("sent", [b"", b"Content-Length: 10\r\n"], ids=["waiting for the answer", "sending its body"])
async def test_replica_learns_that_the_caller_left_while(sent: bytes) -> None:
    called, told = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with serving(app) as served:
        await served.ready()
        _, writer = await served.connect()
        writer.write(b"POST /function/echo HTTP/1.1\r\nHost: x\r\n" + sent + b"\r\n" + (b"half" if sent else b""))
        await called.wait()

        writer.close()

        await told.wait()


async def test_replica_learns_that_the_caller_left_in_the_middle_of_the_answer() -> None:
    told = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with serving(app) as served:
        await served.ready()
        async with served.http.stream("GET", "/function/echo") as answer:
            pieces = answer.aiter_raw()  # kept: without it the answer is closed
            await anext(pieces)

        await told.wait()


async def test_answer_that_breaks_off_breaks_off_for_the_caller() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with serving(app) as served:
        await served.ready()

        with pytest.raises(httpx.RemoteProtocolError):
            await served.http.get("/function/echo")


async def test_calls_go_to_every_ready_replica() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, [], str(scope["server"][1]).encode())

    async with serving(app) as served:
        function = await served.ready(replicas=2, labels={"com.openfaas.scale.min": "2"})
        ports = {str(endpoint.port) for endpoint in function.endpoints}

        seen: set[str] = set()
        while seen != ports:
            seen.add((await served.http.get("/function/echo")).text)
