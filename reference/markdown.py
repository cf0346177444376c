"""Pages as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by `python -m reference`; do not edit. -->\n\n"


def page(title: str, *parts: str) -> str:
    """Title first, for the site takes it from there; each part is a paragraph, a table or a block."""
    return f"# {title}\n\n{NOTE}" + "\n".join(f"{part.rstrip()}\n" for part in parts if part.strip())


def title_of(page: str) -> str:
    return page.partition("\n")[0].removeprefix("# ")


def anchor(title: str) -> str:
    """Where a heading is to be found on its page."""
    kept = "".join(char for char in title.lower() if char.isalnum() or char in " -")
    return kept.replace(" ", "-")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown themselves, as ``code`` and ``text`` make it."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(words: str) -> str:
    """As it stands, inside a table too. Nothing for nothing."""
    if "|" in words or "`" in words:
        # Whether a bar in backticks wants a backslash is where readers of Markdown differ.
        return f"<code>{_in_cell(html.escape(words, quote=False)).replace('`', '&#96;')}</code>"
    return f"`{words}`" if words else ""


def text(words: str) -> str:
    """Running text; what looks like a tag is shown, not taken for one."""
    pieces = re.split(r"(`[^`]+`)", words)
    return "".join(
        code(piece[1:-1]) if piece.startswith("`") else _in_cell(piece.replace("<", "&lt;")) for piece in pieces
    )


def codes(words: Iterable[str]) -> str:
    return ", ".join(map(code, words))


def block(language: str, words: str) -> str:
    return f"```{language}\n{words.strip()}\n```\n"


def _in_cell(words: str) -> str:
    return words.replace("|", "&#124;").replace("\n", " ")
