"""A broker of asynchronous calls in this process's memory, in whatever time its clock tells."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from springtide.runtime.errors import NotFound, TooMany, Unavailable
from springtide.scaler.core.ports import Clock
from springtide.wire.jobs.job import (
    CallbackJob,
    DeadLetter,
    Depths,
    Job,
    JobState,
    JobStatus,
    Lane,
    Outcome,
    Progress,
    QueueDepth,
    StoredBody,
    cancelled,
    cancelled_waiting,
)
from springtide.wire.jobs.job_id import dead_name, id_of, job_id, place_of, queue_number
from springtide.wire.jobs.ports import CallbackLease, Claim, Lease

MIN_WAIT_S = 0.001


@dataclass(slots=True)
class _Message:
    """``free_at``: nobody has it from then on; infinite while it was never given out."""

    sequence: int
    job: Job
    body: bytes
    stored_at: float
    deliveries: int = 0
    free_at: float = 0.0


@dataclass(slots=True)
class _Callback:
    callback: CallbackJob
    body: bytes
    deliveries: int = 0
    free_at: float = 0.0


@dataclass(slots=True)
class MemoryBroker:
    """All that several stores and sources share. ``away``: nothing is answered."""

    clock: Clock
    max_jobs: int = 1_000_000
    max_lane_jobs: int = 100_000
    max_delayed: int = 1_000_000
    max_answer: int = 10_000_000
    away: bool = False
    silent: bool = False
    """Nothing that is said is heard."""
    storing_s: float = 0.0
    """How long an outcome takes to be stored."""
    opening_s: float = 0.0
    """How long a lane takes from which nothing was taken before; one is opened after the other."""
    saying_s: float = 0.0
    """How long it takes to hand over what a copy of the worker says."""
    remembers_since: float = 0.0
    """When what it had in memory was lost."""
    delayed: dict[str, tuple[Job, bytes]] = field(default_factory=dict)
    callbacks: dict[str, _Callback] = field(default_factory=dict)
    outcomes: dict[str, tuple[str, Job, Outcome]] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    deliveries: dict[str, Progress] = field(default_factory=dict)
    dead: dict[str, tuple[DeadLetter, bytes]] = field(default_factory=dict)
    """By what they are stored under, with their bodies."""
    bodies: dict[str, bytes] = field(default_factory=dict)
    steps: Counter[str] = field(default_factory=Counter)
    """How often each was taken."""
    _lanes: dict[Lane, dict[int, _Message]] = field(default_factory=dict)
    _keys: dict[str, Claim] = field(default_factory=dict)
    _sequence: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _placed: dict[str, _Message] = field(default_factory=dict)
    """Every message there is, by its job's token."""
    _accepted: dict[str, int] = field(default_factory=dict)
    """What a repeated write is known by."""
    _listeners: set[asyncio.Queue[tuple[str, Lane | str | bytes]]] = field(default_factory=set)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def one_opens(self) -> asyncio.Lock:
        return self._opening

    def __repr__(self) -> str:
        return f"<MemoryBroker with {len(self._placed)} jobs>"

    def step(self, name: str) -> None:
        """Raises Unavailable while the broker is away."""
        if self.away:
            raise Unavailable("the broker is away")
        self.steps[name] += 1

    def jobs(self, queue: str) -> Mapping[Lane, int]:
        return {lane: len(held) for lane, held in self._lanes.items() if held and lane.queue == queue}

    def put(self, job: Job, body: bytes) -> int:
        """Its place. Raises TooMany."""
        key = f"{job.token}.{job.round}"
        if key in self._accepted:
            return self._accepted[key]
        held = self._lanes.setdefault(job.lane, {})
        if len(held) >= self.max_lane_jobs or self._counts[job.lane.queue] >= self.max_jobs:
            raise TooMany("the queue is full")
        self._sequence += 1
        message = _Message(self._sequence, job, body, self.clock.wall())
        held[self._sequence] = self._placed[job.token] = message
        self._accepted[key] = self._sequence
        self._counts[job.lane.queue] += 1
        self.tell("ring", job.lane)
        return self._sequence

    def placed(self, token: str) -> _Message | None:
        return self._placed.get(token)

    def lose_memory(self) -> None:
        """As a server that was killed."""
        self.progress.clear()
        self.remembers_since = self.clock.wall()

    def take_away(self, message: _Message) -> None:
        if self._lanes[message.job.lane].pop(message.sequence, None) is not None:
            self._counts[message.job.lane.queue] -= 1
        if not self._lanes[message.job.lane]:
            del self._lanes[message.job.lane]
        self._placed.pop(message.job.token, None)
        self.woken()

    def free(self, lane: Lane, limit: int) -> list[_Message]:
        now, found = self.clock.now(), []
        for message in self._lanes.get(lane, {}).values():
            if message.free_at <= now:
                found.append(message)
                if len(found) == limit:
                    break
        return found

    def tell(self, what: str, about: Lane | str | bytes) -> None:
        for listener in () if self.silent or self.away else self._listeners:
            listener.put_nowait((what, about))
        self.woken()

    def woken(self) -> None:
        """Whoever waits for something looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, wait_s: float) -> bool:
        """Whether something did, within ``wait_s``."""
        try:
            # A loop fires timers a little early: who waits for the rest of nothing would do so for ever.
            async with asyncio.timeout(max(wait_s, MIN_WAIT_S)):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def heard(self, what: str) -> AsyncGenerator[Lane | str | bytes]:
        """What is said from now on; nothing while the broker is away."""
        listener: asyncio.Queue[tuple[str, Lane | str | bytes]] = asyncio.Queue()
        self._listeners.add(listener)
        try:
            while True:
                said, about = await listener.get()
                if said == what:
                    yield about
        finally:
            self._listeners.discard(listener)

    def first_free_at(self, lane: Lane) -> float:
        """When the first of those that are out comes back by itself."""
        return min((message.free_at for message in self._lanes.get(lane, {}).values()), default=float("inf"))

    def claims(self) -> dict[str, Claim]:
        return self._keys

    def depth(self, queue: str) -> QueueDepth:
        lanes = self.jobs(queue)
        oldest = min((held.stored_at for lane in lanes for held in self._lanes[lane].values()), default=0.0)
        dead = sum(letter.job.lane.queue == queue for letter, _ in self.dead.values())
        return QueueDepth(queue, lanes, oldest_at=oldest, dead=dead)

    def queues(self) -> list[str]:
        return sorted({lane.queue for lane in self._lanes} | {one.job.lane.queue for one, _ in self.dead.values()})


class MemoryJobStore:
    """Implements ``ports.JobStore``."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def __repr__(self) -> str:
        return f"<MemoryJobStore over {self._broker!r}>"

    async def submit(self, job: Job, body: bytes) -> str:
        broker = self._broker
        broker.step("submit")
        if job.not_before > broker.clock.wall():
            if len(broker.delayed) >= broker.max_delayed:
                raise TooMany(f"{broker.max_delayed} wait for their time already")
            broker.delayed.setdefault(job.token, (job, body))
            sequence = 0
        else:
            sequence = broker.put(job, body)
        broker.woken()
        return id_of(job, sequence)

    async def store_body(self, token: str, chunks: AsyncIterator[bytes]) -> StoredBody:
        self._broker.step("store body")
        whole = b"".join([piece async for piece in chunks])
        self._broker.bodies[token] = whole
        return StoredBody(token, len(whole))

    async def discard_body(self, body: StoredBody) -> None:
        self._broker.step("discard body")
        self._broker.bodies.pop(body.name, None)

    async def claim(self, key: str, claim: Claim) -> Claim:
        self._broker.step("claim")
        return self._broker.claims().setdefault(key, claim)

    async def confirm(self, key: str, claim: Claim) -> None:
        self._broker.step("confirm")
        self._broker.claims()[key] = claim

    async def claimed(self, key: str) -> Claim | None:
        self._broker.step("claimed")
        return self._broker.claims().get(key)

    async def stored_under(self, lane: Lane, token: str, since: float) -> str:
        self._broker.step("stored under")
        if token in self._broker.delayed:
            return job_id(lane.queue, 0, token)
        message = self._broker.placed(token)
        if message is None or message.job.lane != lane or message.stored_at < since:
            return ""
        return job_id(lane.queue, message.sequence, token)

    async def find(self, job_id: str) -> JobStatus | None:
        self._broker.step("find")
        return self._found(job_id)

    async def ended(self, job_id: str, wait_s: float) -> JobStatus | None:
        self._broker.step("ended")
        until = self._broker.clock.now() + wait_s
        while True:
            status = self._found(job_id)
            left = until - self._broker.clock.now()
            if status is None or status.state.final or left <= 0:
                return status
            await self._broker.changed(left)

    async def remove(self, job_id: str) -> JobStatus | None:
        broker = self._broker
        broker.step("remove")
        status, place = self._found(job_id), place_of(job_id)
        if status is None or place is None or status.state.final or status.state is JobState.RUNNING:
            return status
        message = broker.placed(place.token)
        if message is not None:
            broker.take_away(message)
        broker.delayed.pop(place.token, None)
        if status.job.stored_body is not None:
            broker.bodies.pop(status.job.stored_body.name, None)
        outcome = cancelled_waiting(status.progress, at=broker.clock.wall())
        broker.outcomes[place.token] = (job_id, status.job, outcome)
        broker.woken()
        return JobStatus(id=job_id, job=status.job, state=JobState.CANCELLED, outcome=outcome)

    async def stop_running(self, job_id: str) -> None:
        self._broker.step("stop running")
        place = place_of(job_id)
        if place is not None:
            self._broker.tell("stop", place.token)

    async def forbid(self, job_id: str) -> None:
        broker = self._broker
        broker.step("forbid")
        status, place = self._found(job_id), place_of(job_id)
        if status is not None and place is not None and not status.state.final:
            reason = "it was cancelled, and no worker has said yet that it ended it"
            outcome = cancelled(status.progress, at=broker.clock.wall(), reason=reason)
            broker.outcomes[place.token] = (job_id, status.job, outcome)
            broker.woken()

    async def depths(self) -> Depths:
        broker = self._broker
        broker.step("depths")
        queues = tuple(map(broker.depth, broker.queues()))
        return Depths(queues, delayed=len(broker.delayed), callbacks=len(broker.callbacks))

    def _found(self, job_id: str) -> JobStatus | None:
        broker, place = self._broker, place_of(job_id)
        if place is None:
            return None
        if (ended := broker.outcomes.get(place.token)) is not None:
            status = JobStatus(id=job_id, job=ended[1], state=ended[2].state, outcome=ended[2])
            return replace(status, delivery=broker.deliveries.get(place.token)) if status.tells else status
        message, delayed = broker.placed(place.token), broker.delayed.get(place.token)
        job = message.job if message is not None else delayed[0] if delayed is not None else None
        if job is None or queue_number(job.lane.queue) != place.queue:
            return self._dead(job_id, place.token)
        progress = broker.progress.get(place.token)
        state = progress.state if progress else JobState.QUEUED if message is not None else JobState.DELAYED
        return JobStatus(id=job_id, job=job, state=state, progress=progress)

    def _dead(self, job_id: str, token: str) -> JobStatus | None:
        if (kept := self._broker.dead.get(token)) is None:
            return None
        letter, _ = kept
        return JobStatus(id=job_id, job=letter.job, state=JobState.FAILED, outcome=letter.outcome)


