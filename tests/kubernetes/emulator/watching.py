"""Watches: what happened since a version, then what happens, one JSON document a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from tests.kubernetes.emulator.objects import Object, namespace_of
from tests.kubernetes.emulator.options import flag, version, whole
from tests.kubernetes.emulator.reading import seen, selection
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.selectors import Matches
from tests.kubernetes.emulator.settings import EmulatorSettings
from tests.kubernetes.emulator.statuses import ApiError, expired
from tests.kubernetes.emulator.store import Change, Compacted, Kind, Store

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_BEFORE_END_S = 2.0
"""The last bookmark comes this long before the watch times out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """What a client asks to see."""

    resource: Resource
    namespace: str
    matches: Matches
    since: int | None
    bookmarks: bool
    initial: bool
    timeout_s: float


def watch_request(
    resource: Resource, namespace: str, query: Mapping[str, str], settings: EmulatorSettings
) -> WatchRequest:
    """Raises ApiError."""
    asked, match = query.get("sendInitialEvents"), query.get("resourceVersionMatch", "")
    if asked is None and match:
        raise _invalid(
            "resourceVersionMatch: Forbidden: it is forbidden for watch unless sendInitialEvents is provided"
        )
    if asked is not None and match != "NotOlderThan":
        raise _invalid("resourceVersionMatch: Forbidden: sendInitialEvents requires it to be NotOlderThan")
    if query.get("continue"):
        raise _invalid("continue: Forbidden: continue is forbidden for watch")
    since = version(query)
    initial = flag(query, "sendInitialEvents") if asked is not None else since in (None, 0)
    return WatchRequest(
        resource=resource,
        namespace=namespace,
        matches=selection(resource, query),
        since=since,
        bookmarks=flag(query, "allowWatchBookmarks"),
        initial=initial,
        timeout_s=float(whole(query, "timeoutSeconds") or settings.watch_timeout_s),
    )


def _invalid(why: str) -> ApiError:
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {why}')


class Watch:
    """One watch: a bounded buffer between the store and a connection."""

    def __init__(self, store: Store, request: WatchRequest, settings: EmulatorSettings) -> None:
        self._store, self._request, self._settings = store, request, settings
        self._waiting: deque[Change] = deque()
        self._woken = asyncio.Event()
        self._cut: Callable[[], None] = lambda: None

    def past(self) -> list[Change]:
        """What the client has missed. Raises ApiError 410."""
        request = self._request
        if request.since is None or request.initial:
            return []
        try:
            return self._store.since(request.since)
        except Compacted as error:
            raise expired(str(error)) from error

    async def lines(self, cut: Callable[[], None]) -> AsyncGenerator[bytes]:
        """``cut`` ends the connection of a client that falls behind: it has to list again."""
        self._cut = cut
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._request.timeout_s
        stop = self._store.listen(self._take)
        try:
            try:
                past = self.past()
            except ApiError as error:
                yield _line("ERROR", error.as_json())
                return
            for line in self._first(past):
                yield line
            bookmark_at = self._next_bookmark(loop.time(), ends_at)
            while (now := loop.time()) < ends_at:
                while self._waiting:
                    if line := self._event(self._waiting.popleft()):
                        yield line
                if now >= bookmark_at:
                    yield self._bookmark()
                    bookmark_at = self._next_bookmark(now, ends_at)
                await self._more(min(bookmark_at, ends_at) - now)
        finally:
            stop()

    def _first(self, past: list[Change]) -> list[bytes]:
        if not self._request.initial:
            return [line for change in past if (line := self._event(change))]
        request = self._request
        existing = self._store.objects(request.resource.key, request.namespace)
        lines = [_line("ADDED", seen(request.resource, one)) for one in existing if request.matches(one)]
        if request.since is not None and request.bookmarks:
            lines.append(self._bookmark(initial=True))
        return lines

    async def _more(self, timeout_s: float) -> None:
        if self._waiting:
            return
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._woken.wait()

    def _take(self, change: Change) -> None:
        if change.key != self._request.resource.key:
            return
        if len(self._waiting) >= self._settings.watch_buffer:
            self._cut()
        else:
            self._waiting.append(change)
        self._woken.set()

    def _event(self, change: Change) -> bytes:
        """Empty when the change is none of this watch's."""
        request = self._request
        if change.key != request.resource.key:
            return b""
        if request.namespace and namespace_of(change.object) != request.namespace:
            return b""
        before = change.previous is not None and request.matches(change.previous)
        after = change.kind is not Kind.DELETED and request.matches(change.object)
        if not before and not after:
            return b""
        kind = Kind.MODIFIED if before and after else Kind.ADDED if after else Kind.DELETED
        thing = change.object
        if kind is Kind.DELETED and change.kind is not Kind.DELETED and change.previous is not None:
            # It left the selection: clients get what they knew, with the version of the change.
            meta = change.previous["metadata"] | {"resourceVersion": str(change.version)}
            thing = change.previous | {"metadata": meta}
        return _line(kind, seen(request.resource, thing))

    def _next_bookmark(self, now: float, ends_at: float) -> float:
        if not self._request.bookmarks:
            return float("inf")
        regular = now + self._settings.bookmark_s
        last = ends_at - _BEFORE_END_S
        return min(regular, last) if now < last else regular

    def _bookmark(self, *, initial: bool = False) -> bytes:
        resource = self._request.resource
        meta: Object = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        return _line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta})


def _line(kind: str, thing: Object) -> bytes:
    return json.dumps({"type": kind, "object": thing}, separators=(",", ":")).encode() + b"\n"
