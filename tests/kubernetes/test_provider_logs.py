"""Logs of several pods, and of pods that come while somebody follows."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import pytest

from springtide.provider.ports import LogQuery
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.policy import MIN
from tests.kubernetes.provider_stage import ECHO, on_cluster, spec

pytestmark = pytest.mark.usefixtures("pod_network")


def chatty(**changes: Any) -> FunctionSpec:
    """It writes to its log what it is sent."""
    return spec(image="echo", env_process="tee /dev/stderr", env_vars={"combine_output": "false"}, **changes)


async def say(host: str, text: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"http://{host}:8080/", content=f"{text}\n")).raise_for_status()


async def test_lines_of_all_pods_are_one_history() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(chatty(labels={MIN: "2"}))
        first, second = (await on.when_ready(2)).endpoints
        for number, host in enumerate([first.host, second.host, first.host]):
            await say(host, f"said {number}")
        lines = []

        async with contextlib.aclosing(on.provider.logs(LogQuery(ECHO, follow=True))) as following:
            async for line in following:
                lines.append(line)
                if sum("said" in each.text for each in lines) == 3:
                    break

        said = [(line.instance, line.text.rpartition("said")[2].strip()) for line in lines if "said" in line.text]
        assert said == [(first.instance, "0"), (second.instance, "1"), (first.instance, "2")]


async def test_pod_that_comes_while_somebody_follows_is_followed_too() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(chatty())
        (old,) = (await on.when_ready(1)).endpoints
        await say(old.host, "old one")
        async with contextlib.aclosing(on.provider.logs(LogQuery(ECHO, follow=True))) as following:
            async for line in following:
                if "old one" in line.text:
                    break
            await on.provider.write(ECHO, 2, expect=None, decision=None)
            (new,) = [each for each in (await on.when_ready(2)).endpoints if each != old]
            await say(new.host, "new one")

            async for line in following:
                if "new one" in line.text:
                    assert line.instance == new.instance
                    return


async def test_following_ends_when_the_function_is_gone() -> None:
    async with on_cluster() as on:
        await on.provider.deploy(chatty())
        (only,) = (await on.when_ready(1)).endpoints
        await say(only.host, "hello")
        async with contextlib.aclosing(on.provider.logs(LogQuery(ECHO, follow=True))) as following:
            await anext(following)
            await on.provider.delete(ECHO)

            async for _ in following:
                pass
