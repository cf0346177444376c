"""Versions, compare-and-set and what is refused."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from springtide.provider.bounds import MAX_ENVIRONMENT_BYTES, MAX_VARIABLE_BYTES
from springtide.provider.process import runnable
from springtide.provider.spec import FunctionSpec, spec_from_json, spec_to_json
from springtide.runtime.errors import BadInput, Conflict, NotFound, Unavailable
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Scale, Writer
from tests.provider.process.conftest import Shared
from tests.provider.process.world import url

REF = FunctionRef("openfaas-fn", "fn")


async def test_of_many_writers_with_one_version_exactly_one_wins(world: Any) -> None:
    async with world() as here:
        await here.up("fn", "cat")
        version = (await here.provider.read(REF)).scale.version
        writes = [here.provider.write(REF, replicas, expect=version, decision=None) for replicas in range(1, 9)]

        results = await asyncio.gather(*writes, return_exceptions=True)

        won = [result for result in results if isinstance(result, Scale)]
        assert len(won) == 1
        assert all(isinstance(result, Conflict) for result in results if not isinstance(result, Scale))
        after = (await here.provider.read(REF)).scale
        assert (after.desired, after.version) == (won[0].desired, won[0].version)


async def test_every_write_and_every_update_has_its_own_version(world: Any) -> None:
    async def story() -> list[str]:
        async with world() as here:
            spec = here.spec("fn", "cat")
            versions = []
            for act in (
                lambda: here.provider.deploy(spec),
                lambda: here.scale(REF, 1),
                lambda: here.scale(REF, 1),
                lambda: here.provider.update(spec),
                lambda: here.provider.deploy(spec),
            ):
                await act()
                versions.append((await here.provider.read(REF)).scale.version)
            await here.provider.delete(REF)
            await here.provider.deploy(spec)
            return [*versions, (await here.provider.read(REF)).scale.version]

    versions = await story()

    assert len(set(versions)) == len(versions)


async def test_wake_that_cannot_be_saved_is_done_and_saved_with_the_next_write(world: Any) -> None:
    async with world() as here:
        await here.up("fn", "cat")
        await here.scale(REF, 0)
        folder = here.state_dir / "functions"
        folder.rename(here.state_dir / "elsewhere")
        for writer in (None, Writer.PERSON, Writer.ALERT):
            with pytest.raises(Unavailable, match="not saved"):
                await here.provider.write(REF, 1, expect=None, decision=writer and decision(writer))

        await here.provider.write(REF, 1, expect=None, decision=decision(Writer.WAKE))

        await here.ready(REF)
        (here.state_dir / "elsewhere").rename(folder)
        await here.scale(REF, 2)
    async with world() as here:
        assert (await here.provider.read(REF)).scale.desired == 2


def decision(writer: Writer) -> Decision:
    return Decision(REF, writer, 0, 1, Reason.WAKE, "", Instant(0.0))


async def test_counts_set_by_a_deployment_are_recorded(world: Any) -> None:
    async def story() -> list[tuple[object, ...]]:
        async with world() as here:
            await here.provider.deploy(here.spec("fn", "cat", labels={"com.openfaas.scale.min": "2"}))
            await here.scale(REF, 5)
            await here.provider.update(here.spec("fn", "cat", labels={"com.openfaas.scale.max": "3"}))
            return [
                (seen.before, seen.after, seen.writer, seen.reason, seen.detail, seen.inputs)
                for seen in here.recorder.decisions
            ]

    assert await story() == [
        (0, 2, Writer.PERSON, Reason.MANUAL, "deployed", {"min": 2, "max": 20}),
        (5, 3, Writer.PERSON, Reason.MANUAL, "updated", {"min": 1, "max": 3}),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"env_process": ""}, "images are not fetched", id="nothing to run"),
        pytest.param({"env_process": "", "image": "functions/alpine:3"}, "runs any command", id="a bare runner"),
        pytest.param(
            {"env_process": "sh -c 'open"}, "fprocess: word 3 begins with a quote", id="a quote that is not closed"
        ),
        pytest.param({"limits": {"memory": "lots"}}, "limits.memory: 'lots'", id="a limit that is no quantity"),
        pytest.param({"limits": {"memory": "128m"}}, "write mebibytes as 20Mi", id="milli-bytes"),
        pytest.param({"requests": {"cpu": "-1"}}, "requests.cpu", id="a negative request"),
        pytest.param({"env_vars": {"mode": "afterburn"}}, "write one of classic", id="a mode that there is not"),
        pytest.param({"env_vars": {"exec_timeout": "soon"}}, "exec_timeout='soon'", id="a time-out that is none"),
        pytest.param({"env_vars": {"max_inflight": "-1"}}, "max_inflight", id="a negative limit"),
        pytest.param({"env_vars": {"mode": "static"}}, "static_path: missing", id="static without a folder"),
        pytest.param({"env_vars": {"mode": "python"}}, "handler folder", id="python without a handler"),
        pytest.param({"annotations": {"com.springtide.handler": "rel"}}, "absolute path", id="a relative handler"),
        pytest.param({"annotations": {"com.springtide.handler": "/nowhere"}}, "no handler.py", id="no handler"),
        pytest.param({"env_vars": {"upstream_url": "ftp://x"}}, "upstream_url", id="not http"),
        pytest.param({"env_process": "no-such-program -x"}, "no program 'no-such-program' on PATH", id="no program"),
        pytest.param({"env_process": "/etc/passwd"}, "/etc/passwd may not be executed; chmod", id="not to be executed"),
        pytest.param({"env_process": "/etc"}, "/etc is a folder", id="a folder"),
        pytest.param({"env_process": "/nope/program"}, "no program ./nope/program", id="a path to nothing"),
        pytest.param({"env_process": "env A=1 nothing x"}, "no program 'nothing'", id="nothing for env to run"),
        pytest.param({"env_process": "python3 /nope.py"}, "no file /nope.py, which python3 is to run", id="no script"),
        pytest.param({"env_process": "bash /nope.sh"}, "no file /nope.sh", id="no shell script"),
        pytest.param({"env_process": "env -S sh /nope.sh"}, "no file /nope.sh", id="no script for what env runs"),
        pytest.param({"env_process": "nothing", "env_vars": {"mode": "http"}}, "no program 'nothing'", id="no server"),
        pytest.param({"env_vars": {"PATH": "/nowhere"}}, "no program 'cat' on PATH /nowhere", id="on its own path"),
        pytest.param({"env_vars": {"mode": "static", "static_path": "/nowhere"}}, "no folder /nowhere", id="no site"),
        pytest.param({"env_process": "python3 index.py"}, "no file index.py .* .springtide deploy -f", id="a template"),
        pytest.param({"env_process": "./handler"}, "no file ./handler .* .springtide deploy -f", id="a built one"),
        pytest.param(
            {"env_process": "python3 -u index.py", "env_vars": {"mode": "http"}}, "no file index.py", id="a server"
        ),
        pytest.param({"env_process": "sh entry.sh"}, "no file entry.sh", id="a script"),
        pytest.param({"ref": FunctionRef("openfaas-fn", "../evil")}, "not a valid name", id="a path as a name"),
    ],
)
async def test_function_that_cannot_run_is_refused_and_leaves_nothing(
    shared: Shared, change: dict[str, Any], message: str
) -> None:
    world = shared.world
    spec: FunctionSpec = replace(world.spec("refused", "cat"), **change)
    with pytest.raises(BadInput, match=message):
        await world.provider.deploy(spec)
    with pytest.raises(NotFound):
        await world.provider.read(FunctionRef("openfaas-fn", "refused"))


async def test_every_problem_is_told_at_once(shared: Shared) -> None:
    world = shared.world
    spec = world.spec("many", env={"exec_timeout": "x", "max_inflight": "y"}, limits={"cpu": "z"})
    with pytest.raises(BadInput) as caught:
        await world.provider.deploy(spec)
    lines = str(caught.value).splitlines()

    assert [line.split("=")[0].split(":")[0] for line in lines] == [
        "exec_timeout",
        "max_inflight",
        "image any",
        "limits.cpu",
    ]


async def test_limits_that_cannot_be_enforced_are_said_once_in_the_log(world: Any) -> None:
    async def story() -> list[str]:
        async with world() as here:
            await here.provider.deploy(here.spec("fn", "cat", limits={"memory": "64Mi", "cpu": "100m"}))
            await here.scale(REF, 3)
            await here.ready(REF, 3)
            return [text for text in await here.texts(REF) if "limit" in text]

    texts = await story()

    assert len(texts) == len(set(texts))
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        assert [text.split(" limit ")[0] for text in texts] == ["springtide: memory", "springtide: cpu"]


async def test_largest_that_is_accepted_runs(shared: Shared) -> None:
    here = shared.world
    env = {"a": "x" * (MAX_VARIABLE_BYTES - 2)}
    env["b"] = "y" * (MAX_ENVIRONMENT_BYTES - MAX_VARIABLE_BYTES - len("b=") - len("fprocess=cat"))
    value = spec_to_json(here.spec("large", "cat", env, limits={"memory": "1Pi", "cpu": "1000"}))
    spec = spec_from_json(value, deploying=True)
    await here.provider.deploy(spec)

    answer = await here.http.post(url(await here.ready(spec.ref)), content=b"body", headers={"X-Large": "z" * 8_000})

    assert (answer.status_code, answer.text) == (200, "body")


@pytest.mark.parametrize("text", ["9999999999Gi", "8Ei", "7Ei", "2Pi"])
async def test_limit_that_no_machine_can_give_is_refused(shared: Shared, text: str) -> None:
    here = shared.world
    with pytest.raises(BadInput, match=r"limits\.memory: .* more"):
        await here.provider.deploy(here.spec("refused", "cat", limits={"memory": text}))


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("python index.py", ["index.py"]),
        ("/usr/bin/python3.11 -u index.py --flag", ["index.py"]),
        ("python -m http.server", []),
        ("python3 -c 'print(1)' x.py", []),
        ("python3 /srv/index.py", ["/srv/index.py"]),
        ("python3 -W ignore -X dev -u index.py", ["index.py"]),
        ("python3 -um http.server", []),
        ("bash -ec 'cat x'", []),
        ("bash -o pipefail entry.sh", ["entry.sh"]),
        ("bash --norc entry.sh", []),
        ("env -u HOME python3 index.py", []),
        ("env A=1 python3 index.py", ["index.py"]),
        ("perl -ne 'print' x.pl", []),
        ("dotnet run", []),
        ("node index.js", ["index.js"]),
        ("node --inspect --max-old-space-size=512 --require=./x index.js", ["index.js"]),
        ("node --require ./x index.js", ["index.js"]),
        ("node --eval=1 index.js", []),
        ("node --some-flag index.js", []),
        ("npm start", ["package.json"]),
        ("npm run serve", ["package.json"]),
        ("npm --prefix /srv start", []),
        ("yarn --version", []),
        ("ruby index.rb", ["index.rb"]),
        ("php index.php", ["index.php"]),
        ("dotnet ./root.dll", ["./root.dll"]),
        ("java -Xmx1g -cp ./*:./lib/* com.openfaas.entrypoint.App", ["./*:./lib/*"]),
        ("java -jar /srv/app.jar", ["/srv/app.jar"]),
        ("java -cp /srv/lib:. App", []),
        ("sh -c 'cat x'", []),
        ("cat index.py", []),
        ("python", []),
    ],
)
def test_files_that_a_command_runs(command: str, files: list[str]) -> None:
    assert [*runnable.files_of(shlex.split(command))] == [name.partition(":")[0] for name in files]
