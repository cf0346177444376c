"""Puts single characters in the place of each ``${…}`` before YAML reads a file, and the forms back into its values.

So a form may stand where braces, ``: `` and `` #`` mean something to YAML. Each becomes as many other characters: every
line and column stays what it is in the file. In quotes a form is left to YAML, which has its own escapes there.
"""

from __future__ import annotations

import re

from springtide.cli.substitution import end_of_form

MAX_FORMS = 10_000
MAX_FORM_CHARS = 1_000
"""Longer ones are left to YAML: what is not closed is looked for as far as this only."""
_FIRST, _LAST, _FILLER = "\U000f0000", "\U000fffff", "\U0010fffd"
"""Of planes that Unicode gives to nobody, and where nobody's text is; a file that has some is left as it is."""
_HIDDEN = re.compile(f"[{_FIRST}-{_LAST}]{_FILLER}+")
_TAKEN = re.compile(f"[{_FIRST}-\U0010ffff]")
_PIECES = re.compile(
    r"""(?P<comment>(?:^|(?<=\s))\#.*)
    | (?P<quoted>(?:^|(?<=[\s,\[{:]))(?:"(?:\\.|[^"\\\n])*"|'(?:''|[^'\n])*'))
    | \$\{""",
    re.VERBOSE | re.MULTILINE,
)
_SLASHED = re.compile(r"\$\{\w+/[^}\n]{0,200}\\/[^}\n]{0,200}\}")
r"""``${V/\//-}``: its backslash is its own, and would be lost to YAML in double quotes."""


class TooManyFormsError(ValueError):
    """More than ``MAX_FORMS``."""


class HiddenForms:
    """``text`` is what YAML may read; ``restore`` gives a value its forms back."""

    def __init__(self, written: str) -> None:
        """Raises TooManyFormsError."""
        self._forms: list[str] = []
        self.text = written if _TAKEN.search(written) else self._hide(written)

    def restore(self, value: str) -> str:
        return _HIDDEN.sub(lambda found: self._forms[ord(found[0][0]) - ord(_FIRST)], value) if self._forms else value

    def _hide(self, text: str) -> str:
        made, last, at, left = [], 0, 0, MAX_FORMS
        while found := _PIECES.search(text, at):
            at = found.end()
            if found["quoted"]:
                made += [text[last : found.start()], _SLASHED.sub(lambda form: self._hidden(form[0]), found[0])]
                last = at
            elif not found["comment"]:
                left -= 1
                if left < 0:
                    raise TooManyFormsError
                if end := self._end(text, found.start()):
                    made += [text[last : found.start()], self._hidden(text[found.start() : end])]
                    last = at = end
        return "".join((*made, text[last:]))

    def _end(self, text: str, start: int) -> int | None:
        line = text[start : start + MAX_FORM_CHARS].partition("\n")[0]
        end = end_of_form(line, 0)
        return None if end is None else start + end

    def _hidden(self, form: str) -> str:
        if len(self._forms) == MAX_FORMS:  # of those in quotes, too
            raise TooManyFormsError
        self._forms.append(form)
        return chr(ord(_FIRST) + len(self._forms) - 1) + _FILLER * (len(form) - 1)
