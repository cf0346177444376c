"""Whether what a function names is on this machine: images are not fetched here, so what they hold is not there.

``faas-cli deploy`` of a template's function sends the template's command, such as ``python index.py``, and no handler.
Asked when a function is deployed, and again before each start: what was there may have been removed since.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from springtide.provider.process import executable, launches
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.watchdog import config
from springtide.watchdog.config import Mode


@dataclass(frozen=True, slots=True)
class Options:
    """Of a program whose first word that is no option is a file it runs: letters that stand alone, and with a value.

    After any other option it is not certain what the next word is.
    """

    alone: str
    valued: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """Long ones that stand alone, or have their value after an equals sign."""


_PYTHON = Options("bBdEiIOPqRsSuvx", ("-W", "-X"))
_NODE = Options(
    "",
    ("-r", "--require", "--import"),
    (
        *("--inspect", "--inspect-brk", "--enable-source-maps", "--no-warnings", "--no-deprecation", "--expose-gc"),
        *(
            "--max-old-space-size",
            "--max-semi-space-size",
            "--max-http-header-size",
            "--stack-size",
            "--trace-warnings",
        ),
        *("--unhandled-rejections", "--env-file", "--dns-result-order", "--require", "--import"),
    ),
)
_SHELL = Options("aefhkmnptuvxl", ("-o", "+o", "-O", "+O"))
READERS: Mapping[str, Options] = {
    **dict.fromkeys(("python", "python2", "python3", "pypy3"), _PYTHON),
    **dict.fromkeys(("node", "nodejs"), _NODE),
    **dict.fromkeys(("bash", "sh", "dash", "ash"), _SHELL),
    "ruby": Options("wvd", ("-I", "-E")),
    "perl": Options("wWtTX"),
    "php": Options("nqH", ("-d", "-c")),
    "dotnet": Options(""),
}
PACKAGE_RUNNERS = ("npm", "yarn", "pnpm")
"""With ``start`` or ``run`` they read a package.json in the folder."""
CLASS_PATHS = ("-jar", "-cp", "-classpath", "--class-path")
REMEDY = (
    "functions run as processes, so what the image holds is not on this machine: deploy from the stack.yaml with "
    "`springtide deploy -f`, which brings the handler along, build it here first (faas-cli up --remote-builder), "
    f"name a command with absolute paths, or {launches.RUN_IMAGES}"
)


def missing(spec: FunctionSpec, wanted: FunctionProgram, settings: ProcessSettings) -> str:
    """The program, script or folder that is not there, or cannot be run; empty when nothing speaks against a start."""
    if wanted.python and not Path(wanted.python).exists():
        return f"its environment's interpreter {wanted.python} is not there any more; deploy the function again"
    if wanted.config.forks_handler:
        return launches.handler_missing(spec, wanted.handler)
    path = wanted.env.get("PATH") or wanted.search_path(settings.path)
    match wanted.config.mode:
        case Mode.PYTHON:
            return launches.handler_missing(spec, wanted.handler)
        case Mode.STATIC:
            return config.not_there(wanted.config, {"PATH": path})
        case Mode.HTTP | Mode.CLASSIC | Mode.STREAMING | Mode.SERIALIZING:
            folder = Path(wanted.folder) if wanted.folder else None
            problems = _problems(wanted.config.command, path, folder, spec.image)
            return next((f"fprocess: {problem}" for problem in problems), "")


def _problems(command: Sequence[str], path: str, folder: Path | None, image: str) -> Iterator[str]:
    programs, files = programs_of(command), [*files_of(command)]
    for name in (*(program for program in programs if "/" in program), *files):
        if folder is None and not PurePath(name).is_absolute():
            yield f"there is no file {name} for image {image}; {REMEDY}"
    for program in programs:
        if why := executable.why_not(program, path, folder):
            yield why
    for name in files:
        if not (folder or Path("/")).joinpath(name).exists() and "*" not in name:
            yield f"there is no file {name}, which {command[0]} is to run"


def programs_of(command: Sequence[str]) -> list[str]:
    """The program, and the one that env is to run."""
    inner = executable.called_by_env(command[1:]) if PurePath(command[0]).name == "env" else ()
    return [command[0], *inner[:1]]


def files_of(command: Sequence[str]) -> Iterator[str]:
    """The files that an interpreter is told to run, where that is certain; of a class path its first entry."""
    if command and PurePath(command[0]).name == "env":
        command = executable.called_by_env(command[1:])
    program, rest = (PurePath(command[0]).name, list(command[1:])) if command else ("", [])
    if program == "java":
        found = [(option, value.partition(":")[0]) for option, value in itertools.pairwise(rest)]
        # Of `./*:./lib`, say, nobody knows what is in it; without a folder of its own there is nothing.
        yield from (
            name
            for option, name in found
            if option == "-jar" or (option in CLASS_PATHS and not PurePath(name).is_absolute())
        )
    elif program in PACKAGE_RUNNERS:
        if rest[:1] in (["start"], ["run"], ["run-script"]):
            yield "package.json"
    elif options := READERS.get(program) or READERS.get(program.rpartition(".")[0]):
        script = _script(options, rest)
        if script and (program != "dotnet" or script.endswith(".dll")):
            yield script


def _script(options: Options, words: list[str]) -> str:
    """The first word that is no option; empty where there is none, or where it may be something else."""
    rest = iter(words)
    for word in rest:
        if word in options.valued:
            next(rest, None)
        elif not word.startswith(("-", "+")):
            return word
        elif word.partition("=")[0] in options.flags:
            continue
        elif word == "-" or word.startswith("--") or set(word[1:]) - set(options.alone):
            return ""
    return ""
