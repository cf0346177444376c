"""Replica-hours against the share of cold calls, by what a cold start may cost, with what labels say today beside it:
``springtide advise --sleep`` over what Prometheus recorded of the functions that may sleep.

Worked out in the background when somebody looks, one span after the other, and kept for an hour. Who asks meanwhile is
told that it is being worked on, or what was known before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from springtide.console import own_command
from springtide.console.functions import FunctionInfo
from springtide.console.view import Json
from springtide.runtime.errors import BadInput, SpringtideError
from springtide.scaler.core import policy
from springtide.scaler.core.ports import Clock

SPANS = ("24h", "7d", "30d")
DEFAULT_SPAN = "7d"
WITHIN_S = 180.0
"""About how long it may take: of thousands of functions so many are drawn as that allows."""
DEADLINE_S = 600.0
FRESH_FOR_S, RETRY_S = 3600.0, 30.0
"""How long an answer holds, and what went wrong."""
MIN_RECORDED_S = 6 * 3600.0
"""Half of it is for learning, and with fewer than four pauses nothing is learned."""


@dataclass(frozen=True, slots=True)
class _Known:
    at: float
    told: Json


NOTHING: Json = {"curve": None, "problem": None, "at": None}


class SleepCurve:
    """``functions``: those that were listed last, by ``name.namespace``; None while they are not known."""

    def __init__(
        self,
        advise: Sequence[str],
        prometheus_url: str,
        secrets: str,
        *,
        functions: Callable[[], Mapping[str, FunctionInfo] | None],
        clock: Clock,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """``advise``: the words that run ``springtide advise``; ``secrets``: a folder with Prometheus's credentials."""
        self._command = (*advise, "--sleep", "--json", f"--within={WITHIN_S:g}s", "--deployed=-")
        self._command += (f"--prometheus={prometheus_url}",)
        self._command += (f"--prometheus-secrets={secrets}",) if secrets else ()
        self._possible = bool(advise and prometheus_url)
        self._functions = functions
        self._clock = clock
        self._deadline_s = deadline_s
        self._known: dict[str, _Known] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<SleepCurve {len(self._known)} spans known, {len(self._working)} worked on>"

    def seen(self, span: str) -> Json:
        """What there is to show, at once. ``off``: why there is none; ``working``: whether a new one is on its way;
        ``curve`` what ``advise`` says, as of ``at``; ``problem``: why there is no new one. Raises BadInput."""
        if span not in SPANS:
            raise BadInput(f"span: {span[:40]!r} is none of {', '.join(SPANS)}")
        off = self._off()
        if off is None and self._due(span):
            self._working[span] = asyncio.create_task(self._work_out(span), name=f"sleep curve of {span}")
        told = self._known[span].told if span in self._known else NOTHING
        # Before functions are known it is about to be.
        return {**told, "span": span, "off": off, "working": span in self._working or self._functions() is None}

    async def aclose(self) -> None:
        """Ends what is worked on."""
        working = list(self._working.values())
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    def _off(self) -> str | None:
        if not self._possible:
            return "What was called is not recorded, for no Prometheus is configured; set prometheus_url."
        functions = self._functions()
        if functions is not None and not any(policy.ZERO in info.labels for info in functions.values()):
            return f"No function here may sleep. One that has the label {policy.ZERO}=true may."
        return None

    def _due(self, span: str) -> bool:
        if span in self._working or self._functions() is None:
            return False
        known = self._known.get(span)
        if known is None:
            return True
        return self._clock.now() - known.at >= (RETRY_S if known.told["problem"] else FRESH_FOR_S)

    async def _work_out(self, span: str) -> None:
        try:
            async with self._one_at_a_time:
                told = await self._asked(span)
            self._known[span] = _Known(self._clock.now(), told)
        finally:
            self._working.pop(span, None)

    async def _asked(self, span: str) -> Json:
        try:
            curve = await own_command.answer(
                (*self._command, f"--since={'1d' if span == '24h' else span}"),
                deadline_s=self._deadline_s,
                told=await asyncio.to_thread(_listed, self._functions() or {}),
                remedy="ask for a shorter time",
            )
        except SpringtideError as error:
            before = self._known[span].told if span in self._known else NOTHING
            return {**before, "problem": f"{str(error)[:1].upper()}{str(error)[1:]}."}
        return {"curve": {**curve, "least_s": MIN_RECORDED_S}, "problem": None, "at": self._clock.wall()}


def _listed(functions: Mapping[str, FunctionInfo]) -> bytes:
    """Those that may be allowed to sleep: whether they are is for the policy to read."""
    return json.dumps(
        [
            {"name": info.ref.name, "namespace": info.ref.namespace, "labels": dict(info.labels)}
            for info in functions.values()
            if policy.ZERO in info.labels
        ]
    ).encode()
