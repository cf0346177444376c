from __future__ import annotations

import asyncio

import pytest

from springtide.runtime.errors import BadInput, Conflict, NotFound
from springtide.scaler.core.policy import MAX, MAX_REPLICAS, MIN
from springtide.scaler.core.vocabulary import FunctionRef, Scale
from tests.provider.contract.acts import ECHO, spec, when_ready
from tests.provider.contract.stages import Stage

GHOST = FunctionRef(ECHO.namespace, "ghost")


async def test_provider_without_functions_lists_none(stage: Stage) -> None:
    assert list(await stage.provider.list_functions()) == []


@pytest.mark.parametrize(
    ("labels", "replicas"),
    [
        pytest.param({}, 1, id="one by default"),
        pytest.param({MIN: "3"}, 3, id="its minimum"),
        pytest.param({MIN: "0"}, 1, id="one even if the minimum is zero"),
    ],
)
async def test_deployed_function_starts_with(stage: Stage, labels: dict[str, str], replicas: int) -> None:
    await stage.provider.deploy(spec(labels=labels))

    assert (await stage.provider.read(ECHO)).scale.desired == replicas
    assert len((await when_ready(stage.provider, replicas)).endpoints) == replicas
    assert (await stage.provider.read(ECHO)).scale.ready == replicas


async def test_read_and_write_of_an_unknown_function_are_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.read(GHOST)
    with pytest.raises(NotFound):
        await stage.provider.write(GHOST, 1, expect=None, decision=None)


async def test_write_is_visible_at_once_and_its_version_is_the_one_read_next(stage: Stage) -> None:
    await stage.provider.deploy(spec())

    written = await stage.provider.write(ECHO, 3, expect=None, decision=None)

    found = await stage.provider.read(ECHO)
    assert (found.scale.desired, found.scale.version) == (3, written.version)
    assert [function.scale.desired for function in await stage.provider.list_functions()] == [3]


async def test_write_expecting_the_version_read_succeeds_once(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    version = (await stage.provider.read(ECHO)).scale.version

    await stage.provider.write(ECHO, 2, expect=version, decision=None)
    with pytest.raises(Conflict):
        await stage.provider.write(ECHO, 3, expect=version, decision=None)

    assert (await stage.provider.read(ECHO)).scale.desired == 2


async def test_of_many_writers_expecting_one_version_one_wins(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    version = (await stage.provider.read(ECHO)).scale.version

    counts = range(2, 12)
    outcomes = await asyncio.gather(
        *(stage.provider.write(ECHO, count, expect=version, decision=None) for count in counts),
        return_exceptions=True,
    )

    winners = [count for count, outcome in zip(counts, outcomes, strict=True) if isinstance(outcome, Scale)]
    assert len(winners) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == len(counts) - 1
    assert (await stage.provider.read(ECHO)).scale.desired == winners[0]
    await stage.provider.write(ECHO, 0, expect=None, decision=None)


async def test_becoming_ready_does_not_move_the_version(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    version = (await stage.provider.read(ECHO)).scale.version

    ready = await when_ready(stage.provider, 1)

    assert ready.version == version
    await stage.provider.write(ECHO, 2, expect=version, decision=None)


async def test_repeated_write_of_the_same_count_is_accepted(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    await stage.provider.write(ECHO, 2, expect=None, decision=None)
    before = await when_ready(stage.provider, 2)

    scale = await stage.provider.write(ECHO, 2, expect=None, decision=None)

    after = await when_ready(stage.provider, 2)
    assert after.endpoints == before.endpoints
    assert (await stage.provider.read(ECHO)).scale.version == scale.version


@pytest.mark.parametrize("replicas", [-1, MAX_REPLICAS + 1])
async def test_write_out_of_range_is_bad_input_and_changes_nothing(stage: Stage, replicas: int) -> None:
    await stage.provider.deploy(spec())
    before = await stage.provider.read(ECHO)

    with pytest.raises(BadInput):
        await stage.provider.write(ECHO, replicas, expect=None, decision=None)

    after = await stage.provider.read(ECHO)
    assert (after.scale.desired, after.scale.version) == (1, before.scale.version)


async def test_function_sleeps_at_zero_and_wakes_again(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    awake = await when_ready(stage.provider, 1)

    await stage.provider.write(ECHO, 0, expect=None, decision=None)
    asleep = await when_ready(stage.provider, 0)
    await stage.provider.write(ECHO, 1, expect=None, decision=None)
    again = await when_ready(stage.provider, 1)

    assert (awake.replicas, asleep.replicas, again.replicas) == (1, 0, 1)
    assert again.endpoints[0].instance != awake.endpoints[0].instance


async def test_scaling_down_keeps_replicas_that_were_there(stage: Stage) -> None:
    await stage.provider.deploy(spec(labels={MIN: "3"}))
    before = await when_ready(stage.provider, 3)

    await stage.provider.write(ECHO, 1, expect=None, decision=None)
    after = await when_ready(stage.provider, 1)

    assert set(after.endpoints) < set(before.endpoints)


@pytest.mark.parametrize(
    ("before", "labels", "after"),
    [
        pytest.param(4, {}, 4, id="its count"),
        pytest.param(0, {MIN: "2"}, 0, id="its sleep"),
        pytest.param(1, {MIN: "3"}, 3, id="no less than the new minimum"),
        pytest.param(4, {MAX: "2"}, 2, id="no more than the new maximum"),
    ],
)
async def test_updated_function_keeps(stage: Stage, before: int, labels: dict[str, str], after: int) -> None:
    await stage.provider.deploy(spec())
    await stage.provider.write(ECHO, before, expect=None, decision=None)

    await stage.provider.update(spec(labels=labels))

    assert (await stage.provider.read(ECHO)).scale.desired == after
    await when_ready(stage.provider, after)


@pytest.mark.parametrize("verb", ["deploy", "update"])
async def test_update_moves_the_version_and_keeps_the_birthday(stage: Stage, verb: str) -> None:
    await stage.provider.deploy(spec())
    before = await stage.provider.read(ECHO)

    await getattr(stage.provider, verb)(spec(env_vars={"colour": "blue"}))

    after = await stage.provider.read(ECHO)
    assert before.created_at is not None
    assert after.created_at == before.created_at
    with pytest.raises(Conflict):
        await stage.provider.write(ECHO, 0, expect=before.scale.version, decision=None)


async def test_function_deployed_anew_does_not_accept_versions_of_its_former_life(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    former = (await stage.provider.read(ECHO)).scale.version
    await stage.provider.delete(ECHO)
    await stage.provider.deploy(spec())

    with pytest.raises(Conflict):
        await stage.provider.write(ECHO, 0, expect=former, decision=None)
