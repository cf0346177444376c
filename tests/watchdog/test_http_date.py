"""Dates as HTTP has them."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.watchdog.http_date import http_date


@given(st.integers(0, 253_402_300_799))
def test_it_is_what_the_standard_library_writes(seconds: int) -> None:
    assert http_date(seconds) == formatdate(seconds, usegmt=True)


@pytest.mark.parametrize(("seconds", "text"), [(784111777, "Sun, 06 Nov 1994 08:49:37 GMT")])
def test_it_is_the_example_of_the_standard(seconds: int, text: str) -> None:
    assert http_date(seconds) == text
