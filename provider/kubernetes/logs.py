"""What a function's pods write: their logs merged by time, and new pods picked up while somebody follows."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import structlog

from springtide.provider.kubernetes.views import PodView
from springtide.provider.ports import LogLine, LogQuery
from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unavailable
from springtide.runtime.kubernetes.api import KubernetesApi, LogWish
from springtide.scaler.core.vocabulary import FunctionRef, Instant

MAX_LINES = 10_000
"""Kept of one pod's past: the newest. Without a bound one noisy function would fill the memory."""

MAX_UNREAD = 1_000
"""Lines of pods that a slow reader may lag behind; beyond it the pods' streams wait."""

RETRY_S = 0.5

log = structlog.get_logger(__name__)


class PodSource(Protocol):
    """Which pods a function has, and word of every change."""

    def pods(self, ref: FunctionRef) -> Mapping[str, PodView]: ...

    def function(self, ref: FunctionRef) -> object | None: ...

    async def changed(self, ref: FunctionRef) -> None:
        """Return once the function or its pods changed."""


class PodLogs:
    def __init__(self, api: KubernetesApi, source: PodSource, *, most_pods: int) -> None:
        self._api, self._source, self._most_pods = api, source, most_pods

    async def lines(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:
        """Oldest first; with ``follow`` new ones as they come until the function is gone."""
        past = await self._past(query)
        for line in past:
            yield line
        if query.follow:
            async with contextlib.aclosing(self._follow(query, past)) as lines:
                async for line in lines:
                    yield line

    async def _past(self, query: LogQuery) -> list[LogLine]:
        found = await asyncio.gather(*(self._past_of(pod, query) for pod in self._pods(query)))
        read = [lines for lines in found if not isinstance(lines, Unavailable)]
        failed = [error for error in found if isinstance(error, Unavailable)]
        if failed and not read:
            raise failed[0]
        lines = list(heapq.merge(*read, key=lambda line: line.at))
        return lines[-query.tail :] if query.tail is not None else lines

    async def _past_of(self, pod: PodView, query: LogQuery) -> list[LogLine] | Unavailable:
        """Or why it cannot be read: a node that does not answer must not hide what the pods of others say."""
        wish = _wish(query, follow=False, since=query.since)
        lines: deque[LogLine] = deque(maxlen=MAX_LINES)
        # A pod that has not begun has no log yet, one that is gone has none any more.
        try:
            async with contextlib.aclosing(self._read(pod, query, wish)) as found:
                async for line in found:
                    lines.append(line)
        except (BadInput, NotFound):
            pass
        except Unavailable as error:
            log.warning("the log of a pod is not read", pod=pod.name, function=str(pod.ref), why=str(error))
            if not lines:
                return error
        return sorted(lines, key=lambda line: line.at)

    async def _follow(self, query: LogQuery, past: Iterable[LogLine]) -> AsyncGenerator[LogLine, None]:
        unread: asyncio.Queue[LogLine] = asyncio.Queue(MAX_UNREAD)
        seen = _Seen(query.since)
        for line in past:
            seen.take(line)
        watching = asyncio.create_task(self._watch(query, unread, seen), name=f"logs of {query.ref}")
        try:
            while (new := await _next(unread, watching)) is not None:
                yield new
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, query: LogQuery, unread: asyncio.Queue[LogLine], seen: _Seen) -> None:
        """One stream for each pod, for as long as there is a function."""
        streams: dict[str, asyncio.Task[None]] = {}
        try:
            while self._source.function(query.ref) is not None or streams:
                pods = {pod.name: pod for pod in self._pods(query)}
                for name in [name for name in streams if name not in pods]:
                    await streams.pop(name)
                for name, pod in pods.items():
                    if name not in streams and pod.ip:
                        streams[name] = asyncio.create_task(self._stream(pod, query, unread, seen))
                await self._source.changed(query.ref)
        finally:
            for task in streams.values():
                task.cancel()
            await asyncio.gather(*streams.values(), return_exceptions=True)

    async def _stream(self, pod: PodView, query: LogQuery, unread: asyncio.Queue[LogLine], seen: _Seen) -> None:
        """Until the pod is gone; a stream that breaks, or a container that starts anew, is read on where it was."""
        while any(known.uid == pod.uid for known in self._source.pods(query.ref).values()):
            with contextlib.suppress(SpringtideError):
                wish = _wish(query, follow=True, since=seen.last(pod.name))
                async with contextlib.aclosing(self._read(pod, query, wish)) as lines:
                    async for line in lines:
                        if seen.take(line):
                            await unread.put(line)
            await asyncio.sleep(RETRY_S)

    async def _read(self, pod: PodView, query: LogQuery, wish: LogWish) -> AsyncGenerator[LogLine, None]:
        async with self._api.logs(pod.name, namespace=query.ref.namespace, wish=wish) as lines:
            async for line in lines:
                read = _line(query.ref, pod.name, line)
                # The API server knows whole seconds only.
                if read is not None and (query.since is None or read.at >= query.since):
                    yield read

    def _pods(self, query: LogQuery) -> Iterable[PodView]:
        """The newest ones, where there are more than may be read at once."""
        pods = [pod for pod in self._source.pods(query.ref).values() if query.instance in (None, pod.name)]
        return sorted(pods, key=lambda pod: pod.created_at)[-self._most_pods :]


class _Seen:
    """Up to where each pod was read, so that reading on neither repeats nor loses a line."""

    def __init__(self, since: Instant | None) -> None:
        self._since = since
        self._last: dict[str, tuple[Instant, set[str]]] = {}
        """The time of the last line, and the lines of that very time."""

    def last(self, pod: str) -> Instant | None:
        return self._last[pod][0] if pod in self._last else self._since

    def take(self, line: LogLine) -> bool:
        """Whether it is new."""
        at, texts = self._last.get(line.instance, (Instant(0.0), set()))
        if line.at < at or (line.at == at and line.text in texts):
            return False
        self._last[line.instance] = (line.at, (texts | {line.text}) if line.at == at else {line.text})
        return True


async def _next(unread: asyncio.Queue[LogLine], watching: asyncio.Task[None]) -> LogLine | None:
    """The next line; None when no more can come."""
    if unread.empty() and not watching.done():
        getting = asyncio.ensure_future(unread.get())
        try:
            await asyncio.wait({getting, watching}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
        finally:
            getting.cancel()
    if unread.empty():
        watching.result()
        return None
    return unread.get_nowait()


def _wish(query: LogQuery, *, follow: bool, since: Instant | None) -> LogWish:
    at = "" if since is None else datetime.fromtimestamp(int(since), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return LogWish(
        container=query.ref.name, follow=follow, since_time=at, tail=None if follow else query.tail or MAX_LINES
    )


def _line(ref: FunctionRef, pod: str, line: bytes) -> LogLine | None:
    stamp, _, text = line.partition(b" ")
    try:
        at = Instant(datetime.fromisoformat(stamp.decode()).timestamp())
    except ValueError:
        return None
    return LogLine(ref, pod, at, text.decode(errors="replace"))
