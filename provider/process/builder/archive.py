"""A build request's archive, unpacked without trusting it: whatever leads out of the context is refused by name.

The archive holds the request (``com.openfaas.docker.config``), the files to build (``context/…``), and perhaps sealed
secrets. Files are written by us, one by one, with modes of our own; links are made last, when nothing is
written through them any more, and each must lead to a file inside.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput

REQUEST, SECRETS, CONTEXT = "com.openfaas.docker.config", "com.openfaas.secrets", "context"
MAX_REQUEST_BYTES = 256 * 1024
MAX_SHOWN = 200
"""Characters of a name in the archive that its refusal repeats."""
PIECE_BYTES = 256 * 1024
SET_ID = 0o6000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """``path_bytes`` of a whole name, ``depth`` in folders."""

    files: int = 20_000
    expanded_bytes: int = 512 << 20
    path_bytes: int = 1_024
    depth: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What is asked for, and where its files were unpacked."""

    image: str
    context: Path
    build_args: Mapping[str, str] = field(default_factory=dict)
    has_secrets: bool = False


def unpack(archive: IO[bytes], folder: Path, limits: ArchiveLimits) -> BuildRequest:
    """Unpack into ``folder``, which is empty. Raises BadInput with one sentence; what was written until then stays."""
    unpacking = _Unpacking(folder, limits)
    try:
        with tarfile.open(fileobj=archive, mode="r:", tarinfo=_Entry) as tar:
            for entry in tar:
                unpacking.take(entry, tar)
            _check_end(archive, tar.offset)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise BadInput(f"the body is not a tar archive that can be read: {str(error)[:MAX_SHOWN]}") from error
    unpacking.make_links()
    return unpacking.request()


def _check_end(archive: IO[bytes], offset: int) -> None:
    """What is no header ends the reading without a word, and what comes after it would be missing in the build."""
    archive.seek(offset)
    if archive.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"what stands at byte {offset} is no entry; it is damaged, or was cut off")


