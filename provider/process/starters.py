"""What a new function begins with, for each template: files for ``springtide new``, and a repository for faas-cli.

The repository is what ``faas-cli template pull`` clones: ``template/NAME`` with a ``template.yml`` and ``function/``.
None has a Dockerfile: nothing here is built by one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from springtide.provider.process import templates
from springtide.provider.process.function_store import PLATFORMS

DEFAULT_LANG = "python3-http"

_REQUIREMENTS = "# What the handler imports, one package a line: installed when it is built or deployed.\n"
_PYTHON3_HTTP = """def handle(event, context):
    return {
        "statusCode": 200,
        "body": "Hello! You said: " + event.body.decode(errors="replace"),
    }
"""
_PYTHON3_FLASK = '''def handle(req):
    """req: the request's body."""
    return req
'''
_NODE = """'use strict'

module.exports = async (event, context) => {
  const result = {
    body: JSON.stringify(event.body),
    'content-type': event.headers['content-type'],
  }
  return context.status(200).succeed(result)
}
"""
_NODE_PACKAGE = {
    "name": "openfaas-function",
    "version": "1.0.0",
    "description": "An OpenFaaS function",
    "main": "handler.js",
    "license": "MIT",
    "dependencies": {},
}
_SHELL = """#!/bin/sh
# The request's body is on standard input; what is printed is the answer.
tr a-z A-Z
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """``command`` is what the template says that runs, which deployments repeat."""

    lang: str
    command: str
    files: Mapping[str, str]

    @property
    def description(self) -> str:
        return templates.of_name(self.lang).about

    def template_yml_of(self, lang: str) -> str:
        """For the template under this name, which may be a flavour's."""
        welcome = f"Edit the handler; then springtide deploy, or faas-cli up --remote-builder. {self.description}."
        return f"language: {lang}\nfprocess: {self.command}\nwelcome_message: |\n  {welcome}\n"


STARTERS = (
    Starter(
        lang="python3-http",
        command="python index.py",
        files={"handler.py": _PYTHON3_HTTP, "requirements.txt": _REQUIREMENTS},
    ),
    Starter(
        lang="python3-flask",
        command="python index.py",
        files={"handler.py": _PYTHON3_FLASK, "requirements.txt": _REQUIREMENTS},
    ),
    Starter(
        lang="python3",
        command="python3 index.py",
        files={"handler.py": _PYTHON3_FLASK, "requirements.txt": _REQUIREMENTS},
    ),
    Starter(
        lang="node",
        command="node index.js",
        files={"handler.js": _NODE, "package.json": json.dumps(_NODE_PACKAGE, indent=2) + "\n"},
    ),
    Starter(lang="bash-streaming", command="bash handler.sh", files={"handler.sh": _SHELL}),
)


def of_lang(lang: str) -> Starter:
    """For any flavour of the template. Raises BadInput with the remedy for one that does not run here."""
    template = templates.of_name(lang)
    return next(starter for starter in STARTERS if starter.lang == template.lang)


def digest() -> str:
    """Of all that ``write_templates`` writes."""
    parts = [
        (starter.lang, starter.template_yml_of(starter.lang), sorted(starter.files.items())) for starter in STARTERS
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def write_templates(folder: Path) -> None:
    """As faas-cli has them: ``template/NAME/…`` below the folder. Raises OSError."""
    for starter in STARTERS:
        place = folder / "template" / starter.lang
        (place / templates.HANDLER_FOLDER).mkdir(parents=True, exist_ok=True)
        (place / "template.yml").write_text(starter.template_yml_of(starter.lang))
        for name, text in starter.files.items():
            (place / templates.HANDLER_FOLDER / name).write_text(text)


def document(repository: str) -> list[dict[str, Any]]:
    """The list of templates as ``faas-cli template store`` reads it, each to be cloned from ``repository``."""
    return [
        {
            "template": starter.lang,
            "platform": PLATFORMS[0],
            "language": str(templates.of_name(starter.lang).language).capitalize(),
            "source": repository,
            "description": starter.description,
            "repo": repository,
            "official": "false",
            "recommended": starter.lang == DEFAULT_LANG,
        }
        for starter in STARTERS
    ]
