"""SQS: queues of Amazon's and of what speaks like it, and events of S3 that come by them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from springtide.runtime.errors import BadInput, SpringtideError, Unavailable
from springtide.runtime.settings import duration, integer, setting
from springtide.triggers.source import KEEP_S, Feed, Received, Source
from springtide.triggers.source_errors import as_ours
from springtide.triggers.source_settings import address, password, several, trust
from springtide.wire.events.event import Event, Headers

CONNECTOR = "sqs-connector"
TYPE, S3_TYPE = "com.springtide.sqs.message", "com.amazonaws.s3"
MAX_QUEUES = 20
MAX_BATCH = 10
"""Of messages in one request, by SQS's own rule."""
CONNECT_S, ANSWER_S = 5.0, 10.0
LEAVE_S = 3.0
"""For questions that are on their way: what they fetch is handed back at once, and else only when its time is up."""
REQUESTS = 50
"""At once, to prolong loans."""
ELSEWHERE = "us-east-1"
"""What a server that is not Amazon's is told where its address does not say a region."""

LOGIN = "see user and password_path, or AWS's own environment, files and roles"
REFUSED = frozenset(
    (
        *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        *("AuthFailure", "MissingAuthenticationToken", "IncompleteSignature", "ExpiredToken", "InvalidSecurity"),
    )
)

