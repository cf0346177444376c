"""What is sent to be built: a handler's folder and its template's name as a tar, signed with the payload secret."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from springtide.provider.process import starters
from springtide.provider.process.code_store import SKIPPED
from springtide.provider.spec import PYTHON_IMAGE, FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole
from springtide.scaler.core.label_names import HANDLER, LANG

REQUEST, HANDLER_FOLDER = "com.openfaas.docker.config", "context/function"
MAX_FILES = 20_000
LEFT_OUT = SKIPPED | {"node_modules"}
"""Folders that the builder makes itself, or has no use for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSource:
    """One function that can be built: the image it becomes, and what of."""

    name: str
    image: str
    lang: str
    handler: Path

    @classmethod
    def of(cls, spec: FunctionSpec) -> BuildSource | None:
        """None for one without a handler's folder: a program, or an image from elsewhere."""
        folder = spec.annotations.get(HANDLER)
        if not folder:
            return None
        image = f"{spec.ref.name}:latest" if spec.image == PYTHON_IMAGE else spec.image
        lang = spec.annotations.get(LANG) or starters.DEFAULT_LANG
        return cls(name=spec.ref.name, image=image, lang=lang, handler=Path(folder))

    def deployed(self, spec: FunctionSpec) -> FunctionSpec:
        """The function as it runs from the image, and from nothing on this machine."""
        annotations = {key: value for key, value in spec.annotations.items() if key not in (HANDLER, LANG)}
        return replace(spec, image=self.image, annotations=annotations)


def signature(archive: IO[bytes], secret: bytes) -> str:
    """The header's value for what is in the file from here on, which is then read from its beginning again."""
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    while piece := archive.read(1 << 20):
        digest.update(piece)
    archive.seek(0)
    return f"sha256={digest.hexdigest()}"


def payload_secret(file: Path) -> bytes:
    """Raises BadInput."""
    try:
        secret = read_whole(file).strip()
    except OSError as error:
        raise BadInput(f"payload secret {file}: {error.strerror}; name the file with --payload-secret") from error
    if not secret:
        raise BadInput(f"payload secret {file}: is empty")
    return secret


@contextlib.contextmanager
def archived(source: BuildSource) -> Iterator[IO[bytes]]:
    """The build request as a file, at its beginning. Raises BadInput."""
    with tempfile.TemporaryFile() as file:
        try:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _add_text(tar, REQUEST, json.dumps({"image": source.image, "buildArgs": {}, "skipPush": True}))
                _add_text(tar, "context/template.yml", starters.of_lang(source.lang).template_yml_of(source.lang))
                for number, (path, name) in enumerate(_files(source.handler, HANDLER_FOLDER)):
                    if number >= MAX_FILES:
                        raise BadInput(
                            f"{source.handler}: more than {MAX_FILES} files; build the function's own folder"
                        )
                    tar.add(path, name, recursive=False, filter=_anonymous)
        except OSError as error:
            raise BadInput(f"{error.filename or source.handler}: {error.strerror}") from error
        file.seek(0)
        yield file


def _files(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and (entry.name in LEFT_OUT or (Path(entry.path) / "pyvenv.cfg").is_file()):
            continue
        if is_folder or entry.is_file() or entry.is_symlink():
            yield Path(entry.path), f"{name}/{entry.name}"
        if is_folder:
            yield from _files(Path(entry.path), f"{name}/{entry.name}")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Of nobody, and at no time: the same files are the same archive."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode &= 0o777
    return entry


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    data = text.encode()
    entry.size = len(data)
    tar.addfile(_anonymous(entry), io.BytesIO(data))
