"""JSON from outside: read or refused, and what was read can be written again."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime import bounded_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(VALUES, st.booleans())
def test_whatever_can_be_written_is_read(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert bounded_json.loads(text) == bounded_json.loads(text.encode()) == value


@given(st.text(st.sampled_from('[]{}",:\\u d8001eNa')))
def test_anything_else_is_refused_with_one_kind_of_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        json.dumps(bounded_json.loads(text), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(b"[" * 20_000, "nested more than 100 levels", id="brackets and no end"),
        pytest.param(b"[" * 101 + b"]" * 101, "nested more than 100 levels", id="one level too many"),
        pytest.param(b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "nested more than 100 levels", id="objects"),
        pytest.param(b'"[', "Unterminated string", id="a string without an end"),
        pytest.param(b'"\\ud800"', "half of a surrogate pair", id="half a character"),
        pytest.param(b'{"\\udfff": 1}', "half of a surrogate pair", id="half a character as a key"),
        pytest.param(b'"\xed\xa0\x80"', "can't decode", id="half a character in bytes"),
        pytest.param(b"NaN", "NaN is no number", id="not a number"),
        pytest.param(b"[-Infinity]", "-Infinity is no number", id="endless"),
        pytest.param(b"1e999", "larger than any number", id="too large"),
        pytest.param(b"9" * 5000, "Exceeds the limit", id="too many digits"),
        pytest.param(b"\xff\xfe\xfa", "decode", id="no text"),
    ],
)
def test_value_out_of_bounds_is_refused_with_its_reason(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        bounded_json.loads(text)


def test_depth_is_counted_outside_of_strings() -> None:
    assert bounded_json.loads(json.dumps(['[{"\\' * 200] * 200))[0] == '[{"\\' * 200
    assert bounded_json.loads(b"[" * 100 + b"]" * 100)
    assert len(bounded_json.loads(b"[" + b"[]," * 5000 + b"[]]")) == 5001
