"""A command in one line, cut into words: at blanks, as OpenFaaS's watchdogs do it, but for quotes.

Theirs know none, so ``sh -c 'a b'`` needs a script there. Here a quote counts where a word begins, or after the ``=``
of a word whose quoted part has blanks and is its end. All other words are taken as they stand, with their quotes and
backslashes: ``s/\\s//g``, ``{"a":1}``, ``it's``.
"""

from __future__ import annotations

import re

_BLANK = re.compile(r"\s")
_BLANKS = re.compile(r"\s*")
_QUOTED = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)\"""", re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
"""In double quotes; other backslashes there are themselves."""
_PLAIN = re.compile(r"\S+")
_AFTER_QUOTE = re.compile(r"""\\(['"])|([^\s'"\\]+|\\)""")
"""Of a word that began with a quote: ``'it'\\''s'`` is how a shell has a quote within quotes."""


def split(text: str) -> tuple[str, ...]:
    """Raises ValueError for a quote that begins a word and is not closed."""
    words: list[str] = []
    at = _skip(text, 0)
    while at < len(text):
        word, at = _quoted_word(text, at, len(words)) if text[at] in "'\"" else _plain_word(text, at)
        words.append(word)
        at = _skip(text, at)
    return tuple(words)


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _plain_word(text: str, at: int) -> tuple[str, int]:
    plain = _PLAIN.match(text, at)
    end = len(text) if plain is None else plain.end()
    sign = text.find("=", at, end)
    value = _QUOTED.match(text, sign + 1) if sign >= 0 else None
    if value is None or not _BLANK.search(value[0]) or text[value.end() : value.end() + 1].strip():
        return text[at:end], end
    return text[at : sign + 1] + _content(value), value.end()


def _quoted_word(text: str, at: int, words_before: int) -> tuple[str, int]:
    parts: list[str] = []
    while at < len(text) and not text[at].isspace():
        quoted = text[at] in "'\""
        found = (_QUOTED if quoted else _AFTER_QUOTE).match(text, at)
        if found is None:
            raise ValueError(
                f"word {words_before + 1} begins with a quote, and a quote in it is not closed; close it, or put the "
                "whole word in quotes of the other kind"
            )
        parts.append(_content(found) if quoted else found[1] or found[2])
        at = found.end()
    return "".join(parts), at


def _content(found: re.Match[str]) -> str:
    return found[1] if found[1] is not None else _ESCAPED.sub(r"\1", found[2])
