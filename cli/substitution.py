"""``${VAR}`` and its forms in one text: those that drone/envsubst documents for faas-cli, with a shell's meaning. Pure.

Of a shell there are ``${V:+word}``, ``${V+word}``, ``${V:?message}`` and ``${V?message}``, too. ``$VAR`` without braces
is left alone, and ``$$`` is a dollar sign. A word may have forms in it; what was filled in is not read again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from springtide.cli import glob_pattern
from springtide.runtime.errors import BadInput

MAX_NESTING = 20
MAX_FILLED_CHARS = 1_000_000
"""Of all that one file's variables become. ``${A//x/${B}}`` makes long texts of short ones."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":[-=+?]|[-=+?:]|##?|%%?|\^\^?|,,?|/[/#%]?")
_DEFAULTS, _ALTERNATIVES, _DEMANDS = ("-", "="), ("+",), ("?",)
_CHANGES: Mapping[str, Callable[[str], str]] = {
    "": str,
    "length": lambda value: str(len(value)),
    "^^": str.upper,
    ",,": str.lower,
    "^": lambda value: value[:1].upper() + value[1:],
    ",": lambda value: value[:1].lower() + value[1:],
}
_NUMBER = re.compile(r"\s*-?[0-9]{1,9}\s*")
_PLAIN_ESCAPES = {"/": "/", "}": "}", "\\": "\\"}
_PATTERN_ESCAPES = {"/": "/", "}": "}", "\\": "\\\\"}
"""What a backslash and the character after it stand for; other backslashes are themselves. A pattern keeps its own."""
_NO_ESCAPES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Form:
    """One ``${…}``: its operator's words are read, and not yet filled in. ``source`` is what was written."""

    source: str
    name: str
    operator: str = ""
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Left:
    """What begins with ``${`` and is no form, to where it is closed, or all that follows."""

    source: str


Word = tuple[str | Form | Left, ...]


