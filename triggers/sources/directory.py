"""A folder of this machine, or one that is mounted: each file that is complete is an event."""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from springtide.runtime.counted_warning import CountedWarning
from springtide.runtime.errors import BadInput, Unavailable, reason_of
from springtide.runtime.settings import duration, integer, setting, words
from springtide.triggers.source import Feed, Received, Source
from springtide.triggers.source_settings import Either, several
from springtide.triggers.watched_folder import DONE, FolderRules, LentFile, Look, WatchedFolder
from springtide.wire.events.event import Event

CONNECTOR = "directory-connector"
TYPE = "com.springtide.directory.file"
MAX_TOPICS, MAX_PATTERNS = 100, 20
MEBIBYTE = 1024 * 1024
PAUSES = 4
"""At most one part in so many, and one, of the time is spent looking, however many files lie there."""

_TYPES = mimetypes.MimeTypes()
"""Those that Python knows: the same on every machine."""


def folders(text: str) -> tuple[str, ...]:
    found = several(text, MAX_TOPICS)
    for one in found:
        if "/" in one or one.startswith(".") or one == DONE:
            raise ValueError(
                f"{one[:60]!r} is no name of a folder inside path; name several, or write a source for each"
            )
    return found


def patterns(text: str) -> tuple[str, ...]:
    found = words(text)
    if not 1 <= len(found) <= MAX_PATTERNS:
        raise ValueError(f"{len(found)} patterns; write 1 to {MAX_PATTERNS}, as *.csv")
    if wrong := [one for one in found if "/" in one]:
        raise ValueError(f"{wrong[0][:60]!r} is no pattern of a file's name; write it without a folder, as *.csv")
    return found


@dataclass(frozen=True, kw_only=True)
class Settings:
    path: str = setting("", env="path", help="folder that is watched")
    topics: tuple[str, ...] = setting(
        (),
        env="topics",
        kind=folders,
        help="folders inside it, each of them a topic; empty: it is watched itself, and its name is the topic",
    )
    match: tuple[str, ...] = setting(("*",), env="match", kind=patterns, help="patterns of file names, as *.csv")
    delete: bool = setting(
        False,  # noqa: FBT003 - the default comes first in every setting
        env="after",
        kind=Either({"move": False, "delete": True}),
        help=f"what becomes of a file that is done with: move, into the folder {DONE}/ beside it, or delete",
    )
    max_bytes: int = setting(
        64 * MEBIBYTE,
        env="max_bytes",
        kind=integer,
        low=1,
        high=1024 * MEBIBYTE,
        help="bytes of a file; a larger one is told in the log and left",
    )
    settle_s: float = setting(
        1.0,
        env="settle",
        kind=duration,
        low=0.0,
        high=3600.0,
        help="a file that has not changed for so long, and is not open for writing, is complete",
    )
    interval_s: float = setting(
        0.5, env="interval", kind=duration, low=0.01, high=3600.0, help="how often the folder is looked at"
    )


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if not settings.path:
        raise BadInput("path: there is none; write path: /srv/incoming")
    return DirectorySource(name, settings)


class DirectorySource:
    connector = CONNECTOR
    at_least_once = True

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._settings = settings
        path = Path(settings.path).expanduser().absolute()
        rules = FolderRules(
            match=settings.match, settle_s=settings.settle_s, max_bytes=settings.max_bytes, delete=settings.delete
        )
        paths = {topic: path / topic for topic in settings.topics} or {path.name or "/": path}
        self._folders = {topic: WatchedFolder(each, rules) for topic, each in paths.items()}
        self._left = CountedWarning("a file is left where it lies, and is no event")

    def __repr__(self) -> str:
        return f"<DirectorySource {self._name} of {', '.join(map(repr, self._folders.values()))}>"

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        for folder in self._folders.values():
            await asyncio.to_thread(folder.check)
        feed = _Feed(self._name, self._folders, self._settings.interval_s, self._left)
        try:
            yield feed
        finally:
            await feed.leave()


class _Feed:
    def __init__(self, name: str, folders: dict[str, WatchedFolder], interval_s: float, left: CountedWarning) -> None:
        self._name, self._interval_s, self._left = name, interval_s, left
        self._folders = deque(folders.items())
        """The one whose turn it is comes first."""
        self._found: list[_Lent] = []
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<_Feed {self._name}, {len(self._found)} found>"

    async def take(self, limit: int) -> Sequence[Received]:
        loop = asyncio.get_running_loop()
        while True:
            if self._found:
                taken, self._found = self._found[:limit], self._found[limit:]
                return taken
            began = loop.time()
            # A look goes on when this is cancelled: what it finds is locked, and given at the next question.
            self._looking = self._looking or asyncio.create_task(self._look(limit), name=f"look {self._name}")
            await asyncio.shield(self._looking)
            self._looking = None
            if not self._found:
                await asyncio.sleep(max(self._interval_s, PAUSES * (loop.time() - began)))

    async def _look(self, limit: int) -> None:
        for topic, folder in tuple(self._folders):
            if (room := limit - len(self._found)) <= 0:
                return
            self._folders.rotate(-1)
            now = asyncio.get_running_loop().time()
            try:
                look: Look = await asyncio.to_thread(folder.look, now, room)
            except OSError as error:
                raise Unavailable(f"{folder.path}: {error.strerror or reason_of(error)}") from error
            for name, why in look.left:
                self._left.seen(source=self._name, file=_told(str(folder.path / name)), why=why)
            self._found += [_Lent(folder, file, self._event(topic, file)) for file in look.files]

    def _event(self, topic: str, file: LentFile) -> Event:
        name = _told(file.name)
        return Event(
            topic=topic,
            body=file.body,
            id=f"{name}-{file.stamp.modified_ns}-{file.stamp.size}",
            source=f"/{self._name}/{topic}",
            type=TYPE,
            content_type=_type_of(name),
            subject=name,
            time=file.stamp.modified_ns / 1e9,
            headers=(("X-File-Name", name),),
        )

    async def waiting(self) -> int | None:
        return sum(folder.waiting for _, folder in self._folders)

    async def leave(self) -> None:
        """What was found and not given out is found again."""
        if self._looking is not None:
            await asyncio.gather(self._looking, return_exceptions=True)
        for lent in self._found:
            await lent.give_back()


@dataclass(frozen=True, slots=True)
class _Lent:
    """Implements ``Received``."""

    folder: WatchedFolder
    file: LentFile
    event: Event

    async def taken(self) -> None:
        try:
            await asyncio.to_thread(self.folder.take_away, self.file)
        except OSError as error:
            raise Unavailable(f"{self.folder.path}: a file cannot be taken away: {error.strerror}") from error
        finally:
            self.folder.release(self.file)

    async def give_back(self) -> None:
        self.folder.release(self.file)

    async def keep(self) -> None: ...


def _told(name: str) -> str:
    """Names are bytes, and need not be text."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _type_of(name: str) -> str:
    """Empty where its name does not say."""
    found, packed = _TYPES.guess_type(name)
    return ("application/gzip" if packed == "gzip" else "application/octet-stream") if packed else found or ""
