"""Messages that a worker has been given, and has to settle or hand back."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from nats.aio.msg import Msg

from springtide.wire.jobs.job import CallbackJob, Job
from springtide.wire.jobs.job_id import id_of
from springtide.wire.jobs.message import HEADER, decode_callback
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import translated


def read_callback(message: Msg) -> CallbackJob | ValueError:
    """The error where it holds nothing we know."""
    try:
        return decode_callback((message.headers or {}).get(HEADER, ""))
    except ValueError as error:
        return error


class _Given:
    """What can be done with a message whatever it holds."""

    def __init__(self, broker: Broker, message: Msg) -> None:
        self._broker = broker
        self._message = message
        self._deliveries = message.metadata.num_delivered or 1

    @property
    def payload(self) -> bytes:
        return self._message.data

    async def extend(self) -> None:
        async with translated("extending a lease"):
            await self._message.in_progress()

    async def hand_back(self, delay_s: float) -> None:
        async with translated("handing back a job"):
            await self._message.nak(delay=delay_s if delay_s > 0 else None)

    async def settle(self) -> None:
        """Acknowledged twice over: the broker says that it knows."""
        async with translated("settling a job"):
            await self._broker.requests.ask(self._message.reply, Msg.Ack.Ack)


class NatsLease(_Given):
    """Implements ``ports.Lease``."""

    def __init__(self, broker: Broker, message: Msg, job: Job) -> None:
        super().__init__(broker, message)
        self._job = job
        self._keep_body = False
        self._id = id_of(job, message.metadata.sequence.stream)

    def __repr__(self) -> str:
        return f"<NatsLease of {self._id}, given out {self._deliveries} times>"

    @property
    def deliveries(self) -> int:
        return self._deliveries

    @property
    def stored_at(self) -> float:
        """By the server's clock."""
        return self._message.metadata.timestamp.timestamp()

    @property
    def job(self) -> Job:
        return self._job

    @property
    def id(self) -> str:
        return self._id

    @property
    def size(self) -> int:
        stored = self._job.stored_body
        return len(self._message.data) if stored is None else stored.size

    async def body(self) -> AsyncGenerator[bytes]:
        if self._job.stored_body is None:
            if self._message.data:
                yield self._message.data
            return
        async for piece in self._broker.bodies.read(self._job.stored_body):
            yield piece

    def keep_body(self) -> None:
        """Something else refers to the stored body now."""
        self._keep_body = True

    async def settle(self) -> None:
        await super().settle()
        if self._job.stored_body is not None and not self._keep_body:
            await self._broker.bodies.discard(self._job.stored_body.name)


class NatsCallbackLease(_Given):
    """Implements ``ports.CallbackLease``."""

    def __init__(self, broker: Broker, message: Msg, callback: CallbackJob) -> None:
        super().__init__(broker, message)
        self._callback = callback

    def __repr__(self) -> str:
        return f"<NatsCallbackLease of {self._callback.id}, attempt {self._deliveries}>"

    @property
    def attempt(self) -> int:
        return self._deliveries

    @property
    def callback(self) -> CallbackJob:
        return self._callback

    @property
    def body(self) -> bytes:
        return self._message.data

    def keep_body(self) -> None:
        """A callback has no stored one."""
