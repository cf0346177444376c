"""A file that cannot be read is set aside and told; everything else runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from springtide.provider.ports import Namespace
from springtide.runtime.errors import NotFound, Unavailable
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.world import World, url

REF, OTHER = FunctionRef("openfaas-fn", "fn"), FunctionRef("openfaas-fn", "other")


async def two_functions(here: World) -> None:
    """Deployed, running, and the provider stopped again."""
    await here.up("fn", "cat")
    await here.up("other", "cat")


def record_of(here: World, ref: FunctionRef = REF) -> Path:
    return here.state_dir / "functions" / f"{ref.name}.{ref.namespace}.json"


def changed(**change: Any) -> Any:
    """The record as it was, but for this."""
    return lambda text: json.dumps(json.loads(text) | change)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        pytest.param(lambda text: text[: len(text) // 2], "not readable as JSON", id="cut off"),
        pytest.param(lambda _: "\0" * 500, "not readable as JSON", id="blocks that were never written"),
        pytest.param(lambda _: "", "not readable as JSON", id="nothing"),
        pytest.param(lambda _: "[" * 20_000, "nested", id="nested deep"),
        pytest.param(lambda _: "[]", "not a function's state", id="something else"),
        pytest.param(lambda _: '{"format": 1}', "'spec' is missing", id="without its parts"),
        pytest.param(changed(format=99), "format 99 is not 1", id="of a later format"),
        pytest.param(changed(replicas=10**9), "not a whole number within bounds", id="a billion replicas"),
        pytest.param(changed(createdAt=10**400), "is not an instant", id="made at no time"),
        pytest.param(changed(uid="../../etc"), "not a valid name", id="a path for an id"),
        pytest.param(
            lambda text: text.replace('"fn"', '"other"'), "describes other.openfaas-fn", id="a copy of another"
        ),
    ],
)
async def test_damaged_record_is_set_aside_and_the_rest_runs(world: Any, damage: Any, what: str) -> None:
    async with world() as here:
        await two_functions(here)
    file = record_of(here)
    content = damage(file.read_text())
    file.write_text(content)

    async with world() as here:
        answer = await here.http.post(url(await here.ready(OTHER)), content=b"x")
        listed = {status.spec.ref: status for status in await here.provider.statuses("openfaas-fn")}

        assert answer.text == "x"
        assert what in (listed[REF].problem or "")
        assert "deploy it again" in (here.table[REF].problem or "")
        assert str(here.state_dir) not in (here.table[REF].problem or "")  # that is what callers are told
        assert listed[REF].function.scale.ready == 0
        (aside,) = file.parent.glob("fn.*damaged-*")
        assert aside.read_text() == content
        with pytest.raises(Unavailable, match="record was damaged"):
            await here.scale(REF, 3)


async def test_file_in_the_place_of_a_folder_is_set_aside(world: Any) -> None:
    here = world()
    here.state_dir.mkdir(exist_ok=True)
    names = {"functions", "work", "secrets", "code", "environments", "images", "builds", "node", "templates"}
    for name in names:
        (here.state_dir / name).write_text("no folder")
    async with here:
        await here.up("fn", "cat")

        assert {path.name.partition(".damaged-")[0] for path in here.state_dir.glob("*.damaged-*")} == names


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
async def test_what_is_no_file_in_the_place_of_one_is_set_aside(world: Any, make: Callable[[Path], None]) -> None:
    here = world()
    here.state_dir.mkdir(exist_ok=True)
    names = ["provider.lock", "host.lock", "host.log"]
    for name in names:
        make(here.state_dir / name)
    async with here:
        await here.up("fn", "cat")

        assert {path.name.partition(".damaged-")[0] for path in here.state_dir.glob("*.damaged-*")} == set(names)


async def test_folder_in_the_place_of_the_hosts_socket_is_set_aside(world: Any) -> None:
    here = world()
    (here.state_dir / "host.sock").mkdir(parents=True)
    async with here:
        await here.up("fn", "cat")


@pytest.mark.parametrize(
    ("place", "make"),
    [
        pytest.param("mounts/openfaas-fn", Path.touch, id="a file for the mounts of a namespace"),
        pytest.param("work/{uid}", Path.touch, id="a file for the working folder"),
        pytest.param("logs/{uid}", Path.touch, id="a file for the log's folder"),
        pytest.param("logs/{uid}/current.log", Path.mkdir, id="a folder for the log"),
        pytest.param("logs/{uid}/current.log", os.mkfifo, id="a pipe for the log"),
        pytest.param("logs/{uid}/previous.log", os.mkfifo, id="a pipe for the older log"),
    ],
)
async def test_what_is_in_the_way_of_one_function_is_set_aside(
    world: Any, place: str, make: Callable[[Path], None]
) -> None:
    async with world() as here:
        await two_functions(here)
    (uid,) = [json.loads(record_of(here).read_text())["uid"]]
    path = here.state_dir / place.format(uid=uid)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)

    async with world() as here:
        await here.http.post(url(await here.ready(REF)), content=b"x")
        assert "Forking" in await here.log_says(REF, "Forking")
        assert len(list(path.parent.glob(f"{path.name}.damaged-*"))) == 1


async def test_damaged_function_is_told_until_it_is_deployed_again(world: Any) -> None:
    async with world() as here:
        await two_functions(here)
    record_of(here).write_text("{")
    for _ in range(2):
        async with world() as here:
            assert "damaged" in ((await here.provider.status(REF)).problem or "")
    async with world() as here:
        await here.provider.deploy(here.spec("fn", "cat"))
        await here.ready(REF)
    async with world() as here:
        await here.ready(REF)

        assert (await here.provider.status(REF)).problem is None


async def test_damaged_function_can_be_deleted_for_good(world: Any) -> None:
    async with world() as here:
        await two_functions(here)
    record_of(here).write_text("{")
    async with world() as here:
        await here.provider.delete(REF)
    async with world() as here:
        await here.ready(OTHER)
        with pytest.raises(NotFound):
            await here.provider.read(REF)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
async def test_record_that_is_no_file_is_set_aside(world: Any, make: Callable[[Path], None]) -> None:
    here = world()
    record_of(here).parent.mkdir(parents=True)
    make(record_of(here))
    async with here:
        assert "damaged" in ((await here.provider.status(REF)).problem or "")


@pytest.mark.parametrize("content", ["{", "[]", '{"labels": {"a": 1}, "annotations": {}}'])
async def test_damaged_namespace_keeps_its_name_and_its_functions(world: Any, content: str) -> None:
    async with world() as here:
        await here.provider.put_namespace(Namespace("dev", {"openfaas": "1", "team": "a"}), replace=False)
        await here.up("fn", "cat", namespace="dev")
    (here.state_dir / "namespaces" / "dev.json").write_text(content)
    for _ in range(2):
        async with world() as here:
            await here.ready(FunctionRef("dev", "fn"))
            assert Namespace("dev", {"openfaas": "1"}, {}) in await here.provider.namespaces()
    assert len(list((here.state_dir / "namespaces").glob("dev.json.damaged-*"))) == 1


async def test_secret_that_cannot_be_read_is_the_problem_of_who_uses_it(world: Any) -> None:
    async with world() as here:
        await here.provider.put_secret("openfaas-fn", "token", b"s3cret", replace=False)
        await here.up("fn", "cat", secrets=("token",))
        await here.up("other", "cat")
    secret = here.state_dir / "secrets" / "openfaas-fn" / "token"
    secret.unlink()
    secret.mkdir()
    async with world() as here:
        await here.ready(OTHER)

        assert "token" in ((await here.provider.status(REF)).problem or "")


@pytest.mark.parametrize("odd", [-1, True, "6", 10**9], ids=repr)
async def test_longest_start_survives_a_restart_and_one_that_makes_no_sense_is_measured_again(
    world: Any, odd: object
) -> None:
    async with world() as here:
        await here.up("fn", "cat")
        await here.provider.keep_start(REF, 3.0)
    async with world() as here:
        assert (await here.provider.read(REF)).longest_start_s == 3.0
    file = record_of(here)
    file.write_text(changed(longestStartSeconds=odd)(file.read_text()))

    async with world() as here:
        found = await here.provider.status(REF)
        assert (found.function.longest_start_s, found.problem) == (None, None)


@pytest.mark.parametrize("odd", [0, -3, True, "6", 10**9, 2.5], ids=repr)
async def test_learned_wake_survives_a_restart_and_one_that_makes_no_sense_is_learned_again(
    world: Any, odd: object
) -> None:
    async with world(scalers=Scalers(loop=True, loop_default=True)) as here:
        await here.up("fn", "cat")
        await here.provider.keep_wake(REF, 6)
    async with world(scalers=Scalers(loop=True, loop_default=True)) as here:
        assert (await here.provider.read(REF)).learned_wake == 6
    file = record_of(here)
    file.write_text(changed(learnedWake=odd)(file.read_text()))

    async with world(scalers=Scalers(loop=True, loop_default=True)) as here:
        found = await here.provider.status(REF)
        assert (found.function.learned_wake, found.problem) == (None, None)
