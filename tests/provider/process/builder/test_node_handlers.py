"""Shapes of handlers that people write for the Node templates, each called through the server that we put before it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.provider.process.builder.code_builder import NODE_SERVER

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not on PATH")

DEADLINE_S = 60.0
JSON, HTML, BYTES = "application/json; charset=utf-8", "text/html; charset=utf-8", "application/octet-stream"
PLAIN = "text/plain; charset=utf-8"
FORM = {"content-type": "application/x-www-form-urlencoded"}
AS_JSON = {"content-type": "application/json"}

# name: the handler's body, what is sent, and what comes back: status, content type, body
SHAPES: dict[str, tuple[str, Mapping[str, Any], tuple[int, str | None, str]]] = {
    "context-succeed": ("return context.status(200).succeed('done')", {}, (200, HTML, "done")),
    "succeed-without-return": ("context.status(201).succeed('made')", {}, (201, HTML, "made")),
    "succeed-later": (
        "return new Promise(r => setTimeout(() => r(context.succeed('late')), 5))",
        {},
        (200, HTML, "late"),
    ),
    "succeed-twice": ("context.succeed('first'); context.succeed('second')", {}, (200, HTML, "first")),
    "succeed-and-return": ("context.succeed('told'); return 'returned'", {}, (200, HTML, "told")),
    "return-text": ("return 'text'", {}, (200, HTML, "text")),
    "return-empty": ("return ''", {}, (200, HTML, "")),
    "return-object": ("return {a: [1, null]}", {}, (200, JSON, '{"a":[1,null]}')),
    "return-array": ("return [1, 'b']", {}, (200, JSON, '[1,"b"]')),
    "return-number": ("return 42", {}, (200, JSON, "42")),
    "return-zero": ("return 0", {}, (200, JSON, "0")),
    "return-false": ("return false", {}, (200, JSON, "false")),
    "return-nothing": ("", {}, (200, None, "")),
    "return-null": ("return null", {}, (200, None, "")),
    "return-buffer": ("return Buffer.from('bytes')", {}, (200, BYTES, "bytes")),
    "return-typed-array": ("return new Uint8Array([104, 105])", {}, (200, BYTES, "hi")),
    "return-words": ("return new Uint16Array([26984])", {}, (200, BYTES, "hi")),
    "return-array-buffer": ("return new Uint8Array([104, 105]).buffer", {}, (200, BYTES, "hi")),
    "return-date": ("return new Date(0)", {}, (200, JSON, '"1970-01-01T00:00:00.000Z"')),
    "return-promise": ("return Promise.resolve('later')", {}, (200, HTML, "later")),
    "unicode": ("return 'Grüße 🌊'", {}, (200, HTML, "Grüße 🌊")),
    "headers": (
        "return context.headers({'Content-Type': 'text/csv', 'X-A': 1}).succeed('a,b')",
        {},
        (200, "text/csv", "a,b"),
    ),
    "headers-of-json": (
        "return context.status(202).headers({'content-type': 'application/problem+json'}).succeed({a: 1})",
        {},
        (202, "application/problem+json", '{"a":1}'),
    ),
    "read-headers-and-status": (
        "context.status(418).headers({a: 'b'}); return [context.status(), context.headers()]",
        {},
        (418, JSON, '[418,{"a":"b"}]'),
    ),
    "status-as-text": ("return context.status('404').succeed('none')", {}, (404, HTML, "none")),
    "no-content": ("return context.status(204).succeed()", {}, (204, None, "")),
    "fail": ("return context.fail('bad input')", {}, (500, PLAIN, "bad input")),
    "fail-with-error": ("return context.fail(new TypeError('bad'))", {}, (500, PLAIN, "TypeError: bad")),
    "throw-error": ("throw new Error('boom')", {}, (500, PLAIN, "Error: boom")),
    "throw-text": ("throw 'boom'", {}, (500, PLAIN, "boom")),
    "throw-nothing": ("throw undefined", {}, (500, PLAIN, "Error: the handler threw nothing")),
    "throw-null": ("throw null", {}, (500, PLAIN, "Error: the handler threw nothing")),
    "reject-with-zero": ("return Promise.reject(0)", {}, (500, PLAIN, "Error: the handler threw nothing")),
    "reject": ("return Promise.reject(new Error('no'))", {}, (500, PLAIN, "Error: no")),
    "status-out-of-range": (
        "return context.status(99).succeed('x')",
        {},
        (500, PLAIN, "RangeError: status 99 cannot be answered"),
    ),
    "circular": ("const a = {}; a.a = a; return a", {}, (500, PLAIN, "TypeError: Converting circular structure")),
    "body-json": ("return event.body.name", {"content": '{"name": "x"}', "headers": AS_JSON}, (200, HTML, "x")),
    "body-json-empty": ("return event.body", {"content": "", "headers": AS_JSON}, (200, JSON, "{}")),
    "body-json-broken": (
        "return 'not reached'",
        {"content": "{", "headers": AS_JSON},
        (400, PLAIN, "the body is not JSON, which its content type says"),
    ),
    "body-form": (
        "return event.body",
        {"content": "a=1&b=2&a=3", "headers": FORM},
        (200, JSON, '{"a":["1","3"],"b":"2"}'),
    ),
    "body-text": (
        "return typeof event.body",
        {"content": "x", "headers": {"content-type": "text/plain"}},
        (200, HTML, "string"),
    ),
    "body-bytes": (
        "return Buffer.isBuffer(event.body) ? event.body : 'no'",
        {"content": b"\x00\xff", "headers": {"content-type": "image/png"}},
        (200, BYTES, "\x00�"),
    ),
    "query": (
        "return event.query",
        {"params": [("id", "1"), ("id", "2"), ("e", "")]},
        (200, JSON, '{"id":["1","2"],"e":""}'),
    ),
    "query-own-properties": ("return event.query.hasOwnProperty('id')", {"params": {"id": "1"}}, (200, JSON, "true")),
    "method-and-path": ("return event.method + event.path", {}, (200, HTML, "POST/method-and-path")),
    "header-of-the-call": ("return event.headers['x-test']", {"headers": {"X-Test": "a"}}, (200, HTML, "a")),
    "content-type": ("return event.contentType", {"headers": FORM}, (200, HTML, FORM["content-type"])),
    "large": ("return 'x'.repeat(3000000).length", {}, (200, JSON, "3000000")),
}


@contextmanager
def served(folder: Path, handler: str, *, name: str = "handler.js") -> Iterator[httpx.Client]:
    """The server before a handler with this source."""
    (folder / "function").mkdir(parents=True)
    shutil.copyfile(NODE_SERVER, folder / "index.js")
    (folder / "function" / name).write_text(handler)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {"PATH": os.environ["PATH"], "PORT": str(port)}
    process = subprocess.Popen(["node", "index.js"], cwd=folder, env=environ, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not _listens(port):
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S, trust_env=False) as http:
            yield http
    finally:
        process.terminate()
        assert process.wait(DEADLINE_S) in (0, 1)


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One server for all of them: the path says which is called."""
    functions = ",\n".join(
        f"{json.dumps(name)}: (event, context) => {{ {source} }}" for name, (source, _, _) in SHAPES.items()
    )
    handler = (
        f"'use strict'\nconst shapes = {{{functions}}}\n"
        "module.exports = async (event, context) => shapes[event.path.slice(1)](event, context)\n"
    )
    with served(tmp_path_factory.mktemp("shapes") / "code", handler) as http:
        yield http


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_handler_answers_is_what_is_sent(shapes: httpx.Client, name: str) -> None:
    _, call, (status, kind, body) = SHAPES[name]

    answer = shapes.post(f"/{name}", **call)

    told = answer.content.decode(errors="replace").rstrip("\n")
    assert (answer.status_code, answer.headers.get("content-type")) == (status, kind)
    assert told.startswith(body) if status in (400, 500) else told == body


