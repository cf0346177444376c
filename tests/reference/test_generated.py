"""The committed reference is what the code declares: whatever is added to it has to be on its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reference import settings
from reference.markdown import code, text
from reference.pages import pages

ROOT = Path(__file__).parents[2]
PAGES = pages()


def test_committed_pages_are_what_the_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reference", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_every_page_is_in_the_index() -> None:
    missing = [name for name in PAGES if name != "README.md" and f"({name})" not in PAGES["README.md"]]

    assert missing == []


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".md")])
def test_rows_of_tables_have_as_many_cells_as_their_heads(name: str) -> None:
    """A bar or a line break in a text would break the table where it stands."""
    cells = 0
    for line in PAGES[name].splitlines():
        if not line.startswith("| "):
            cells = 0
            continue
        found = line.count("|")
        cells = cells or found

        assert found == cells, line


def test_what_several_commands_have_is_the_same_for_each() -> None:
    """It is told once, with the flags of one of them."""
    commands = list(settings.commands_with_settings())
    shared = settings.shared(commands)
    tables = {
        cls: {
            settings.table_of(command, [section for section in command.sections if section.cls is cls])
            for command in commands
            if command.name in names
        }
        for cls, names in shared.items()
    }

    assert len(tables) > 3
    assert {cls.__name__: len(found) for cls, found in tables.items() if len(found) > 1} == {}


def test_code_in_a_cell_keeps_what_it_says() -> None:
    assert code("a<b") == "`a<b`"
    assert code("a|b<`c`") == "<code>a&#124;b&lt;&#96;c&#96;</code>"
    assert code("") == ""


def test_text_shows_what_looks_like_a_tag() -> None:
    assert text("of <function> and `<NAME>`") == "of &lt;function> and `<NAME>`"
    assert text("a|b and `a|b`") == "a&#124;b and <code>a&#124;b</code>"
