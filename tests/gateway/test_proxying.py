from __future__ import annotations

import re
import uuid

import pytest

from tests.gateway.harness import Conversation, answering, data_plane, echo, get, post, replica, response

pytestmark = pytest.mark.uvloop


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        pytest.param("/function/echo", "/", id="the bare name is the root"),
        pytest.param("/function/echo/", "/", id="a slash is the root"),
        pytest.param("/function/echo/a/b", "/a/b", id="a path is passed on"),
        pytest.param("/function/echo?x=1&y", "/?x=1&y", id="a query without a path"),
        pytest.param("/function/echo/?x=/a/b?c", "/?x=/a/b?c", id="a query with slashes and question marks"),
        pytest.param("/function/echo/a%2Fb%3F%25/c", "/a%2Fb%3F%25/c", id="escapes stay escaped"),
        pytest.param("/function/echo//a///b//", "//a///b//", id="slashes stay as many"),
        pytest.param("/function/echo/../system/functions", "/../system/functions", id="dots stay dots"),
        pytest.param("/function/echo.openfaas-fn/a", "/a", id="the default namespace spelt out"),
        pytest.param("/function/ech%6f/a", "/a", id="an escaped name"),
        pytest.param("http://gateway/function/echo/a?b", "/a?b", id="an absolute target"),
        pytest.param("/function/echo/ä".encode().decode("latin-1"), "/ä", id="bytes beyond ASCII"),
    ],
)
async def test_path_and_query_reach_the_function_byte_for_byte(target: str, forwarded: str) -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: gateway\r\n\r\n")
        answer = await caller.answer()

        assert answer.status == 200
        assert server.received[0].line == b"GET " + forwarded.encode() + b" HTTP/1.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "x-own"])
async def test_any_method_is_passed_on(method: str) -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(f"{method} /function/echo HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())

        assert (await caller.answer(method)).status == 200
        assert server.received[0].line.startswith(method.encode() + b" ")


async def test_unknown_function_is_404_and_the_connection_stays() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        missing = await caller.get("/function/nonsense")
        empty = await caller.get("/function/")
        nameless = await caller.get("/function/.openfaas-fn")
        found = await caller.get()

        assert [missing.status, empty.status, nameless.status, found.status] == [404, 404, 404, 200]
        assert missing["x-call-id"]
        assert missing["x-start-time"]


async def test_unknown_function_is_503_while_the_provider_is_away() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        gateway.plane.table.connected = False

        unknown = await caller.get("/function/brand-new")
        known = await caller.get()

        assert (unknown.status, unknown["retry-after"]) == (503, "1")
        assert known.status == 200


# Headers on the way in.


async def test_request_headers_are_forwarded_as_written_and_hop_by_hop_ones_are_not() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        headers = (
            "x-MiXeD: Value  with  spaces\r\n"
            "Authorization: Bearer secret\r\n"
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
            "X-Twice: one\r\nX-Twice: two\r\n"
            "Connection: keep-alive, X-Mine\r\nX-Mine: gone\r\n"
            "Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X-T\r\nProxy-Authorization: Basic x\r\n"
            "Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        )

        await caller.get("/function/echo", headers)

        received = server.received[0]
        assert b"\r\nx-MiXeD: Value  with  spaces\r\n" in received.head
        assert received.values("authorization") == ["Bearer secret"]
        assert received.values("traceparent") == ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]
        assert received.values("x-twice") == ["one", "two"]
        assert received.values("host") == ["gateway"]
        for name in ("connection", "x-mine", "keep-alive", "te", "trailer", "upgrade", "http2-settings"):
            assert received.values(name) == [], name
        assert received.values("proxy-authorization") == received.values("proxy-connection") == []


async def test_connection_header_cannot_take_the_message_apart() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(post(b"hello", headers="Connection: content-length, host, x-call-id\r\n"))
        answer = await caller.answer()

        received = server.received[0]
        assert answer.body == b"hello"
        assert received.values("host") == ["gateway"]
        assert received.values("content-length") == ["5"]
        assert len(received.values("x-forwarded-for")) == len(received.values("x-call-id")) == 1


async def test_function_learns_who_called_and_when() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answer = await caller.get()

        received = server.received[0]
        assert received.values("x-forwarded-for") == ["127.0.0.1"]
        assert received.values("x-forwarded-host") == ["gateway"]
        assert received.values("x-forwarded-proto") == ["http"]
        assert received.values("x-call-id") == [answer["x-call-id"]]
        assert received.values("x-start-time") == [answer["x-start-time"]]
        assert uuid.UUID(answer["x-call-id"]).version == 4
        assert re.fullmatch(r"1[0-9]{18}", answer["x-start-time"])


async def test_forwarding_headers_of_a_proxy_before_us_are_kept_and_appended_to() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        headers = (
            "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2, 10.0.0.3\r\n"
            "X-Forwarded-Host: public.example\r\nX-Forwarded-Proto: https\r\n"
            "X-Call-Id: mine\r\nX-Start-Time: 1\r\n"
        )

        answer = await caller.get("/function/echo", headers)

        received = server.received[0]
        assert received.values("x-forwarded-for") == ["10.0.0.1, 10.0.0.2, 10.0.0.3, 127.0.0.1"]
        assert received.values("x-forwarded-host") == ["public.example"]
        assert received.values("x-forwarded-proto") == ["https"]
        assert received.values("x-call-id") == ["mine"]
        assert answer["x-call-id"] == "mine"
        assert received.values("x-start-time") == [answer["x-start-time"]] != ["1"]


# Headers on the way out.


async def test_response_is_passed_on_as_written_without_hop_by_hop_headers() -> None:
    raw = (
        b"HTTP/1.1 299 Quite Fine\r\nX-MiXeD:  yes\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n"
        b"Connection: keep-alive, X-Mine\r\nX-Mine: gone\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n"
        b"X-Call-Id: the function's\r\nX-Start-Time: 1\r\nServer: own\r\n\r\nok"
    )

    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(get("/function/echo", "X-Call-Id: mine\r\n"))
        head = await caller.reader.readuntil(b"\r\n\r\n")

        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 299 Quite Fine"
        assert b"X-MiXeD:  yes" in lines
        assert lines.count(b"Set-Cookie: a=1") == lines.count(b"Set-Cookie: b=2") == 1
        assert b"Content-Length: 2" in lines
        assert b"Server: own" in lines
        assert b"X-Call-Id: mine" in lines
        names = [line.partition(b":")[0].lower() for line in lines]
        for name in (b"connection", b"x-mine", b"keep-alive", b"proxy-authenticate"):
            assert name not in names, name
        assert names.count(b"x-call-id") == names.count(b"x-start-time") == 1


async def test_redirect_of_a_function_goes_to_the_caller() -> None:
    raw = response(status="302 Found", headers="Location: https://elsewhere.example/\r\n")
    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answer = await caller.get()

        assert (answer.status, answer["location"]) == (302, "https://elsewhere.example/")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", id="304"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", id="304 with a length"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", id="no reason phrase"),
    ],
)
async def test_response_without_a_body_ends_with_its_head(raw: bytes) -> None:
    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        statuses = [(await caller.get()).status for _ in range(3)]

        assert statuses == [int(raw.split()[1])] * 3
        assert server.connections == 1


