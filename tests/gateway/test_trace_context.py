from __future__ import annotations

import pytest

from springtide.gateway.trace_context import LINE_BEGINS, Parent, parse, replaced, written

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = Parent(int(TRACE, 16), int(SPAN, 16), 1)


def fields(*values: str, name: str = "traceparent") -> bytes:
    return ("\r\nHost: x" + "".join(f"\r\n{name}: {value}" for value in values) + "\r\nX-Last: y").encode("latin-1")


@pytest.mark.parametrize(
    ("head", "parent"),
    [
        pytest.param(fields(f"00-{TRACE}-{SPAN}-01"), PARENT, id="sampled"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}-00"), Parent(PARENT.trace_id, PARENT.span_id, 0), id="not sampled"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}-ff"), Parent(PARENT.trace_id, PARENT.span_id, 3), id="flags to come"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}-01  "), PARENT, id="blanks behind"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}-01", name="TraceParent"), PARENT, id="name in capitals"),
        pytest.param(fields(f"cc-{TRACE}-{SPAN}-01"), PARENT, id="later version"),
        pytest.param(fields(f"cc-{TRACE}-{SPAN}-01-what-comes"), PARENT, id="later version with more"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}-01-what-comes"), None, id="this version with more"),
        pytest.param(fields(f"cc-{TRACE}-{SPAN}-01.what-comes"), None, id="later version run on"),
        pytest.param(fields(f"ff-{TRACE}-{SPAN}-01"), None, id="version that is none"),
        pytest.param(fields(f"00-{TRACE.upper()}-{SPAN}-01"), None, id="digits in capitals"),
        pytest.param(fields(f"00-{'0' * 32}-{SPAN}-01"), None, id="trace id zero"),
        pytest.param(fields(f"00-{TRACE}-{'0' * 16}-01"), None, id="span id zero"),
        pytest.param(fields(f"00-{TRACE[1:]}-{SPAN}-01"), None, id="trace id too short"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}"), None, id="no flags"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"), None, id="said twice"),
        pytest.param(fields(f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01"), None, id="listed twice"),
        pytest.param(fields(""), None, id="empty"),
        pytest.param(fields("\x80\xff"), None, id="not even ASCII"),
        pytest.param(b"\r\nX-Traceparent: 00", None, id="another name"),
    ],
)
def test_traceparent_is_read_as_the_standard_says(head: bytes, parent: Parent | None) -> None:
    assert parse(head) == parent
    assert parent is None or LINE_BEGINS in head.lower()


def test_replacing_leaves_every_other_line_as_it_is() -> None:
    head = b"\r\nHost: x\r\nTRACEPARENT:odd\r\ntracestate: a=b\r\nX-Last: y"

    assert replaced(head, b"new") == b"\r\nHost: x\r\ntracestate: a=b\r\nX-Last: y\r\nTraceparent: new"


def test_what_is_written_can_be_read() -> None:
    assert parse(b"\r\nTraceparent: " + written(5, 6, 1)) == Parent(5, 6, 1)
