"""How many calls each function has, added up over every gateway: each pushes its numbers once a second.

Totals of started and completed calls only grow, whatever happens to gateways: the counters of a new life of a gateway,
which may be another gateway at an old address, are counted from its first line on. A gateway that should be there and
has not been heard for ``SILENT_AFTER_S`` is named, and what it has in flight is not in the sum: that is too small then.
One that ended by intention, or whose address is gone and whose stream ended, is dropped with the calls it had.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass

import httpx

from springtide.runtime.backoff import Backoff
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.dns import resolved_urls
from springtide.runtime.errors import Unavailable, kind_and_reason_of
from springtide.runtime.outage import Outage
from springtide.runtime.tls import client_context
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.observation import Calls
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.wire import load_stream
from springtide.wire.load_stream import INTERVAL_S, MAX_FUNCTIONS, End, Load, LoadLine

SILENT_AFTER_S = 3.0
"""A gateway tells each second."""

RESOLVE_S = 5.0
"""How often the gateways' names are looked up: copies come and go."""

UNRESOLVED_AFTER_S = 30.0
"""A name that has not been found for so long may stand for gateways that nobody listens to."""

CONNECT_S = 2.0
RETRY = Backoff(0.2, 2.0, jitter=0.5)

MAX_DRIFT_S = 1.0
"""Two clocks that were compared and are apart by more than this now: one of them was set."""


class Gateway:
    """One address. Instants are on our monotonic clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.known: dict[str, Load] = {}
        self.life = ""
        """Which life of the gateway ``known`` is of."""
        self.at: float | None = None
        """As of when ``known`` is."""
        self.whole_at = float("-inf")
        """When it was last heard with all its numbers."""
        self.ended = False
        self.retired = False
        """Its address is gone."""
        self.outage = Outage("a gateway does not tell its load", gateway=url)
        self._ahead_s = 0.0
        """What to add to the gateway's clock for ours: the least seen, which is what the fastest line took."""

    def __repr__(self) -> str:
        state = "ended" if self.ended else "heard" if self.at is not None else "not heard yet"
        return f"<Gateway {self.url} {state}, {len(self.known)} functions>"

    def silent(self, now: float) -> bool:
        return not self.ended and now - self.whole_at > SILENT_AFTER_S

    def heard_at(self, at: float, now: float) -> float:
        """When a line that came ``now`` was true, by our clock."""
        ahead_s = now - at
        if self.at is None or not 0 <= ahead_s - self._ahead_s <= MAX_DRIFT_S:
            self._ahead_s = ahead_s
        return at + self._ahead_s

    def forget(self) -> None:
        """It has no calls any more."""
        self.known, self.life, self.at, self.ended = {}, "", None, True


@dataclass(frozen=True, slots=True)
class _View:
    """What a look at ``now`` sees, the same for every function. ``at`` is None where no gateway is heard."""

    now: Instant
    at: Instant | None
    known: list[dict[str, Load]]
    silent: tuple[str, ...]
    nothing: NoData


