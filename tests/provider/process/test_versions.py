"""What was deployed stays what it was: versions, going back, and what happens under load meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from springtide.provider.machine import records
from springtide.provider.machine.records import MAX_VERSIONS, FunctionRecord, Pinned
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from tests.provider.process.wheels import make_wheel, requirements
from tests.provider.process.world import World, eventually, url

REF = FunctionRef("openfaas-fn", "fn")
SPEC = FunctionSpec(ref=REF, image="any", env_process="cat")


def says(word: str) -> str:
    return f"def handle(event, context):\n    return {word!r}\n"


async def answers(here: World, replicas: int = 1) -> set[str]:
    seen = await here.ready(REF, replicas)
    return {(await here.http.get(url(seen, number))).text for number in range(replicas)}


async def test_what_is_on_disk_is_not_deployed(world: Any) -> None:
    async with world() as here:
        await here.up("fn", annotations=here.handler(says("A")))
        here.handler("this is no Python")
        await here.scale(REF, 0)
        await here.until(REF, lambda seen: not seen.endpoints)
        await here.scale(REF, 3)
        assert await answers(here, 3) == {"A"}
    async with world() as here:
        assert await answers(here, 3) == {"A"}


async def deployed(here: World, word: str, **more: Any) -> None:
    await here.provider.deploy(here.spec("fn", annotations=here.handler(says(word)), **more))
    await here.until(REF, lambda seen: seen.endpoints)


async def answer_becomes(here: World, word: str) -> None:
    """Once the replicas of other versions have gone."""
    async with asyncio.timeout(60):
        while True:
            changed = asyncio.create_task(here.next_change())
            await asyncio.sleep(0)  # It listens from here on: a change while the replicas are asked is not missed.
            if await answers(here) == {word}:
                changed.cancel()
                return
            await changed


async def test_rollback_goes_to_the_version_before_with_its_settings(world: Any) -> None:
    async with world() as here:
        await deployed(here, "A", labels={"com.openfaas.scale.max": "7"})
        first = (await here.provider.versions(REF))[0]
        await deployed(here, "B")
        second, listed = await here.provider.versions(REF)
        assert (second.current, listed) == (True, replace(first, current=False))

        back = await here.provider.rollback(REF)

        assert (back.name, back.code, back.generation) == (first.name, first.code, 3)
        await answer_becomes(here, "A")
        assert (await here.provider.status(REF)).spec.labels == {"com.openfaas.scale.max": "7"}
        assert [version.name for version in await here.provider.versions(REF)] == [first.name, second.name]
        await here.provider.rollback(REF, second.name)
        await answer_becomes(here, "B")


async def test_only_a_version_that_is_kept_can_be_gone_back_to(world: Any) -> None:
    async with world() as here:
        await deployed(here, "A")
        (only,) = await here.provider.versions(REF)
        with pytest.raises(BadInput, match="no earlier version"):
            await here.provider.rollback(REF)
        with pytest.raises(BadInput, match="is the one that runs"):
            await here.provider.rollback(REF, only.name)
        with pytest.raises(BadInput, match="no version 'abc'"):
            await here.provider.rollback(REF, "abc")
        with pytest.raises(NotFound):
            await here.provider.rollback(FunctionRef("openfaas-fn", "other"))


async def test_code_is_kept_for_as_long_as_a_version_needs_it(world: Any) -> None:
    async with world() as here:
        await deployed(here, "A")
        await deployed(here, "B")
        pinning = here.pinning
        await pinning.prune(grace_s=0)
        await here.provider.rollback(REF)
        await answer_becomes(here, "A")
        await here.provider.delete(REF)
        await here.until_gone(REF)
        await pinning.prune(grace_s=0)
        assert list((here.state_dir / "code").iterdir()) == []
        assert len(list((here.state_dir / "environments").iterdir())) == 1, "the default one"


async def test_function_from_before_code_was_pinned_is_pinned_at_the_start(world: Any) -> None:
    async with world() as here:
        await deployed(here, "A")
    file = here.state_dir / "functions" / records.file_name(REF)
    value = json.loads(file.read_text())
    before = {key: value[key] for key in ("format", "spec", "replicas", "createdAt", "uid", "serial", "generation")}
    file.write_text(json.dumps(before))

    async with world() as here:
        await answer_becomes(here, "A")
        here.handler("this is no Python")
        await here.scale(REF, 2)
        assert await answers(here, 2) == {"A"}
    assert json.loads(file.read_text())["pinned"]["code"] == value["pinned"]["code"]


def test_versions_are_bounded_and_survive_the_disk(tmp_path: Path) -> None:
    record = FunctionRecord.new(SPEC, 1, Instant(5.0), pinned=Pinned(code="a0", variables={"x": "y"}))
    for number in range(20):
        spec = replace(SPEC, env_vars={"n": str(number)})
        record = record.updated(spec, 1, Instant(6.0 + number), pinned=Pinned(code=f"b{number}"))
    assert [version.spec.env_vars["n"] for version in record.versions] == [str(n) for n in range(19, 9, -1)]
    assert len(record.versions) == MAX_VERSIONS
    file = tmp_path / records.file_name(REF)
    file.write_text(json.dumps(record.to_json()))
    assert records.load(file) == record
    huge = replace(SPEC, env_vars={"n": "x" * 700_000})
    for number in range(3):
        record = record.updated(replace(huge, image=str(number)), 1, Instant(30.0 + number))
    assert len(record.earlier) == 1, "more would be written with every write of the function"


class Load:
    """Calls without a pause, each to a replica that the endpoint table has."""

    def __init__(self, here: World) -> None:
        self._here, self.seen = here, Counter[str]()
        self.lost: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._call()) for _ in range(4)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def more(self, word: str, calls: int = 25) -> None:
        """Until so many more have had this answer."""
        goal = self.seen[word] + calls
        await eventually(lambda: self.seen[word] >= goal, f"calls answered {word}")

    async def _call(self) -> None:
        while True:
            table = self._here.table[REF]
            if not table.endpoints:
                self.lost.append("no replica")
                await asyncio.sleep(0)
                continue
            answer = await self._here.http.get(url(table))
            if answer.status_code == 200:
                self.seen[answer.text] += 1
            else:
                self.lost.append(answer.text)


async def test_no_call_is_lost_by_a_rollback_nor_by_requirements_that_cannot_be_resolved(world: Any) -> None:
    async with world(linger_s=0.5) as here:
        make_wheel(here.folder / "handler-folder" / "wheels", "tide_sample", "1.0")
        make_wheel(here.folder / "handler-folder" / "wheels", "tide_sample", "2.0")
        source = "import tide_sample\ndef handle(event, context):\n    return tide_sample.VERSION\n"
        wanted = here.folder / "handler-folder" / "requirements.txt"
        wanted.write_text(requirements("tide_sample==1.0"))
        spec = here.spec("fn", annotations=here.handler(source))
        await here.provider.deploy(spec)
        await here.until(REF, lambda seen: seen.endpoints)
        load = Load(here)
        async with load.running():
            await load.more("1.0")
            wanted.write_text(requirements("tide_sample==3.0"))
            with pytest.raises(BadInput, match="tide-sample==3"):
                await here.provider.update(spec)
            await load.more("1.0")
            assert set(load.seen) == {"1.0"}
            wanted.write_text(requirements("tide_sample==2.0"))
            await here.provider.update(spec)
            await load.more("2.0")
            await here.provider.rollback(REF)
            await load.more("1.0")
        assert load.lost == []