@dataclass(slots=True)
class Link:
    """One worker's way to the broker. ``cut``: nothing passes any more. ``before`` is called with the name of each step
    before it is taken, ``after`` once it is; either may cut."""

    broker: MemoryBroker
    cut: bool = False
    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None

    def step(self, name: str) -> None:
        self.before(name)
        if self.cut:
            raise Unavailable("the way to the broker is cut")
        self.broker.step(name)

    def done(self, name: str) -> None:
        self.after(name)
        if self.cut:
            raise Unavailable("the way to the broker was cut before it answered")


class MemoryLease:
    """Implements ``ports.Lease``. A worker that keeps one for too long finds that it is no longer its."""

    def __init__(self, link: Link, message: _Message, ack_wait_s: float) -> None:
        self._link, self._broker = link, link.broker
        self.message = message
        self._ack_wait_s = ack_wait_s
        self._deliveries = message.deliveries
        self._keep_body = False
        self._id = id_of(message.job, message.sequence)

    def __repr__(self) -> str:
        return f"<MemoryLease of {self._id}, given out {self._deliveries} times>"

    @property
    def job(self) -> Job:
        return self.message.job

    @property
    def id(self) -> str:
        return self._id

    @property
    def deliveries(self) -> int:
        return self._deliveries

    @property
    def size(self) -> int:
        stored = self.job.stored_body
        return len(self.message.body) if stored is None else stored.size

    async def body(self) -> AsyncGenerator[bytes]:
        stored = self.job.stored_body
        if stored is not None and stored.name not in self._broker.bodies:
            raise NotFound(f"the stored body {stored.name} is gone")
        whole = self.message.body if stored is None else self._broker.bodies[stored.name]
        if whole:
            yield whole

    def keep_body(self) -> None:
        """Something else refers to the stored body now."""
        self._keep_body = True

    async def extend(self) -> None:
        self._link.step("extend")
        if self._is_mine():
            self.message.free_at = self._broker.clock.now() + self._ack_wait_s

    async def hand_back(self, delay_s: float) -> None:
        self._link.step("hand back")
        if self._is_mine():
            self.message.free_at = self._broker.clock.now() + delay_s
            self._broker.woken()
        self._link.done("hand back")

    async def settle(self) -> None:
        self._link.step("settle")
        if self._broker.placed(self.job.token) is self.message:
            self._broker.take_away(self.message)
        if self.job.stored_body is not None and not self._keep_body:
            self._broker.bodies.pop(self.job.stored_body.name, None)
        self._link.done("settle")

    def _is_mine(self) -> bool:
        return self._broker.placed(self.job.token) is self.message and self.message.deliveries == self._deliveries


