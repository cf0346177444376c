from __future__ import annotations

import pytest

from springtide.runtime.errors import AlreadyExists, BadInput, NotFound, Unsupported
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE
from tests.provider.contract.acts import ECHO, marked, spec
from tests.provider.contract.rest_provider import RestProvider
from tests.provider.contract.stages import Stage


async def test_secrets_are_listed_by_name_sorted(stage: Stage) -> None:
    assert list(await stage.provider.secret_names(DEFAULT_NAMESPACE)) == []

    for name in ("zeta", "alpha"):
        await stage.provider.put_secret(DEFAULT_NAMESPACE, name, b"\x00binary", replace=False)

    assert list(await stage.provider.secret_names(DEFAULT_NAMESPACE)) == ["alpha", "zeta"]


async def test_secret_is_created_once(stage: Stage) -> None:
    await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"1", replace=False)

    with pytest.raises(AlreadyExists):
        await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"2", replace=False)


async def test_secret_is_replaced_only_where_there_is_one(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"1", replace=True)

    await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"1", replace=False)
    await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"2", replace=True)

    assert list(await stage.provider.secret_names(DEFAULT_NAMESPACE)) == ["token"]


async def test_secret_is_deleted_once(stage: Stage) -> None:
    await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"1", replace=False)

    await stage.provider.delete_secret(DEFAULT_NAMESPACE, "token")

    assert list(await stage.provider.secret_names(DEFAULT_NAMESPACE)) == []
    with pytest.raises(NotFound):
        await stage.provider.delete_secret(DEFAULT_NAMESPACE, "token")


async def test_secrets_of_two_namespaces_live_apart(stage: Stage) -> None:
    await stage.provider.put_namespace(marked("dev"), replace=False)
    for namespace in (DEFAULT_NAMESPACE, "dev"):
        await stage.provider.put_secret(namespace, "token", b"1", replace=False)

    await stage.provider.delete_secret("dev", "token")

    assert list(await stage.provider.secret_names(DEFAULT_NAMESPACE)) == ["token"]
    assert list(await stage.provider.secret_names("dev")) == []


LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])


@pytest.mark.parametrize(
    "name", ["tls.crt", "config.v1.json", "a" * 64, LONGEST], ids=["dot", "dots", "long", "longest"]
)
async def test_secret_may_be_called_like_a_file(stage: Stage, name: str) -> None:
    await stage.provider.put_secret(DEFAULT_NAMESPACE, name, b"1", replace=False)
    await stage.provider.put_secret(DEFAULT_NAMESPACE, name, b"2", replace=True)
    await stage.provider.deploy(spec(secrets=(name,)))

    assert (await stage.provider.status(ECHO)).spec.secrets == (name,)
    assert list(await stage.provider.secret_names(DEFAULT_NAMESPACE)) == [name]

    await stage.provider.delete_secret(DEFAULT_NAMESPACE, name)

    assert list(await stage.provider.secret_names(DEFAULT_NAMESPACE)) == []


@pytest.mark.parametrize(
    "name",
    ["../token", "UPPER", "", "a" * 254, ".", "..", ".a", "a.", "a..b", "a.-b", "a_b", "a/b", "a\n"],
)
async def test_secret_with_a_bad_name_is_bad_input(stage: Stage, name: str) -> None:
    with pytest.raises(BadInput):
        await stage.provider.put_secret(DEFAULT_NAMESPACE, name, b"1", replace=False)


async def test_secrets_of_an_unknown_namespace_are_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.provider.secret_names("nowhere")
    with pytest.raises(NotFound):
        await stage.provider.put_secret("nowhere", "token", b"1", replace=False)
    with pytest.raises(NotFound):
        await stage.provider.delete_secret("nowhere", "token")


async def test_value_is_read_by_who_checks_with_it_and_not_over_the_api(stage: Stage) -> None:
    await stage.provider.put_secret(DEFAULT_NAMESPACE, "token", b"\x00binary\n", replace=False)

    if isinstance(stage.provider, RestProvider):
        with pytest.raises(Unsupported):
            await stage.provider.read_secret(DEFAULT_NAMESPACE, "token")
        return

    assert await stage.provider.read_secret(DEFAULT_NAMESPACE, "token") == b"\x00binary\n"
    for namespace, name in ((DEFAULT_NAMESPACE, "other"), ("nowhere", "token")):
        with pytest.raises(NotFound):
            await stage.provider.read_secret(namespace, name)
    with pytest.raises(BadInput):
        await stage.provider.read_secret(DEFAULT_NAMESPACE, "../openfaas-fn/token")
