"""Requests to an API server: paced, within a deadline, repeated where that is safe, with credentials kept fresh."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlencode

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.runtime.kubernetes import faults, lines
from springtide.runtime.kubernetes.pace import Pace
from springtide.runtime.kubernetes.session import Answer, Broken, Session, open_session
from springtide.runtime.kubernetes.settings import KubernetesSettings

MAX_ATTEMPTS = 5
BACKOFF = Backoff(min_s=0.1, max_s=2.0, jitter=0.5)
RELOAD_PAUSE_S = 10.0
"""Credentials that are refused are read anew, at most this often."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``repeatable``: doing it twice is as good as doing it once. ``guard`` raises when it must not be
    sent any more."""

    method: str
    path: str
    what: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content_type: str = "application/json"
    repeatable: bool = True
    guard: Callable[[], None] | None = None

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.params)}" if self.params else self.path


class Opener(Protocol):
    """Makes a session with credentials read anew."""

    async def __call__(self) -> Session: ...


class Requests:
    """Use ``opened``."""

    def __init__(self, session: Session, opener: Opener, *, settings: KubernetesSettings) -> None:
        self._session = session
        self._opener = opener
        self._deadline_s = settings.kube_deadline_s
        self._pace = Pace(settings.kube_requests_per_s, settings.kube_burst)
        self._reloading = asyncio.Lock()
        self._reloaded_at = -RELOAD_PAUSE_S

    def __repr__(self) -> str:
        return f"<Requests {self._session!r} {self._pace!r}>"

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, settings: KubernetesSettings) -> AsyncIterator[Requests]:
        async def opener() -> Session:
            return await open_session(settings)

        requests = cls(await opener(), opener, settings=settings)
        try:
            yield requests
        finally:
            await requests.aclose()

    async def aclose(self) -> None:
        await self._session.aclose()

    async def json(self, call: Call) -> dict[str, Any]:
        """The object answered."""
        async with self._deadline(call), self._answered(call, silence_s=None) as answer:
            value: dict[str, Any] = lines.decoded(answer.whole, call.what)
            return value

    @contextlib.asynccontextmanager
    async def stream(self, call: Call, *, silence_s: float | None) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The answer's bytes as they come, once it has begun; the deadline is for that only. They end when the server
        ends them; silence of more than ``silence_s`` counts as a broken connection."""
        async with contextlib.AsyncExitStack() as stack:
            async with self._deadline(call):
                answer = await stack.enter_async_context(self._answered(call, silence_s=silence_s, streamed=True))
            yield await stack.enter_async_context(contextlib.aclosing(_told(answer.body, call.what)))

    @contextlib.asynccontextmanager
    async def _deadline(self, call: Call) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._deadline_s) as timer:
                yield
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise Unavailable(f"{call.what}: no answer within {self._deadline_s:g} s") from error

    @contextlib.asynccontextmanager
    async def _answered(self, call: Call, *, silence_s: float | None, streamed: bool = False) -> AsyncIterator[Answer]:
        """A successful answer, by however many attempts, read whole unless ``streamed``; else the last one's error."""
        give_up_at = asyncio.get_running_loop().time() + self._deadline_s
        for attempt in range(1, MAX_ATTEMPTS + 1):
            await self._pace.turn()
            if call.guard is not None:
                call.guard()
            session = self._session
            async with contextlib.AsyncExitStack() as stack:
                try:
                    answer = await stack.enter_async_context(_sent(session, call, silence_s))
                    if answer.status >= 300 or not streamed:
                        answer = replace(answer, whole=await answer.read())
                except Broken as broken:
                    error: SpringtideError = Unavailable(f"{call.what}: {broken}")
                    error.__cause__ = broken
                    pause_s = None if broken.sent and not call.repeatable else BACKOFF.delay_s(attempt)
                else:
                    if answer.status < 300:
                        yield answer
                        return
                    error = faults.error_from(answer.status, answer.whole, call.what)
                    pause_s = await self._pause_s(call, answer, attempt=attempt, session=session)
            late = pause_s is not None and asyncio.get_running_loop().time() + pause_s > give_up_at
            if pause_s is None or late or attempt == MAX_ATTEMPTS:
                raise error
            await asyncio.sleep(pause_s)

    async def _pause_s(self, call: Call, answer: Answer, *, attempt: int, session: Session) -> float | None:
        """Before the next attempt; None when there is no use in one."""
        if answer.status == 401:
            return 0.0 if attempt == 1 and await self._reloaded(session) else None
        asked = _retry_after_s(answer)
        if answer.status == 429:  # not done, so anything may be asked again
            return BACKOFF.delay_s(attempt) if asked is None else asked
        if answer.status < 500 or answer.status == 501 or not call.repeatable:
            return None
        return BACKOFF.delay_s(attempt) if asked is None else asked

    async def _reloaded(self, refused: Session) -> bool:
        """Whether there are newer credentials to try. Requests refused together share one reload."""
        loop = asyncio.get_running_loop()
        async with self._reloading:
            if self._session is not refused:
                return True
            if loop.time() - self._reloaded_at < RELOAD_PAUSE_S:
                return False
            self._reloaded_at = loop.time()
            try:
                self._session = await self._opener()
            except SpringtideError:
                return False  # the refusal itself is what the caller is told
            await refused.retire()
            return True


def _sent(session: Session, call: Call, silence_s: float | None) -> contextlib.AbstractAsyncContextManager[Answer]:
    headers = {"Content-Type": call.content_type, "User-Agent": "springtide"}
    return session.send(call.method, call.target, headers=headers, body=call.body, silence_s=silence_s)


async def _told(body: AsyncGenerator[bytes, None], what: str) -> AsyncGenerator[bytes, None]:
    """``body``, naming what was being done when it breaks."""
    try:
        async for chunk in body:
            yield chunk
    except Broken as broken:
        raise Unavailable(f"{what}: {broken}") from broken


def _retry_after_s(answer: Answer) -> float | None:
    """The header as seconds; its other form, a date, is not used by API servers."""
    text = {name.lower(): value for name, value in answer.headers.items()}.get("retry-after", "")
    return float(text) if text.isdigit() else None
