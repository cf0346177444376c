from __future__ import annotations

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World, alive, eventually

_names = (f"fork-{number}" for number in itertools.count())


def answer(
    shared: Shared, command: str, env: dict[str, str] | None = None, *, path: str = "/", **request: Any
) -> httpx.Response:
    """Deploy a function, call it once."""

    async def call(world: World) -> httpx.Response:
        address = await world.up(next(_names), command, env)
        return await world.http.request(**{"method": "POST", "url": address + path, **request})

    return shared.run(call(shared.world))


def environment(response: httpx.Response) -> dict[str, str]:
    return dict(line.split("=", 1) for line in response.text.splitlines())


def test_classic_passes_the_body_and_repeats_the_content_type(shared: Shared) -> None:
    response = answer(shared, "cat", content=b"\x00body\xff", headers={"Content-Type": "application/x-thing"})

    assert (response.status_code, response.content) == (200, b"\x00body\xff")
    assert response.headers["content-type"] == "application/x-thing"
    assert float(response.headers["x-duration-seconds"]) > 0


def test_classic_gives_headers_method_path_and_query_as_environment(shared: Shared) -> None:
    response = answer(
        shared,
        "env",
        path="/a/b?c=d&e=%20f",
        content=b"12345",
        headers={"X-Call-Id": "42", "Accept": "text/plain", "Content-Type": "text/csv"},
    )

    env = environment(response)
    assert {key: env[key] for key in ("Http_Method", "Http_Path", "Http_Query", "Http_X_Call_Id")} == {
        "Http_Method": "POST",
        "Http_Path": "/a/b",
        "Http_Query": "c=d&e=%20f",
        "Http_X_Call_Id": "42",
    }
    assert env["Http_ContentLength"] == env["Http_Content_Length"] == "5"
    assert env["Http_Content_Type"] == "text/csv"
    assert env["Http_Host"].startswith("127.0.0.1:")


def test_chunked_body_is_told_by_its_transfer_encoding(shared: Shared) -> None:
    async def pieces() -> Any:
        yield b"a"
        yield b"b"

    env = environment(answer(shared, "env", content=pieces()))

    assert env["Http_Transfer_Encoding"] == "chunked"
    assert "Http_ContentLength" not in env


def test_classic_environment_can_do_without_headers(shared: Shared) -> None:
    env = environment(answer(shared, "env", {"cgi_headers": "false"}))

    assert not [name for name in env if name.startswith("Http_")]


def test_nothing_of_our_own_environment_reaches_a_function(shared: Shared) -> None:
    env = environment(answer(shared, "env", {"greeting": "hello"}))

    assert env["greeting"] == "hello"
    assert env["OPENFAAS_NAMESPACE"] == "openfaas-fn"
    assert env["OPENFAAS_NAME"].startswith("fork-")
    known = {"PATH", "HOME", "LANG", "TZ", "HOSTNAME", "OPENFAAS_NAME", "OPENFAAS_NAMESPACE", "fprocess", "greeting"}
    known |= {"SPRINGTIDE_SECRETS", "secret_mount_path", "SPRINGTIDE_HOST"}
    assert not {name for name in env if not name.startswith("Http_")} - known


def test_variable_fprocess_wins_over_the_env_process(shared: Shared) -> None:
    assert answer(shared, "false", {"fprocess": "echo variable"}).text == "variable\n"


@pytest.mark.parametrize(
    ("env", "command", "status", "text"),
    [
        pytest.param({}, "sh -c 'echo out; exit 3'", 500, "exit status 3\nout\n", id="a status that is not zero"),
        pytest.param({}, "sh -c 'kill -9 $$'", 500, "killed by signal 9\n", id="a signal"),
        pytest.param({}, "sh -c 'echo err >&2; echo out'", 200, "err\nout\n", id="standard error is mixed in"),
        pytest.param(
            {"combine_output": "false"}, "sh -c 'echo err >&2; echo out'", 200, "out\n", id="unless it is not wanted"
        ),
        pytest.param(
            {"exec_timeout": "50ms"},
            "sleep 100",
            408,
            "Killed process. It ran longer than exec_timeout (0.05 s) of the function; "
            "set exec_timeout in its environment.",
            id="a time-out",
        ),
        pytest.param({"mode": "serializing"}, "cat", 200, "body", id="serializing"),
        pytest.param(
            {"mode": "serializing"}, "sh -c 'echo out; exit 1'", 500, "exit status 1", id="serializing, failed"
        ),
        pytest.param(
            {"mode": "streaming", "exec_timeout": "50ms"},
            "sleep 100",
            504,
            "Killed process. It ran longer than exec_timeout (0.05 s) of the function; "
            "set exec_timeout in its environment.",
            id="streaming, late",
        ),
        pytest.param({"mode": "streaming"}, "false", 500, "exit status 1", id="streaming, failed before any output"),
        pytest.param({"mode": "streaming"}, "true", 200, "", id="streaming nothing"),
    ],
)
def test_answer_of(shared: Shared, env: dict[str, str], command: str, status: int, text: str) -> None:
    response = answer(shared, command, env, content=b"body")

    assert (response.status_code, response.text) == (status, text)