async def test_head_keeps_the_length_and_has_no_body() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        request = b"HEAD /function/echo HTTP/1.1\r\nHost: gateway\r\n\r\n"

        for _ in range(3):
            await caller.send(request)
            answer = await caller.answer("HEAD")
            assert (answer["content-length"], answer.body) == ("12345", b"")

        await caller.send(request.replace(b"echo", b"none"))
        assert (await caller.answer("HEAD")).status == 404
        assert (await caller.get("/function/none")).status == 404


# Bodies.


async def test_length_is_kept_both_ways() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        body = bytes(range(256)) * 1000

        await caller.send(post(body))
        answer = await caller.answer()

        assert server.received[0].values("content-length") == ["256000"]
        assert server.received[0].values("transfer-encoding") == []
        assert answer["content-length"] == "256000"
        assert answer.body == body


async def test_chunked_request_with_trailers_stays_chunked() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(
            b"POST /function/echo HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b'5;name="value"\r\nhello\r\n00006\r\n world\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n'
        )
        answer = await caller.answer()

        assert server.received[0].values("transfer-encoding") == ["chunked"]
        assert server.received[0].body == answer.body == b"hello world"
        assert server.received[0].trailers == b"X-Sum: 1\r\nX-Other: 2\r\n"
        assert (await caller.get()).status == 200


async def test_chunked_response_with_trailers_stays_chunked() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"

    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answers = [await caller.get() for _ in range(2)]

        for answer in answers:
            assert answer["transfer-encoding"] == "chunked"
            assert answer.body == b"hello world"
            assert answer.trailers == [(b"x-sum", b"1")]
        assert server.connections == 1


async def test_response_that_ends_with_its_connection_becomes_chunked() -> None:
    async def until_close(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.0 200 OK\r\n\r\nhello ")
        await conversation.send(b"world")

    async with data_plane() as gateway, replica(until_close) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answers = [await caller.get() for _ in range(2)]

        assert [answer.body for answer in answers] == [b"hello world"] * 2
        assert server.connections == 2


async def test_response_with_both_lengths_is_read_as_chunked_and_its_connection_not_used_again() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answers = [await caller.get() for _ in range(2)]

        assert [answer.body for answer in answers] == [b"hello"] * 2
        assert "content-length" not in answers[0].headers
        assert server.connections == 2


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"nonsense\r\n\r\n", id="no status line"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="line feeds"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n", id="a space before a colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", id="a folded line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", id="two lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", id="another coding"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", id="an upgrade nobody asked for"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", id="headers that are too large"),
    ],
)
async def test_response_that_is_not_http_is_502(raw: bytes) -> None:
    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(post(b"x"))
        answer = await caller.answer()

        assert answer.status == 502
        assert answer["x-openfaas-internal"] == "gateway"
        assert answer["x-call-id"]
        assert len(server.received) == 1


# Interim responses.


