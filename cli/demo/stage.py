"""The functions of a demo: there with a ready replica each while it plays, gone afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from springtide.cli.demo.timeline import Timeline
from springtide.cli.gateway_client import GatewayClient
from springtide.provider.spec import PYTHON_IMAGE, FunctionSpec, spec_to_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.scaler.core import explain, label_table, ownership
from springtide.scaler.core.label_names import HANDLER
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Scale
from springtide.wire.provider_client import ProviderClient

FOLDER = Path(__file__).parent / "function"
MARK = label_table.DEMO
"""Label by which functions of a demo that was killed are found and removed."""
POLL_S = 0.1


class Stage:
    """One suite, and what the demo did there."""

    def __init__(self, gateway: str, credentials: Credentials, timeline: Timeline, *, ready_s: float) -> None:
        """``ready_s``: the longest that replicas may take until they are ready, or gone."""
        self.gateway, self.credentials = gateway, credentials
        self._timeline, self._ready_s = timeline, ready_s

    def url(self, ref: FunctionRef, *, call_s: float = 0.0) -> str:
        """A call of it that takes ``call_s`` seconds."""
        return f"{self.gateway}/function/{ref}" + (f"?ms={call_s * 1000:g}" if call_s else "")

    def tell(self, ref: FunctionRef, replicas: int, reason: str, detail: str) -> None:
        self._timeline.happened(time.time(), str(ref), replicas=replicas, reason=reason, detail=detail)

    async def ready(self, ref: FunctionRef, count: int) -> None:
        """Wait until exactly ``count`` replicas answer, and tell how long that took."""
        what = f"there were not {count} ready replicas"
        took_s = await self._until(ref, lambda scale: scale.ready == count == scale.desired, what)
        if count:
            self.tell(ref, count, "replicas_ready", f"all {count} answer, {took_s:.1f} s later")

    async def ready_at_least(self, ref: FunctionRef, count: int) -> None:
        await self._until(ref, lambda scale: scale.ready >= count, f"there were not even {count} ready replicas")

    async def _until(self, ref: FunctionRef, there: Callable[[Scale], bool], what: str) -> float:
        """How many seconds that took. Raises Unavailable saying ``what``."""
        began = time.monotonic()
        async with self._status() as status:

            async def seen() -> bool:
                return there((await status.read(ref)).scale)

            await _eventually(seen, within_s=self._ready_s, what=what)
        return time.monotonic() - began

    @asynccontextmanager
    async def deployed(self, functions: Mapping[FunctionRef, Mapping[str, str]]) -> AsyncIterator[None]:
        """Functions by their labels; at the end they are gone, and those that earlier demos left."""
        with GatewayClient(self.gateway, self.credentials, timeout_s=10.0) as client:
            await asyncio.to_thread(_remove_left_over, client)
            try:
                for ref, labels in functions.items():
                    await self._deploy(client, ref, labels)
                yield
            finally:
                await asyncio.to_thread(_remove_left_over, client)

    async def _deploy(self, client: GatewayClient, ref: FunctionRef, labels: Mapping[str, str]) -> None:
        marked = {**labels, MARK: "true"}
        spec = FunctionSpec(ref=ref, image=PYTHON_IMAGE, labels=marked, annotations={HANDLER: str(FOLDER)})
        await asyncio.to_thread(client.deploy, spec_to_json(spec))
        await self._until(ref, lambda scale: scale.ready >= 1, "the function had no ready replica")
        async with self._status() as status:
            owner = (await status.read(ref)).owner
        why = ownership.why_owner(ScalePolicy.from_labels(marked)[0], owner)
        self.tell(ref, 1, "deployed", explain.owned_because(owner, why))

    @asynccontextmanager
    async def _status(self) -> AsyncIterator[ProviderClient]:
        status = ProviderClient(self.gateway, self.credentials)
        try:
            yield status
        finally:
            await status.aclose()


async def _eventually(check: Callable[[], Awaitable[bool]], *, within_s: float, what: str) -> None:
    """Ask again and again; an answer that cannot be had counts as no."""
    try:
        async with asyncio.timeout(within_s):
            while not await _yes(check):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise Unavailable(f"{what} within {within_s:g} s") from error


async def _yes(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await check()
    except SpringtideError:
        return False


def _remove_left_over(client: GatewayClient) -> None:
    for function in client.functions(DEFAULT_NAMESPACE):
        if MARK in (function.get("labels") or {}):
            client.remove(function["name"], DEFAULT_NAMESPACE)