def test_own_answers_of_the_newer_modes_are_marked(shared: Shared) -> None:
    failed = answer(shared, "false", {"mode": "serializing"})
    late = answer(shared, "sleep 9", {"mode": "streaming", "exec_timeout": "20ms"})

    assert failed.headers["x-openfaas-internal"] == late.headers["x-openfaas-internal"] == "of-watchdog"


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        pytest.param("<!DOCTYPE html><p>page</p>", "text/html; charset=utf-8", id="a page"),
        pytest.param('{"a": 1}', "text/plain; charset=utf-8", id="JSON"),
        pytest.param("\x89PNG\r\n\x1a\n", "image/png", id="a picture"),
    ],
)
def test_classic_answer_is_labelled_by_its_content_where_the_request_has_no_type(
    shared: Shared, output: str, kind: str
) -> None:
    file = shared.world.folder / "output"
    file.write_bytes(output.encode("latin-1"))
    sniffed = answer(shared, f"cat {file}", method="GET")
    given = answer(shared, f"cat {file}", headers={"Content-Type": "application/x-thing"})

    assert (sniffed.headers["content-type"], given.headers["content-type"]) == (kind, "application/x-thing")


def test_log_line_of_the_watchdog_does_not_stick_to_the_programs(shared: Shared) -> None:
    async def story(world: World) -> list[str]:
        name = next(_names)
        address = await world.up(name, "sh -c 'printf last >&2; echo out'", {"combine_output": "false"})
        await world.http.post(address)
        await world.log_says(FunctionRef("openfaas-fn", name), "Wrote 4 Bytes")
        return await world.texts(FunctionRef("openfaas-fn", name))

    texts = shared.run(story(shared.world))

    assert "last" in texts
    assert any(text.endswith("Forking fprocess.") for text in texts)


def test_content_type_can_be_forced(shared: Shared) -> None:
    response = answer(shared, "echo 1", {"content_type": "image/svg+xml"}, headers={"Content-Type": "text/plain"})

    assert response.headers["content-type"] == "image/svg+xml"


def test_caller_may_shorten_the_time_limit_but_not_lengthen_it(shared: Shared) -> None:
    shorter = answer(shared, "sleep 100", {"exec_timeout": "1h"}, headers={"X-Timeout": "50ms"})
    longer = answer(shared, "sleep 100", {"exec_timeout": "50ms"}, headers={"X-Timeout": "1h"})

    assert shorter.status_code == longer.status_code == 408
    assert "X-Timeout (0.05 s), a header of the request" in shorter.text
    assert "exec_timeout (0.05 s) of the function" in longer.text


@pytest.mark.parametrize("asked", ["0", "0s", "0ms", "0h0m"])
@pytest.mark.parametrize("mode", ["classic", "streaming", "serializing"])
def test_caller_who_asks_for_no_time_limit_gets_the_functions_own(shared: Shared, mode: str, asked: str) -> None:
    unlimited = answer(shared, "cat", {"mode": mode, "exec_timeout": "0"}, content=b"x", headers={"X-Timeout": asked})

    assert (unlimited.status_code, unlimited.text) == (200, "x")


def test_log_does_not_blame_the_caller_for_a_connection_that_was_closed(shared: Shared) -> None:
    async def story(world: World) -> str:
        address = await world.up("abandoned", "sleep 100")
        host, port = address.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await world.log_says(FunctionRef("openfaas-fn", "abandoned"), "Forking fprocess.")
        writer.close()
        return await world.log_says(FunctionRef("openfaas-fn", "abandoned"), "Killed process")

    told = shared.run(story(shared.world))

    assert "its connection was closed, by the caller or by a time-out of the gateway, after" in told


@pytest.mark.parametrize("mode", ["streaming", "serializing"])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND"])
def test_newer_modes_run_the_program_for_any_verb(shared: Shared, mode: str, method: str) -> None:
    response = answer(shared, "printenv Http_Method", {"mode": mode}, method=method)

    assert (response.status_code, response.text) == (200, "" if method == "HEAD" else f"{method}\n")


