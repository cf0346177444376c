"""Every provider keeps what was learned of a function's wakes, and tells it to whoever lists or follows functions."""

from __future__ import annotations

import pytest

from springtide.provider.bounds import MAX_START_S
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core.policy import MAX, MAX_REPLICAS, OWNER, TARGET
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.contract.acts import ECHO, spec, table_when, when_ready
from tests.provider.contract.stages import Stage

FOLLOWED = {TARGET: "10"}
"""The control loop has it."""


async def test_learned_wake_is_told_in_listings_and_to_gateways_and_changes_nothing_else(stage: Stage) -> None:
    await stage.provider.deploy(spec(labels=FOLLOWED))
    before = await when_ready(stage.provider, 1)
    assert before.learned_wake is None

    await stage.provider.keep_wake(ECHO, 6)

    told = (await table_when(stage.provider, lambda table: table[ECHO].learned_wake == 6))[ECHO]
    read, (listed,) = await stage.provider.read(ECHO), await stage.provider.list_functions()
    assert (read.learned_wake, listed.learned_wake) == (6, 6)
    assert (told.replicas, told.version) == (1, before.version) == (1, read.scale.version)


async def test_learned_wake_survives_an_update(stage: Stage) -> None:
    await stage.provider.deploy(spec(labels=FOLLOWED))
    await stage.provider.keep_wake(ECHO, 6)

    await stage.provider.update(spec(labels={**FOLLOWED, MAX: "4"}))

    assert (await stage.provider.read(ECHO)).learned_wake == 6


async def test_function_of_the_same_name_begins_without_a_learned_wake(stage: Stage) -> None:
    await stage.provider.deploy(spec(labels=FOLLOWED))
    await stage.provider.keep_wake(ECHO, 6)

    await stage.provider.delete(ECHO)
    await stage.provider.deploy(spec(labels=FOLLOWED))

    assert (await stage.provider.read(ECHO)).learned_wake is None


async def test_longest_start_is_told_in_listings_and_to_gateways_and_changes_nothing_else(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    before = await when_ready(stage.provider, 1)
    assert before.longest_start_s is None

    await stage.provider.keep_start(ECHO, 3.14)

    told = (await table_when(stage.provider, lambda table: table[ECHO].longest_start_s == 3.2))[ECHO]
    read, (listed,) = await stage.provider.read(ECHO), await stage.provider.list_functions()
    assert (read.longest_start_s, listed.longest_start_s) == (3.2, 3.2)
    assert (told.replicas, told.version) == (1, before.version) == (1, read.scale.version)

    await stage.provider.update(spec(labels=FOLLOWED))
    assert (await stage.provider.read(ECHO)).longest_start_s == 3.2

    await stage.provider.delete(ECHO)
    await stage.provider.deploy(spec())
    assert (await stage.provider.read(ECHO)).longest_start_s is None


@pytest.mark.parametrize("seconds", [-0.1, MAX_START_S + 1])
async def test_longest_start_out_of_range_is_refused(stage: Stage, seconds: float) -> None:
    await stage.provider.deploy(spec())

    with pytest.raises(BadInput, match="longestStartSeconds"):
        await stage.provider.keep_start(ECHO, seconds)


@pytest.mark.parametrize("replicas", [0, MAX_REPLICAS + 1])
async def test_learned_wake_out_of_range_is_refused(stage: Stage, replicas: int) -> None:
    await stage.provider.deploy(spec(labels=FOLLOWED))

    with pytest.raises(BadInput, match="replicas"):
        await stage.provider.keep_wake(ECHO, replicas)


async def test_learned_wake_of_an_unknown_function_is_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.keep_wake(FunctionRef(ECHO.namespace, "ghost"), 2)
    with pytest.raises(NotFound):
        await stage.provider.keep_start(FunctionRef(ECHO.namespace, "ghost"), 2.0)


async def test_what_was_learned_counts_only_while_the_control_loop_has_the_function(stage: Stage) -> None:
    await stage.provider.deploy(spec(labels=FOLLOWED))
    await stage.provider.keep_wake(ECHO, 6)

    await stage.provider.update(spec(labels={**FOLLOWED, OWNER: "alerts"}))

    assert (await stage.provider.read(ECHO)).learned_wake is None
    await table_when(stage.provider, lambda table: OWNER in table[ECHO].labels and table[ECHO].learned_wake is None)
