"""Shuts out former leaders: whatever a part of a later term asked, nothing of an earlier one is taken any more."""

from __future__ import annotations

from collections.abc import Collection

from springtide.runtime.asgi import App, Receive, Scope, Send, respond
from springtide.runtime.errors import SpringtideError, status_of
from springtide.wire.leadership import LEADER_HEADER, Terms

_NAME = LEADER_HEADER.lower().encode()


class OneLeader:
    """Looks at every request, reads included: by reading, a new leader begins its term here."""

    def __init__(self, app: App, terms: Terms, *, open_paths: Collection[str]) -> None:
        """``open_paths`` need no credentials, so what they say of terms counts for nothing."""
        self._app, self._terms, self._open_paths = app, terms, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            given = dict(scope["headers"]).get(_NAME)
            try:
                self._terms.check(None if given is None else given.decode("latin-1"))
            except SpringtideError as error:
                await respond(send, status_of(error), str(error).encode())
                return
        await self._app(scope, receive, send)
