"""Images that were built here: what a name such as ``ttl.sh/me/fn:latest`` stands for, until it is built again.

One JSON file for each name. What a function was deployed with is kept by the function itself: building a name anew
changes nothing that runs. A file that cannot be read is set aside, and its name is as good as never built.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import structlog

from springtide.provider import bounds
from springtide.runtime.errors import BadInput, Unavailable
from springtide.runtime.files import read_json, set_aside, write_atomic

FORMAT = 1
MAX_IMAGES = 500
"""Beyond it the oldest that no function was deployed from go."""
MAX_AGE_S = 30 * 86_400.0
"""Of an image that no function was deployed from; its code and its environment go with it."""
DEFAULT_TAG = "latest"
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_./:]*[A-Za-z0-9_])?")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """``code`` is a version of the code store, ``environment`` a key of the Python environments where one is needed."""

    name: str
    code: str
    lang: str
    built_at: float
    """Seconds since the epoch."""
    environment: str = ""
    command: str = ""
    """What runs, in the code's folder; empty for a Python handler."""
    said: str = ""
    """What the template says that runs, which a deployment repeats without meaning anything by it."""
    variables: dict[str, str] = field(default_factory=dict)
    """Defaults of the function's environment."""


class LocalImages:
    """Everything here blocks; one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images: dict[str, LocalImage] = {}

    def __repr__(self) -> str:
        return f"<LocalImages {len(self._images)} in {self._folder}>"

    def open(self, now: float) -> None:
        """Read what there is. Raises OSError when the folder cannot be made."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in sorted(self._folder.glob("[!.]*.json")):
            try:
                image = _read(file)
            except (BadInput, OSError) as error:
                _set_aside(file, str(error), now)
            else:
                self._images[image.name] = image

    def find(self, name: str) -> LocalImage | None:
        """What was last built under this name; without a tag, under ``latest``."""
        return self._images.get(normal_name(name))

    def put(self, image: LocalImage, *, deployed: Collection[str]) -> None:
        """Keep it under its name. ``deployed`` are the images of functions, which stay. Raises Unavailable."""
        try:
            write_atomic(self._file(image.name), json.dumps({"format": FORMAT, **asdict(image)}, indent=1).encode())
        except OSError as error:
            raise Unavailable(f"{error.filename}: {error.strerror}; the image was not kept") from error
        self._images[image.name] = image
        in_use = {normal_name(name) for name in deployed} | {image.name}
        surplus = len(self._images) - MAX_IMAGES
        for number, unused in enumerate(self._oldest_but(in_use)):
            if number < surplus or image.built_at - unused.built_at > MAX_AGE_S:
                self._file(unused.name).unlink(missing_ok=True)
                del self._images[unused.name]

    def all(self) -> list[LocalImage]:
        """Whatever a deployment may ask for."""
        return list(self._images.values())

    def _oldest_but(self, kept: Collection[str]) -> list[LocalImage]:
        unused = (image for image in self._images.values() if image.name not in kept)
        return sorted(unused, key=lambda image: image.built_at)

    def _file(self, name: str) -> Path:
        return self._folder / file_name(name)


def check_name(name: str) -> str:
    """The name in its normal form. Raises BadInput for one that nothing can be built under."""
    problems = list(bounds.image_problems(name))
    if not name:
        problems = ["image: missing; say what the build is to be called, such as fn:latest"]
    elif not _NAME.fullmatch(name):
        problems = [f"image {name[:200]!r}: write REPOSITORY:TAG, without blanks, and without a digest"]
    if problems:
        raise BadInput(problems[0])
    return normal_name(name)


def normal_name(name: str) -> str:
    """With its tag, and without the registry that is meant where none is named."""
    name = name.removeprefix("docker.io/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:{DEFAULT_TAG}"


def file_name(name: str) -> str:
    """Readable at its beginning, and of this name alone."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name)[:60].strip("-")
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"


def _read(file: Path) -> LocalImage:
    value: Any = read_json(file)
    known = {item.name for item in fields(LocalImage)}
    try:
        if value.pop("format") != FORMAT or set(value) - known:
            raise ValueError("it is of another format")  # noqa: TRY301 - told as any other damage
        image = LocalImage(**value)
        texts = (image.name, image.code, image.lang, image.environment, image.command, image.said)
        variables = [*image.variables, *image.variables.values()]
        if not all(isinstance(text, str) for text in (*texts, *variables)) or not float(image.built_at) >= 0:
            raise ValueError("a value is of the wrong kind")  # noqa: TRY301 - the same
        if file.name != file_name(image.name):
            raise ValueError(f"it describes {image.name}")  # noqa: TRY301 - the same
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"not a local image: {error}") from error
    return image


def _set_aside(file: Path, why: str, now: float) -> None:
    where: Path | str = "where it is"
    try:
        where = set_aside(file, now)
    except OSError as error:
        why = f"{why}; it cannot be moved: {error.strerror}"
    _log.error("a local image's file is damaged; build it again", file=str(file), why=why, set_aside_as=str(where))
