from __future__ import annotations

from collections.abc import AsyncIterator

from springtide.scaler.core.call_timeout import EXEC_TIMEOUT, CallTimeout
from springtide.scaler.core.policy import MIN
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Event, Heartbeat, Snapshot, merge
from tests.provider.contract.acts import ECHO, closing, spec, table_when, when_ready
from tests.provider.contract.stages import Stage

OTHER = FunctionRef(ECHO.namespace, "other")


async def until_ready(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Events up to the one that shows a ready replica."""
    async for event in events:
        yield event
        if isinstance(event, Changed) and event.function.endpoints:
            return


async def test_watch_begins_with_a_snapshot_of_what_is_there(stage: Stage) -> None:
    async with closing(stage.provider.watch_endpoints()) as events:
        assert await anext(events) == Snapshot(())
    await stage.provider.deploy(spec())
    await when_ready(stage.provider, 1)

    async with closing(stage.provider.watch_endpoints()) as events:
        first = await anext(events)

    assert isinstance(first, Snapshot)
    assert [(function.ref, len(function.endpoints)) for function in first.functions] == [(ECHO, 1)]


async def test_watcher_that_keeps_up_gets_changes_and_no_second_snapshot(stage: Stage) -> None:
    async with closing(stage.provider.watch_endpoints()) as events:
        await anext(events)
        await stage.provider.deploy(spec())
        later = [event async for event in until_ready(events)]

    assert {type(event) for event in later} <= {Changed, Heartbeat}


async def test_watched_function_carries_count_version_labels_and_annotations(stage: Stage) -> None:
    await stage.provider.deploy(spec(labels={MIN: "2"}, annotations={"topic": "cron"}))

    watched = await when_ready(stage.provider, 2)
    read = await stage.provider.read(ECHO)

    assert watched.replicas == 2
    assert watched.version == read.scale.version
    assert dict(watched.labels) == {MIN: "2", "faas_function": "echo"}
    assert dict(watched.annotations) == {"topic": "cron"}
    assert watched.problem is None
    assert len({endpoint.instance for endpoint in watched.endpoints}) == 2


async def test_watched_function_carries_how_long_its_calls_may_take_and_no_environment(stage: Stage) -> None:
    await stage.provider.deploy(spec(env_vars={"exec_timeout": "10m", "password": "hunter2"}))

    watched = await when_ready(stage.provider, 1)

    assert watched.timeout == CallTimeout(600, EXEC_TIMEOUT)
    assert "hunter2" not in repr(watched)


async def test_watcher_hears_of_scaling_and_of_removal(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    await stage.provider.deploy(spec(OTHER))
    async with closing(stage.provider.watch_endpoints()) as events:
        table = merge({}, [await anext(events)])
        assert set(table) == {ECHO, OTHER}

        await stage.provider.write(ECHO, 2, expect=None, decision=None)
        await stage.provider.delete(OTHER)
        while set(table) != {ECHO} or len(table[ECHO].endpoints) != 2:
            table = merge(table, [await anext(events)])

    assert table[ECHO].replicas == 2


async def test_watcher_hears_of_new_annotations(stage: Stage) -> None:
    await stage.provider.deploy(spec(annotations={"topic": "orders"}))
    await when_ready(stage.provider, 1)

    daily = {"topic": "cron-function", "schedule": "@daily"}
    await stage.provider.update(spec(annotations=daily))
    await table_when(stage.provider, lambda table: dict(table[ECHO].annotations) == daily)


async def test_watchers_do_not_disturb_each_other(stage: Stage) -> None:
    async with closing(stage.provider.watch_endpoints()) as idle:
        await anext(idle)
        await stage.provider.deploy(spec())
        await when_ready(stage.provider, 1)

        table = await table_when(stage.provider, lambda table: ECHO in table)

    assert set(table) == {ECHO}
