from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest

from springtide.provider.ports import LogQuery
from springtide.runtime.errors import NotFound
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from tests.provider.process.world import World, url

REF = FunctionRef("openfaas-fn", "fn")
SAYS = "def handle(event, context):\n    print(event.body.decode())\n    return ''"


async def say(world: World, *texts: str, replica: int = 0) -> None:
    for text in texts:
        await world.http.post(url(world.table[REF], replica), content=text.encode())
        await world.log_says(REF, text)


async def test_lines_have_time_and_instance_and_can_be_picked(world: Any) -> None:
    async with world() as here:
        began = time.time()
        await here.provider.deploy(here.spec("fn", annotations=here.handler(SAYS)))
        await here.scale(REF, 2)
        function = await here.ready(REF, 2)
        await say(here, "one", "two")
        await say(here, "three", replica=1)
        first, second = (endpoint.instance for endpoint in function.endpoints)

        lines = [line async for line in here.provider.logs(LogQuery(REF))]
        assert [(line.text, line.instance) for line in lines] == [
            ("one", first),
            ("two", first),
            ("three", second),
        ]
        assert all(began <= line.at <= time.time() for line in lines)

        async def texts(**query: Any) -> list[str]:
            return [line.text async for line in here.provider.logs(LogQuery(REF, **query))]

        assert await texts(tail=2) == ["two", "three"]
        assert await texts(tail=0) == []
        assert await texts(instance=first) == ["one", "two"]
        assert await texts(since=Instant(lines[1].at)) == ["two", "three"]
        assert await texts(since=Instant(time.time() + 60)) == []


async def test_following_picks_up_new_lines_and_new_replicas_and_ends_with_the_function(world: Any) -> None:
    async with world() as here:
        await here.provider.deploy(here.spec("fn", annotations=here.handler(SAYS)))
        await here.ready(REF)
        await say(here, "before")
        followed: list[str] = []
        more = asyncio.Event()

        async def follow() -> None:
            async for line in here.provider.logs(LogQuery(REF, follow=True)):
                followed.append(line.text)
                more.set()

        following = asyncio.create_task(follow())
        await say(here, "while")
        await here.scale(REF, 0)
        await here.ready(REF, 0)
        await here.scale(REF, 1)
        await here.ready(REF, 1)
        await say(here, "after")
        await here.provider.delete(REF)
        await asyncio.wait_for(following, 10)

        assert followed == ["before", "while", "after"]


async def test_log_is_bounded_and_keeps_the_newest(world: Any) -> None:
    async with world(log_limit_bytes=20_000) as here:
        source = "def handle(event, context):\n    for i in range(5000): print('line', i)\n    return ''"
        await here.provider.deploy(here.spec("fn", annotations=here.handler(source)))
        await here.http.get(url(await here.ready(REF)))
        await here.log_says(REF, "line 4999")

        texts = await here.texts(REF)
        files = list((here.state_dir / "logs").rglob("*.log"))

        assert texts[-1] == "line 4999"
        assert texts == [f"line {number}" for number in range(5000 - len(texts), 5000)]
        assert 100 < len(texts) < 5000
        assert sum(file.stat().st_size for file in files) <= 20_000


async def test_follower_that_stops_leaves_nothing_behind(world: Any) -> None:
    async with world() as here:
        await here.provider.deploy(here.spec("fn", annotations=here.handler(SAYS)))
        await here.ready(REF)
        await say(here, "one")
        async with contextlib.aclosing(here.provider.logs(LogQuery(REF, follow=True))) as lines:
            assert (await anext(lines)).text == "one"


async def test_logs_of_an_unknown_function_are_not_found(world: Any) -> None:
    async with world() as here:
        with pytest.raises(NotFound):
            await anext(here.provider.logs(LogQuery(REF)))
