"""The API server misbehaves, or is gone: what is known stays, nothing is scaled wrongly, and soon all is well."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from springtide.runtime.errors import Conflict, SpringtideError, Unavailable
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.scaler.core.policy import MIN
from springtide.scaler.core.vocabulary import Decision, Instant, Reason, Writer
from tests.kubernetes.provider_stage import ECHO, NAMESPACE, eventually, on_cluster, spec

IMPATIENT = KubernetesSettings(kube_deadline_s=0.5)


def wake(after: int) -> Decision:
    return Decision(ECHO, Writer.WAKE, 0, after, Reason.WAKE, "1 caller waits", Instant(1_700_000_000.0))


async def test_without_an_api_server_what_is_known_stays_and_writes_say_why_not() -> None:
    async with on_cluster(access=IMPATIENT) as on:
        await on.provider.deploy(spec(labels={MIN: "2"}))
        before = await on.when_ready(2)
        await on.cluster.go_away()

        for deed in (
            lambda: on.provider.write(ECHO, 1, expect=None, decision=None),
            lambda: on.provider.deploy(spec()),
            lambda: on.provider.delete(ECHO),
            lambda: on.provider.secret_names(NAMESPACE),
        ):
            with pytest.raises(Unavailable):
                await deed()

        assert await on.when_ready(2) == before
        assert (await on.provider.read(ECHO)).scale.desired == 2
        assert [status.spec.ref for status in await on.provider.statuses(NAMESPACE)] == [ECHO]
        assert on.deployment()["spec"]["replicas"] == 2


async def test_api_server_that_came_back_is_followed_again() -> None:
    async with on_cluster(access=IMPATIENT) as on:
        await on.provider.deploy(spec())
        await on.when_ready(1)
        await on.cluster.go_away()
        with pytest.raises(Unavailable):
            await on.provider.write(ECHO, 3, expect=None, decision=None)
        await on.cluster.come_back()

        await on.api.write_scale(DEPLOYMENTS, ECHO.name, 2, namespace=NAMESPACE, version=None)
        await on.when_ready(2)
        await on.provider.write(ECHO, 3, expect=None, decision=None)

        await on.when_ready(3)


async def test_change_made_while_watches_were_away_is_not_missed_and_nothing_is_listed_for_it() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        await on.when_ready(1)
        on.cluster.requests.clear()
        for count in (2, 3, 4):
            on.cluster.faults.cut_watches()
            await on.api.write_scale(DEPLOYMENTS, ECHO.name, count, namespace=NAMESPACE, version=None)
            await on.when_ready(count)

        assert on.cluster.requests.count(verb="list") == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 503}, id="503"),
        pytest.param({"status": 429, "retry_after_s": 0}, id="429"),
        pytest.param({"status": 409, "verbs": ["update"]}, id="409"),
    ],
)
async def test_write_is_done_once_though_the_api_server_stumbles(fault: dict[str, Any]) -> None:
    async with on_cluster() as on:
        await on.provider.deploy(spec())
        version = (await on.provider.read(ECHO)).scale.version
        on.cluster.faults.fail_next(2, **fault)

        await on.provider.write(ECHO, 3, expect=version, decision=None)

        assert on.deployment()["spec"]["replicas"] == 3


async def test_of_writers_in_two_providers_one_wins_each_round() -> None:
    """Each adds one to what it read, while watches break and requests fail: no step is lost or doubled."""

    async with on_cluster() as on:
        await on.provider.deploy(spec())
        on.cluster.faults.fail_share(0.1, status=500)
        won = 0

        async def step() -> bool:
            read = (await on.provider.read(ECHO)).scale
            try:
                await on.provider.write(ECHO, read.desired + 1, expect=read.version, decision=wake(read.desired + 1))
            except SpringtideError:
                return False
            return True

        async def elsewhere() -> bool:
            scale = await on.api.read_scale(DEPLOYMENTS, ECHO.name, namespace=NAMESPACE)
            try:
                await on.api.write_scale(
                    DEPLOYMENTS, ECHO.name, scale.replicas + 1, namespace=NAMESPACE, version=scale.version
                )
            except Conflict:
                return False
            return True

        on.cluster.controllers.pause()  # Or the pods' own changes make most rounds conflict.
        for _ in range(8):
            on.cluster.faults.cut_watches()
            won += sum(await asyncio.gather(step(), elsewhere(), step()))
        on.cluster.faults.heal()

        assert on.deployment()["spec"]["replicas"] == 1 + won
        await eventually(lambda: on.provider.read(ECHO), lambda function: function.scale.desired == 1 + won)
