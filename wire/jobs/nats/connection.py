"""One connection to the broker, made when it is first needed and made again for as long as it is wanted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from springtide.runtime.deadlines import stubborn_within
from springtide.runtime.errors import BodyTooLarge, NotFound, SpringtideError, TooMany, Unavailable, reason_of
from springtide.wire.jobs.nats import logins
from springtide.wire.jobs.nats.encrypted_client import EncryptedClient
from springtide.wire.jobs.settings import BrokerSettings

MAX_PAYLOAD = 1024 * 1024
RAISE = "max_payload: 8MB in its configuration lets larger ones in"
CONNECT_S = 2.0
REQUEST_S = 10.0
"""How long the broker may take to answer. A sync to a slow disk takes a second at most."""

RECONNECT_S = 0.5
PING_S = 5
"""Two unanswered pings, and the connection counts as lost."""

_FULL = 10077
"""The stream has as many messages as it may have, in all or of this subject, or as many bytes."""

_log = structlog.get_logger(__name__)


class Connection:
    """``name`` is what the server's own lists show."""

    def __init__(self, settings: BrokerSettings, *, name: str) -> None:
        self._settings = settings
        self._name = name
        self._lock = asyncio.Lock()
        self._client: Client | None = None
        self._closed = False
        self._jetstream: JetStreamContext | None = None
        self._problem: Exception | None = None
        self._attempts, self._refusal = 0, ""
        self._told_lost: list[Callable[[], None]] = []
        self._told_found: list[Callable[[], None]] = []
        self.reconnects = 0
        """How often it was lost and found again."""

    def __repr__(self) -> str:
        return f"<Connection to {', '.join(self._settings.nats_url)}, {'made' if self.connected else 'not made'}>"

    def listen(self, *, lost: Callable[[], None] | None = None, found: Callable[[], None] | None = None) -> None:
        """``lost`` is called when the connection is, ``found`` when it is there again: with another server, maybe, or
        one that has forgotten what it had in memory."""
        self._told_lost += [lost] if lost else []
        self._told_found += [found] if found else []

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    @property
    def max_payload(self) -> int:
        """Bytes of a message, headers included, that the server takes; its default while none has said so."""
        return self._client.max_payload if self._client is not None else MAX_PAYLOAD

    async def client(self) -> Client:
        """Raises Unavailable while the broker is away, and for good once this is closed."""
        if not self.connected:
            before = self._attempts
            async with self._lock:
                self._check_open()
                if self._client is None or self._client.is_closed:
                    if self._attempts > before:  # Tried while we waited. Else each would wait for a try of its own.
                        raise Unavailable(self._refusal)
                    await self._connect()
        assert self._client is not None
        if not self._client.is_connected:
            raise Unavailable(f"the queue's server at {self._where()} is away")
        return self._client

    async def jetstream(self) -> JetStreamContext:
        """Raises Unavailable while the broker is away."""
        client = await self.client()
        if self._jetstream is None:
            self._jetstream = client.jetstream(timeout=REQUEST_S)
        return self._jetstream

    async def aclose(self) -> None:
        """Also for whoever waits for it now or asks for it later: it is not made again."""
        self._closed = True
        if self._client is not None and not self._client.is_closed:
            await _close(self._client)

    def _where(self) -> str:
        return ", ".join(self._settings.nats_url)

    async def _connect(self) -> None:
        self._jetstream = self._problem = None
        options = logins.options(self._settings)
        self._attempts += 1
        client = EncryptedClient()
        try:
            connecting = client.connect(
                list(self._settings.nats_url),
                name=self._name,
                connect_timeout=CONNECT_S,  # type: ignore[arg-type] # seconds, of which fractions do as well
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type]
                ping_interval=PING_S,
                error_cb=self._failed,
                disconnected_cb=self._disconnected,
                reconnected_cb=self._reconnected,
                **options,
            )
            # Between tries it waits for tasks that it has cancelled, and takes our cancellation for theirs.
            await stubborn_within(CONNECT_S * (len(self._settings.nats_url) + 1), connecting)
            self._check_open()  # it may have been closed meanwhile
        except (SpringtideError, asyncio.CancelledError):
            await _close(client)
            raise
        except (NatsError, OSError, TimeoutError) as error:
            await _close(client)
            # It tries until its time is up; what each try met tells more.
            self._refusal = f"the queue's server at {self._where()}: {reason_of(self._problem or error)}"
            raise Unavailable(self._refusal) from error
        self._client = client

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"the connection to the queue's server at {self._where()} was closed")

    async def _failed(self, error: Exception) -> None:
        if not isinstance(self._problem, NatsError):  # A server that refuses us resets the connection at times.
            self._problem = error
        _log.debug("queue's server", error=reason_of(error))

    async def _disconnected(self) -> None:
        for tell in self._told_lost:
            tell()

    async def _reconnected(self) -> None:
        self.reconnects += 1
        for tell in self._told_found:
            tell()
        _log.info("the queue's server is there again", server=self._where(), reconnects=self.reconnects)


async def _close(client: Client) -> None:
    with contextlib.suppress(NatsError, OSError, TimeoutError):
        await client.close()


class translated:  # noqa: N801 - it reads as the function it stands for, which cost as much as a message's headers
    """The broker's errors as ours, around what is awaited; ``doing`` begins the sentence."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        doing = self._doing
        match error:
            case None | SpringtideError():
                return
            case NotFoundError():
                raise NotFound(f"{doing}: the queue's server has none") from error
            case APIError(err_code=code) if code == _FULL:
                raise TooMany(f"{doing}: the queue is full: {error.description}") from error
            case APIError():
                raise Unavailable(f"{doing}: the queue's server refuses: {error.description}") from error
            case MaxPayloadError():
                raise BodyTooLarge(f"{doing}: a message is larger than the queue's server takes ({RAISE})") from error
            case NatsError() | OSError() | TimeoutError():
                raise Unavailable(f"{doing}: the queue's server does not answer: {reason_of(error)}") from error