class _Entry(tarfile.TarInfo):
    """One whose size is below zero ends the reading: older Pythons go back by it, and read for ever."""

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError("an entry's size is below zero")
        return -(-count // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


class _Unpacking:
    def __init__(self, folder: Path, limits: ArchiveLimits) -> None:
        self._folder, self._limits = folder, limits
        self._kinds: dict[tuple[str, ...], str] = {}
        """What each name in the context is: file, folder or link."""
        self._links: list[tuple[tuple[str, ...], str]] = []
        self._texts: dict[str, bytes] = {}
        self._entries = self._written_bytes = 0

    def take(self, entry: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        self._entries += 1
        if self._entries > self._limits.files:
            raise BadInput(f"the archive has more than {self._limits.files} entries; leave out what is not needed")
        parts = self._parts(entry.name)
        if not parts and entry.isdir():
            return
        if entry.sparse is not None or any(key.startswith("GNU.sparse") for key in entry.pax_headers):
            self._refuse(entry, "is a sparse file; write it in full")
        if parts[:1] == (CONTEXT,):
            self._take_of_context(entry, parts, tar)
        elif parts in ((REQUEST,), (SECRETS,)) and entry.isreg():
            self._take_text(entry, parts[0], tar)
        else:
            self._refuse(entry, f"is neither {REQUEST} nor below {CONTEXT}/")

    def request(self) -> BuildRequest:
        if REQUEST not in self._texts:
            raise BadInput(f"the archive has no {REQUEST}, which names the image")
        if self._kinds.get((CONTEXT,)) != "folder":
            raise BadInput(f"the archive has no {CONTEXT}/ with the files to build")
        try:
            value: Any = bounded_json.loads(self._texts[REQUEST])
        except ValueError as error:
            raise BadInput(f"{REQUEST} is not readable as JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadInput(f"{REQUEST} must be a JSON object")
        return BuildRequest(
            image=str(value.get("image") or ""),
            context=self._folder / CONTEXT,
            build_args=_build_args(value.get("buildArgs")),
            has_secrets=SECRETS in self._texts,
        )

    def _parts(self, name: str) -> tuple[str, ...]:
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise BadInput(f"the archive's entry {_shown(name)} has a name that is not UTF-8") from None
        if name.startswith("/"):
            raise BadInput(f"the archive's entry {_shown(name)} has an absolute name")
        if ".." in parts:
            raise BadInput(f"the archive's entry {_shown(name)} leads out of the context by '..'")
        if not name.isprintable():
            raise BadInput(f"the archive's entry {_shown(name)} has control characters in its name")
        if size > self._limits.path_bytes or len(parts) > self._limits.depth or any(_too_long(part) for part in parts):
            raise BadInput(
                f"the archive's entry {_shown(name)} has too long a name: at most {self._limits.path_bytes} bytes, "
                f"{self._limits.depth} folders and 255 bytes for each"
            )
        return parts

    def _take_text(self, entry: tarfile.TarInfo, name: str, tar: tarfile.TarFile) -> None:
        if name in self._texts:
            self._refuse(entry, "comes twice")
        if entry.size > MAX_REQUEST_BYTES:
            self._refuse(entry, f"has more than {MAX_REQUEST_BYTES} bytes")
        self._texts[name] = b"".join(self._content(entry, tar))

    def _take_of_context(self, entry: tarfile.TarInfo, parts: tuple[str, ...], tar: tarfile.TarFile) -> None:
        if parts in self._kinds and not (entry.isdir() and self._kinds[parts] == "folder"):
            self._refuse(entry, "comes twice")
        self._make_folders(entry, parts if entry.isdir() else parts[:-1])
        if entry.isdir():
            return
        if len(parts) == 1:
            self._refuse(entry, "must be a folder")
        if entry.mode & SET_ID:
            self._refuse(entry, "has a setuid or setgid bit")
        if entry.isreg():
            self._write(parts, self._content(entry, tar), executable=bool(entry.mode & 0o111))
        elif entry.issym():
            self._kinds[parts] = "link"
            self._links.append((parts, entry.linkname))
        elif entry.islnk():
            self._copy(entry, parts)
        else:
            self._refuse(entry, "is a device, a pipe or of an unknown kind")

    def _make_folders(self, entry: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        for length in range(1, len(parts) + 1):
            known = self._kinds.get(parts[:length])
            if known is None:
                self._place(parts[:length]).mkdir(mode=0o755)
                self._kinds[parts[:length]] = "folder"
            elif known != "folder":
                self._refuse(entry, f"lies below a {known}")

    def _content(self, entry: tarfile.TarInfo, tar: tarfile.TarFile) -> Iterator[bytes]:
        self._count(entry.size)
        source = tar.extractfile(entry)
        assert source is not None
        left = entry.size
        while left > 0:
            piece = source.read(min(left, PIECE_BYTES))
            if not piece:
                self._refuse(entry, "ends before its announced size")
            left -= len(piece)
            yield piece

    def _write(self, parts: tuple[str, ...], content: Iterator[bytes], *, executable: bool) -> None:
        mode = 0o755 if executable else 0o644
        handle = os.open(self._place(parts), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            for piece in content:
                file.write(piece)
        self._kinds[parts] = "file"

    def _copy(self, entry: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        """A hard link is the same file once more: a copy is as good, and shares nothing."""
        target = self._parts(entry.linkname)
        if self._kinds.get(target) != "file":
            self._refuse(entry, f"is a hard link to {_shown(entry.linkname)}, which is no file before it")
        source = self._place(target)
        self._count(source.stat().st_size)
        with source.open("rb") as file:
            executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
            self._write(parts, iter(lambda: file.read(PIECE_BYTES), b""), executable=executable)

    def make_links(self) -> None:
        """All of them before any is looked at: what one leads to may depend on another."""
        for parts, target in self._links:
            if not target or target.startswith("/") or "\0" in target or len(os.fsencode(target)) > 4_095:
                raise BadInput(f"the archive's link {_shown('/'.join(parts))} leads to an absolute or unusable place")
            self._place(parts).symlink_to(target)
        inside = (self._folder / CONTEXT).resolve()
        for parts, target in self._links:
            name = _shown("/".join(parts))
            try:
                real = self._place(parts).resolve(strict=True)
            except (OSError, RuntimeError):
                raise BadInput(f"the archive's link {name} leads to {_shown(target)}, which is not there") from None
            if not real.is_relative_to(inside):
                raise BadInput(f"the archive's link {name} leads out of the context, to {_shown(target)}")
            if not real.is_file():  # folders that are links may hold each other, and whoever copies them has no end
                raise BadInput(f"the archive's link {name} leads to {_shown(target)}, which is no file")

    def _count(self, size: int) -> None:
        self._written_bytes += size
        if size < 0 or self._written_bytes > self._limits.expanded_bytes:
            raise BadInput(
                f"the archive's files have more than {self._limits.expanded_bytes} bytes; leave out what is not needed"
            )

    def _place(self, parts: tuple[str, ...]) -> Path:
        return self._folder.joinpath(*parts)

    def _refuse(self, entry: tarfile.TarInfo, why: str) -> NoReturn:
        raise BadInput(f"the archive's entry {_shown(entry.name)} {why}")


def _build_args(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise BadInput(f"{REQUEST}: buildArgs must be an object of texts")
    return value


def _too_long(part: str) -> bool:
    return len(part.encode()) > 255


def _shown(name: str) -> str:
    return ascii(name[:MAX_SHOWN])