@pytest.mark.parametrize("mode", ["streaming", "serializing"])
def test_newer_modes_do_not_repeat_the_content_type(shared: Shared, mode: str) -> None:
    given = {"Content-Type": "multipart/form-data; boundary=x"}
    plain = answer(shared, "cat", {"mode": mode}, headers=given)
    failed = answer(shared, "false", {"mode": mode}, headers=given)
    forced = answer(shared, "cat", {"mode": mode, "content_type": "text/html"}, headers=given)

    assert plain.headers["content-type"] == failed.headers["content-type"] == "application/octet-stream"
    assert forced.headers["content-type"] == "text/html"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_call_without_a_body_says_that_its_length_is_zero(shared: Shared, method: str) -> None:
    env = environment(answer(shared, "env", method=method))

    assert env["Http_ContentLength"] == env["Http_Content_Length"] == "0"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
def test_verb_that_is_not_a_functions_is_refused(shared: Shared, method: str) -> None:
    refused = answer(shared, "cat", method=method)

    assert (refused.status_code, refused.headers["allow"]) == (405, "POST, PUT, PATCH, DELETE, GET")


def test_request_can_be_marshalled(shared: Shared) -> None:
    response = answer(shared, "cat", {"marshal_request": "true"}, content=b"hi", headers={"X-A": "1"})

    value = response.json()
    assert value["body"] == {"raw": "aGk="}
    assert value["header"]["X-A"] == ["1"]


def test_program_that_does_not_read_its_input_still_answers(shared: Shared) -> None:
    assert answer(shared, "echo done", content=b"x" * 1_000_000).text == "done\n"


def test_large_bodies_pass_both_ways(shared: Shared) -> None:
    body = bytes(range(256)) * 20_000

    assert answer(shared, "cat", {"mode": "serializing"}, content=body).content == body


async def test_log_says_what_the_watchdog_did(shared: Shared) -> None:
    world = shared.world
    address = await world.up("logged", "sh -c 'echo one; echo two >&2'", {"combine_output": "false"})
    await world.http.post(address)
    ref = FunctionRef("openfaas-fn", "logged")
    await world.log_says(ref, "Wrote ")
    texts = await world.texts(ref)

    parts = ["Forking fprocess.", "two", "Wrote 4 Bytes - Duration: "]
    assert [any(part in text for text in texts) for part in parts] == [True] * 3


async def test_log_says_why_a_call_failed_whose_errors_its_caller_was_told(shared: Shared) -> None:
    world = shared.world
    address = await world.up("unlucky", "python3 -m nosuchmodule")
    assert (await world.http.post(address)).status_code == 500

    told = await world.log_says(FunctionRef("openfaas-fn", "unlucky"), "fprocess failed: exit status 1")
    assert told.endswith("No module named nosuchmodule")


def test_streaming_sends_output_as_it_comes(shared: Shared) -> None:
    assert shared.run(_conversation(shared.world)) == [b"got one\n", b"got two\n"]


async def _conversation(world: World) -> list[bytes]:
    """Sends a line, waits for its echo, sends the next: impossible if anything on the way waits for an end."""
    program = "import sys\nfor line in sys.stdin: print('got ' + line, end='', flush=True)"
    address = await world.up("ping-pong", f'python3 -u -c "{program}"', {"mode": "streaming"})
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    seen: list[bytes] = []
    for line in (b"one\n", b"two\n"):
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
        if not seen:
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"\r\n\r\n")
        size = int(await reader.readline(), 16)
        seen.append((await reader.readexactly(size + 2))[:-2])
    writer.write(b"0\r\n\r\n")
    assert await reader.readline() == b"0\r\n"
    writer.close()
    return seen


def test_stream_that_fails_midway_is_broken_off(shared: Shared) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        answer(shared, "sh -c 'echo part; exit 1'", {"mode": "streaming"})


async def test_program_ends_with_everything_it_started_when_the_caller_leaves(shared: Shared) -> None:
    world = shared.world
    mark = world.folder / "left.pid"
    command = f"sh -c 'sleep 1000 & echo $! > {mark}; wait'"
    address = await world.up("left", command)
    call = asyncio.create_task(world.http.post(address))
    await eventually(lambda: mark.exists() and mark.read_text().strip(), "the program's child")
    child = int(mark.read_text())

    call.cancel()
    await eventually(lambda: not alive(child), "the end of the child")


async def test_background_children_end_with_their_call(shared: Shared) -> None:
    world = shared.world
    mark = world.folder / "background.pid"
    address = await world.up("background", f"sh -c 'sleep 1000 & echo $! > {mark}; echo done'")

    response = await world.http.post(address)

    assert response.text == "done\n"
    await eventually(lambda: not alive(int(mark.read_text())), "the end of the child")


async def test_body_that_does_not_arrive_in_time_is_answered_408(shared: Shared) -> None:
    world = shared.world
    address = await world.up("slow-caller", "cat", {"read_timeout": "100ms"})
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    status, _, rest = (await reader.readuntil(b"its environment.")).partition(b"\r\n")
    writer.close()
    assert b" 408 " in status
    assert b"within read_timeout (0.1 s) of the function; set read_timeout in its environment." in rest
