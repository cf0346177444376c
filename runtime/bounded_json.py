"""JSON from outside: whatever it is, it is read, or refused with ValueError, and what was read can be written again.

The standard library's reader answers deep nesting with RecursionError, lets pass halves of characters that no UTF-8 can
carry, and makes numbers of ``NaN`` and ``1e999`` that no JSON can carry.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

MAX_DEPTH = 100
"""Levels; what people and programs write has a dozen. Python's own limit is a thousand, shared with whoever calls."""

_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def loads(text: str | bytes | bytearray, *, halves: bool = False) -> Any:
    """The value written in ``text``. Raises ValueError for what is no JSON, or is not within bounds.

    With ``halves`` escaped halves of characters pass: for who tells better which field has one.
    """
    if not isinstance(text, str):
        # Strictly: the standard library decodes halves of characters, too.
        text = bytes(text).decode(json.detect_encoding(text)).removeprefix("\ufeff")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:  # counted wrongly, which is possible only in what is no JSON
        raise ValueError("it is nested too deep") from None
    if not halves and _HALF.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it has text that is not Unicode: half of a surrogate pair") from None
    return value


def _depth(text: str) -> int:
    brackets = _NO_BRACKETS.sub("", _STRINGS.sub("", text))
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is larger than any number")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
