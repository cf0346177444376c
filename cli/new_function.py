"""``springtide new``: a handler's folder made from a template, and its entry in a stack file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from springtide.cli import stack, stack_source
from springtide.provider.process import starters
from springtide.provider.spec import check_name
from springtide.runtime.errors import BadInput

STACK_FILE = Path("stack.yaml")
_HEAD = "version: 1.0\nprovider:\n  name: openfaas\n"
_ROOT_KEY = re.compile(r"^[^\s#][^:]*:", re.MULTILINE)
_FUNCTIONS = re.compile(r"^functions:[ \t]*(#.*)?$", re.MULTILINE)
_INDENT = re.compile(r"^( +)\S", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Made:
    folder: Path
    files: tuple[str, ...]
    stack: Path


def write(name: str, lang: str, *, stack_file: Path | None, folder: Path | None, prefix: str = "") -> Made:
    """Make the folder, and a new stack.yaml, or an entry in the ``stack_file``. Raises BadInput; overwrites nothing."""
    check_name("name", name)
    starter = starters.of_lang(lang)
    folder = folder or Path(name)
    target = stack_file or STACK_FILE
    if folder.exists():
        raise BadInput(f"{folder}: is there already; choose another name, or another folder with --handler")
    if stack_file is None and target.exists():
        raise BadInput(f"{target}: is there already; add the function to it with --append {target}")
    handler = Path(os.path.relpath(folder, target.parent)).as_posix()
    image = f"{prefix.rstrip('/')}/{name}:latest" if prefix else f"{name}:latest"
    keys = {"lang": lang, "handler": handler if handler.startswith((".", "/")) else f"./{handler}", "image": image}
    before = f"{_HEAD}\nfunctions:\n" if stack_file is None else stack_source.text_of(stack_file)
    text = with_function(before, name, keys, str(target))
    try:
        folder.mkdir(parents=True)
        for file, content in starter.files.items():
            (folder / file).write_text(content)
        target.write_text(text)
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from error
    return Made(folder, tuple(starter.files), target)


def with_function(text: str, name: str, keys: dict[str, str], file: str) -> str:
    """The stack file with one function more, everything else as it was. Raises BadInput where that cannot be done."""
    start = _FUNCTIONS.search(text)
    if start is None:
        raise BadInput(f"{file}: has no list `functions:` on a line of its own; add the function by hand")
    following = _ROOT_KEY.search(text, start.end())
    end = following.start() if following else len(text)
    block = text[start.end() : end]
    step = match[1] if (match := _INDENT.search(block)) else "  "
    if re.search(rf"^{step}(?:{re.escape(name)}|['\"]{re.escape(name)}['\"])[ \t]*:", block, re.MULTILINE):
        raise BadInput(f"{file}: has a function {name} already; choose another name")
    entry = f"{step}{name}:\n" + "".join(f"{step * 2}{key}: {value}\n" for key, value in keys.items())
    changed = f"{text[: start.end()]}{block.rstrip()}\n{entry}" + (f"\n{text[end:]}" if following else "")
    _check(changed, name, file)
    return changed


def _check(text: str, name: str, file: str) -> None:
    """That it is a stack file still, with the function in it."""
    source = stack_source.Source(file, text, Path("/nonexistent"))
    read = stack.read_each(source, None)
    if not any(entry.ref.name == name for entry in read.entries):
        raise BadInput(f"{file}: the function cannot be added to it; add it by hand")
