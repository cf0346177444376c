"""A shell's patterns (``*``, ``?``, ``[…]``, ``\\``): what ``${V#p}``, ``${V%p}`` and ``${V/p/r}`` look for. Pure.

A pattern becomes a regular expression that never goes back: of each piece between two stars the first place counts, and
only the last piece is looked for from the end where the longest match is wanted. So time grows with the length of the
value, or its square, and not with a power for each star.
"""

from __future__ import annotations

import re

from springtide.runtime.errors import BadInput

MAX_VALUE_CHARS = 10_000
"""Of a value that is searched for a pattern with stars: each place of it may be the beginning of a match."""
MAX_PATTERN_CHARS = 500
_STAR = "*"


def strip(value: str, pattern: str, *, end: bool, longest: bool) -> str:
    """``value`` without what matches at its beginning, or its ``end``."""
    found = _at_edge(value, pattern, end=end, longest=longest)
    return value if found is None else (value[: len(value) - found] if end else value[found:])


def replace(value: str, pattern: str, replacement: str, *, where: str, most: int) -> str:
    """``where``: empty for the first match, ``/`` for all, ``#`` for one at the beginning, ``%`` at the end.

    Matches are the longest. Raises BadInput when the result has more than ``most`` characters.
    """
    if where in ("#", "%"):
        found = _at_edge(value, pattern, end=where == "%", longest=True)
        if found is None:
            return value
        return replacement + value[found:] if where == "#" else value[: len(value) - found] + replacement
    if not pattern or not value:
        return value
    tokens = _tokens(pattern)
    if _STAR in tokens:
        _check_length(value)
    made, last, room = [], 0, most
    for match in re.finditer(_regex(tokens, longest=True), value, re.DOTALL):
        if match.end() == match.start():
            continue
        made += [value[last : match.start()], replacement]
        last = match.end()
        room -= len(replacement)
        if room < 0:
            raise BadInput(f"what its variables stand for has more than {most} characters; shorten them")
        if where != "/":
            break
    return "".join((*made, value[last:]))


def _at_edge(value: str, pattern: str, *, end: bool, longest: bool) -> int | None:
    """How many characters match at that edge of ``value``; None if none do. An end is a beginning, read backwards."""
    tokens = _tokens(pattern)
    if _STAR in tokens:
        _check_length(value)
    if end:
        tokens, value = tokens[::-1], value[::-1]
    found = re.match(_regex(tokens, longest=longest), value, re.DOTALL)
    return None if found is None else found.end()


def _check_length(value: str) -> None:
    if len(value) > MAX_VALUE_CHARS:
        raise BadInput(f"a variable with more than {MAX_VALUE_CHARS} characters is searched for a pattern; shorten it")


def _tokens(pattern: str) -> list[str]:
    """Stars, and regular expressions for one character each."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise BadInput(f"a pattern for a variable has more than {MAX_PATTERN_CHARS} characters; shorten it")
    tokens, at = list[str](), 0
    while at < len(pattern):
        token, at = _token(pattern, at)
        if token != _STAR or tokens[-1:] != [_STAR]:
            tokens.append(token)
    return tokens


def _token(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at]
    if char == "*":
        return _STAR, at + 1
    if char == "?":
        return ".", at + 1
    if char == "[" and (end := _end_of_set(pattern, at)) is not None:
        return _set(pattern[at + 1 : end]), end + 1
    if char == "\\" and at + 1 < len(pattern):
        return re.escape(pattern[at + 1]), at + 2
    return re.escape(char), at + 1


def _end_of_set(pattern: str, at: int) -> int | None:
    """Where ``]`` is; the first character within may be one itself."""
    first = at + 2 if pattern[at + 1 : at + 2] in ("!", "^") else at + 1
    end = pattern.find("]", first + 1)
    return end if end >= 0 else None


def _set(inside: str) -> str:
    """``[a-z]`` and ``[!a-z]``; a range that goes backwards holds nothing."""
    negated = inside[:1] in ("!", "^")
    chars, parts, at = inside[1:] if negated else inside, list[str](), 0
    while at < len(chars):
        if chars[at + 1 : at + 2] == "-" and at + 2 < len(chars):
            if chars[at] <= chars[at + 2]:
                parts.append(f"{re.escape(chars[at])}-{re.escape(chars[at + 2])}")
            at += 3
        else:
            parts.append(re.escape(chars[at]))
            at += 1
    if not parts:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _regex(tokens: list[str], *, longest: bool) -> str:
    pieces, piece = list[str](), list[str]()
    for token in tokens:
        if token == _STAR:
            pieces.append("".join(piece))
            piece = []
        else:
            piece.append(token)
    first, *rest = (*pieces, "".join(piece))
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + (f".*{last}" if longest else f".*?{last}")
