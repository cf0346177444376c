"""When a process counts as hung, to the second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from springtide.runtime.liveness import until_hung
from springtide.runtime.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time
ANSWERS, SILENT, REFUSES, HALTED = "answers", "silent", "refuses", "halted"


class Script:
    """A probe that finds one thing after another, and at the end nothing more."""

    def __init__(self, finds: Iterable[str], loop: VirtualTimeLoop) -> None:
        self._finds, self._loop = iter(finds), loop

    async def __call__(self) -> bool:
        found = next(self._finds, SILENT)
        if found == HALTED:
            self._loop._jumping.elapsed += 3600.0  # the whole machine stood still
        if found in (SILENT, HALTED):
            await asyncio.sleep(60.0)
        return found == ANSWERS


@pytest.mark.parametrize(
    ("finds", "hung_at"),
    [
        pytest.param([], 15.0, id="never an answer"),
        pytest.param([REFUSES] * 5, 15.0, id="refused connections pass as fast as they come"),
        pytest.param([SILENT] * 4 + [ANSWERS], 30.0, id="one answer is enough to begin anew"),
        pytest.param([ANSWERS] * 100, 315.0, id="long alive"),
        pytest.param([SILENT] * 4 + [HALTED], 3627.0, id="an hour asleep is no miss"),
    ],
)
async def test_process_hangs_after_five_misses_in_a_row(
    finds: list[str], hung_at: float, loop: VirtualTimeLoop
) -> None:
    await until_hung(Script(finds, loop), 15.0)

    assert loop.time() == pytest.approx(hung_at)


@pytest.mark.parametrize(
    ("finds", "hung_at"),
    [
        pytest.param([], 4.0, id="never an answer"),
        pytest.param([SILENT] * 3 + [ANSWERS], 8.0, id="one answer is enough to begin anew"),
        pytest.param([SILENT] * 3 + [HALTED], 3607.0, id="an hour asleep is no miss"),
    ],
)
async def test_so_many_misses_as_are_asked_for_make_the_time(
    finds: list[str], hung_at: float, loop: VirtualTimeLoop
) -> None:
    await until_hung(Script(finds, loop), 4.0, misses=4)

    assert loop.time() == pytest.approx(hung_at)
