from __future__ import annotations

import asyncio
import itertools
import sys
from dataclasses import replace
from typing import Any

import httpx
import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World, alive, eventually

_names = (f"mode-{number}" for number in itertools.count())


def handled(shared: Shared, source: str, env: dict[str, str] | None = None, **request: Any) -> httpx.Response:
    """Deploy a Python handler with this source, call it once."""

    async def call(world: World) -> httpx.Response:
        name = next(_names)
        address = await world.up(name, env=env, annotations=world.handler(source, name))
        path = request.pop("path", "/")
        return await world.http.request(**{"method": "POST", "url": address + path, **request})

    return shared.run(call(shared.world))


def test_handler_gets_the_event_and_the_context(shared: Shared) -> None:
    source = """
def handle(event, context):
    return {"statusCode": 201, "headers": {"X-Seen": event.headers["x-thing"]}, "body": {
        "body": event.body.decode(), "method": event.method, "path": event.path, "query": event.query,
        "header": event.headers.get("X-THING"), "hostname": context.hostname}}
"""
    response = handled(shared, source, path="/a%20b?c=d&e=", content="ü".encode(), headers={"X-Thing": "t"})

    value = response.json()
    assert (response.status_code, response.headers["x-seen"]) == (201, "t")
    assert value.pop("hostname").startswith("mode-")
    assert value == {"body": "ü", "method": "POST", "path": "/a b", "query": {"c": "d", "e": ""}, "header": "t"}


def test_handler_of_one_argument_gets_the_body_as_text(shared: Shared) -> None:
    assert handled(shared, "def handle(req): return req.upper()", content="abcü".encode()).text == "ABCÜ"


def test_async_handlers_run_side_by_side(shared: Shared) -> None:
    source = """
import asyncio
arrived = asyncio.Event()
async def handle(event, context):
    if event.path == "/second":
        arrived.set()
    await arrived.wait()
    return event.path
"""

    async def story(world: World) -> list[str]:
        address = await world.up("side-by-side", annotations=world.handler(source, "side-by-side"))
        answers = await asyncio.gather(world.http.get(address + "/first"), world.http.get(address + "/second"))
        return [answer.text for answer in answers]

    assert shared.run(story(shared.world)) == ["/first", "/second"]


def test_sync_handlers_run_side_by_side(shared: Shared) -> None:
    source = """
import threading
meeting = threading.Barrier(3)
def handle(event, context):
    meeting.wait(10)
    return "met"
"""

    async def story(world: World) -> list[str]:
        address = await world.up("barrier", annotations=world.handler(source, "barrier"))
        answers = await asyncio.gather(*(world.http.get(address) for _ in range(3)))
        return [answer.text for answer in answers]

    assert shared.run(story(shared.world)) == ["met"] * 3


def test_exception_is_answered_500_and_its_traceback_logged(shared: Shared) -> None:
    async def story(world: World) -> tuple[httpx.Response, str]:
        source = "def handle(event, context): raise KeyError('deep')"
        address = await world.up("raises", annotations=world.handler(source, "raises"))
        response = await world.http.get(address)
        return response, await world.log_says(FunctionRef("openfaas-fn", "raises"), "KeyError: 'deep'")

    response, _ = shared.run(story(shared.world))

    assert (response.status_code, response.headers["x-openfaas-internal"]) == (500, "of-watchdog")
    assert "deep" not in response.text


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_handler_that_takes_too_long_is_answered_504(shared: Shared, kind: str) -> None:
    wait = "import time; time.sleep(1)" if kind == "def" else "import asyncio; await asyncio.sleep(30)"

    response = handled(shared, f"{kind} handle(event, context):\n    {wait}", {"exec_timeout": "50ms"})

    assert (response.status_code, response.headers["x-openfaas-internal"]) == (504, "of-watchdog")
    assert "longer than exec_timeout (0.05 s) of the function; set exec_timeout" in response.text


def test_handlers_own_timeout_error_is_an_exception_like_others(shared: Shared) -> None:
    assert handled(shared, "def handle(event, context): raise TimeoutError").status_code == 500


def test_handler_can_import_its_neighbours_and_print(shared: Shared) -> None:
    async def story(world: World) -> str:
        annotations = world.handler(
            "from . import near\nimport near as same\nfrom function.near import value\n"
            "def handle(event, context):\n    print('printed', value)\n    return near.value + same.value",
            "neighbours",
        )
        (world.folder / "neighbours" / "near.py").write_text("value = 'v'")
        address = await world.up("neighbours", annotations=annotations)
        text = (await world.http.get(address)).text
        await world.log_says(FunctionRef("openfaas-fn", "neighbours"), "printed v")
        return text

    assert shared.run(story(shared.world)) == "vv"


