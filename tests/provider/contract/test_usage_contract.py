"""Every provider tells what its functions use of the processors, or why that is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from springtide.scaler.core.vocabulary import FunctionRef, NoData
from springtide.wire.processor_use import CpuRate, CpuTotal, ProcessorUse
from tests.provider.contract.acts import ECHO, spec, when_ready
from tests.provider.contract.stages import Stage


async def test_use_is_told_of_every_function_and_of_no_other(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    await when_ready(stage.provider, 1)

    assert _sensible((await _functions_when(stage, {ECHO}))[ECHO])
    await stage.provider.delete(ECHO)
    await _functions_when(stage, set())


async def _functions_when(stage: Stage, wanted: set[FunctionRef]) -> Mapping[FunctionRef, ProcessorUse]:
    """As soon as exactly these are told of: what was measured is told for a second."""
    async with asyncio.timeout(60):
        while (uses := await stage.provider.processor_use()).keys() != wanted:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        return uses


def _sensible(use: ProcessorUse) -> bool:
    match use:
        case CpuTotal(seconds, since):
            return seconds >= 0 and since > 0
        case CpuRate(millicores, at):
            return millicores >= 0 and at > 0
        case NoData(why):
            return bool(why)
