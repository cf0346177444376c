"""What each template's convention makes of what a handler returns or raises: one answer, and the cause in the log."""

from __future__ import annotations

import array
import asyncio
import dataclasses
import datetime
import decimal
import io
import json
import threading
import uuid
from collections import OrderedDict, UserDict
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.watchdog.handlers import FLASK, HTTP, called, returning

HTML, TEXT, JSON, BYTES = (
    "text/html; charset=utf-8",
    "text/plain; charset=utf-8",
    "application/json",
    "application/octet-stream",
)
"""Types of what says none: Flask's, or (without a template) those that show a text as it is."""

FUNCTION_FAILED = "raised an exception"
NOT_SENT = "returned what cannot be sent"
UTC = datetime.UTC
LANGS = (HTTP, FLASK, "")


@dataclasses.dataclass
class Point:
    x: int


class BrokenText:
    def __str__(self) -> str:
        raise ValueError("no text")


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


def pieces(*items: Any) -> Iterator[Any]:
    yield from items


def raising_after(*items: Any) -> Iterator[Any]:
    yield from items
    raise KeyError("in the middle")


async def async_pieces(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


@pytest.mark.parametrize(
    ("result", "status", "body", "kind"),
    [
        pytest.param("text", 200, b"text", HTML, id="text"),
        pytest.param("ü☃", 200, "ü☃".encode(), HTML, id="text beyond Latin-1"),
        pytest.param(b"\x89PNG", 200, b"\x89PNG", HTML, id="bytes"),
        pytest.param(bytearray(b"b"), 200, b"b", HTML, id="a bytearray"),
        pytest.param({"b": 1, "a": [True, None]}, 200, b'{"a":[true,null],"b":1}\n', JSON, id="a dict"),
        pytest.param([1, "x"], 200, b'[1,"x"]\n', JSON, id="a list"),
        pytest.param(("gone", 410), 410, b"gone", HTML, id="body and status"),
        pytest.param(("made", HTTPStatus.CREATED), 201, b"made", HTML, id="a status of the library"),
        pytest.param(("no", "404 Not Found"), 404, b"no", HTML, id="a status with its phrase"),
        pytest.param(("<p>", {"Content-Type": "text/xml"}), 200, b"<p>", "text/xml", id="body and headers"),
        pytest.param(("p", 202, {"content-type": "a/b"}), 202, b"p", "a/b", id="body, status and headers"),
        pytest.param(("p", 202, [("Content-Type", "a/b")]), 202, b"p", "a/b", id="headers as pairs"),
        pytest.param(({"a": 1}, 201), 201, b'{"a":1}\n', JSON, id="JSON and status"),
        pytest.param(iter(["a", b"b", ""]), 200, b"ab", HTML, id="an iterator"),
        pytest.param(io.BytesIO(b"one\ntwo"), 200, b"one\ntwo", HTML, id="an open file"),
        pytest.param("", 200, b"", HTML, id="an empty text"),
    ],
)
@pytest.mark.parametrize("lang", [HTTP, FLASK])
async def test_what_a_flask_view_may_return(lang: str, result: Any, status: int, body: bytes, kind: str) -> None:
    result = io.BytesIO(result.getvalue()) if isinstance(result, io.BytesIO) else result
    result = iter(["a", b"b", ""]) if type(result) is type(iter([])) else result
    seen = await called(returning(result), lang)

    assert (seen.status, seen.body, seen.header("content-type")) == (status, body, kind)
    assert seen.ended


@pytest.mark.parametrize(
    ("result", "status", "body", "kind"),
    [
        pytest.param(None, 200, b"", HTML, id="nothing"),
        pytest.param({"statusCode": 201}, 201, b"", HTML, id="a status alone"),
        pytest.param({"statusCode": None, "body": "x"}, 200, b"x", HTML, id="no status"),
        pytest.param({"statusCode": "404", "body": "x"}, 404, b"x", HTML, id="a status as text"),
        pytest.param({"statusCode": 200.0, "body": "x"}, 200, b"x", HTML, id="a status from JSON elsewhere"),
        pytest.param({"body": "<h1>x</h1>"}, 200, b"<h1>x</h1>", HTML, id="a page"),
        pytest.param({"body": {"a": 1}}, 200, b'{"a":1}\n', JSON, id="a dict as body"),
        pytest.param({"body": ["a"]}, 200, b'["a"]\n', JSON, id="a list as body"),
        pytest.param({"body": ("a", 1)}, 200, b'["a",1]\n', JSON, id="a tuple as body"),
        pytest.param(
            {"body": b"\xff", "headers": {"Content-Type": "image/png"}}, 200, b"\xff", "image/png", id="image"
        ),
        pytest.param({"body": memoryview(b"m")}, 200, b"m", HTML, id="a memoryview"),
        pytest.param({"body": 42}, 200, b"42", HTML, id="a number's text"),
        pytest.param({"body": decimal.Decimal("1.50")}, 200, b"1.50", HTML, id="a decimal's text"),
        pytest.param({"body": Point(1)}, 200, b"Point(x=1)", HTML, id="an object's text"),
        pytest.param({"body": datetime.date(2026, 1, 2)}, 200, b"2026-01-02", HTML, id="a date's text"),
        pytest.param(OrderedDict(body="x"), 200, b"x", HTML, id="another kind of dict"),
        pytest.param(UserDict(statusCode=202), 202, b"", HTML, id="a mapping"),
        pytest.param({"headers": None, "body": "x"}, 200, b"x", HTML, id="no headers"),
        pytest.param({}, 200, b"{}\n", JSON, id="an empty dict"),
        pytest.param(True, 200, b"true\n", JSON, id="a truth"),
        pytest.param(4.5, 200, b"4.5\n", JSON, id="a number"),
    ],
)
@pytest.mark.parametrize("lang", [HTTP, "python3-http-debian", "python3.12-http", ""])
async def test_what_an_event_handler_may_return(lang: str, result: Any, status: int, body: bytes, kind: str) -> None:
    def handle(event: Any, context: Any) -> Any:
        return result

    seen = await called(handle, lang)

    assert (seen.status, seen.body, seen.header("content-type")) == (status, body, kind)


@pytest.mark.parametrize(
    ("result", "body", "kind"),
    [
        pytest.param("text", b"text", TEXT, id="text"),
        pytest.param(b"\x00", b"\x00", BYTES, id="bytes"),
        pytest.param({"a": 1}, b'{"a": 1}', JSON, id="a dict"),
        pytest.param(None, b"", TEXT, id="nothing"),
        pytest.param(5, b"5", JSON, id="a number"),
        pytest.param({"statusCode": 200, "body": "x"}, b"x", TEXT, id="status and body"),
    ],
)
async def test_handler_of_one_argument_without_a_template(result: Any, body: bytes, kind: str) -> None:
    def handle(req: Any) -> Any:
        return result

    seen = await called(handle)

    assert (seen.status, seen.body, seen.header("content-type")) == (200, body, kind)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(
            datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"Fri, 02 Jan 2026 03:04:05 GMT"', id="a time"
        ),
        pytest.param(datetime.date(2026, 1, 2), '"Fri, 02 Jan 2026 00:00:00 GMT"', id="a date"),
        pytest.param(decimal.Decimal("1.50"), '"1.50"', id="a decimal"),
        pytest.param(uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"', id="a UUID"),
        pytest.param(Point(3), '{"x":3}', id="a data class"),
        pytest.param({1: "a", "b": 2}, '{"1":"a","b":2}', id="keys without an order"),
        pytest.param(float("nan"), "NaN", id="not a number, as Flask has it"),
    ],
)
async def test_json_is_written_as_flask_does(value: Any, text: str) -> None:
    seen = await called(returning([value]), FLASK)

    assert seen.body.decode() == f"[{text}]\n"


