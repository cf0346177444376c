"""Every gateway's load stream: which gateways there are, and a listener for each, which pushes once a second.

What they say is added up by ``load_sum``. A gateway whose address is gone and whose stream ended is dropped with the
calls it had, like one that ended by intention.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import httpx

from springtide.runtime.backoff import Backoff
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.dns import resolved_urls
from springtide.runtime.errors import Unavailable, kind_and_reason_of
from springtide.runtime.outage import Outage
from springtide.runtime.tls import client_context
from springtide.scaler.core.observation import Calls
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.scaler.sources.load_sum import SILENT_AFTER_S, Gateway, LoadSum
from springtide.wire import load_stream
from springtide.wire.load_stream import End, LoadLine

RESOLVE_S = 5.0
"""How often the gateways' names are looked up: copies come and go."""

UNRESOLVED_AFTER_S = 30.0
"""A name that has not been found for so long may stand for gateways that nobody listens to."""

CONNECT_S = 2.0
RETRY = Backoff(0.2, 2.0, jitter=0.5)


class GatewayLoad:
    """``run`` listens; ``calls`` answers at once. A name that has several addresses stands for as many gateways."""

    def __init__(self, urls: Sequence[str], credentials: Credentials | None, *, clock: Clock) -> None:
        """``urls`` are those of the gateways' public ports, such as ``http://gateway:8080``."""
        self._urls = tuple(urls)
        self._clock = clock
        self._sum = LoadSum(clock=clock, unfound=self._unfound)
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._addresses: dict[str, tuple[list[str], float]] = {}
        """What each of ``urls`` stood for when it was last found, and when that was."""
        self._unresolved = Outage("a gateway's name is not found")
        self.heard = asyncio.Event()
        """Set whenever a gateway has told something; whoever waits for it clears it."""
        headers = {"User-Agent": "springtide"}
        if credentials is not None:
            headers["Authorization"] = credentials.header
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(CONNECT_S, read=SILENT_AFTER_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,
            verify=client_context(),
            headers=headers,
        )

    def __repr__(self) -> str:
        return f"<GatewayLoad {self._sum!r}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    def calls(self, ref: FunctionRef, now: Instant) -> Calls | NoData:
        """The function's calls over all gateways that are heard, as of when the last of them told."""
        return self._sum.calls(ref, now)

    def silent(self) -> tuple[str, ...]:
        """Which gateways should be heard, and are not; of names that are not found, which."""
        return self._sum.silent()

    async def run(self) -> None:
        """Listen to every gateway there is, for ever."""
        try:
            while True:
                await self._find()
                await asyncio.sleep(RESOLVE_S)
        finally:
            for task in self._listening.values():
                task.cancel()
            await asyncio.gather(*self._listening.values(), return_exceptions=True)

    # Which gateways there are.

    def _unfound(self) -> list[str]:
        """Names that nobody has found yet, or not for long."""
        known, oldest = self._addresses, self._clock.now() - UNRESOLVED_AFTER_S
        return [url for url in self._urls if url not in known or known[url][1] < oldest]

    async def _find(self) -> None:
        self._sum.changed()
        await asyncio.gather(*(self._resolve(url) for url in self._urls))
        there = dict.fromkeys(url for found, _ in self._addresses.values() for url in found)
        for url, one in self._sum.gateways.items():
            one.retired = url not in there
        for url in there:
            if url not in self._listening:
                self._listening[url] = asyncio.create_task(self._listen(self._sum.add(url)), name=f"load of {url}")
        for url, one in list(self._sum.gateways.items()):
            if self._listening[url].done() or (one.retired and one.silent(self._clock.now())):
                self._drop(url)

    async def _resolve(self, url: str) -> None:
        try:
            found = await resolved_urls(url, deadline_s=CONNECT_S)
        except Unavailable as error:
            self._unresolved.failed(str(error))
            return
        self._unresolved.over()
        self._addresses[url] = (found, self._clock.now())

    def _drop(self, url: str) -> None:
        task = self._listening.pop(url)
        self._sum.drop(url)
        if task.done() and not task.cancelled():
            task.result()
        task.cancel()

    # What each of them says.

    async def _listen(self, one: Gateway) -> None:
        """Until its address is gone and its stream has ended."""
        failures = 0
        while not one.retired:
            failures += 1
            try:
                async with contextlib.aclosing(self._lines(one)) as lines:
                    first = True
                    async for line in lines:
                        self._sum.take(one, line, first=first)
                        self.heard.set()
                        first, failures = False, 1
            except Unavailable as error:
                if not one.ended:
                    one.outage.failed(str(error))
            await asyncio.sleep(RETRY.delay_s(failures))
        one.forget()
        self._sum.changed()

    async def _lines(self, one: Gateway) -> AsyncGenerator[LoadLine | End, None]:
        """Raises Unavailable when it breaks off, is silent, or says something else."""
        url = one.url.rstrip("/") + load_stream.PATH
        try:
            async with self._http.stream("GET", url, params={"watch": "true"}) as answer:
                if answer.status_code != 200:
                    one.ended = False  # somebody is there, and should tell
                    raise Unavailable(f"it answers {answer.status_code} {answer.reason_phrase}")
                chunks = answer.aiter_raw()
                async with contextlib.aclosing(load_stream.lines(chunks)) as texts:
                    async for text in texts:
                        line = load_stream.decode(text)
                        yield line
                        if isinstance(line, End):
                            return
        except httpx.HTTPError as error:
            raise Unavailable(kind_and_reason_of(error)) from error
        raise Unavailable("it ended the stream")
