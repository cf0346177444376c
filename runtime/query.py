"""Parameters of a request's query."""

from __future__ import annotations

from springtide.runtime.errors import BadInput

MAX_DIGITS = 9


def whole_number(name: str, text: str, *, low: int, high: int) -> int:
    """The value of the parameter ``name``. Raises BadInput, which names it."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and low <= int(text) <= high):
        raise BadInput(f"{name} is {text[:40]!r}; write a number between {low} and {high}")
    return int(text)