class MemoryCallbackLease:
    """Implements ``ports.CallbackLease``."""

    def __init__(self, link: Link, key: str, kept: _Callback, ack_wait_s: float) -> None:
        self._link, self._broker = link, link.broker
        self._key = key
        self._kept = kept
        self._ack_wait_s = ack_wait_s
        self._attempt = kept.deliveries

    @property
    def callback(self) -> CallbackJob:
        return self._kept.callback

    @property
    def body(self) -> bytes:
        return self._kept.body

    @property
    def attempt(self) -> int:
        return self._attempt

    async def extend(self) -> None:
        self._link.step("extend callback")
        if self._kept.deliveries == self._attempt:
            self._kept.free_at = self._broker.clock.now() + self._ack_wait_s

    async def hand_back(self, delay_s: float) -> None:
        self._link.step("hand back callback")
        if self._kept.deliveries == self._attempt:
            self._kept.free_at = self._broker.clock.now() + delay_s
            self._broker.woken()

    async def settle(self) -> None:
        self._link.step("settle callback")
        self._broker.callbacks.pop(self._key, None)
        self._link.done("settle callback")


class MemoryJobSource:
    """Implements ``ports.JobSource`` for one queue. ``link``: what it reaches the broker by."""

    def __init__(self, broker: MemoryBroker, queue: str, *, ack_wait_s: float, link: Link | None = None) -> None:
        self._broker = broker
        self._link = link or Link(broker)
        self._queue = queue
        self._ack_wait_s = ack_wait_s
        self._opened: set[Lane] = set()
        self.forgotten: list[Lane] = []

    def __repr__(self) -> str:
        return f"<MemoryJobSource of {self._queue} over {self._broker!r}>"

    async def backlog(self) -> Mapping[Lane, int]:
        self._link.step("backlog")
        return self._broker.jobs(self._queue)

    async def rings(self) -> AsyncGenerator[Lane]:
        self._link.step("rings")
        async for about in self._broker.heard("ring"):
            if isinstance(about, Lane) and about.queue == self._queue:
                yield about

    async def stops(self) -> AsyncGenerator[str]:
        self._link.step("stops")
        async for about in self._broker.heard("stop"):
            yield str(about)

    async def take(self, lane: Lane, limit: int, wait_s: float) -> Sequence[Lease]:
        broker = self._broker
        self._link.step("take")
        await self._open(lane)
        until = broker.clock.now() + wait_s
        while not (found := broker.free(lane, limit)) and (left := until - broker.clock.now()) > 0:
            await broker.changed(min(left, max(0.0, broker.first_free_at(lane) - broker.clock.now())))
        for message in found:
            message.deliveries += 1
            message.free_at = broker.clock.now() + self._ack_wait_s
        return [MemoryLease(self._link, message, self._ack_wait_s) for message in found]

    async def _open(self, lane: Lane) -> None:
        if lane not in self._opened and self._broker.opening_s:
            async with self._broker.one_opens():
                await asyncio.sleep(self._broker.opening_s)
        self._opened.add(lane)

    def forget(self, lane: Lane) -> None:
        self.forgotten.append(lane)
        self._opened.discard(lane)

    async def take_callbacks(self, limit: int, wait_s: float) -> Sequence[CallbackLease]:
        broker = self._broker
        self._link.step("take callbacks")
        until = broker.clock.now() + wait_s
        while True:
            now = broker.clock.now()
            free = [(key, kept) for key, kept in broker.callbacks.items() if kept.free_at <= now][:limit]
            if free or now >= until:
                break
            next_at = min((kept.free_at for kept in broker.callbacks.values()), default=until)
            await broker.changed(min(until, next_at) - now)
        for _, kept in free:
            kept.deliveries += 1
            kept.free_at = broker.clock.now() + self._ack_wait_s
        return [MemoryCallbackLease(self._link, key, kept, self._ack_wait_s) for key, kept in free]

    async def move_due(self, limit: int, wait_s: float) -> int:
        broker = self._broker
        self._link.step("move due")
        until = broker.clock.now() + wait_s
        while True:
            now = broker.clock.wall()
            due = [job for job, _ in broker.delayed.values() if job.not_before <= now][:limit]
            left = until - broker.clock.now()
            if due or left <= 0:
                break
            next_at = min((job.not_before for job, _ in broker.delayed.values()), default=float("inf"))
            await broker.changed(min(left, next_at - now))
        moved = 0
        for job in due:
            placed = replace(job, id=id_of(job))
            try:
                broker.put(placed, broker.delayed[job.token][1])
            except TooMany:
                continue
            del broker.delayed[job.token]
            moved += 1
        if due and not moved:
            await broker.changed(min(1.0, wait_s))
        return moved

    async def begun(self, lease: Lease) -> int:
        self._link.step("begun")
        assert isinstance(lease, MemoryLease)
        if (progress := self._broker.progress.get(lease.job.token)) is not None:
            return progress.attempts
        return 0 if lease.message.stored_at >= self._broker.remembers_since else lease.deliveries - 1

    async def outcome(self, job: Job) -> Outcome | None:
        self._link.step("outcome")
        known = self._broker.outcomes.get(job.token)
        return known[2] if known is not None and known[1].round == job.round else None

    async def tell(self, token: str, progress: Progress) -> None:
        self._link.step("tell")
        self._broker.progress[token] = progress

    async def tell_delivery(self, token: str, progress: Progress) -> None:
        self._link.step("tell delivery")
        self._broker.deliveries[token] = progress

    def max_answer(self) -> int:
        return self._broker.max_answer

    async def store_outcome(self, job: Job, job_id: str, outcome: Outcome) -> None:
        self._link.step("store outcome")
        if self._broker.storing_s:
            await asyncio.sleep(self._broker.storing_s)
        self._broker.outcomes[job.token] = (job_id, job, outcome)
        self._broker.progress.pop(job.token, None)
        self._broker.woken()
        self._link.done("store outcome")

    async def store_callback(self, callback: CallbackJob, body: bytes) -> None:
        self._link.step("store callback")
        self._broker.callbacks.setdefault(f"{callback.job.token}.{callback.job.round}", _Callback(callback, body))
        self._broker.woken()
        self._link.done("store callback")

    async def store_dead(self, letter: DeadLetter, lease: Lease | CallbackLease) -> None:
        self._link.step("store dead")
        assert isinstance(lease, MemoryLease | MemoryCallbackLease)
        known_as = lease.id if isinstance(lease, MemoryLease) else lease.callback.id
        body = lease.message.body if isinstance(lease, MemoryLease) else lease.body
        job = replace(letter.job, id=known_as)
        self._broker.dead[dead_name(job.token, callback=letter.callback)] = (replace(letter, job=job), body)
        if isinstance(lease, MemoryLease):
            lease.keep_body()
        self._link.done("store dead")


class MemoryCopyChannel:
    """Implements ``ports.CopyChannel`` for the workers of one queue."""

    def __init__(self, broker: MemoryBroker, queue: str, link: Link | None = None) -> None:
        self._broker = broker
        self._link = link or Link(broker)
        self._what = f"copies of {queue}"

    def __repr__(self) -> str:
        return f"<MemoryCopyChannel over {self._broker!r}>"

    async def say(self, text: bytes) -> None:
        self._link.step("say")
        if self._broker.saying_s:
            await asyncio.sleep(self._broker.saying_s)
        self._broker.tell(self._what, text)

    async def heard(self) -> AsyncGenerator[bytes]:
        self._link.step("hear")
        async for about in self._broker.heard(self._what):
            if isinstance(about, bytes) and not self._link.cut:
                yield about