_REGION = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.|^([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.queue\.")


@dataclass(frozen=True, slots=True)
class Queue:
    url: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def server(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def queues(text: str) -> tuple[Queue, ...]:
    """Raises ValueError, without what a secret would be in."""
    found = tuple(map(_queue, several(text, MAX_QUEUES)))
    if len({queue.server for queue in found}) > 1:
        raise ValueError("they are on several servers; write a source for each")
    return found


def _queue(text: str) -> Queue:
    parts = address(text, scheme="https", secure="https")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or not parts.path.strip("/"):
        raise ValueError(f"{text[:120]!r} is no queue; write https://sqs.eu-west-1.amazonaws.com/123456789012/orders")
    return Queue(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}")


def place(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise ValueError(f"{text[:40]!r} is no region; write eu-west-1")
    return text


@dataclass(frozen=True, kw_only=True)
class Settings:
    queue_url: tuple[Queue, ...] = setting((), env="queue_url", kind=queues, help="URLs of queues, by commas")
    visibility_s: float = setting(
        60.0,
        env="visibility",
        kind=duration,
        low=3 * KEEP_S,
        high=43_200.0,
        help="how long a message is a copy's that says nothing, in whole seconds",
    )
    wait_s: float = setting(
        20.0,
        env="wait",
        kind=duration,
        low=1.0,
        high=20.0,
        help="how long one question for messages waits, in whole seconds",
    )
    max_messages: int = setting(10, env="max_messages", kind=integer, low=1, high=10, help="messages asked for at once")
    region: str = setting("", env="region", kind=place, help="of the servers; empty: what the queue's URL says")
    user: str = setting("", env="user", help="id of an access key; empty: AWS's own environment, files and roles count")
    password_path: str = setting("", env="password_path", help="file with the access key's secret")
    ca_path: str = setting("", env="ca_path", help="file with the certificates that the server's is checked by")


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if not settings.queue_url:
        raise BadInput(
            "queue_url: there is none; write queue_url: https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
        )
    secret = password(settings.password_path)
    if bool(settings.user) != bool(secret):
        raise BadInput("user: an access key has an id and a secret; write both user and password_path, or neither")
    if settings.ca_path:
        trust(settings.ca_path)
    return SqsSource(name, settings, secret, region(settings))


def region(settings: Settings) -> str:
    """Raises BadInput where nothing tells it."""
    if settings.region:
        return settings.region
    host = urlsplit(settings.queue_url[0].url).hostname or ""
    if (found := _REGION.search(host)) is not None:
        return str(found[1] or found[2])
    if re.search(r"\.amazonaws\.com(\.cn)?$", host):
        raise BadInput(f"region: {host} does not tell its region; write region: eu-west-1")
    return ELSEWHERE


class SqsSource:
    connector = CONNECTOR
    at_least_once = True

    def __init__(self, name: str, settings: Settings, secret: str | None, region: str) -> None:
        self._name, self._settings = name, settings
        self._session = get_session()
        """Kept: it has read what the library knows of all services, which takes long."""
        self._options: Mapping[str, Any] = {
            "region_name": region,
            "endpoint_url": settings.queue_url[0].server,
            "aws_access_key_id": settings.user or None,
            "aws_secret_access_key": secret,
            "verify": settings.ca_path or None,
            # Without tries of its own: of them the framework knows nothing.
            "config": AioConfig(
                connect_timeout=CONNECT_S,
                read_timeout=settings.wait_s + ANSWER_S,
                retries={"total_max_attempts": 1},
                max_pool_connections=REQUESTS + 2 * MAX_QUEUES,
                tcp_keepalive=True,
            ),
        }

    def __repr__(self) -> str:
        return f"<SqsSource {self._name} of {', '.join(queue.url for queue in self._settings.queue_url)}>"

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        with _translated(self._settings.queue_url[0].server):
            entering = self._session.create_client("sqs", **self._options)
            client = await entering.__aenter__()
        try:
            feed = _Messages(self._name, self._settings, client)
            keeping = asyncio.create_task(feed.keep_waiting(), name=f"keep {self._name}")
            try:
                await feed.begin()
                yield feed
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                await feed.leave()
        finally:
            await entering.__aexit__(None, None, None)


class _Messages:
    """Each queue is asked by a question of its own, which may wait long; its answer counts, whoever waits for it."""

    def __init__(self, name: str, settings: Settings, client: Any) -> None:
        self._name, self._settings, self._client = name, settings, client
        self._where = settings.queue_url[0].server
        self._asking: dict[Queue, asyncio.Task[list[_Message]]] = {}
        self._waiting: deque[_Message] = deque()
        """Fetched, and not asked for as yet, or given back."""
        self._requests = asyncio.Semaphore(REQUESTS)
        self._deletions = {queue: _Deletions(queue, client) for queue in settings.queue_url}
        self._closed = False

    def __repr__(self) -> str:
        return f"<_Messages {self._name}: {len(self._waiting)} waiting>"

    async def begin(self) -> None:
        """Raises what stands against it."""
        for queue in self._settings.queue_url:
            self._waiting += await self._fetched(queue, self._settings.max_messages, wait_s=0)

    async def take(self, limit: int) -> Sequence[Received]:
        while not self._waiting:
            for queue in self._settings.queue_url:
                if queue not in self._asking:
                    count = min(limit, self._settings.max_messages)
                    asking = self._fetched(queue, count, wait_s=int(self._settings.wait_s))
                    self._asking[queue] = asyncio.create_task(asking, name=f"ask {queue.name}")
            await asyncio.wait(self._asking.values(), return_when=asyncio.FIRST_COMPLETED)
            self._collect()
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def _collect(self) -> None:
        """Raises what a question met; what others brought is kept."""
        errors = []
        for queue, asking in list(self._asking.items()):
            if asking.done():
                del self._asking[queue]
                if (error := asking.exception()) is None:
                    self._waiting += asking.result()
                else:
                    errors.append(error)
        if errors:
            raise errors[0]

    async def _fetched(self, queue: Queue, count: int, *, wait_s: int) -> list[_Message]:
        with _translated(queue.url):
            answer = await self._client.receive_message(
                QueueUrl=queue.url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=wait_s,
                VisibilityTimeout=int(self._settings.visibility_s),
                AttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            )
        now, source = asyncio.get_running_loop().time(), f"/{self._name}/{queue.name}"
        return [
            _Message(self, queue, told["ReceiptHandle"], event_of(told, queue, source=source), now)
            for told in answer.get("Messages", ())
        ]

    async def delete(self, message: _Message) -> None:
        self._check_open()
        await self._deletions[message.queue].delete(message.handle)

    async def prolong(self, message: _Message) -> None:
        """By all of its time, once a third is over: each request costs money."""
        now = asyncio.get_running_loop().time()
        if now - message.lent_at > self._settings.visibility_s / 3:
            await self._hide(message, int(self._settings.visibility_s))
            message.lent_at = now

    async def _hide(self, message: _Message, seconds: int) -> None:
        self._check_open()
        with _translated(message.queue.url):
            async with self._requests:
                await self._client.change_message_visibility(
                    QueueUrl=message.queue.url, ReceiptHandle=message.handle, VisibilityTimeout=seconds
                )

    def put_back(self, message: _Message) -> None:
        """Once the connection is left it comes when its time is up."""
        self._waiting.append(message)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"{self._where}: the connection is lost")

    async def keep_waiting(self) -> None:
        """What nobody asks for is prolonged here; what is asked for, by whom it is lent."""
        while True:
            await asyncio.sleep(KEEP_S)
            await _all(self.prolong(message) for message in list(self._waiting))

    async def leave(self) -> None:
        """What was not delivered is handed back, so that others need not wait."""
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=LEAVE_S)
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        with contextlib.suppress(SpringtideError, asyncio.CancelledError):
            self._collect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await _all(self._hide(message, 0) for message in self._waiting)
        self._closed = True
        for deletions in self._deletions.values():
            await deletions.end()


class _Deletions:
    """Of one queue: those that are asked for during a request are the next one, for each costs money."""

    def __init__(self, queue: Queue, client: Any) -> None:
        self._queue, self._client = queue, client
        self._wanted: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<_Deletions {self._queue.name}: {len(self._wanted)} wanted>"

    async def delete(self, handle: str) -> None:
        """Raises Unavailable: then the message comes again."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted.append((handle, over))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name=f"delete {self._queue.name}")
        await over

    async def end(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        some: list[tuple[str, asyncio.Future[None]]] = []
        try:
            while self._wanted:
                some = [self._wanted.popleft() for _ in range(min(len(self._wanted), MAX_BATCH))]
                failed = await self._request([handle for handle, _ in some])
                for number, (_, over) in enumerate(some):
                    _settle(over, failed.get(str(number)))
        finally:
            lost = Unavailable(f"{self._queue.url}: the connection is lost")
            for _, over in (*some, *self._wanted):
                _settle(over, lost)
            self._wanted.clear()

    async def _request(self, handles: Sequence[str]) -> Mapping[str, SpringtideError]:
        """What is wrong with some, by their number."""
        url = self._queue.url
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        try:
            with _translated(url):
                answer = await self._client.delete_message_batch(QueueUrl=url, Entries=entries)
        except SpringtideError as error:
            return dict.fromkeys((entry["Id"] for entry in entries), error)
        return {told["Id"]: Unavailable(f"{url}: {told.get('Code', '')}") for told in answer.get("Failed", ())}


def _settle(over: asyncio.Future[None], error: SpringtideError | None) -> None:
    """Who waited for it may be gone."""
    if over.done():
        return
    if error is None:
        over.set_result(None)
    else:
        over.set_exception(error)


async def _all(requests: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Whatever becomes of each: a message that the server was not told of comes again by itself."""
    await asyncio.gather(*requests, return_exceptions=True)


@dataclass(slots=True, eq=False)
class _Message:
    """Implements ``Received``."""

    feed: _Messages
    queue: Queue
    handle: str
    event: Event
    lent_at: float
    """By the loop's clock."""

    async def taken(self) -> None:
        await self.feed.delete(self)

    async def give_back(self) -> None:
        self.feed.put_back(self)

    async def keep(self) -> None:
        await self.feed.prolong(self)


def event_of(told: Mapping[str, Any], queue: Queue, *, source: str) -> Event:
    """Of a message as the server tells it."""
    said: Headers = tuple(
        (name.lower(), str(value.get("StringValue", ""))) for name, value in told.get("MessageAttributes", {}).items()
    )
    sent = str(told.get("Attributes", {}).get("SentTimestamp", ""))
    event = Event(
        topic=queue.name,
        body=told["Body"].encode(),
        id=told["MessageId"],
        source=source,
        type=TYPE,
        content_type=dict(said).get("content-type", ""),
        time=int(sent) / 1000 if sent.isdecimal() else None,
        headers=(("X-SQS-Message-ID", told["MessageId"]), ("X-SQS-Queue-URL", queue.url)),
        attributes=tuple((name[3:], value) for name, value in said if name.startswith(("ce-", "ce_"))),
    )
    record = _s3_record(told["Body"])
    return event if record is None else _of_s3(event, record)


def _of_s3(event: Event, record: Mapping[str, Any]) -> Event:
    """As CloudEvents has it (https://github.com/cloudevents/spec/blob/main/cloudevents/adapters/aws-s3.md), but for the
    id, by which a repetition is known."""
    s3, said = record["s3"], dict(event.attributes)
    told = {"source": ".".join(filter(None, ("aws:s3", str(record.get("awsRegion", "")), str(s3["bucket"]["name"]))))}
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(str(record.get("eventTime", "")))
        event = replace(event, time=at.replace(tzinfo=at.tzinfo or UTC).timestamp())
    return replace(
        event,
        type=f"{S3_TYPE}.{record['eventName']}",
        subject=str(s3["object"]["key"]),
        content_type=event.content_type or "application/json",
        attributes=tuple((told | said).items()),
    )


def _s3_record(body: str) -> Mapping[str, Any] | None:
    """The one that a notification of S3 has; None where it is none, or has several."""
    if "s3" not in body:
        return None
    try:
        told = json.loads(body)
        if told.get("Type") == "Notification":  # it came by SNS
            told = json.loads(told["Message"])
        [record] = told["Records"]
        known = isinstance(record["s3"]["bucket"]["name"], str) and isinstance(record["s3"]["object"]["key"], str)
        return record if known and isinstance(record["eventName"], str) else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except SpringtideError:
        raise
    except ClientError as error:
        raise _answered(where, error.response.get("Error", {})) from None
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BadInput(f"{where}: there are no credentials ({error}); {LOGIN}") from None
    except (BotoCoreError, OSError, TimeoutError, ValueError) as error:
        raise as_ours(where, error) from error


def _answered(where: str, told: Mapping[str, Any]) -> SpringtideError:
    """By the code that the server answers with."""
    code, text = str(told.get("Code", "")), str(told.get("Message", ""))
    kind = code.rpartition(".")[2].rpartition("#")[2]
    if kind.isdecimal():  # a status, where the answer is in a form that the library does not expect
        kind = next((one for one in REFUSED if one in text), kind)
    if kind in ("NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"):
        return BadInput(f"queue_url: {where}: there is no such queue; create it, or see region")
    if kind in REFUSED:
        return BadInput(f"{where}: it refuses the credentials ({kind}); {LOGIN}")
    if kind in ("AccessDenied", "AccessDeniedException"):
        return BadInput(
            f"{where}: a right is missing ({text[:200]}); sqs:ReceiveMessage, sqs:DeleteMessage and "
            "sqs:ChangeMessageVisibility are needed"
        )
    return Unavailable(f"{where}: {kind}: {text[:200]}")
