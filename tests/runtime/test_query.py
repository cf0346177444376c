"""Numbers in a query: within their bounds, however they are written."""

from __future__ import annotations

import pytest

from springtide.runtime.errors import BadInput
from springtide.runtime.query import whole_number


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("1000", 1000), ("007", 7)])
def test_a_number_within_its_bounds_is_read(text: str, number: int) -> None:
    assert whole_number("limit", text, low=1, high=1000) == number


@pytest.mark.parametrize("text", ["", "0", "1001", "-1", "1.5", "x", "٣", "0000000011000000", "9" * 5000])
def test_what_is_no_number_or_beyond_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^limit is .*; write a number between 1 and 1000$"):
        whole_number("limit", text, low=1, high=1000)
