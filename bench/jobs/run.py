"""One soak: a suite, its functions, jobs, kills and changes, quiet again, and the account."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import NotFoundError

from bench.children import WITHOUT_WALLS
from bench.herd import percentile
from bench.jobs.ledger import Execution, Kill, Letter, Verdict, executions, judge
from bench.jobs.posters import Post, Posted, Posters
from bench.jobs.suite import Suite, running
from bench.jobs.troubles import Changes, Killer
from bench.report import Row
from springtide.wire.jobs import names
from springtide.wire.jobs.job import DEFAULT_QUEUE
from springtide.wire.jobs.job_id import place_of
from springtide.wire.jobs.message import HEADER, decode_letter
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.settings import BrokerSettings

HANDLER = Path(__file__).parent / "function"
ATTEMPTS = 10
DOOMED_ATTEMPTS = 3
ENVIRONMENT = {"ack_wait": "5s", "initial_retry_wait": "1s", "max_retry_wait": "5s"}
LOOK_S = 1.0
STREAM = f"KV_{names.RESULTS}"
MAX_TOLD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsOptions:
    jobs: int = 100_000
    functions: int = 20
    posters: int = 8
    think_s: float = 0.0
    """Mean pause of a poster between two."""
    kill_pause_s: float = 4.0
    """Mean, from a part's being back to the next kill."""
    min_kills: int = 0
    """It goes on until there were so many."""
    change_pause_s: float = 3.0
    quiet_s: float = 300.0
    """Most time without a kill until all is done."""


@dataclass(frozen=True, slots=True)
class Account:
    row: Row
    verdict: Verdict
    problems: list[str]
    kills: list[Kill]

    @property
    def sections(self) -> dict[str, list[Any]]:
        verdict = self.verdict
        return {
            "jobs": [self.row],
            "jobs_problems": self.problems,
            "jobs_kills": [asdict(kill) for kill in self.kills],
            "jobs_extras": [asdict(extra) for extra in verdict.extras[:MAX_TOLD]],
            "jobs_never": [*verdict.never_executed[:MAX_TOLD], *verdict.never_ended[:MAX_TOLD]],
        }


def soak(options: JobsOptions, folder: Path, tell: Callable[[str], None]) -> Account:
    """``tell`` hears a line now and then."""
    ledger, state = folder / "ledger", folder / "state"
    ledger.mkdir(parents=True)
    os.environ.update(ENVIRONMENT)
    with running(state) as suite:
        return asyncio.run(_Soak(options, suite, ledger, tell).run())


def noted(ledger: Path) -> list[Execution]:
    """What functions have noted in that folder so far."""
    return executions(line for file in ledger.iterdir() for line in file.read_text().splitlines())


