from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from tests.provider.contract.acts import ECHO, Table, marked, spec, table_when, when_ready
from tests.provider.contract.stages import Stage

FULL = spec(
    env_vars={"colour": "blue", "write_debug": "true"},
    labels={"team": "a"},
    annotations={"topic": "billing"},
    limits={"memory": "128Mi", "cpu": "500m"},
    requests={"memory": "16Mi"},
    constraints=("node=local",),
    read_only_root_filesystem=False,
)


async def test_status_echoes_what_was_asked_for_verbatim(stage: Stage) -> None:
    await stage.provider.deploy(FULL)

    status = await stage.provider.status(ECHO)

    assert replace(status.spec, labels={}) == replace(FULL, labels={})
    assert dict(status.function.labels) == {"team": "a", "faas_function": "echo"}
    assert dict(status.function.annotations) == {"topic": "billing"}


async def test_catalog_shows_labels_annotations_and_birthday(stage: Stage) -> None:
    earliest = time.time()
    await stage.provider.deploy(FULL)
    latest = time.time()

    (listed,) = await stage.provider.list_functions()
    read = await stage.provider.read(ECHO)
    told = (await table_when(stage.provider, lambda table: ECHO in table))[ECHO]

    assert told.created_at == pytest.approx(read.created_at, abs=1e-5)
    for function in (listed, read):
        assert function.ref == ECHO
        assert dict(function.labels) == {"team": "a", "faas_function": "echo"}
        assert dict(function.annotations) == {"topic": "billing"}
        assert function.created_at is not None
        assert earliest - 0.001 <= function.created_at <= latest + 0.001


async def test_ready_replicas_show_in_the_status(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    await when_ready(stage.provider, 1)

    status = await stage.provider.status(ECHO)

    assert (status.function.scale.desired, status.function.scale.ready) == (1, 1)


async def test_update_replaces_what_was_asked_for(stage: Stage) -> None:
    await stage.provider.deploy(FULL)

    await stage.provider.update(spec(env_process="cat"))

    status = await stage.provider.status(ECHO)
    assert status.spec.env_process == "cat"
    assert dict(status.spec.env_vars) == {}
    assert dict(status.function.labels) == {"faas_function": "echo"}


async def test_update_replaces_every_replica(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    before = await when_ready(stage.provider, 1)

    await stage.provider.update(spec(env_vars={"colour": "blue"}))

    old = before.endpoints[0].instance
    await table_when(
        stage.provider, lambda table: [endpoint.instance != old for endpoint in table[ECHO].endpoints] == [True]
    )


async def test_update_is_never_without_a_ready_replica(stage: Stage) -> None:
    await stage.provider.deploy(spec())
    old = (await when_ready(stage.provider, 1)).endpoints[0].instance
    counts, watching = [], asyncio.Event()

    def rolled(table: Table) -> bool:
        watching.set()
        counts.append(len(table[ECHO].endpoints))
        return counts[-1] == 1 and table[ECHO].endpoints[0].instance != old

    whole_roll = asyncio.create_task(table_when(stage.provider, rolled))
    await watching.wait()
    await stage.provider.update(spec(env_vars={"colour": "blue"}))
    await whole_roll

    assert min(counts) >= 1


async def test_update_and_delete_of_an_unknown_function_are_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.update(spec())
    with pytest.raises(NotFound):
        await stage.provider.delete(ECHO)
    with pytest.raises(NotFound):
        await stage.provider.status(ECHO)


async def test_function_deployed_by_several_at_once_is_one_function(stage: Stage) -> None:
    await asyncio.gather(*(stage.provider.deploy(spec(env_vars={"by": str(number)})) for number in range(5)))

    (function,) = await stage.provider.list_functions()
    assert function.scale.desired == 1
    await when_ready(stage.provider, 1)


async def test_deleted_function_is_gone_at_once(stage: Stage) -> None:
    await stage.provider.deploy(spec())

    await stage.provider.delete(ECHO)

    with pytest.raises(NotFound):
        await stage.provider.read(ECHO)
    assert list(await stage.provider.list_functions()) == []
    assert list(await stage.provider.statuses(DEFAULT_NAMESPACE)) == []


@pytest.mark.parametrize("verb", ["deploy", "update"])
async def test_missing_secrets_are_all_named_and_nothing_changes(stage: Stage, verb: str) -> None:
    if verb == "update":
        await stage.provider.deploy(spec())
    await stage.provider.put_secret(DEFAULT_NAMESPACE, "there", b"1", replace=False)

    with pytest.raises(BadInput, match=r"absent.*missing"):
        await getattr(stage.provider, verb)(spec(env_process="cat", secrets=("absent", "there", "missing")))

    found = await stage.provider.statuses(DEFAULT_NAMESPACE)
    assert [status.spec.env_process for status in found] == (["tee /dev/stderr"] if verb == "update" else [])


async def test_function_with_its_secret_is_deployed(stage: Stage) -> None:
    await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"1", replace=False)

    await stage.provider.deploy(spec(secrets=("token",)))

    assert (await stage.provider.status(ECHO)).spec.secrets == ("token",)


async def test_secret_of_another_namespace_does_not_count(stage: Stage) -> None:
    await stage.provider.put_namespace(marked("dev"), replace=False)
    await stage.provider.put_secret("dev", "token", b"1", replace=False)

    with pytest.raises(BadInput):
        await stage.provider.deploy(spec(secrets=("token",)))


async def test_deploy_into_an_unknown_namespace_is_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.deploy(spec(FunctionRef("nowhere", "echo")))


async def test_statuses_are_those_of_one_namespace_sorted_by_name(stage: Stage) -> None:
    await stage.provider.put_namespace(marked("dev"), replace=False)
    for ref in (ECHO, FunctionRef(DEFAULT_NAMESPACE, "alpha"), FunctionRef("dev", "echo")):
        await stage.provider.deploy(spec(ref))

    default, dev = [await stage.provider.statuses(name) for name in (DEFAULT_NAMESPACE, "dev")]
    everything = {function.ref for function in await stage.provider.list_functions()}

    assert [status.spec.ref.name for status in default] == ["alpha", "echo"]
    assert [status.spec.ref for status in dev] == [FunctionRef("dev", "echo")]
    assert everything == {ECHO, FunctionRef(DEFAULT_NAMESPACE, "alpha"), FunctionRef("dev", "echo")}


async def test_functions_of_one_name_in_two_namespaces_live_apart(stage: Stage) -> None:
    other = FunctionRef("dev", "echo")
    await stage.provider.put_namespace(marked("dev"), replace=False)
    await stage.provider.deploy(spec(ECHO))
    await stage.provider.deploy(spec(other))

    await stage.provider.write(other, 0, expect=None, decision=None)
    assert (await stage.provider.read(ECHO)).scale.desired == 1

    await stage.provider.delete(ECHO)
    assert (await stage.provider.read(other)).scale.desired == 0


async def test_statuses_of_an_unknown_namespace_are_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.statuses("nowhere")


async def test_provider_says_who_it_is(stage: Stage) -> None:
    assert stage.provider.info.provider
    assert stage.provider.info.orchestration
