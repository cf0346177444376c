"""What a broker tells of itself and of its streams to whoever may queue calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sized
from typing import Any, cast

from nats.aio.client import Client
from nats.errors import NoRespondersError

from springtide.runtime.errors import Unsupported
from springtide.wire.jobs.monitoring import monitored, of_same
from springtide.wire.jobs.nats.connection import REQUEST_S, Connection, translated
from springtide.wire.jobs.nats.streams import instant
from springtide.wire.jobs.server_seen import BrokerSeen, Monitoring, ServerSeen, StreamSeen

MAX_STREAMS = 10_000
MAX_DETAILS = 10_000
"""Numbers of messages that are asked for to be told one thing more."""

OURS = ("OF_", "KV_OF_", "OBJ_OF_")

_MANY = -1
"""What it calls a limit that there is not."""


class NatsBrokerView:
    """Of one connection, of what was found with it that the server does not store, and of a monitoring port where
    there is one."""

    def __init__(self, connection: Connection, unstored: Sized = (), *, monitoring_url: str = "") -> None:
        self._connection = connection
        self._unstored = unstored
        self._monitoring_url = monitoring_url

    def __repr__(self) -> str:
        return f"<NatsBrokerView of {self._connection!r}>"

    @property
    def reconnects(self) -> int:
        return self._connection.reconnects

    async def seen(self) -> BrokerSeen:
        """Raises as ``inspect``."""
        server, url = await inspect(self._connection), self._monitoring_url
        told = await monitored(url) if url else None
        if isinstance(told, Monitoring):
            told = of_same(server, told, url)
        return BrokerSeen(server, told if isinstance(told, Monitoring) else None, unanswered=len(self._unstored) > 0)


async def inspect(connection: Connection) -> ServerSeen:
    """Raises Unavailable when it is away or does not let us in, Unsupported when it has no JetStream for us."""
    client = await connection.client()
    info, listed = await _asked(client, "INFO"), await _listed(client)
    limit = int(info.get("limits", {}).get("max_storage", _MANY))
    version = client.connected_server_version
    return ServerSeen(
        id=str(client._server_info.get("server_id", "")),  # which nats-py keeps to itself
        version=f"{version.major}.{version.minor}.{version.patch}",
        max_payload_bytes=client.max_payload,
        stored_bytes=int(info.get("storage", 0)),
        max_stored_bytes=None if limit == _MANY else limit,
        streams=tuple([_stream(item, await _lost(client, item)) for item in listed]),
    )


async def _listed(client: Client) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    while len(found) < MAX_STREAMS:
        answer = await _asked(client, "STREAM.LIST", {"offset": len(found)})
        page = answer.get("streams") or []
        found += page
        if not page or len(found) >= int(answer.get("total", 0)):
            break
    return found


async def _asked(client: Client, what: str, request: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    async with translated(f"JetStream's {what}"):
        try:
            sent = json.dumps(request).encode() if request else b""
            message = await client.request(f"$JS.API.{what}", sent, timeout=REQUEST_S)
        except NoRespondersError as error:
            raise Unsupported("it has no JetStream, or none for this login") from error
        answer = cast("Mapping[str, Any]", json.loads(message.data))
    if "error" in answer:
        raise Unsupported(f"it has no JetStream for this login: {answer['error'].get('description', answer['error'])}")
    return answer


async def _lost(client: Client, item: Mapping[str, Any]) -> int | None:
    """Bytes of one of ours, which are told only with the numbers of all that was taken away behind the first that is
    left."""
    name = str(item["config"]["name"])
    if not name.startswith(OURS) or int(item["state"].get("num_deleted", 0)) > MAX_DETAILS:
        return None
    try:
        state = (await _asked(client, f"STREAM.INFO.{name}", {"deleted_details": True}))["state"]
    except Unsupported:  # it was removed meanwhile
        return None
    return int((state.get("lost") or {}).get("bytes", 0))


def _stream(item: Mapping[str, Any], lost_bytes: int | None) -> StreamSeen:
    config, state, cluster = item["config"], item["state"], item.get("cluster") or {}
    copies = cluster.get("replicas") or []
    return StreamSeen(
        name=str(config["name"]),
        messages=int(state["messages"]),
        stored_bytes=int(state["bytes"]),
        replicas=int(config.get("num_replicas", 1)),
        leaderless="cluster" in item and not cluster.get("leader"),
        behind=sum(1 for copy in copies if copy.get("offline") or not copy.get("current")),
        first_at=instant(str(state["first_ts"])) if state["messages"] else 0.0,
        last_number=int(state["last_seq"]),
        lost_bytes=lost_bytes,
    )
