"""Kubernetes Events on a function's Deployment: what was decided about its replicas, and why, for ``kubectl describe``.

Told in the background: an event that cannot be written is dropped, never a reason to wait. A function gets at most
``MAX_PER_MINUTE``; how many were left out is said by the next one.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.kubernetes.resources import DEPLOYMENTS, EVENTS
from springtide.runtime.outage import Outage
from springtide.scaler.core import explain
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Reason

CONTROLLER = "springtide/provider"
MAX_PER_MINUTE = 10
MAX_WAITING = 1_000
MAX_FUNCTIONS = 10_000
MAX_NOTE_BYTES = 1024
"""The API server refuses longer ones."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Told:
    """When a function's last events were, and how many were left out since."""

    at: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_PER_MINUTE))
    left_out: int = 0


class Ration:
    """So many events a minute for each function."""

    def __init__(self) -> None:
        self._told: OrderedDict[FunctionRef, _Told] = OrderedDict()

    def take(self, ref: FunctionRef, now: float) -> int | None:
        """How many were left out before this one; None when this one has to be, too."""
        told = self._told.setdefault(ref, _Told())
        self._told.move_to_end(ref)
        if len(self._told) > MAX_FUNCTIONS:
            self._told.popitem(last=False)
        if len(told.at) == MAX_PER_MINUTE and now - told.at[0] < 60:
            told.left_out += 1
            return None
        told.at.append(now)
        left_out, told.left_out = told.left_out, 0
        return left_out


class ScalingEvents:
    """Writes one Event for each decision it is told."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MAX_WAITING)
        self._more = asyncio.Event()
        self._ration = Ration()
        self._instance = socket.gethostname()[:128]
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<ScalingEvents {len(self._waiting)} waiting>"

    def start(self) -> None:
        self._task = asyncio.create_task(self._write(), name="scaling events")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def tell(self, decision: Decision, deployment_uid: str) -> None:
        """Returns at once."""
        left_out = self._ration.take(decision.ref, asyncio.get_running_loop().time())
        if left_out is not None:
            self._waiting.append(event(decision, deployment_uid, self._instance, left_out=left_out))
            self._more.set()

    async def _write(self) -> None:
        outage = Outage("scaling events are not written")
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                body = self._waiting.popleft()
                try:
                    await self._api.create(EVENTS, body)
                except SpringtideError as error:
                    outage.failed(str(error), note=body["note"])
                else:
                    outage.over()


def event(decision: Decision, deployment_uid: str, instance: str, *, left_out: int) -> dict[str, Any]:
    """The Event object of one decision."""
    ref = decision.ref
    note = explain.scaled(decision)
    if left_out:
        note = f"{note} ({left_out} more decisions in between are not shown)"
    return {
        "metadata": {"name": f"{ref.name}.{secrets.token_hex(8)}", "namespace": ref.namespace},
        "eventTime": datetime.fromtimestamp(decision.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": "Scale",
        "reason": _camel_case(decision.reason),
        "type": "Normal",
        "note": note.encode()[: MAX_NOTE_BYTES - 1].decode(errors="ignore"),
        "regarding": {
            "apiVersion": DEPLOYMENTS.api_version,
            "kind": DEPLOYMENTS.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": deployment_uid,
        },
    }


def _camel_case(reason: Reason) -> str:
    return "".join(word.capitalize() for word in reason.value.split("_"))
