"""Which template a context was made of, and what is said of those that do not run here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from springtide.provider.process import templates
from springtide.runtime.errors import BadInput
from tests.provider.process.builder.archives import PYTHON3_HTTP

NODE_SERVER = "const express = require('express')\nconst handler = require('./function/handler')\n"
FLASK_SERVER = (
    "from flask import Flask, request\nfrom function import handler\nret = handler.handle(request.get_data())\n"
)
STDIN_SERVER = "import sys\nfrom function import handler\nhandler.handle(sys.stdin.read())\n"


def context(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("lang", "known"),
    [
        ("python3-http", "python3-http"),
        ("python3-http-debian", "python3-http"),
        ("python3.12-http", "python3-http"),
        ("python310-http", "python3-http"),
        ("python3-flask", "python3-flask"),
        ("python3-flask-debian", "python3-flask"),
        ("python3", "python3"),
        ("python3-debian", "python3"),
        ("Python3-HTTP", "python3-http"),
        ("node", "node"),
        ("node18", "node"),
        ("node20", "node"),
        ("node22-debian", "node"),
        ("bash-streaming", "bash-streaming"),
        ("bash", "bash-streaming"),
        ("go", None),
        ("dockerfile", None),
        ("python2-http-of-mine", None),
        ("node-red", None),
        ("", None),
    ],
)
def test_names_are_known_in_all_their_flavours(lang: str, known: str | None) -> None:
    template = templates.known(lang)

    assert (template and template.lang) == known


@pytest.mark.parametrize(
    ("files", "name", "command"),
    [
        pytest.param(PYTHON3_HTTP, "python3-http", "python index.py", id="python3-http"),
        pytest.param(
            {**PYTHON3_HTTP, "template.yml": "language: python3-http-debian\n"}, "python3-http-debian", "", id="flavour"
        ),
        pytest.param(
            {**PYTHON3_HTTP, "template.yml": "language: python\nfprocess: python index.py"},
            "python3-http",
            "python index.py",
            id="a template.yml that says python",
        ),
        pytest.param(
            {"index.py": FLASK_SERVER, "function/handler.py": "", "Dockerfile": ""}, "python3-flask", "", id="flask"
        ),
        pytest.param({"index.py": STDIN_SERVER, "function/handler.py": ""}, "python3", "", id="classic"),
        pytest.param({"function/handler.py": ""}, "python3-http", "", id="a handler alone"),
        pytest.param({"handler.py": ""}, "python3-http", "", id="without a folder"),
        pytest.param(
            {
                "template.yml": "language: node20\nfprocess: node index.js",
                "index.js": NODE_SERVER,
                "function/handler.js": "",
            },
            "node20",
            "node index.js",
            id="node",
        ),
        pytest.param({"index.js": NODE_SERVER, "function/handler.js": ""}, "node", "", id="node by its files"),
        pytest.param(
            {"template.yml": "language: bash\nfprocess: ./handler.sh", "function/handler.sh": ""},
            "bash",
            "./handler.sh",
            id="shell",
        ),
        pytest.param(
            {"template.yml": "language: python3-http\nhandler_folder: src\n", "src/handler.py": ""},
            "python3-http",
            "",
            id="another folder",
        ),
        pytest.param(
            {"template.yml": "language: [python", "function/handler.py": ""}, "python3-http", "", id="damaged yml"
        ),
    ],
)
def test_a_context_is_recognised(files: Mapping[str, str], name: str, command: str, tmp_path: Path) -> None:
    known = templates.recognise(context(tmp_path, files))

    assert (known.name, known.command) == (name, command)
    assert any((known.handler / file).is_file() for file in known.template.handler)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        pytest.param({"Dockerfile": "FROM x"}, "a Dockerfile's steps are not run", id="dockerfile"),
        pytest.param(
            {"Dockerfile": "FROM x", "handler.py": ""},
            "a Dockerfile's steps are not run",
            id="with a handler",
        ),
        pytest.param(
            {"template.yml": "language: dockerfile", "function/handler.py": ""}, "steps are not run", id="by its name"
        ),
        pytest.param(
            {"template.yml": "language: dockerfile", "Dockerfile": ""}, "Dockerfile's steps are not run", id="named so"
        ),
        pytest.param(
            {"template.yml": "language: go\nfprocess: ./handler", "function/handler.go": ""},
            "functions of this language are not built here; run what it builds as a program",
            id="go",
        ),
        pytest.param(
            {"template.yml": "language: php8", "function/src/Handler.php": ""}, "are not built here", id="php"
        ),
        pytest.param({"template.yml": "language: python3-http", "function/x.py": ""}, "no handler.py", id="no handler"),
        pytest.param({"readme.md": ""}, "has no handler.py, handler.js or handler.sh", id="nothing"),
        pytest.param(
            {"template.yml": "handler_folder: ../../etc", "readme.md": ""}, "has no handler.py", id="folder outside"
        ),
    ],
)
def test_what_does_not_run_here_is_refused_with_the_remedy(files: Mapping[str, str], why: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        templates.recognise(context(tmp_path, files))

    assert why in str(refused.value)


def test_a_language_by_its_name_is_refused_with_the_remedy() -> None:
    with pytest.raises(BadInput, match="lang 'java17': functions of this language are not built here; run what it"):
        templates.of_name("java17")


def test_programs_that_are_missing_are_told(tmp_path: Path) -> None:
    node = templates.of_name("node20")

    assert "needs node on PATH" in templates.missing_programs(node, str(tmp_path))
    (tmp_path / "node").write_text("")
    (tmp_path / "node").chmod(0o755)
    assert templates.missing_programs(node, str(tmp_path)) == ""