@pytest.mark.parametrize(
    ("source", "status", "body"),
    [
        pytest.param(
            "module.exports = (event, context, callback) => { callback(undefined, {a: 1}) }",
            200,
            '{"a":1}',
            id="callback",
        ),
        pytest.param(
            "module.exports = (event, context, callback) => { setTimeout(() => callback(null, 'late'), 5) }",
            200,
            "late",
            id="callback later",
        ),
        pytest.param(
            "module.exports = (event, context, callback) => { callback('no') }", 500, "no", id="callback with an error"
        ),
        pytest.param(
            "module.exports = (event, context, callback) => { callback(false, 'fine') }", 200, "fine", id="no error"
        ),
        pytest.param("module.exports = (context, cb) => cb(undefined, context + '!')", 200, "x!", id="classic"),
        pytest.param(
            "module.exports = (context, callback) => { setTimeout(() => callback(null, {got: context}), 5) }",
            200,
            '{"got":"x"}',
            id="classic later",
        ),
        pytest.param("module.exports = async (context, callback) => ({got: context})", 200, '{"got":"x"}', id="async"),
        pytest.param("module.exports = async context => context", 200, "x", id="classic of one argument"),
        pytest.param(
            "module.exports = async function handle(req, done) { throw new Error('no') }",
            500,
            "Error: no",
            id="classic that throws",
        ),
        pytest.param("exports.handler = async () => 'named'", 200, "named", id="exports.handler"),
        pytest.param("exports.default = () => 'default'", 200, "default", id="transpiled"),
        pytest.param(
            "module.exports = function (event, context) { context.succeed(this === undefined) }",
            200,
            "false",
            id="plain",
        ),
    ],
)
def test_handlers_are_found_however_they_are_exported(source: str, status: int, body: str, tmp_path: Path) -> None:
    with served(tmp_path / "code", source) as http:
        answer = http.post("/", content=b"x")

    assert (answer.status_code, answer.text) == (status, body)


def test_a_module_of_the_older_kind_by_name_is_a_handler_too(tmp_path: Path) -> None:
    with served(tmp_path / "code", "module.exports = async () => 'older'", name="handler.cjs") as http:
        assert http.get("/").text == "older"


def test_a_module_of_the_newer_kind_is_a_handler_too(tmp_path: Path) -> None:
    source = "import os from 'node:os'\nexport default async (event) => typeof os.hostname()\n"
    with served(tmp_path / "code", source, name="handler.mjs") as http:
        assert http.get("/").text == "string"


def test_the_body_is_left_as_it_came_where_that_is_asked_for(tmp_path: Path) -> None:
    source = "process.env.RAW_BODY = 'true'\nmodule.exports = async (event) => Buffer.isBuffer(event.body)"
    with served(tmp_path / "code", source) as http:
        assert http.post("/", content=b"{", headers=AS_JSON).text == "true"


@pytest.mark.parametrize("source", ["module.exports = 1", "syntax error here", "throw new Error('at import')"])
def test_what_is_no_handler_ends_the_server(source: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the server ended"), served(tmp_path / "code", source):
        raise RuntimeError("it serves")
