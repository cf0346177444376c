"""Text of others on a terminal: what functions and servers say is shown, and never does anything.

A terminal takes some characters for commands: to rewrite the line above, its title or the clipboard, or to turn the
order of letters. They are written as Python writes them in a string, so that one sees that they are there.
"""

from __future__ import annotations

import re

_COMMANDS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_ENDS = "\u2028\u2029"
_HALVES = "\ud800-\udfff"
"""No characters at all; printing one is an error."""

_NOT_IN_LINES = re.compile(f"[{_COMMANDS}{_DIRECTIONS}{_LINE_ENDS}{_HALVES}\ufeff]")
_NOT_IN_ONE = re.compile(f"[\t\n{_COMMANDS}{_DIRECTIONS}{_LINE_ENDS}{_HALVES}\ufeff]")


def one_line(value: object) -> str:
    """``value`` as text in a table or a sentence."""
    return _NOT_IN_ONE.sub(_spelt, str(value))


def lines(value: object) -> str:
    """``value`` as text that may have several lines."""
    return _NOT_IN_LINES.sub(_spelt, str(value))


def _spelt(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
