"""What is wrong with a YAML file and where, in one line for a person, without the values of the file."""

from __future__ import annotations

import re

import yaml

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
"""Of what the library says. Its own words for parts of a document begin with ``<``; single characters tell nothing."""
_KEY = re.compile(r"\s*(?:-\s+)?([A-Za-z_][\w.-]{0,63})\s*:(?:\s|$)")
_REMEDIES = (
    (r"'\t' that cannot start", "it is a tabulator; indent with spaces"),
    ("that cannot start any token", "put a value that begins with it in quotes"),
    ("alphabetic or numeric character", "put a value that begins with * or & in quotes"),
    ("mapping values are not allowed", "put a value that has ': ' in it in quotes, and indent keys of one kind alike"),
    ("expected <block end>", "indent it as the lines of its kind beside it"),
    ("could not find expected ':'", "write 'key: value'; a text of several lines goes below 'key: |', indented"),
    ("end of stream", "close the quote"),
    ("undefined alias", "put a value that begins with * in quotes"),
)
"""What the library says, and what a person can do about it."""


def place(error: yaml.YAMLError) -> str:
    """What is wrong and where, in one line, without the values of the file."""
    mark = _mark(error)
    what = getattr(error, "problem", None) or str(error).replace("\n", " ")
    if not isinstance(error, KeyTwiceError):
        what = _QUOTED.sub(_hidden, what)
    return what if mark is None else f"{what} (line {mark.line + 1}, column {mark.column + 1})"


def _hidden(quoted: re.Match[str]) -> str:
    """A piece of the file is a value, perhaps a password."""
    inside = quoted[0][1:-1]
    return quoted[0] if len(inside) <= 1 or inside.startswith("<") or inside == r"\t" else "'…'"


def _mark(error: yaml.YAMLError) -> yaml.Mark | None:
    """Of what is not closed, where it begins; otherwise where reading ended."""
    ended = "end of stream" in str(getattr(error, "problem", "")) or "<stream end>" in str(error)
    began: yaml.Mark | None = getattr(error, "context_mark", None)
    problem: yaml.Mark | None = getattr(error, "problem_mark", None)
    return began if ended and began is not None else problem


def place_and_remedy(error: yaml.YAMLError, text: str) -> str:
    """The same with the key of that line of ``text``, and what a person can do about it, where that is known."""
    told, mark = place(error), _mark(error)
    if mark is None:
        return told
    found = _KEY.match(text.splitlines()[mark.line]) if mark.line < len(text.splitlines()) else None
    words = str(getattr(error, "problem", ""))
    remedy = next((f"; {remedy}" for sign, remedy in _REMEDIES if sign in words), "")
    return (f"{told} at key {found[1]}" if found else told) + remedy


class KeyTwiceError(yaml.constructor.ConstructorError):
    """Its message names the key, which is no value."""