class GatewayLoad:
    """``run`` listens; ``calls`` answers at once. A name that has several addresses stands for as many gateways."""

    def __init__(self, urls: Sequence[str], credentials: Credentials | None, *, clock: Clock) -> None:
        """``urls`` are those of the gateways' public ports, such as ``http://gateway:8080``."""
        self._urls = tuple(urls)
        self._clock = clock
        self._gateways: dict[str, Gateway] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._addresses: dict[str, tuple[list[str], float]] = {}
        """What each of ``urls`` stood for when it was last found, and when that was."""
        self._totals: dict[str, tuple[float, float]] = {}
        self._view: _View | None = None
        self._begun = clock.now()
        self._wall_ahead_s = clock.wall() - clock.now()
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
        return f"<GatewayLoad {list(self._gateways.values())}, {len(self._totals)} functions>"

    async def aclose(self) -> None:
        await self._http.aclose()

    def calls(self, ref: FunctionRef, now: Instant) -> Calls | NoData:
        """The function's calls over all gateways that are heard, as of when the last of them told."""
        view = self._view
        if view is None or view.now != now:
            view = self._view = self._seen(now)
        if view.at is None:
            return view.nothing
        name = str(ref)
        loads = [load for known in view.known if (load := known.get(name)) is not None]
        if not loads:
            return _UNLISTED
        started, completed = self._totals[name]
        in_flight, waiting = sum([load.in_flight for load in loads]), sum([load.waiting for load in loads])
        return Calls(LoadSample(view.at, started, completed, in_flight, waiting), view.silent)

    def silent(self) -> tuple[str, ...]:
        """Which gateways should be heard, and are not; of names that are not found, which."""
        now = self._clock.now()
        lost = [url for url in self._urls if now - self._addresses.get(url, ([], self._begun))[1] > UNRESOLVED_AFTER_S]
        return (*(one.url for one in self._gateways.values() if one.silent(now)), *lost, *self._unknown_yet())

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

    def _seen(self, now: Instant) -> _View:
        moment = self._clock.now()
        silent = self.silent()
        heard = [one for one in self._gateways.values() if one.at is not None and moment - one.at <= SILENT_AFTER_S]
        last = max((one.at for one in heard if one.at is not None), default=None)
        return _View(
            now=now,
            at=self._instant(last, now) if last is not None else None,
            known=[one.known for one in heard],
            silent=silent,
            nothing=NoData(f"no gateway is heard: {', '.join(silent)}" if silent else "there is no gateway"),
        )

    # Which gateways there are.

    def _unknown_yet(self) -> Iterator[str]:
        """Names that nobody has looked up yet, or that were not found so far."""
        return (url for url in self._urls if url not in self._addresses)

    async def _find(self) -> None:
        self._view = None
        await asyncio.gather(*(self._resolve(url) for url in self._urls))
        there = dict.fromkeys(url for found, _ in self._addresses.values() for url in found)
        for url, one in self._gateways.items():
            one.retired = url not in there
        for url in there:
            if url not in self._listening:
                one = self._gateways[url] = Gateway(url)
                self._listening[url] = asyncio.create_task(self._listen(one), name=f"load of {url}")
        for url, one in list(self._gateways.items()):
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
        del self._gateways[url]
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
                        self._take(one, line, first=first)
                        first, failures = False, 1
            except Unavailable as error:
                if not one.ended:
                    one.outage.failed(str(error))
            await asyncio.sleep(RETRY.delay_s(failures))
        one.forget()
        self._view = None

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

    def _take(self, one: Gateway, line: LoadLine | End, *, first: bool) -> None:
        self._view = None
        if isinstance(line, End):
            one.forget()
        else:
            now = self._clock.now()
            at = one.heard_at(line.at, now)
            if first and line.gateway == one.life:
                self._forget_all_but(one, line)
            self._count(one, line, self._share(one, at))
            one.life, one.at, one.ended = line.gateway, at, False
            if not line.partial:
                one.whole_at = now
                one.outage.over()
            else:
                one.outage.failed(line.partial)
        self.heard.set()

    def _share(self, one: Gateway, at: float) -> float:
        """What part of the calls since its last line counts.

        All, as a rule. But where it was away while others were heard, the sum's time went on without it: what came
        meanwhile would look as if it had come at once, which no replicas are needed for.
        """
        if one.at is None:
            return 1.0
        away_s = at - one.at
        others = max((other.at for other in self._gateways.values() if other is not one and other.at), default=one.at)
        return INTERVAL_S / away_s if away_s > 2 * INTERVAL_S and others > one.at + INTERVAL_S else 1.0

    def _count(self, one: Gateway, line: LoadLine, share: float) -> None:
        new_life = one.at is None or line.gateway != one.life
        if new_life:
            one.known = {}
        for name, load in line.functions.items():
            if load is None:
                self._forget(one, name)
                continue
            before = load if new_life else one.known.get(name, _NONE)
            started, completed = self._totals.get(name, (0.0, 0.0))
            self._totals[name] = (
                started + share * _grown(before.started, load.started),
                completed + share * _grown(before.completed, load.completed),
            )
            one.known[name] = load
        if len(one.known) > MAX_FUNCTIONS:
            raise Unavailable(f"it tells of more than {MAX_FUNCTIONS} functions")
        if len(self._totals) > 2 * MAX_FUNCTIONS:
            listed = {name for other in self._gateways.values() for name in other.known}
            self._totals = {name: total for name, total in self._totals.items() if name in listed}

    def _forget_all_but(self, one: Gateway, line: LoadLine) -> None:
        """The first line of a stream has every function; those it lacks were deleted while it was not heard."""
        for name in [name for name in one.known if name not in line.functions]:
            self._forget(one, name)

    def _forget(self, one: Gateway, name: str) -> None:
        one.known.pop(name, None)
        if not any(name in other.known for other in self._gateways.values()):
            self._totals.pop(name, None)

    def _instant(self, moment: float, now: Instant) -> Instant:
        """A moment of our monotonic clock on the clock that ``now`` is of; the same each time unless that was set."""
        ahead_s = now - self._clock.now()
        if abs(ahead_s - self._wall_ahead_s) > MAX_DRIFT_S:
            self._wall_ahead_s = ahead_s
        return Instant(min(moment + self._wall_ahead_s, now))


_NONE = Load(0, 0, 0, 0)
_UNLISTED = NoData("no gateway knows this function")


def _grown(before: int, now: int) -> int:
    """What a counter counted; it began anew where it fell."""
    return now - before if now >= before else now