async def test_expect_100_continue_is_agreed_between_caller_and_function() -> None:
    async def polite(conversation: Conversation) -> None:
        head = await conversation.head()
        assert b"Expect: 100-continue" in head
        await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await conversation.reader.readexactly(5)
        await conversation.send(response(body))

    async with data_plane() as gateway, replica(polite) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(post(b"", headers="Expect: 100-Continue\r\n").replace(b"Length: 0", b"Length: 5"))
        assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await caller.send(b"hello")

        assert (await caller.answer()).body == b"hello"


async def test_refusal_instead_of_100_continue_reaches_the_caller_before_any_body() -> None:
    async def impolite(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(response(status="413 Too Large"))
        await conversation.gone()

    async with data_plane() as gateway, replica(impolite) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(post(b"", headers="Expect: 100-continue\r\n").replace(b"Length: 0", b"Length: 5"))
        answer = await caller.answer()

        assert (answer.status, answer["connection"]) == (413, "close")


async def test_early_hints_are_passed_on() -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + response(b"done")

    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answers = [await caller.get() for _ in range(2)]

        assert [(answer.interim, answer.body) for answer in answers] == [([103, 102], b"done")] * 2


# Connections.


async def test_connections_are_kept_on_both_sides() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        for number in range(10):
            await caller.send(post(b"%d" % number))
            assert (await caller.answer()).body == b"%d" % number

        assert server.connections == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        bodies = [b"%d" % number for number in range(500)]

        await caller.send(b"".join(post(body) for body in bodies))

        assert [(await caller.answer()).body for _ in bodies] == bodies


async def test_ten_thousand_pipelined_refusals_do_not_exhaust_the_stack() -> None:
    async with data_plane() as gateway, gateway.connect() as caller:
        caller.writer.write(get("/function/none") * 10_000 + get("/function/none", "Connection: close\r\n"))

        assert (await caller.rest()).count(b"HTTP/1.1 404") == 10_001


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        pytest.param("1.1", "", True, id="1.1 is kept"),
        pytest.param("1.1", "Connection: close\r\n", False, id="1.1 that asks to close"),
        pytest.param("1.0", "", False, id="1.0 is closed"),
        pytest.param("1.0", "Connection: keep-alive\r\n", True, id="1.0 that asks to keep"),
    ],
)
async def test_caller_decides_whether_its_connection_is_kept(version: str, header: str, kept: bool) -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        request = f"GET /function/echo HTTP/{version}\r\nHost: gateway\r\n{header}\r\n".encode()

        await caller.send(request)
        answer = await caller.answer()

        wanted = None if (kept and version == "1.1") else "keep-alive" if kept else "close"
        assert answer.headers.get("connection", [None]) == [wanted]
        if kept:
            await caller.send(request)
            assert (await caller.answer()).status == 200
        else:
            assert await caller.rest() == b""


async def test_caller_without_a_host_is_given_the_functions_name() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(b"GET /function/echo HTTP/1.1\r\nHost: \r\n\r\n")
        await caller.answer()
        await caller.send(b"GET /function/echo HTTP/1.0\r\n\r\n")
        await caller.rest()

        for received in server.received:
            assert received.values("host") == ["echo.openfaas-fn"]
            assert received.values("x-forwarded-host") == []


async def test_empty_call_id_is_replaced() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answer = await caller.get("/function/echo", "X-Call-Id:\r\n")

        assert server.received[0].values("x-call-id") == [answer["x-call-id"]] != [""]


async def test_ten_thousand_names_in_a_connection_header_are_dropped_in_no_time() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        names = ",".join(f"a{number}" for number in range(8000))

        await caller.get("/function/echo", f"Connection: {names}\r\na7: gone\r\nb7: stays\r\n")

        assert server.received[0].values("a7") == []
        assert server.received[0].values("b7") == ["stays"]


async def test_http_1_0_caller_gets_a_chunked_answer_unchunked() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"

    async with data_plane() as gateway, replica(answering(raw)) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        await caller.send(b"GET /function/echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = (await caller.rest()).partition(b"\r\n\r\n")

        assert b"transfer-encoding" not in head.lower()
        assert b"Connection: close" in head
        assert body == b"hello world"


async def test_replica_that_closes_is_given_a_new_connection_next_time() -> None:
    raw = response(b"ok", headers="Connection: close\r\n")

    async def once(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(raw)

    async with data_plane() as gateway, replica(once) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        assert [(await caller.get()).status for _ in range(3)] == [200] * 3
        assert server.connections == 3


async def test_what_a_replica_sends_unasked_never_becomes_an_answer() -> None:
    async def talkative(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.send(response(b"right") + response(b"wrong"))

    async with data_plane() as gateway, replica(talkative) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        assert [(await caller.get()).body for _ in range(3)] == [b"right"] * 3
        assert server.connections == 3


async def test_too_many_connections_are_turned_away() -> None:
    async with data_plane(max_connections=1) as gateway, replica(echo) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as first:
            assert (await first.get()).status == 200
            async with gateway.connect() as second:
                answer = await second.answer()
                assert (answer.status, answer["retry-after"]) == (503, "1")
                assert await second.rest() == b""
            assert (await first.get()).status == 200
