from __future__ import annotations

import pytest

from springtide.provider.ports import Namespace
from springtide.runtime.errors import AlreadyExists, BadInput, NotFound
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from tests.provider.contract.acts import ECHO, MARKED, marked, spec
from tests.provider.contract.stages import Stage


async def names(stage: Stage) -> list[str]:
    return [namespace.name for namespace in await stage.provider.namespaces()]


async def test_default_namespace_is_always_there(stage: Stage) -> None:
    assert await names(stage) == [DEFAULT_NAMESPACE]


async def test_namespaces_are_sorted_and_keep_labels_and_annotations(stage: Stage) -> None:
    await stage.provider.put_namespace(Namespace("zeta", labels=MARKED), replace=False)
    await stage.provider.put_namespace(Namespace("dev", annotations={"openfaas": "true", "a": "b"}), replace=False)

    assert await names(stage) == ["dev", DEFAULT_NAMESPACE, "zeta"]
    dev, _, zeta = await stage.provider.namespaces()
    assert dict(dev.annotations) == {"openfaas": "true", "a": "b"}
    assert dict(zeta.labels) == MARKED


@pytest.mark.parametrize(
    "namespace",
    [
        pytest.param(Namespace("dev"), id="not marked"),
        pytest.param(Namespace("dev", labels={"openfaas": "0"}), id="marked as none"),
        pytest.param(Namespace("Dev", labels=MARKED), id="bad name"),
        pytest.param(Namespace("a" * 64, labels=MARKED), id="too long"),
    ],
)
async def test_namespace_is_refused_when(stage: Stage, namespace: Namespace) -> None:
    with pytest.raises(BadInput):
        await stage.provider.put_namespace(namespace, replace=False)

    assert await names(stage) == [DEFAULT_NAMESPACE]


async def test_namespace_is_created_once_and_replaced_only_where_there_is_one(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.put_namespace(marked("dev"), replace=True)
    await stage.provider.put_namespace(marked("dev"), replace=False)
    with pytest.raises(AlreadyExists):
        await stage.provider.put_namespace(marked("dev"), replace=False)

    await stage.provider.put_namespace(Namespace("dev", labels=MARKED | {"team": "a"}), replace=True)

    dev, _ = await stage.provider.namespaces()
    assert dict(dev.labels) == MARKED | {"team": "a"}


async def test_default_namespace_cannot_be_deleted(stage: Stage) -> None:
    with pytest.raises(BadInput):
        await stage.provider.delete_namespace(DEFAULT_NAMESPACE)
    with pytest.raises(NotFound):
        await stage.provider.delete_namespace("nowhere")


async def test_functions_and_secrets_go_with_their_namespace(stage: Stage) -> None:
    await stage.provider.put_namespace(marked("dev"), replace=False)
    await stage.provider.put_secret("dev", "token", b"1", replace=False)
    await stage.provider.deploy(spec(FunctionRef("dev", "echo")))
    await stage.provider.deploy(spec(ECHO))

    await stage.provider.delete_namespace("dev")

    assert [function.ref for function in await stage.provider.list_functions()] == [ECHO]
    await stage.provider.put_namespace(marked("dev"), replace=False)
    assert list(await stage.provider.secret_names("dev")) == []
    assert list(await stage.provider.statuses("dev")) == []
