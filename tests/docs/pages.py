"""Pages as their readers follow them: the blocks that are to be run, what they are said to print, and what is not run.

A page's blocks mean what they look like:

* ``sh`` is run by bash, ``python`` by Python, in a folder of the page's own; variables of an earlier block, and where
  it went, hold for the next.
* A block with ``title="PATH"`` is a file: it is written there.
* ``text`` right behind one that is run is what it prints. ``…`` stands for anything, on a line of its own for any
  lines; instants, lengths of time, sizes and ids are of today; how many blanks there are does not count.

A block may be indented, as in a list. A comment before it says more: ``<!-- not run: WHY -->``, ``<!-- again until it
prints this -->`` (it is run anew until it does), ``<!-- exit status 1 -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

RUN = ("sh", "python")
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<said>[^\n]*?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$"
    r"(?:\n+^(?P=indent)```text\n(?P<output>.*?)^(?P=indent)```$)?",
    re.DOTALL | re.MULTILINE,
)
_TITLE = re.compile(r'title="([^"]+)"')
_NOT_RUN, _AGAIN, _STATUS = "not run: ", "again until it prints this", re.compile(r"exit status (\d+)")

_VARIES = (
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    r"\d{4}-\d\d-\d\d",
    r"\d\d:\d\d(?::\d\d)?(?:\.\d+)?",
    r"\d+(?:\.\d+)?\s?(?:ms|s|min|h)\b",
    r"\d+(?:\.\d+)?\s?(?:kB|KiB|MB|MiB|GB|GiB|B)\b",
)
_ANY = re.compile("|".join(f"(?P<v{number}>{pattern})" for number, pattern in enumerate(_VARIES)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    line: int
    language: str
    text: str
    file: str = ""
    """Where it is written, if it is a file."""
    output: str | None = None
    not_run: str = ""
    again: bool = False
    status: int = 0


class UnknownRemark(ValueError):
    pass


def blocks(page: str) -> Iterator[Block]:
    """Those that are run, and those that are files.

    Raises:
        UnknownRemark: A comment before a block says what nobody understands.
    """
    for found in _BLOCK.finditer(page):
        title = _TITLE.search(found["rest"])
        if found["language"] not in RUN and title is None:
            continue
        line = page.count("\n", 0, found.start("language")) + 1
        not_run, again, status = _said(found["said"] or "", line)
        yield Block(
            line=line,
            language=found["language"],
            text=re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            file=title[1] if title else "",
            output=found["output"],
            not_run=not_run,
            again=again,
            status=status,
        )


def _said(remark: str, line: int) -> tuple[str, bool, int]:
    if remark.startswith(_NOT_RUN):
        return remark.removeprefix(_NOT_RUN), False, 0
    if (status := _STATUS.fullmatch(remark)) is not None:
        return "", False, int(status[1])
    if remark not in ("", _AGAIN):
        raise UnknownRemark(f"line {line}: <!-- {remark} --> is no remark that a block can have")
    return "", remark == _AGAIN, 0


def matches(output: str, expected: str) -> bool:
    """Whether it is what the page shows, but for what is different each day."""
    lines = [re.sub(r"\s+", " ", line.strip()) for line in expected.strip().splitlines()]
    pattern = "".join(r"(?:.*\n)*" if line == "…" else _pattern(line) + r"\n" for line in lines)
    told = "".join(re.sub(r"\s+", " ", line.strip()) + "\n" for line in output.strip().splitlines())
    return re.fullmatch(pattern, told) is not None


def _pattern(line: str) -> str:
    parts, end = [], 0
    for found in _ANY.finditer(line):
        parts += [_quoted(line[end : found.start()]), _VARIES[int((found.lastgroup or "v0")[1:])]]
        end = found.end()
    return "".join([*parts, _quoted(line[end:])])


def _quoted(text: str) -> str:
    return ".*".join(map(re.escape, text.split("…")))