UNSENDABLE: dict[str, tuple[Any, str]] = {
    "a line end in a header": (("x", 200, {"X-Token": "secret-value\n"}), "X-Token"),
    "an injected header": (("x", 200, {"X-Token": "a\r\nX-Other: b"}), "X-Token"),
    "a line end in the type": (("x", 200, {"Content-Type": "text/html\n"}), "Content-Type"),
    "a control character": (("x", 200, {"X-Bell": "\x07"}), "X-Bell"),
    "a NUL": (("x", 200, {"X-Nul": "\x00"}), "X-Nul"),
    "a value beyond Latin-1": (("x", 200, {"X-Snow": "☃"}), "X-Snow"),
    "a blank in a name": (("x", 200, {"X Name": "v"}), "X Name"),
    "a name that is empty": (("x", 200, {"": "v"}), "header ''"),
    "a colon in a name": (("x", 200, {"X-A:": "v"}), "X-A:"),
    "a name of another alphabet": (("x", 200, {"Ü": "v"}), "Ü"),
    "headers without end": (("x", 200, {"X-Long": "x" * 70_000}), "headers are longer"),
    "headers that are a number": (("x", 200, 5), "headers are a int"),
    "headers that are a text": (("x", 200, "text/html"), "headers are a str"),
    "pairs that are none": (("x", 200, ["a"]), "no pair"),
    "status 0": (("x", 0), "status 0"),
    "status 103": (("x", 103), "status 103"),
    "status 100": (("x", 100), "status 100"),
    "status 999": (("x", 999), "status 999"),
    "status -1": (("x", -1), "status -1"),
    "status 1e3": (("x", 1e3), "status 1000.0"),
    "a huge status": (("x", 10**400), "status 1000"),
    "status True": (("x", True), "status True"),
    "status abc": (("x", "abc"), "status 'abc'"),
    "status not a number": (("x", float("nan")), "status nan"),
    "a status that is an object": (("x", object()), "status <object"),
    "a tuple of four": (("x", 200, {}, 1), "tuple of 4"),
    "an empty tuple": ((), "tuple of 0"),
    "a set in JSON": ({"a": {1}}, "set"),
    "an object in JSON": ([object()], "object"),
    "keys that JSON has not": ({(1, 2): 3}, "JSON"),
    "a function": (len, "builtin_function"),
    "a class": (Point, "type"),
    "odd first pieces": (pieces(1), "a piece of the body is a int"),
}


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("case", UNSENDABLE)
async def test_unsendable_is_answered_500_once_and_named_in_the_log(
    lang: str, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = []
    result, named = UNSENDABLE[case]

    def handle(*_: Any) -> Any:
        runs.append(1)
        return pieces(1) if isinstance(result, Iterator) else result

    seen = await called(handle, lang)
    log = capsys.readouterr().err

    assert (seen.status, len(runs), seen.header("x-openfaas-internal")) == (500, 1, "of-watchdog")
    assert NOT_SENT in seen.body.decode()
    assert named in log
    assert "secret-value" not in log


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(None, id="nothing"),
        pytest.param((None, 204), id="nothing and a status"),
        pytest.param(5, id="a number"),
        pytest.param({1, 2}, id="a set"),
        pytest.param(Point(1), id="a data class"),
        pytest.param(array.array("b", b"x"), id="an array"),
        pytest.param((("a", 1), 200), id="a tuple in a tuple"),
    ],
)
async def test_what_a_flask_view_may_not_return_is_500(result: Any, capsys: pytest.CaptureFixture[str]) -> None:
    seen = await called(returning(result), FLASK)

    assert (seen.status, NOT_SENT in seen.body.decode()) == (500, True)
    assert "handle returned" in capsys.readouterr().err


