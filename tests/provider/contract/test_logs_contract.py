"""Providers may log lines of their own around a function's, so these tests look for words or compare whole answers."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from springtide.provider.ports import LogLine, LogQuery
from springtide.runtime.errors import NotFound
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from tests.provider.contract.acts import ECHO, closing, log_lines, spec, when_ready
from tests.provider.contract.stages import Stage

WORDS = ("one", "two", "three", "four")


def words(lines: Iterable[LogLine]) -> list[str]:
    """The words that were said, in order."""
    return [word for line in lines for word in WORDS if line.text.rstrip("\n").endswith(word)]


async def with_lines(stage: Stage, *texts: str) -> list[LogLine]:
    """Echo deployed, ready, and having said ``texts``; returns all lines once they can be read."""
    await stage.provider.deploy(spec(env_vars={"combine_output": "false"}))
    await when_ready(stage.provider, 1)
    for text in texts:
        await stage.say(ECHO, text)
    seen: list[LogLine] = []
    async with closing(stage.provider.logs(LogQuery(ECHO, follow=True))) as lines:
        while words(seen) != list(texts):
            seen.append(await anext(lines))
    return seen


async def test_logs_are_oldest_first_with_time_and_replica(stage: Stage) -> None:
    earliest = time.time()
    lines = await with_lines(stage, "one", "two", "three")
    latest = time.time()

    assert {line.ref for line in lines} == {ECHO}
    assert all(line.instance for line in lines)
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert all(earliest - 0.01 <= line.at <= latest + 0.01 for line in lines)


async def test_logs_without_follow_end_by_themselves(stage: Stage) -> None:
    await with_lines(stage, "one", "two")

    assert words(await log_lines(stage.provider, LogQuery(ECHO))) == ["one", "two"]


@pytest.mark.parametrize("tail", [1, 2, 1000], ids=["the newest", "the newest two", "more than there are"])
async def test_tail_is_the_end_of_all(stage: Stage, tail: int) -> None:
    await with_lines(stage, "one", "two", "three")

    newest = await log_lines(stage.provider, LogQuery(ECHO, tail=tail))
    everything = await log_lines(stage.provider, LogQuery(ECHO))

    assert newest == everything[-tail:]


async def test_since_includes_its_own_instant_and_leaves_out_what_was_earlier(stage: Stage) -> None:
    everything = await with_lines(stage, "one", "two")
    (second,) = [line for line in everything if words([line]) == ["two"]]

    later = await log_lines(stage.provider, LogQuery(ECHO, since=second.at))
    none = await log_lines(stage.provider, LogQuery(ECHO, since=Instant(second.at + 60)))

    assert words(later)[-1] == "two"
    assert all(line.at >= second.at for line in later)
    assert none == []


async def test_instance_is_one_replica(stage: Stage) -> None:
    *_, last = await with_lines(stage, "one")

    assert words(await log_lines(stage.provider, LogQuery(ECHO, instance=last.instance))) == ["one"]
    assert await log_lines(stage.provider, LogQuery(ECHO, instance="stranger")) == []


async def test_follow_goes_on_with_new_lines(stage: Stage) -> None:
    await with_lines(stage, "one", "two")
    seen: list[LogLine] = []

    async with closing(stage.provider.logs(LogQuery(ECHO, follow=True))) as lines:
        for said in (["one", "two"], ["one", "two", "three"], ["one", "two", "three", "four"]):
            if len(said) > 2:
                await stage.say(ECHO, said[-1])
            while words(seen) != said:
                seen.append(await anext(lines))

    assert words(seen) == list(WORDS)


async def test_logs_of_an_unknown_function_are_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await log_lines(stage.provider, LogQuery(FunctionRef(ECHO.namespace, "ghost")))
