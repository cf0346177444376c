"""The watchdog reads durations and switches by itself, and as the rest of the suite does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime import durations, settings
from springtide.watchdog import values

parts = st.tuples(
    st.sampled_from(["0", "1", "1.5", ".5", "2.", "90", "x", "-1"]), st.sampled_from(["ns", "ms", "s", "m", "h", ""])
)
texts = st.lists(parts, max_size=3).map(lambda found: "".join(amount + unit for amount, unit in found)) | st.text(
    max_size=5
)


def outcome(parse: Callable[[str], object], text: str) -> object:
    """The value, or the sentence with which it is refused."""
    try:
        return parse(text)
    except ValueError as error:
        return str(error)


@given(texts)
def test_durations_are_read_as_the_suite_reads_them(text: str) -> None:
    assert outcome(values.parse_duration_s, text) == outcome(durations.parse_duration_s, text)


@pytest.mark.parametrize("text", ["true", "1", "Yes", " on ", "false", "0", "NO", "off", "", "maybe"])
def test_switches_are_read_as_the_suite_reads_them(text: str) -> None:
    assert outcome(values.parse_switch, text) == outcome(settings.boolean, text)


def test_duration_in_several_parts() -> None:
    assert values.parse_duration_s("1m30.5s") == 90.5
