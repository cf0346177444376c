"""Leadership among copies of one part, by a ``coordination.k8s.io`` Lease.

What makes it safe, whatever the clocks say:

* A copy takes the lease only after it saw the same resourceVersion for the whole lease duration, by its own clock, and
  only by compare-and-set on that version: had the holder renewed meanwhile, seen or not, the write would fail.
* The holder counts its time from *before* the renewal was sent, so it stops believing in its lease before anybody else
  may take it, and earlier still by the difference of lease duration and renew deadline.
* Its clock goes on while the machine sleeps (CLOCK_BOOTTIME): a laptop or a VM that wakes up knows that it was away.
* ``hold`` is the resourceVersion of the write that took the lease. It only grows, even when the Lease is deleted and
  created anew, so whoever is written to can refuse what a former leader sent before it was stopped.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import structlog

from springtide.runtime.deadlines import within
from springtide.runtime.errors import AlreadyExists, Conflict, NotFound, SpringtideError, Unavailable
from springtide.runtime.kubernetes import lease_record
from springtide.runtime.kubernetes.api import Json, KubernetesApi, Where
from springtide.runtime.kubernetes.lease_record import LeaseName, LeaseRecord
from springtide.runtime.kubernetes.resources import LEASES
from springtide.runtime.kubernetes.settings import LeaseSettings
from springtide.runtime.kubernetes.watching import Cache
from springtide.runtime.outage import Outage

log = structlog.get_logger()


def sleepless_clock() -> float:
    """Seconds that go on while the machine sleeps; plain monotonic ones where the system has no such clock."""
    number = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(number)


class Lease:
    """A Service that keeps trying to hold the lease, and tells whether it does. Start it before what it guards and
    stop it after that: stopping gives the lease back, and another copy takes over at once."""

    def __init__(
        self,
        api: KubernetesApi,
        lease: LeaseName,
        settings: LeaseSettings,
        *,
        identity: str,
        now: Callable[[], float] = sleepless_clock,
    ) -> None:
        """``identity`` must be another one for every process, and after every restart."""
        self._api, self._lease, self._settings = api, lease, settings
        self._identity = identity
        self._now = now
        self._cache = Cache(
            api, LEASES, namespaces=[lease.namespace], selecting=Where(fields=f"metadata.name={lease.name}")
        )
        self._seen: LeaseRecord | None = None
        self._seen_at = now()
        self._owed_s = 0.0
        # A renewal that hangs leaves time for another one before we have to stop believing.
        self._attempt_s = (settings.lease_renew_deadline_s - settings.lease_retry_s) / 2
        self._term: int | None = None
        self._valid_until = self._seen_at
        self._news = asyncio.Event()
        self._changed = asyncio.Event()
        self._outage = Outage("lease not written", lease=str(lease))
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        holder = self._seen.holder if self._seen is not None else "unknown"
        return f"<Lease {self._lease} as {self._identity} term {self.hold()} holder {holder or 'nobody'}>"

    @property
    def name(self) -> str:
        return "lease"

    @property
    def role(self) -> str:
        """Whose leadership this is; terms of the same role can be compared."""
        return str(self._lease)

    # What the guarded part asks.

    def hold(self) -> int | None:
        """The term we lead in, while no other copy can have begun one; None otherwise. Ask right before each write."""
        return self._term if self.left_s() > 0 else None

    def left_s(self) -> float:
        """For how long ``hold`` certainly stays true; a write must not take longer."""
        return max(0.0, self._valid_until - self._now()) if self._term is not None else 0.0

    async def change(self, known: int | None) -> int | None:
        """Wait until ``hold`` answers something else than ``known``; what it answers then."""
        while (term := self.hold()) == known:
            self._changed.clear()
            # Set whenever a term begins or is given up; that one ran out unrenewed, only the clock tells.
            try:
                async with asyncio.timeout(self.left_s() + 0.001 if term is not None else None):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return term

    # Service.

    async def start(self) -> None:
        self._cache.subscribe(self._observe)
        self._tasks = [
            asyncio.create_task(self._cache.run(), name=f"watch of lease {self._lease}"),
            asyncio.create_task(self._campaign(), name=f"campaign for lease {self._lease}"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._term is not None:
            self._step_down("stopping")
            await self._release()

    async def wait(self) -> None:
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()

    # Seeing.

    def _observe(self, _old: Json | None, new: Json | None) -> None:
        """A change of the record, which is all that is believed of the holder's clock."""
        seen = LeaseRecord.read(new) if new is not None else None
        if seen == self._seen:
            return
        # The holder of a Lease that was deleted may not know that yet: it is waited for as if it had just renewed.
        owed_to = seen or self._seen
        self._owed_s = owed_to.duration_s if owed_to is not None else 0.0
        self._seen, self._seen_at = seen, self._now()
        self._outage.over()  # who hears news from the API server has nothing more to complain of
        if self._term is not None and (seen is None or seen.holder != self._identity):
            self._step_down(f"the lease is {seen.holder or 'nobody'}'s" if seen is not None else "the lease is deleted")
        self._news.set()

    def _free_in_s(self) -> float:
        """Until the lease may be taken, as far as can be seen; 0 when it may be now."""
        if self._seen is not None and self._seen.holder in ("", self._identity):
            return 0.0
        return max(0.0, self._seen_at + self._owed_s - self._now())

    # Taking, renewing, giving back.

    async def _campaign(self) -> None:
        await self._cache.synced.wait()
        while True:
            self._news.clear()
            pause_s = self._settings.lease_retry_s * random.uniform(0.9, 1.0)
            leading = self._term is not None
            if (leading or self._free_in_s() == 0) and not await self._take():
                pause_s /= 4
            if self._term is not None:
                await asyncio.sleep(pause_s)
                continue
            try:
                # A record that changes, such as one given back, is looked at at once.
                async with asyncio.timeout(self._free_in_s() or pause_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _take(self) -> bool:
        """One attempt to renew or to take the lease."""
        since, known = self._now(), self._seen
        wanted = lease_record.held(
            self._lease, self._identity, duration_s=self._settings.lease_duration_s, known=known, wall=time.time()
        )
        write = self._api.replace(LEASES, wanted) if known is not None else self._api.create(LEASES, wanted)
        try:
            answer = await within(self._attempt_s, f"writing lease {self._lease}", write)
        except (Conflict, AlreadyExists, NotFound) as error:
            self._outage.over()
            await self._look(str(error))
        except SpringtideError as error:
            self._outage.failed(str(error), leading=self.hold() is not None)
        else:
            self._outage.over()
            self._cache.observe(answer)
            self._lead(answer, since)
        if self._term is not None and self.left_s() == 0:
            self._step_down("it was not renewed in time")
        return self._term is not None

    def _lead(self, answer: Json, since: float) -> None:
        version = LeaseRecord.read(answer).version
        if not version.isdigit():
            raise Unavailable(f"lease {self._lease}: resourceVersion {version!r} is no number, so terms have no order")
        unbroken = self.left_s() > 0
        self._valid_until = since + self._settings.lease_renew_deadline_s
        if not unbroken and self._valid_until > self._now():
            self._term = int(version)
            log.info("leading", lease=str(self._lease), identity=self._identity, term=self._term)
            self._changed.set()

    async def _look(self, why: str) -> None:
        """After a lost race: the lease as it is now, without waiting for the watch to tell."""
        log.info("lease written by another", lease=str(self._lease), why=why)
        try:
            self._cache.observe(await self._api.get(LEASES, self._lease.name, namespace=self._lease.namespace))
        except NotFound:
            self._observe(None, None)
        except SpringtideError as error:
            self._outage.failed(str(error), leading=self.hold() is not None)

    def _step_down(self, why: str) -> None:
        log.info("not leading any more", lease=str(self._lease), identity=self._identity, term=self._term, why=why)
        self._term = None
        self._changed.set()

    async def _release(self) -> None:
        """Nobody holds it from now on; on failure it merely runs out."""
        for _ in range(2):  # a renewal that was under way may come first
            if self._seen is None or self._seen.holder != self._identity:
                return
            wanted = lease_record.released(self._lease, self._seen, wall=time.time())
            write = self._api.replace(LEASES, wanted)
            try:
                self._cache.observe(await within(self._attempt_s, f"releasing lease {self._lease}", write))
            except Conflict as error:
                await self._look(str(error))
            except SpringtideError as error:
                log.warning("lease not given back, it runs out", lease=str(self._lease), why=str(error))
                return
