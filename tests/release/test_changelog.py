from __future__ import annotations

import pytest

from release.changelog import section

TEXT = """# Changelog

## Unreleased

## 0.2.0 (2026-12-01)

- two

  more of it

## 0.1.0

- one
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("0.1.0", "- one", id="the last"),
        pytest.param("0.2.0", "- two\n\n  more of it", id="with a date, over several lines"),
        pytest.param("Unreleased", "", id="an empty one"),
        pytest.param("0.2", None, id="the beginning of a name"),
        pytest.param("0.3.0", None, id="none"),
    ],
)
def test_a_section_is_what_stands_below_its_heading(name: str, expected: str | None) -> None:
    assert section(TEXT, name) == expected