class Substitution:
    """Fills in texts and remembers what a person should be told, as sentences without values."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._filled = 0
        self.unset: list[str] = []
        """Names that have neither a value nor a default, each once."""
        self.left: list[str] = []
        """Beginnings of what was left as it is, since the last ``fill``."""
        self.demanded: list[str] = []
        """What ``${V:?message}`` said, since the last ``fill``."""

    def fill(self, text: str) -> str:
        """Raises BadInput when all that was filled in so far is more than ``MAX_FILLED_CHARS``."""
        self.left, self.demanded = [], []
        return self._word(parse(text)) if "$" in text else text

    def _word(self, word: Word) -> str:
        return "".join(piece if isinstance(piece, str) else self._piece(piece) for piece in word)

    def _piece(self, piece: Form | Left) -> str:
        if isinstance(piece, Left):
            return self._leave(piece.source)
        text = self._form(piece)
        self._filled += len(text)
        if self._filled > MAX_FILLED_CHARS:
            raise BadInput(f"what its variables stand for has more than {MAX_FILLED_CHARS} characters; shorten them")
        return text

    def _leave(self, source: str) -> str:
        name = _NAME.match(source, 2)
        self.left.append(source[: name.end()] if name else source[:3])
        return source

    def _form(self, form: Form) -> str:
        value, kind = self._variables.get(form.name), form.operator[-1:]
        missing = not value if form.operator.startswith(":") else value is None
        if form.operator not in ("", ":") and kind in (*_DEFAULTS, *_ALTERNATIVES, *_DEMANDS):
            return self._conditional(form, kind, value or "", missing=missing)
        if value is None and form.name not in self.unset:
            self.unset.append(form.name)
        return self._changed(form, value or "")

    def _conditional(self, form: Form, kind: str, value: str, *, missing: bool) -> str:
        if kind in _ALTERNATIVES:
            return "" if missing else self._word(form.words[0])
        if missing and kind in _DEMANDS:
            self.demanded.append(f"${{{form.name}}} is not set: {self._word(form.words[0]) or 'set it'}")
        return self._word(form.words[0]) if missing and kind in _DEFAULTS else value

    def _changed(self, form: Form, value: str) -> str:
        if form.operator in _CHANGES:
            return _CHANGES[form.operator](value)
        if form.operator == ":":
            return self._slice(form, value)
        words = [self._word(word) for word in form.words]
        if form.operator[0] == "/":
            return glob_pattern.replace(value, words[0], words[1], where=form.operator[1:], most=MAX_FILLED_CHARS)
        return glob_pattern.strip(value, words[0], end=form.operator[0] == "%", longest=len(form.operator) == 2)

    def _slice(self, form: Form, value: str) -> str:
        """Negative numbers count from the end, as in a shell: ``${V: -3}``, the blank because ``:-`` is a default."""
        numbers = [self._word(word) for word in form.words]
        if not all(_NUMBER.fullmatch(number) for number in numbers):
            return self._leave(form.source)
        start, *length = map(int, numbers)
        start = max(0, start + len(value)) if start < 0 else start
        end = len(value) if not length else length[0] + (len(value) if length[0] < 0 else start)
        return value[start : max(start, end)]


def parse(text: str) -> Word:
    """``text`` as its plain parts and its forms; never fails, for what is no form is left."""
    pieces: list[str | Form | Left] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        pieces.append(text[at:dollar])
        at = dollar + 2
        if text.startswith("${", dollar):
            piece, at = _form_or_left(text, dollar)
            pieces.append(piece)
        elif text.startswith("$$", dollar):
            pieces.append("$")
        else:
            pieces.append("$")
            at = dollar + 1
    return (*pieces, text[at:])


def end_of_form(text: str, start: int) -> int | None:
    """Where the ``${`` at ``start`` ends, forms within it counted; None when nothing closes it."""
    open_forms, at = 0, start
    while at < len(text):
        if text.startswith("${", at):
            open_forms, at = open_forms + 1, at + 1
        elif text[at] == "}":
            open_forms -= 1
            if not open_forms:
                return at + 1
        at += 1
    return None


def _form_or_left(text: str, dollar: int) -> tuple[Form | Left, int]:
    try:
        return _Parser(text).form(dollar, MAX_NESTING)
    except _NoFormError:
        end = end_of_form(text, dollar) or len(text)
        return Left(text[dollar:end]), end


class _NoFormError(Exception):
    """What begins with ``${`` is none of the forms."""


class _Parser:
    """Reads forms of one text; ``at`` arguments and results are places in it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def form(self, at: int, levels: int) -> tuple[Form, int]:
        """The form whose ``${`` is at ``at``, and where it ends."""
        start, at = at, at + 2
        length = self._text.startswith("#", at)
        name = _NAME.match(self._text, at + length)
        if name is None or levels == 0:
            raise _NoFormError
        at, operator = name.end(), "length" if length else ""
        words: tuple[Word, ...] = ()
        if not length and not self._closes(at):
            operator, words, at = self._operation(at, levels - 1)
        if not self._closes(at):
            raise _NoFormError
        return Form(self._text[start : at + 1], name[0], operator, words), at + 1

    def _closes(self, at: int) -> bool:
        return self._text.startswith("}", at)

    def _operation(self, at: int, levels: int) -> tuple[str, tuple[Word, ...], int]:
        found = _OPERATOR.match(self._text, at)
        if found is None:
            raise _NoFormError
        operator, at = found[0], found.end()
        if operator[0] in "^,":
            return operator, (), at
        if operator[0] == "/":
            return self._replacement(operator, at, levels)
        if operator != ":":
            word, at = self._word(at, "}", levels, _PATTERN_ESCAPES if operator[0] in "#%" else _NO_ESCAPES)
            return operator, (word,), at
        words = []
        for ends in (":}", "}"):
            word, at = self._word(at, ends, levels, _NO_ESCAPES)
            words.append(word)
            if self._closes(at):
                break
            at += 1
        return operator, tuple(words), at

    def _replacement(self, operator: str, at: int, levels: int) -> tuple[str, tuple[Word, ...], int]:
        pattern, at = self._word(at, "/}", levels, _PATTERN_ESCAPES)
        if self._closes(at):
            return operator, (pattern, ()), at
        word, at = self._word(at + 1, "}", levels, _PLAIN_ESCAPES)
        return operator, (pattern, word), at

    def _word(self, at: int, ends: str, levels: int, escapes: Mapping[str, str]) -> tuple[Word, int]:
        """What stands before the first of ``ends``, and where that is."""
        text, pieces = self._text, list[str | Form | Left]()
        while at < len(text) and text[at] not in ends:
            if text.startswith("${", at):
                form, at = self.form(at, levels)
                pieces.append(form)
            elif text[at] == "\\" and text[at + 1 : at + 2] in escapes:
                pieces.append(escapes[text[at + 1]])
                at += 2
            else:
                pieces.append(text[at])
                at += 1
        if at == len(text):
            raise _NoFormError
        return tuple(pieces), at
