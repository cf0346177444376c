"""Bodies of calls and of their answers, as a person sees them."""

from __future__ import annotations

import pytest

from springtide.cli.job_body import content_type, shown


@pytest.mark.parametrize(
    ("body", "kind", "pretty", "text"),
    [
        pytest.param("grün".encode(), "text/plain", True, "grün", id="text"),
        pytest.param("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", True, "grün", id="its own charset"),
        pytest.param(b'{"a":[1]}', "application/json", True, '{\n  "a": [\n    1\n  ]\n}', id="JSON on a terminal"),
        pytest.param(b'{"a":1}', "application/problem+json", True, '{\n  "a": 1\n}', id="a kind of JSON"),
        pytest.param('{"a":"ü"}'.encode(), "application/json", True, '{\n  "a": "ü"\n}', id="JSON keeps characters"),
        pytest.param(b'{"a":1}', "application/json", False, '{"a":1}', id="JSON as it came"),
        pytest.param(b'{"a":', "application/json", True, '{"a":', id="said to be JSON"),
        pytest.param(b"", "text/plain", True, "", id="nothing"),
        pytest.param(b"\xff\xfe", "text/plain", True, None, id="no text"),
        pytest.param(b"a\0b", "text/plain", True, None, id="no character of a text"),
        pytest.param(b"a", "text/plain; charset=klingon", True, None, id="a charset nobody knows"),
        pytest.param(b"a", "text/plain; charset=hex", True, None, id="a codec that is no charset"),
        pytest.param(b"a", "nonsense", True, "a", id="no type at all"),
    ],
)
def test_a_body_is_shown_as_text_where_it_is_one(body: bytes, kind: str, pretty: bool, text: str | None) -> None:
    assert shown(body, content_type({"content-type": [kind]}), pretty=pretty) == text
