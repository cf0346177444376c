"""The one table of templates: which are run here, how each is known, what it runs as, and what is said of the others.

A build context has the template's files at its root and the handler in a folder of its own. Of the template only its
convention matters here: the server that it brings along is ours.
"""

from __future__ import annotations

import enum
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from springtide.runtime.errors import BadInput

HANDLER_FOLDER, DOCKERFILE = "function", "dockerfile"
MAX_TEXT_BYTES = 256 * 1024
"""Of a template's file that is read to know the template."""
MAX_SHOWN = 100


_PYTHON3 = r"python3(\.\d+|\d{1,2})?"


class Language(enum.StrEnum):
    PYTHON = "python"
    NODE = "node"
    SHELL = "shell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """``lang`` is the convention's name, which stands for all its flavours."""

    lang: str
    language: Language
    names: re.Pattern[str]
    handler: tuple[str, ...]
    """The file that makes a folder a handler of this template: any of these."""
    command: str = ""
    """What runs, relative to the code; empty for a handler in the replica's own process."""
    mode: str = ""
    needs: tuple[str, ...] = ()
    """Programs that must be on PATH."""
    about: str


TEMPLATES = (
    Template(
        lang="python3-http",
        language=Language.PYTHON,
        names=re.compile(rf"{_PYTHON3}-http(-.*)?"),
        handler=("handler.py",),
        about="Python, handle(event, context): body, headers, method, query, path in; statusCode, body, headers out",
    ),
    Template(
        lang="python3-flask",
        language=Language.PYTHON,
        names=re.compile(rf"{_PYTHON3}-flask(-.*)?"),
        handler=("handler.py",),
        about="Python, handle(req): the body in, what Flask takes as an answer out",
    ),
    Template(
        lang="python3",
        language=Language.PYTHON,
        names=re.compile(rf"{_PYTHON3}(-(debian|slim|alpine|armhf|arm64).*)?"),
        handler=("handler.py",),
        about="Python, handle(req): the body as text in, the answer out",
    ),
    Template(
        lang="node",
        language=Language.NODE,
        names=re.compile(r"node(js)?(-?\d{2}|-?lts)?(-(debian|alpine|express|armhf|arm64).*)?"),
        handler=("handler.js", "handler.cjs", "handler.mjs"),
        command="node index.js",
        mode="http",
        needs=("node",),
        about="JavaScript, module.exports = async (event, context) => …, with the modules of package.json",
    ),
    Template(
        lang="bash-streaming",
        language=Language.SHELL,
        names=re.compile(r"bash(-streaming)?"),
        handler=("handler.sh",),
        command="bash handler.sh",
        mode="streaming",
        needs=("bash",),
        about="a shell script: the body on standard input, the answer on standard output",
    ),
)

_TOOLCHAINS = {
    "go": "go", "golang-http": "go", "golang-middleware": "go", "java8": "java", "java11": "java", "java17": "java",
    "java21": "java", "csharp": "dotnet", "dotnet": "dotnet", "php7": "php", "php8": "php", "ruby": "ruby",
    "ruby-http": "ruby", "rust": "cargo", "rust-http": "cargo",
}  # fmt: skip
REMEDY = (
    "run what it builds as a program of this machine: `springtide deploy NAME --fprocess '/path/to/program'` with "
    "--env mode=http if it is a server; or build the image with a container engine and run it as a "
    "container (`springtide up --provider process,containers`) or on a cluster"
)


def known(lang: str) -> Template | None:
    """The template of this name, in any of its flavours."""
    return next((template for template in TEMPLATES if template.names.fullmatch(lang.lower())), None)


def of_name(lang: str) -> Template:
    """Raises BadInput with the remedy for one that does not run here."""
    template = known(lang)
    if template is not None:
        return template
    raise BadInput(f"lang {lang[:MAX_SHOWN]!r}: {_why_not(lang)}")


