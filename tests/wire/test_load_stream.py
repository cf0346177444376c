from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime.errors import Unavailable
from springtide.wire import load_stream
from springtide.wire.load_stream import MAX_COUNT, MAX_LINE_BYTES, End, Load, LoadLine, decode, encode

counts = st.integers(0, MAX_COUNT)
names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@given(
    st.builds(
        LoadLine,
        at=st.integers(0, 2**33).map(lambda ms: ms / 1000),
        functions=st.dictionaries(names, st.none() | st.builds(Load, counts, counts, counts, counts), max_size=4),
        gateway=names,
        partial=st.just("") | names,
    )
)
def test_what_is_written_is_read(line: LoadLine) -> None:
    assert decode(encode(line)) == line


def test_end_is_read_and_unknown_members_are_passed_over() -> None:
    assert decode(encode(End())) == End()
    assert decode(b'{"at": 5, "functions": {"a.b": [4, 3, 1, 0]}, "later": {}}') == LoadLine(
        5.0, {"a.b": Load(4, 3, 1, 0)}
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"at": 1}', id="no functions"),
        pytest.param(b'{"functions": {}}', id="no instant"),
        pytest.param(b'{"at": -1, "functions": {}}', id="before 1970"),
        pytest.param(b'{"at": 1e300, "functions": {}}', id="after the year 10000"),
        pytest.param(b'{"at": true, "functions": {}}', id="instant is a boolean"),
        pytest.param(b'{"at": NaN, "functions": {}}', id="instant is not a number"),
        pytest.param(b'{"at": 1, "functions": []}', id="functions are a list"),
        pytest.param(b'{"at": 1, "functions": {"": [0,0,0,0]}}', id="no name"),
        pytest.param(b'{"at": 1, "functions": {"a.b": [0,0,0]}}', id="three numbers"),
        pytest.param(b'{"at": 1, "functions": {"a.b": [0,0,0,-1]}}', id="negative"),
        pytest.param(b'{"at": 1, "functions": {"a.b": [0,0,0,1.5]}}', id="half a call"),
        pytest.param(b'{"at": 1, "functions": {"a.b": [0,0,0,1e999]}}', id="infinite"),
        pytest.param(b'{"at": 1, "functions": {"a.b": [0,0,0,90071992547409930]}}', id="too many calls"),
        pytest.param(b'{"at": 1, "functions": {"a.b": [0,0,0,true]}}', id="boolean"),
        pytest.param(b'{"at": 1, "functions": {"%s": [0,0,0,0]}}' % (b"n" * 321), id="long name"),
        pytest.param(b'{"at": 1, "functions": {}, "gateway": 7}', id="gateway is a number"),
        pytest.param(b'{"at": 1, "functions": {}, "partial": "%s"}' % (b"n" * 201), id="long reason"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(Unavailable, match="not a line of the load"):
        decode(line)


def test_too_many_functions_are_refused() -> None:
    functions = {f"f{number}.ns": [0, 0, 0, 0] for number in range(load_stream.MAX_FUNCTIONS + 1)}

    with pytest.raises(Unavailable, match="20000 members"):
        decode(json.dumps({"at": 1, "functions": functions}).encode())


@pytest.mark.virtual_time
async def test_lines_are_cut_wherever_the_pieces_end() -> None:
    got = [line async for line in load_stream.lines(pieces(b"on", b"e\ntw", b"o\n", b"\nthree\nunfinished"))]

    assert got == [b"one", b"two", b"", b"three"]


@pytest.mark.virtual_time
async def test_line_without_end_is_refused() -> None:
    chunk = b"x" * (MAX_LINE_BYTES // 2)

    with pytest.raises(Unavailable, match="longer than"):
        _ = [line async for line in load_stream.lines(pieces(chunk, chunk, b"x"))]