def test_iterator_is_streamed(shared: Shared) -> None:
    source = """
import threading
go = threading.Event()
def pieces():
    yield "one\\n"
    go.wait(10)
    yield "two\\n"
def handle(event, context):
    if event.path == "/go":
        go.set()
        return ""
    return {"headers": {"Content-Type": "text/event-stream"}, "body": pieces()}
"""

    async def story(world: World) -> list[str]:
        address = await world.up("pieces", annotations=world.handler(source, "pieces"))
        seen = []
        async with world.http.stream("GET", address) as response:
            assert response.headers["content-type"] == "text/event-stream"
            async for line in response.aiter_lines():
                seen.append(line)
                await world.http.get(address + "/go")
        return seen

    assert shared.run(story(shared.world)) == ["one", "two"]


def test_image_of_the_redirector_redirects(shared: Shared) -> None:
    async def story(world: World) -> httpx.Response:
        spec = world.spec("redirect", "./handler", {"destination": "http://example.com/"})
        await world.provider.deploy(replace(spec, image="theaxer/redirector:latest"))
        function = await world.ready(spec.ref)
        return await world.http.get(f"http://127.0.0.1:{function.endpoints[0].port}", follow_redirects=False)

    response = shared.run(story(shared.world))

    assert (response.status_code, response.headers["location"]) == (302, "http://example.com/")


def test_static_mode_serves_a_folder_and_nothing_else(shared: Shared) -> None:
    async def story(world: World) -> list[tuple[int, str]]:
        site = world.folder / "site"
        (site / "sub").mkdir(parents=True)
        (site / "index.html").write_text("<p>home</p>")
        (site / "sub" / "a.txt").write_text("deep")
        (world.folder / "secret.txt").write_text("not for callers")
        address = await world.up("site", env={"mode": "static", "static_path": str(site)})
        paths = ("/", "/sub/a.txt", "/missing", "/..%2fsecret.txt")
        return [(answer.status_code, answer.text) for answer in [await world.http.get(address + p) for p in paths]]

    home, deep, missing, outside = shared.run(story(shared.world))

    assert (home, deep) == ((200, "<p>home</p>"), (200, "deep"))
    assert (missing[0], outside[0]) == (404, 404)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/sub", "sub/"),
        ("/sub?a=b&c=%20", "sub/?a=b&c=%20"),
        ("/sub/a%20b", "a%20b/"),
        ("/sub/x:y", "./x%3Ay/"),
    ],
)
def test_folder_without_a_slash_is_redirected_beside_itself(shared: Shared, path: str, location: str) -> None:
    async def story(world: World) -> httpx.Response:
        for name in ("a b", "x:y"):
            (world.folder / "pages" / "sub" / name).mkdir(parents=True, exist_ok=True)
        address = await world.up(next(_names), env={"mode": "static", "static_path": str(world.folder / "pages")})
        return await world.http.get(address + path)

    answer = shared.run(story(shared.world))

    assert (answer.status_code, answer.headers["location"]) == (301, location)


def test_static_mode_takes_any_verb(shared: Shared) -> None:
    async def story(world: World) -> list[tuple[int, str]]:
        (world.folder / "verbs").mkdir()
        (world.folder / "verbs" / "index.html").write_text("home")
        address = await world.up(next(_names), env={"mode": "static", "static_path": str(world.folder / "verbs")})
        answers = [await world.http.request(method, address) for method in ("POST", "OPTIONS", "HEAD")]
        return [(answer.status_code, answer.text) for answer in answers]

    assert shared.run(story(shared.world)) == [(200, "home"), (200, "home"), (200, "")]


UPSTREAM = """
import asyncio, os, sys
print("listening soon", flush=True)
async def serve(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
    verb, path, _ = head.split("\\r\\n")[0].split()
    if path == "/exit":
        os._exit(7)
    if path == "/slow":
        await asyncio.sleep(30)
    if path == "/hints":
        writer.write(b"HTTP/1.1 103 Early Hints\\r\\nLink: </a.css>\\r\\nConnection: x\\r\\n\\r\\n"
                     b"HTTP/1.1 100 Continue\\r\\n\\r\\nHTTP/1.1 102 Processing\\r\\n\\r\\n")
    if path == "/ready":
        ready = os.path.exists(sys.argv[1])
        writer.write(b"HTTP/1.1 %d x\\r\\nContent-Length: 0\\r\\n\\r\\n" % (200 if ready else 503))
    elif path.startswith("/echo"):
        writer.write(b"HTTP/1.1 202 Fine\\r\\nX-Path: %s\\r\\nX-Verb: %s\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
                     % (path.encode(), verb.encode()))
        while size := int(await reader.readline(), 16):
            data = (await reader.readexactly(size + 2))[:-2]
            writer.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))
        await reader.readline()
        writer.write(b"0\\r\\n\\r\\n")
    else:
        body = str(os.getpid()).encode()
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()
asyncio.run(main())
"""