def _circular() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


def _deep() -> Any:
    found: Any = []
    for _ in range(100_000):
        found = [found]
    return found


def _raise(error: BaseException) -> Callable[..., Any]:
    def handle(*_: Any) -> Any:
        raise error

    return handle


RAISING: dict[str, Callable[[], Callable[..., Any]]] = {
    **{
        kind.__name__: lambda kind=kind: _raise(kind("deep"))  # type: ignore[misc]
        for kind in (
            *(Exception, KeyError, StopIteration, StopAsyncIteration, TimeoutError, asyncio.CancelledError, OSError),
            *(ConnectionAbortedError, BrokenPipeError, MemoryError, RecursionError, SystemExit, KeyboardInterrupt),
            *(GeneratorExit, BaseException, AssertionError, UnicodeError),
        )
    },
    "an exception without text": lambda: _raise(BrokenError()),
    "a group": lambda: _raise(BaseExceptionGroup("several", [SystemExit(1), ValueError("x")])),
    "JSON that never ends": lambda: returning(_circular()),
    "JSON that is too deep": lambda: returning([_deep()]),
    "text that no bytes are for": lambda: returning("\ud800"),
    "a generator that raises at once": lambda: lambda *_: raising_after(),
    "a generator that raises after an empty piece": lambda: lambda *_: raising_after("", b""),
    "an object without text, as a status": lambda: returning(("x", 200, {"A": BrokenText()})),
    "wrong arguments": lambda: lambda: None,
}


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("case", RAISING)
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_what_is_raised_is_answered_500_once_and_logged(
    lang: str, case: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handle, runs = RAISING[case](), []

    def counted(*arguments: Any) -> Any:
        runs.append(1)
        return handle(*arguments)

    async def awaited(*arguments: Any) -> Any:
        return counted(*arguments)

    seen = await called(counted if kind == "def" else awaited, lang)

    assert (seen.status, len(runs), seen.ended) == (500, 1, True)
    assert capsys.readouterr().err


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("make", [raising_after, lambda *items: iter([*items, 5])], ids=["raises", "odd piece"])
async def test_failure_after_the_first_piece_breaks_the_answer_off(
    lang: str, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = await called(lambda *_: make("first"), lang)

    assert (seen.status, seen.body, seen.ended, seen.broken) == (200, b"first", False, True)
    assert "broken off" in capsys.readouterr().err


@pytest.mark.parametrize("lang", LANGS)
async def test_async_iterators_are_sent_as_they_come(lang: str) -> None:
    seen = await called(lambda *_: async_pieces("a", b"", b"b"), lang)

    assert (seen.status, seen.pieces, seen.ended) == (200, [b"a", b"b", b""], True)


class Closing:
    """An iterator that notes where it ran, and its end."""

    def __init__(self, *items: Any) -> None:
        self._items = iter(items)
        self.threads = {threading.get_ident()}
        self.closed = 0

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> Any:
        self.threads.add(threading.get_ident())
        return next(self._items)

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_iterator_runs_in_the_handlers_thread_and_is_closed_once(method: str) -> None:
    made: list[Closing] = []

    def handle(*_: Any) -> Any:
        made.append(Closing("a", "b"))
        return made[0]

    seen = await called(handle, HTTP, method=method)

    assert (len(made[0].threads), made[0].closed) == (1, 1)
    assert seen.body == (b"ab" if method == "GET" else b"")


async def test_endless_iterator_ends_when_its_caller_leaves() -> None:
    leaves, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def handle(*_: Any) -> Any:
        def endless() -> Iterator[str]:
            try:
                yield "first"
                loop.call_soon_threadsafe(leaves.set)
                while True:
                    yield "more"
            finally:
                ended.set()

        return endless()

    seen = await called(handle, HTTP, leaves=leaves)

    assert ended.is_set()
    assert seen.body.startswith(b"first")


async def test_endless_async_iterator_ends_when_its_caller_leaves() -> None:
    leaves, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            yield "first"
            leaves.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    await called(lambda *_: endless(), HTTP, leaves=leaves)

    assert ended.is_set()


@pytest.mark.parametrize(
    ("method", "result", "length", "sent"),
    [
        pytest.param("GET", ("abc", 200, {"Content-Length": "99"}), "3", b"abc", id="a wrong length of its own"),
        pytest.param("HEAD", "abc", "3", b"", id="HEAD tells the length of what GET would send"),
        pytest.param("HEAD", ("", 200, {"Content-Length": "99"}), "99", b"", id="HEAD may name it"),
        pytest.param("GET", ("abc", 204), None, b"", id="204 has no body"),
        pytest.param("GET", ("abc", 304), None, b"", id="304 has none"),
        pytest.param("GET", ("abc", 205), "0", b"", id="205 has an empty one"),
        pytest.param("GET", (iter("abc"), 204), None, b"", id="nor an iterator's"),
        pytest.param("GET", ("é", 200), "2", "é".encode(), id="bytes are counted"),
    ],
)
async def test_length_is_that_of_what_is_sent(method: str, result: Any, length: str | None, sent: bytes) -> None:
    fresh = (iter("abc"), 204) if length is None and isinstance(result[0], Iterator) else result
    seen = await called(lambda *_: fresh, FLASK, method=method)

    assert (seen.header("content-length"), seen.body, seen.ended) == (length, sent, True)


async def test_headers_of_the_connection_are_the_servers_own() -> None:
    copied = {"Connection": "close", "Transfer-Encoding": "chunked", "Keep-Alive": "5", "X-Own": " 1 "}
    seen = await called(returning({"body": "x", "headers": copied}), HTTP)

    assert [name for name, _ in seen.headers] == [b"x-own", b"content-type", b"content-length"]
    assert seen.header("x-own") == "1"


@pytest.mark.parametrize(
    "headers", [{"Set-Cookie": ["a=1", "b=2"]}, [("Set-Cookie", "a=1"), ("set-cookie", b"b=2")]], ids=["list", "pairs"]
)
async def test_header_may_come_several_times(headers: Any) -> None:
    seen = await called(returning({"headers": headers}), HTTP)

    assert [value for name, value in seen.headers if name == b"set-cookie"] == [b"a=1", b"b=2"]


async def test_handler_that_is_too_slow_is_answered_504_and_what_it_makes_later_is_dropped() -> None:
    go = threading.Event()

    def handle(*_: Any) -> Any:
        go.wait(10)
        return pieces("late")

    seen = await called(handle, HTTP, exec_timeout_s=0.01)
    go.set()

    assert (seen.status, seen.ended) == (504, True)


@pytest.mark.virtual_time
async def test_stream_that_stands_still_for_exec_timeout_is_broken_off(capsys: pytest.CaptureFixture[str]) -> None:
    async def standing() -> AsyncIterator[str]:
        yield "first"
        await asyncio.Event().wait()

    async def handle(event: Any, context: Any) -> Any:
        return standing()

    seen = await called(handle, HTTP, exec_timeout_s=5.0)

    assert (seen.status, seen.body, seen.ended, seen.broken) == (200, b"first", False, True)
    assert "nothing came of it for exec_timeout (5 s)" in capsys.readouterr().err


@pytest.mark.virtual_time
async def test_stream_that_keeps_coming_has_no_total_limit() -> None:
    async def coming() -> AsyncIterator[str]:
        for number in range(8):
            await asyncio.sleep(4.0)
            yield str(number)

    async def handle(event: Any, context: Any) -> Any:
        return coming()

    seen = await called(handle, HTTP, exec_timeout_s=5.0)

    assert (seen.body, seen.ended) == (b"01234567", True)


async def test_header_or_argument_that_is_missing_is_a_bad_request_as_in_flask() -> None:
    def handle(event: Any, context: Any) -> Any:
        return event.query["name"] if event.path == "/query" else event.headers["X-Missing"]

    statuses = [(await called(handle, HTTP, target=target)).status for target in ("/query", "/headers")]

    assert statuses == [400, 400]


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.datetimes(),
    st.uuids(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.tuples(inner, inner),
        st.tuples(inner, inner, inner),
        st.dictionaries(st.sampled_from(["statusCode", "body", "headers", "a"]) | scalars, inner, max_size=3),
        st.frozensets(scalars, max_size=2),
        inner.map(lambda item: iter([item])),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("lang", LANGS)
@given(value=values, method=st.sampled_from(["GET", "HEAD", "POST"]))
@settings(max_examples=150, deadline=None)
def test_any_value_has_one_answer_that_can_be_sent(lang: str, value: Any, method: str) -> None:
    runs = []

    def handle(*_: Any) -> Any:
        runs.append(1)
        return value

    seen = asyncio.run(called(handle, lang, method=method))

    assert len(runs) == 1
    assert 200 <= seen.status <= 599
    assert seen.ended != seen.broken
    for name, field in seen.headers:
        assert name == name.lower()
        assert name.replace(b"-", b"").isascii()
        assert not set(field) & {0, 10, 13}
    length = seen.header("content-length")
    assert length is None or method == "HEAD" or int(length) == len(seen.body)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.binary(), max_size=3), st.integers() | st.text())
@settings(max_examples=150, deadline=None)
def test_any_headers_and_status_have_an_answer_that_can_be_sent(headers: dict[str, Any], status: Any) -> None:
    seen = asyncio.run(called(returning({"statusCode": status, "headers": headers, "body": "x"}), HTTP))

    assert seen.ended
    assert all(name.isascii() and b" " not in name and b":" not in name and name for name, _ in seen.headers)
    assert json.dumps(seen.status)
