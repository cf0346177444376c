"""Whether a process that runs still does anything: one that is stopped, or turns in a circle, never ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Probe = Callable[[], Awaitable[bool]]
"""Whether a process answers. It may be cancelled."""

MISSES = 5
"""Probes in a row without an answer in time: a busy machine makes one or two, and each passes."""

SLACK_S = 1.0
"""A probe that took so much longer than its deadline, or twice as long, was not slow: this process, or the whole
machine, was halted.
"""


async def until_hung(probe: Probe, hung_after_s: float, *, misses: int = MISSES) -> None:
    """Returns once nothing was answered for so long, in which it was asked ``misses`` times.

    Time in which we ourselves were halted counts for nothing: whoever wakes a laptop finds its processes alive.
    """
    loop, deadline_s, missed = asyncio.get_running_loop(), hung_after_s / misses, 0
    while missed < misses:
        begun = loop.time()
        answered = await _answered(probe, deadline_s)
        halted = loop.time() - begun > deadline_s + min(deadline_s, SLACK_S)
        missed = 0 if answered or halted else missed + 1
        await asyncio.sleep(max(0.0, begun + deadline_s - loop.time()))


async def _answered(probe: Probe, deadline_s: float) -> bool:
    try:
        async with asyncio.timeout(deadline_s):
            return await probe()
    except TimeoutError:
        return False
