"""The functions under load, as the suite's API shows them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core import policy
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Decision
from springtide.wire import decision_log

HANDLER = Path(__file__).parent / "function"
POLL_S = 0.25
DEADLINE_S, TOLD_WITHIN_S = 300.0, 10.0
LABELS = {policy.TYPE: "capacity", policy.TARGET: "1", policy.MIN: "1"}
OWNERS: Mapping[str, Mapping[str, str]] = {"scaler": {}, "alerts": {policy.OWNER: policy.Owner.ALERTS.value}}
"""The labels that differ. A function that names a type is the control loop's unless it says otherwise."""


class Functions:
    """The suite at ``gateway``."""

    def __init__(self, gateway: str, user: Credentials) -> None:
        self.gateway = gateway
        self._http = httpx.AsyncClient(base_url=gateway, auth=(user.user, user.password), timeout=30.0, trust_env=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def deploy(self, name: str, labels: Mapping[str, str]) -> None:
        body = {
            "service": name,
            "image": "springtide/python",
            "labels": {**LABELS, **labels},
            "annotations": {"com.springtide.handler": str(HANDLER)},
        }
        (await self._http.post("/system/functions", json=body)).raise_for_status()
        await self.until(name, lambda wanted, ready: wanted == ready == 1)

    async def counts(self, name: str) -> tuple[int, int]:
        """Replicas wanted, and those that are ready."""
        status = (await self._http.get(f"/system/function/{name}")).raise_for_status().json()
        return status.get("replicas", 0), status.get("availableReplicas", 0)

    async def until(self, name: str, there: Callable[[int, int], bool]) -> None:
        """Raises RuntimeError where the counts do not come to that."""
        deadline = time.monotonic() + DEADLINE_S
        while not there(*(counts := await self.counts(name))):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} stays at {counts[0]} replicas, {counts[1]} ready, for {DEADLINE_S:g} s")
            await asyncio.sleep(POLL_S)

    async def changes(self, name: str, since: float, *, to: int) -> list[Decision]:
        """Decisions that changed its count, oldest first, the last of them to ``to``: a count is there before it is
        told."""
        deadline = time.monotonic() + TOLD_WITHIN_S
        found = await self._changes(name, since)
        while found and found[-1].after != to and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            found = await self._changes(name, since)
        return found

    async def _changes(self, name: str, since: float) -> list[Decision]:
        query = {"function": f"{name}.{DEFAULT_NAMESPACE}", "since": f"{since:.6f}"}
        lines: list[Any] = (await self._http.get("/system/scaling/decisions", params=query)).text.splitlines()
        told = (decision_log.from_json(json.loads(line)) for line in lines)
        return [decision for decision in told if decision.changes and decision.at >= since]