class _Soak:
    def __init__(self, options: JobsOptions, suite: Suite, ledger: Path, tell: Callable[[str], None]) -> None:
        self._options, self._suite, self._ledger, self._tell = options, suite, ledger, tell
        self._functions = {name: self._function(name) for name in (f"job-{n:02}" for n in range(options.functions))}
        names_ = list(self._functions)
        self._doomed = set(names_[:: max(1, len(names_) // 2)][:2])
        self._killer = Killer(suite, pause_s=options.kill_pause_s)
        self._changes = Changes(suite, self._functions, pause_s=options.change_pause_s)
        self._attempts: dict[int, int] = {}

    async def run(self) -> Account:
        began = time.monotonic()
        await self._deploy()
        posters = Posters(lambda: self._suite.gateway_port, self._posts(), think_s=self._options.think_s)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._killer.run(over))
            group.create_task(self._changes.run(over))
            posting = group.create_task(posters.run(self._options.posters))
            async with self._broker() as broker:
                await self._until_few_are_left(broker, posting, posters.posted)
                over.set()
        self._tell(f"no more kills after {time.monotonic() - began:.0f} s")
        async with self._broker() as broker:
            problems = [*self._killer.problems, *await self._until_all_is_done(broker)]
            letters = [letter async for letter in _letters(broker)]
            stored = await _stored(broker)
        return self._account(posters.posted, letters, stored, problems, seconds=time.monotonic() - began)

    def _account(
        self, posted: Posted, letters: list[Letter], stored: dict[str, float], problems: list[str], *, seconds: float
    ) -> Account:
        """``letters`` and ``stored`` are by tokens."""
        ran = noted(self._ledger)
        kills = self._killer.kills
        ids = {_token(job): job for job in (*posted.accepted.values(), *(one.job for one in ran))}
        dead = [Letter(ids.get(each.job, each.job), each.attempts, each.reason) for each in letters]
        at = {ids.get(token, token): instant for token, instant in stored.items()}
        verdict = judge(posted.accepted, ran, dead, kills, attempts=self._attempts, stored=at)
        row: Row = {
            "seconds": seconds,
            "posted": len(self._attempts),
            "accepted": verdict.accepted,
            "executions": verdict.executions,
            "never_executed": len(verdict.never_executed),
            "extra": len(verdict.extras),
            "extra_allowed": verdict.allowed_extras,
            "extra_unexplained": len(verdict.unexplained),
            "dead_letters": len(letters),
            "settled_p50_s": percentile(verdict.settling_s, 0.5) if verdict.settling_s else 0.0,
            "settled_p99_s": percentile(verdict.settling_s, 0.99) if verdict.settling_s else 0.0,
            "settled_max_s": max(verdict.settling_s, default=0.0),
            **{f"killed_{part}": count for part, count in Counter(kill.part for kill in kills).items()},
            **self._changes.done,
            **{f"answered_{status}": count for status, count in sorted(posted.statuses.items())},
        }
        return Account(row, verdict, verdict.problems + problems, kills)

    def _posts(self) -> Iterator[Post]:
        """Some slow, some that fail now and then, some that always do."""
        functions = list(self._functions)
        for number in range(self._options.jobs):
            place = number % len(functions)
            function = functions[place]
            of_doomed = function in self._doomed
            self._attempts[number] = DOOMED_ATTEMPTS if of_doomed else ATTEMPTS
            if of_doomed:
                fails = 1.0 if number // len(functions) % 10 == 0 else 0.0
            else:
                fails = 0.1 if place % 5 == 4 else 0.0
            slow = place % 4 == 3
            yield Post(
                number,
                function,
                work_s=random.uniform(0.2, 1.5) if slow else random.uniform(0, 0.02),
                fails=fails,
                keyed=number % 4 == 0,
            )

    def _function(self, name: str) -> dict[str, Any]:
        return {
            "service": name,
            "image": "springtide/python",
            "labels": {"com.openfaas.scale.max": "2", **WITHOUT_WALLS},
            "annotations": {"com.springtide.handler": str(HANDLER)},
            "envVars": {"LEDGER": str(self._ledger)},
        }

    async def _deploy(self) -> None:
        async with self._suite.client() as client:
            for name, body in self._functions.items():
                if name in self._doomed:
                    body["annotations"]["com.openfaas.retry.attempts"] = str(DOOMED_ATTEMPTS)
                (await client.post("/system/functions", json=body)).raise_for_status()

    @contextlib.asynccontextmanager
    async def _broker(self) -> AsyncIterator[Broker]:
        told = self._suite.told
        settings = BrokerSettings(nats_url=(told["nats"],), nats_credentials_path=str(self._suite.secrets))
        broker = Broker(settings, name="soak")
        try:
            yield broker
        finally:
            await broker.aclose()

    async def _depth(self, broker: Broker) -> int:
        """Jobs that have not ended; -1 while the server is away."""
        try:
            depths = await NatsJobStore(broker).depths()
        except Exception:  # noqa: BLE001 - it was killed just now
            return -1
        return sum(sum(queue.lanes.values()) for queue in depths.queues) + depths.callbacks + depths.delayed

    async def _until_few_are_left(self, broker: Broker, posting: asyncio.Task[Posted], posted: Posted) -> None:
        told_at = 0.0
        while True:
            depth = await self._depth(broker)
            if time.monotonic() - told_at > 10 * LOOK_S:
                told_at = time.monotonic()
                kills = len(self._killer.kills)
                self._tell(f"accepted {len(posted.accepted)}, {depth} in the queue, {kills} kills")
            few = 0 <= depth < max(20, self._options.jobs // 50)
            if posting.done() and few and len(self._killer.kills) >= self._options.min_kills:
                return
            await asyncio.sleep(LOOK_S)

    async def _until_all_is_done(self, broker: Broker) -> list[str]:
        deadline = time.monotonic() + self._options.quiet_s
        while depth := await self._depth(broker):
            if time.monotonic() > deadline:
                return [f"{depth} jobs are still in the queue after {self._options.quiet_s:g} s without a kill"]
            await asyncio.sleep(LOOK_S)
        return []


def _token(job_id: str) -> str:
    place = place_of(job_id)
    assert place is not None, job_id
    return place.token


async def _stored(broker: Broker) -> dict[str, float]:
    """When outcomes were stored, by their jobs' tokens."""
    jetstream = await broker.connection.jetstream()
    subject = f"$KV.{names.RESULTS}.*"
    outcomes = await jetstream.subscribe(subject, stream=STREAM, ordered_consumer=True, headers_only=True)
    found: dict[str, float] = {}
    while True:
        try:
            message = await outcomes.next_msg(timeout=LOOK_S)
        except NatsTimeout:
            return found
        found[message.subject.rpartition(".")[2]] = message.metadata.timestamp.timestamp()


async def _letters(broker: Broker) -> AsyncIterator[Letter]:
    """By their jobs' tokens."""
    jetstream, sequence = await broker.connection.jetstream(), 1
    stream, subject = names.dead_stream(DEFAULT_QUEUE), names.dead_subject(DEFAULT_QUEUE, "*")
    while True:
        try:
            found = await jetstream.get_msg(stream, seq=sequence, subject=subject, next=True, direct=True)
        except NotFoundError:
            return
        letter = decode_letter((found.headers or {})[HEADER])
        yield Letter(letter.job.token, letter.outcome.attempts, letter.outcome.reason)
        assert found.seq is not None
        sequence = found.seq + 1
