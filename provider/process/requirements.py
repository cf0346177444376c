"""What a handler's folder says it needs: ``requirements.txt``, ``pyproject.toml``, ``.python-version``. Read only."""

from __future__ import annotations

import codecs
import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole

REQUIREMENTS, PROJECT, PYTHON_VERSION = "requirements.txt", "pyproject.toml", ".python-version"
MAX_FILE_BYTES, MAX_FILES = 1 << 20, 50
"""Of one such file, and how many may name each other."""

_INCLUDES = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(?P<file>\S.*)")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_LOCAL = re.compile(r"(?:^|[\s=@])(?:\.{1,2}(?:[/\\]|\s|$)|file:|/)|^(?:-f|--find-links)\b|\.(?:whl|tar\.gz|zip)\b")
_EDITABLE = re.compile(r"(?:-e|--editable)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an environment is made from. Equal ones are the same environment."""

    requirements: tuple[str, ...] = ()
    """Lines as pip reads them, without comments; of every file that ``requirements.txt`` names, too."""
    python: str = ""
    """Which Python: a specifier such as ``>=3.10``; empty for any."""
    folder: Path | None = None
    """The handler's, where there is a ``requirements.txt``: what is in that may be relative to it."""
    project: tuple[str, ...] = ()
    """Those of the requirements that are ``pyproject.toml``'s."""
    local: str = ""
    """A hash of the folder where requirements name what is in it: then no other folder shares the environment, and it
    is installed from a copy of the folder, that the installer can read and write."""
    wide: tuple[str, ...] = ()
    """Files of requirements, relative to the folder, that are UTF-16: pip reads those, uv does not."""

    @property
    def nothing(self) -> bool:
        return not self.requirements

    @property
    def shown(self) -> str:
        """For a person, in a few words."""
        names = [line for line in self.requirements if not line.startswith("-")] or list(self.requirements)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(name.partition(" --hash")[0].partition(";")[0].strip()[:60] for name in names[:3]) + more


def wanted_by(folder: Path, *, version: str = "") -> Wanted:
    """What the folder asks for. ``version`` is the hash of what is in it. Raises BadInput naming file and remedy."""
    lines, files = list[str](), set[Path]()
    has_file = (folder / REQUIREMENTS).is_file()
    if has_file:
        lines += _lines_of(folder, (folder / REQUIREMENTS).resolve(), seen=files)
    project = _project(folder)
    dependencies, python = _dependencies(project), str(_table(project, "project").get("requires-python", ""))
    if not has_file and not dependencies and _table(project, "tool", "poetry").get("dependencies"):
        raise BadInput(
            f"{PROJECT}: Poetry's own table of dependencies is not read; list them under [project] dependencies, or in "
            f"{REQUIREMENTS}"
        )
    for line in lines:
        if _EDITABLE.match(line):
            raise BadInput(f"{REQUIREMENTS}: {line}: deployed code is not edited; write the path without -e")
    wide = tuple(sorted(str(file.relative_to(folder.resolve())) for file in files if is_wide(read_whole(file))))
    local = wide or any(_LOCAL.search(line) for line in lines)
    return Wanted(
        requirements=(*lines, *dependencies),
        python=_python_version(folder) or python,
        folder=folder if lines else None,
        project=tuple(dependencies),
        local=(version or hashlib.sha256(str(folder).encode()).hexdigest()) if local else "",
        wide=wide,
    )


def _lines_of(root: Path, file: Path, *, seen: set[Path]) -> Iterator[str]:
    """Each requirement of a file and of those that it includes, in the order written."""
    if file in seen:
        return
    seen.add(file)
    if len(seen) > MAX_FILES:
        raise BadInput(f"{file.name}: more than {MAX_FILES} files of requirements include each other")
    text = re.sub(r"\\\r?\n", " ", _text(file))
    for raw in text.splitlines():
        line = " ".join(_COMMENT.sub("", raw).split())
        if not line:
            continue
        included = _INCLUDES.fullmatch(line)
        if included and "://" not in line:
            inner = (file.parent / included["file"]).resolve()
            if not inner.is_relative_to(root.resolve()) or not inner.is_file():
                raise BadInput(f"{file.name}: {line}: there is no such file in the handler's folder")
            if line.startswith(("-c", "--c")):
                yield from (f"constraint {each}" for each in _lines_of(root, inner, seen=seen))
            else:
                yield from _lines_of(root, inner, seen=seen)
        else:
            yield line


def _project(folder: Path) -> dict[str, Any]:
    file = folder / PROJECT
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{PROJECT}: {error}") from error


def _dependencies(project: dict[str, Any]) -> list[str]:
    found = _table(project, "project").get("dependencies", [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadInput(f"{PROJECT}: project.dependencies: write a list of texts")
    return [" ".join(each.split()) for each in found if each.strip()]


def _table(value: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        inner = value.get(name)
        value = inner if isinstance(inner, dict) else {}
    return value


def _python_version(folder: Path) -> str:
    """``3.12`` in the file means any 3.12; a comment or a name in front of it is allowed."""
    file = folder / PYTHON_VERSION
    if not file.is_file():
        return ""
    words = [line.strip() for line in _text(file).splitlines() if line.strip() and not line.startswith("#")]
    number = words[0].removeprefix("cpython").removeprefix("python").lstrip("-@") if words else ""
    if not number:
        return ""
    if not re.fullmatch(r"\d+(\.\d+){0,2}", number):
        raise BadInput(f"{PYTHON_VERSION}: {words[0][:80]!r} is no version of CPython; write one such as 3.12")
    return f"=={number}" if number.count(".") == 2 else f"=={number}.*"


def _text(file: Path) -> str:
    try:
        data = read_whole(file)
    except OSError as error:
        raise BadInput(f"{file.name}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"{file.name}: {len(data)} bytes; at most {MAX_FILE_BYTES}")
    try:
        return decoded(data)
    except UnicodeDecodeError as error:
        raise BadInput(f"{file.name}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error


def is_wide(data: bytes) -> bool:
    """Whether it is UTF-16, as PowerShell's ``>`` writes it."""
    return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def decoded(data: bytes) -> str:
    """Raises UnicodeDecodeError."""
    return data.decode("utf-16" if is_wide(data) else "utf-8-sig")