async def upstream(world: World, name: str, **env: str) -> str:
    program = world.folder / "upstream.py"
    program.write_text(UPSTREAM)
    command = f"{sys.executable} {program} {world.folder / 'ready-file'}"
    return await world.up(name, command, {"mode": "http", "upstream_url": "http://127.0.0.1:0", **env})


def test_http_mode_forwards_both_ways(shared: Shared) -> None:
    async def story(world: World) -> httpx.Response:
        async def pieces() -> Any:
            yield b"one "
            yield b"two"

        address = await upstream(world, "forward")
        return await world.http.put(address + "/echo/%7Ea?b=c", content=pieces())

    response = shared.run(story(shared.world))

    assert (response.status_code, response.text) == (202, "one two")
    assert (response.headers["x-path"], response.headers["x-verb"]) == ("/echo/%7Ea?b=c", "PUT")


def test_http_mode_passes_early_hints_on(shared: Shared) -> None:
    async def story(world: World) -> list[bytes]:
        address = await upstream(world, "hints")
        host, port = address.removeprefix("http://").split(":")
        heads = []
        for version in (b"1.1", b"1.0"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /hints HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version)
            heads.append((await reader.read()).lower())
            writer.close()
        return heads

    new, old = shared.run(story(shared.world))

    hints = b"http/1.1 103 early hints\r\nlink: </a.css>\r\n\r\nhttp/1.1 102 processing\r\n\r\nhttp/1.1 200 ok\r\n"
    assert new.startswith(hints)
    assert old.startswith(b"http/1.1 200 ok\r\n")


def test_http_mode_streams_in_both_directions_at_once(shared: Shared) -> None:
    async def story(world: World) -> list[bytes]:
        address = await upstream(world, "duplex")
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        seen = []
        for piece in (b"first", b"second"):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            size = int(await reader.readline(), 16)
            seen.append((await reader.readexactly(size + 2))[:-2])
        writer.close()
        return seen

    assert shared.run(story(shared.world)) == [b"first", b"second"]


def test_http_mode_answers_504_when_the_program_is_late(shared: Shared) -> None:
    async def story(world: World) -> httpx.Response:
        address = await upstream(world, "late", exec_timeout="100ms")
        return await world.http.get(address + "/slow")

    response = shared.run(story(shared.world))

    assert (response.status_code, response.headers["x-openfaas-internal"]) == (504, "of-watchdog")
    assert response.text == (
        "The call took longer than exec_timeout (0.1 s) of the function; set exec_timeout in its environment."
    )


def test_http_program_that_ends_is_started_again(shared: Shared) -> None:
    async def story(world: World) -> None:
        ref = FunctionRef("openfaas-fn", "ends")
        address = await upstream(world, "ends")
        first = (await world.http.get(address)).text

        failed = await world.http.get(address + "/exit")
        function = await world.until(ref, lambda seen: seen.endpoints and str(seen.endpoints[0].port) not in address)
        second = (await world.http.get(f"http://127.0.0.1:{function.endpoints[0].port}")).text

        assert (failed.status_code, failed.headers["x-openfaas-internal"]) == (500, "of-watchdog")
        assert first != second
        assert await world.log_says(ref, "the program ended with status 7")
        assert await world.log_says(ref, "listening soon")

    shared.run(story(shared.world))


async def test_http_program_says_by_its_ready_path_whether_it_wants_calls(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = World(tmp_path_factory.mktemp("choosy"), health_interval_s=0.05)
    async with world:
        ref = FunctionRef("openfaas-fn", "choosy")
        flag = world.folder / "ready-file"
        flag.touch()
        await upstream(world, "choosy", ready_path="/ready")

        flag.unlink()
        await world.until(ref, lambda seen: not seen.endpoints)
        flag.touch()
        await world.until(ref, lambda seen: seen.endpoints)


def test_programs_on_a_fixed_port_take_turns(shared: Shared, free_port: int) -> None:
    """They cannot run side by side: the new one starts when the old one is gone, and a second one says why not."""

    async def story(world: World) -> None:
        ref = FunctionRef("openfaas-fn", "fixed")
        env = {"upstream_url": f"http://127.0.0.1:{free_port}", "PORT": str(free_port)}
        before = (await world.http.get(await upstream(world, "fixed", **env))).text

        await world.provider.update(world.spec("fixed", *_command(world), {"mode": "http", **env}))
        function = await world.until(ref, lambda seen: seen.endpoints and "-2-" in seen.endpoints[0].instance)
        after = (await world.http.get(f"http://127.0.0.1:{function.endpoints[0].port}")).text

        assert before != after
        assert not alive(int(before))
        await world.scale(ref, 2)
        await world.trouble(ref, "another program already listens")
        await world.provider.delete(ref)
        await eventually(lambda: not alive(int(after)), "the end of the program")

    shared.run(story(shared.world))


def _command(world: World) -> tuple[str]:
    return (f"{sys.executable} {world.folder / 'upstream.py'} {world.folder / 'ready-file'}",)
