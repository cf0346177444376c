"""How the test of pages reads them: what is run, and when what it printed is what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import Block, UnknownRemark, blocks, matches

DOCS = Path(__file__).parents[2] / "docs"
KNOWN = {"sh", "python", "text", "yaml", "json", "toml", "promql", "nginx"}

PAGE = """\
# A page

```sh
ls
```

```text
a  b
```

<!-- not run: it takes a week -->
```sh
sleep 604800
```

```python title="greet/handler.py"
def handle(event, context): ...
```

```json
{"not": "run"}
```

<!-- again until it prints this -->

```sh
springtide list
```
```text
greet
```
"""


def test_a_pages_blocks_are_read_with_what_is_said_of_them() -> None:
    assert list(blocks(PAGE)) == [
        Block(line=3, language="sh", text="ls\n", output="a  b\n"),
        Block(line=12, language="sh", text="sleep 604800\n", not_run="it takes a week"),
        Block(
            line=16, language="python", text="def handle(event, context): ...\n", file="greet/handler.py", output=None
        ),
        Block(line=26, language="sh", text="springtide list\n", output="greet\n", again=True),
    ]


def test_a_block_of_a_list_is_read_without_what_it_is_indented_by() -> None:
    page = "1. Look.\n\n    <!-- exit status 1 -->\n    ```sh\n    if true; then\n      ls\n    fi\n    ```\n"

    assert list(blocks(page)) == [Block(line=4, language="sh", text="if true; then\n  ls\nfi\n", status=1)]


def test_every_block_of_every_page_says_what_it_is() -> None:
    """Or nobody would miss that its commands are not run."""
    fences = {
        (page.relative_to(DOCS).as_posix(), fence)
        for page in DOCS.rglob("*.md")
        for fence in re.findall(r"^ *```(\w*)", page.read_text(), re.MULTILINE)[::2]
    }

    assert {(page, fence) for page, fence in fences if fence not in KNOWN} == set()


def test_a_remark_that_nobody_understands_is_no_remark() -> None:
    with pytest.raises(UnknownRemark, match="line 2: <!-- not runn: x -->"):
        list(blocks("<!-- not runn: x -->\n```sh\nls\n```\n"))


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        pytest.param("a  b \n", "a b", True, id="blanks do not count"),
        pytest.param("a c", "a b", False, id="another word"),
        pytest.param("a 12 b", "a 13 b", False, id="another number"),
        pytest.param("12 s ago", "3 s ago", True, id="another length of time"),
        pytest.param("at 20:01:02", "at 10:11:12", True, id="another instant"),
        pytest.param("8.2 MB", "12 MB", True, id="another size"),
        pytest.param("8.2 MB", "12 s", False, id="a size is no time"),
        pytest.param("a\nb\nc\nd", "a\n…\nd", True, id="lines are left out"),
        pytest.param("a\nd", "a\n…\nd", True, id="no line is left out"),
        pytest.param("a\nd", "a\nb\nd", False, id="a line is missing"),
        pytest.param("one of two", "one … two", True, id="words are left out"),
        pytest.param("one of three", "one … two", False, id="another word behind what is left out"),
        pytest.param("a\nb", "a", False, id="a line more"),
        pytest.param("1+1", "1+1", True, id="signs are themselves"),
    ],
)
def test_what_is_printed_is_compared_but_for_what_is_of_today(printed: str, shown: str, same: bool) -> None:
    assert matches(printed, shown) is same
