"""The broker's own monitoring port, which tells what its protocol does not: when it syncs, and how much it may keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from springtide.runtime.errors import reason_of
from springtide.wire.jobs.server_seen import Monitoring, ServerSeen

DEADLINE_S = 5.0


async def monitored(url: str) -> Monitoring | str:
    """Or why it is not known."""
    try:
        async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S, trust_env=False) as client:
            state = (await client.get("/jsz", params={"config": "1"})).raise_for_status().json()
            health = (await client.get("/healthz")).json()
        return _read(state, health)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        return f"its monitoring port at {url} does not tell: {reason_of(error)}"


def of_same(server: ServerSeen, told: Monitoring, url: str) -> Monitoring | str:
    """Of a cluster another one's will do: they are set up alike."""
    return told if told.clustered or told.server_id == server.id else f"another server listens at {url}"


def _read(state: Mapping[str, Any], health: Mapping[str, Any]) -> Monitoring:
    config = state["config"]
    return Monitoring(
        server_id=str(state.get("server_id", "")),
        clustered="meta_cluster" in state,
        sync_always=bool(config.get("sync_always")),
        sync_interval_s=float(config.get("sync_interval", 0)) / 1e9,
        stored_bytes=int(state["storage"]),
        max_stored_bytes=int(config["max_storage"]),
        trouble="" if health.get("status") == "ok" else str(health.get("error") or health.get("status")),
    )
