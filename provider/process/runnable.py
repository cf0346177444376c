"""Whether what a function names is on this machine: images are not fetched here, so what they hold is not there.

``faas-cli deploy`` of a template's function sends the template's command, such as ``python index.py``, and no handler.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.watchdog import config
from springtide.watchdog.config import Mode

SCRIPT_READERS = ("python", "python2", "python3", "node", "nodejs", "ruby", "php", "perl", "dotnet", "bash", "sh")
"""Programs whose first word that is no option is a file they run."""
INLINE = ("-c", "-m", "-e", "-r", "-p", "-")
"""After these comes no file."""
CLASS_PATHS = ("-jar", "-cp", "-classpath", "--class-path")
REMEDY = (
    "containers are not run here, so what the image holds is not on this machine: deploy from the stack.yaml with "
    "`springtide deploy -f`, which brings the handler along, or name a command with absolute paths"
)


def check(spec: FunctionSpec, wanted: FunctionProgram, settings: ProcessSettings) -> None:
    """Raises BadInput for a program, script or folder that is not there."""
    if wanted.config.mode is Mode.PYTHON:
        return
    folder = Path(wanted.handler) if wanted.handler else None
    missing = config.not_there(wanted.config, {"PATH": settings.path} | wanted.env, folder or Path("/nonexistent"))
    if missing and "/" in "".join(wanted.config.command[:1]) and not PurePath(wanted.config.command[0]).is_absolute():
        missing = f"fprocess: there is no file {wanted.config.command[0]} for image {spec.image}; {REMEDY}"
    if missing:
        raise BadInput(missing)
    for name in files_of(wanted.config.command):
        if folder is None or not ((folder / name).exists() or "*" in name):
            raise BadInput(f"fprocess: there is no file {name} for image {spec.image}; {REMEDY}")


def files_of(command: Sequence[str]) -> Iterator[str]:
    """The files with relative names that an interpreter is told to run; of a class path its first entry."""
    program, rest = (PurePath(command[0]).name, list(command[1:])) if command else ("", [])
    if program == "java":
        found = [value.partition(":")[0] for option, value in itertools.pairwise(rest) if option in CLASS_PATHS]
        # Of `./*:./lib`, say, nobody knows what is in it; without a folder of its own there is nothing.
        yield from (name for name in found if not PurePath(name).is_absolute())
    elif program in SCRIPT_READERS or program.rpartition(".")[0] in SCRIPT_READERS:
        word = next((word for word in rest if word in INLINE or not word.startswith("-")), "-")
        if word not in INLINE and not PurePath(word).is_absolute():
            yield word
