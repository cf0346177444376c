from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import structlog

from springtide.provider.api.endpoints import RETRY_S, EndpointFollower
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot

pytestmark = pytest.mark.virtual_time


ECHO = FunctionEndpoints(FunctionRef("openfaas-fn", "echo"), 1, "1")
OTHER = FunctionEndpoints(FunctionRef("openfaas-fn", "other"), 1, "1")


class Script:
    """An endpoint source that plays one list of events a watch: numbers are pauses, an error breaks the watch off."""

    def __init__(self, *watches: list[Event | Exception | float]) -> None:
        self.begun: list[float] = []
        self._watches = list(watches)

    async def watch_endpoints(self) -> AsyncIterator[Event]:
        self.begun.append(asyncio.get_running_loop().time())
        for event in self._watches.pop(0) if self._watches else ():
            if isinstance(event, Exception):
                raise event
            if isinstance(event, float):
                await asyncio.sleep(event)
            else:
                yield event
        await asyncio.Event().wait()


async def test_table_has_the_snapshot_when_start_returns_and_follows_from_there() -> None:
    table = EndpointFollower(Script([Snapshot((ECHO,)), 0.5, Changed(OTHER), Removed(ECHO.ref)]))

    await table.start()
    assert table.of(ECHO.ref) == ECHO
    await asyncio.sleep(1)
    assert (table.of(ECHO.ref), table.of(OTHER.ref)) == (None, OTHER)
    await table.stop()


async def test_broken_watch_is_taken_up_again_and_what_is_known_stays() -> None:
    source = Script([Snapshot((ECHO,)), Unavailable("gone")], [Unavailable("gone")], [Snapshot((OTHER,))])
    table = EndpointFollower(source)

    await table.start()
    await asyncio.sleep(1.5 * RETRY_S)
    assert table.of(ECHO.ref) == ECHO
    await asyncio.sleep(RETRY_S)
    assert (table.of(ECHO.ref), table.of(OTHER.ref)) == (None, OTHER)
    assert source.begun == [0, RETRY_S, 2 * RETRY_S]
    await table.stop()


async def test_start_does_not_wait_for_a_source_that_is_unavailable() -> None:
    table = EndpointFollower(Script([Unavailable("not yet")], [Snapshot((ECHO,))]))

    await table.start()
    assert table.of(ECHO.ref) is None
    await asyncio.sleep(1.5 * RETRY_S)
    assert table.of(ECHO.ref) == ECHO
    await table.stop()


async def test_failure_that_trying_again_does_not_mend_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await EndpointFollower(Script([ZeroDivisionError()])).start()

    table = EndpointFollower(Script([Snapshot(()), 0.5, ZeroDivisionError()]))
    await table.start()
    with pytest.raises(ZeroDivisionError):
        await table.wait()


async def test_misspelt_labels_of_a_deployed_function_are_told_once() -> None:
    misspelt = replace(ECHO, labels={"com.openfaas.scale.zeroduration": "5m"})

    table = EndpointFollower(Script([Snapshot((misspelt, OTHER)), Changed(replace(misspelt, replicas=7))]))
    with structlog.testing.capture_logs() as lines:
        await table.start()
        await asyncio.sleep(1)
    await table.stop()

    (line,) = lines
    assert (line["log_level"], line["function"]) == ("warning", str(ECHO.ref))
    assert "zero-duration" in line["problems"][0]