def of_handler(lang: str) -> Template:
    """For a handler's folder whose template may be of somebody's own: those run as Python handlers."""
    return known(lang) or of_name("python3-http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """A context, understood: its template, and the handler's folder inside it."""

    template: Template
    name: str
    """As the template calls itself, flavour and all; the convention's name where it does not."""
    handler: Path
    command: str = ""
    """What template.yml says that runs, which a deployment will repeat."""


def recognise(context: Path) -> Recognised:
    """Which template a build context was made of. Raises BadInput with the remedy for one that does not run here."""
    described = _description(context / "template.yml")
    handler = _handler_folder(context, described.get("handler_folder", ""))
    name = described.get("language", "")
    template = known(name)
    if name.lower() == DOCKERFILE or (handler == context and (context / "Dockerfile").is_file()):
        # What a person's own Dockerfile does with the files is not known, whatever they look like.
        raise BadInput(f"the context is built by its Dockerfile: {_why_not(DOCKERFILE)}")
    if template is None or not _has_handler(template, handler):
        template = _by_content(context, handler)
    if template is None:
        raise BadInput(_not_known(context, name, handler))
    own_name = name if known(name) is template else template.lang
    return Recognised(template=template, name=own_name, handler=handler, command=described.get("fprocess", ""))


def _by_content(context: Path, handler: Path) -> Template | None:
    """By the handler's file; of the Python conventions by what the template's server does with it."""
    if any((handler / name).is_file() for name in _named("node").handler):
        return _named("node")
    if (handler / "handler.sh").is_file():
        return _named("bash-streaming")
    if not (handler / "handler.py").is_file():
        return None
    server = _text(context / "index.py")
    if "flask" in server.lower():
        return _named("python3-http" if re.search(r"class\s+Event\b|\bevent\b", server) else "python3-flask")
    if "stdin" in server:
        return _named("python3")
    return _named("python3-http") if not server or re.search(r"\bevent\b", server) else _named("python3")


def _named(lang: str) -> Template:
    return next(template for template in TEMPLATES if template.lang == lang)


def _has_handler(template: Template, folder: Path) -> bool:
    return any((folder / name).is_file() for name in template.handler)


def _handler_folder(context: Path, told: str) -> Path:
    """The one that template.yml names, else the usual one, else the context itself. Never outside of it."""
    for name in (told, HANDLER_FOLDER):
        folder = context / name
        if name and folder.is_dir() and folder.resolve().is_relative_to(context.resolve()):
            return folder
    return context


def _not_known(context: Path, name: str, handler: Path) -> str:
    if name.lower() not in ("", "python") and known(name) is None:
        return f"template {name[:MAX_SHOWN]!r}: {_why_not(name)}"
    if template := known(name):
        wanted = " or ".join(template.handler)
        return f"template {name}: there is no {wanted} in {handler.relative_to(context).as_posix()}/"
    return (
        f"the context is of no template that runs here ({runnable()}): it has no handler.py, handler.js or handler.sh"
    )


def _why_not(name: str) -> str:
    if name.lower() == DOCKERFILE:
        return f"functions run as processes here, and a Dockerfile's steps are not run; {REMEDY}"
    program = _TOOLCHAINS.get(name.lower())
    if program:
        return f"functions of this language are not built here; {REMEDY}"
    return f"no template that runs here, which are {runnable()}; {REMEDY}"


def runnable() -> str:
    """The names of the templates that run here."""
    return ", ".join(template.lang for template in TEMPLATES)


def _description(file: Path) -> dict[str, str]:
    """The texts of a template.yml; nothing where there is none, or it cannot be read."""
    try:
        value = yaml.safe_load(_text(file))
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return {str(key): item for key, item in value.items() if isinstance(item, str)} if isinstance(value, dict) else {}


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_TEXT_BYTES).decode(errors="replace")
    except OSError:
        return ""


def missing_programs(template: Template, search: str) -> str:
    """What to say of programs that are not on ``search``, as PATH; empty when none is missing."""
    lacking = [program for program in template.needs if shutil.which(program, path=search) is None]
    if not lacking:
        return ""
    return f"template {template.lang} needs {' and '.join(lacking)} on PATH, where functions find programs; install it"
