from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from springtide.provider.ports import Namespace
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World, eventually, url

READER = "sh -c 'cat $SPRINGTIDE_SECRETS/token; echo; ls $SPRINGTIDE_SECRETS; cat /var/openfaas/secrets/token || true'"
NAMESPACE = "openfaas-fn"


def mounts_possible() -> bool:
    """What the replicas of this machine can have; the same question the host asks, by another tool."""
    flags = "-m" if os.geteuid() == 0 else "-rm"
    try:
        return subprocess.run(["unshare", flags, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


async def secrets(world: World, **values: str) -> None:
    for name, value in values.items():
        await world.provider.put_secret(NAMESPACE, name, value.encode(), replace=False)


async def test_function_sees_exactly_its_secrets_where_openfaas_has_them(shared: Shared) -> None:
    world = shared.world
    await secrets(world, token="t0ken", other="not yours")
    address = await world.up("reader", READER, secrets=("token",))
    lines = (await world.http.post(address)).text.splitlines()

    assert lines[:2] == ["t0ken", "token"]
    assert lines[2:] == ["t0ken"] if mounts_possible() else True


async def test_secret_called_like_a_file_is_read_by_that_name(shared: Shared) -> None:
    world = shared.world
    await secrets(world, **{"tls.crt": "certificate"})
    address = await world.up("dotted", "sh -c 'cat $SPRINGTIDE_SECRETS/tls.crt'", secrets=("tls.crt",))

    assert (await world.http.post(address)).text == "certificate"


async def test_mount_changes_nothing_on_the_machine(shared: Shared) -> None:
    before = Path("/var/openfaas").exists()

    world = shared.world
    await secrets(world, quiet="q")
    address = await world.up("quiet", "sh -c 'ls /var; mount | grep -c openfaas || true'", secrets=("quiet",))
    seen = set((await world.http.post(address)).text.split())

    assert Path("/var/openfaas").exists() == before
    assert seen >= {path.name for path in Path("/var").iterdir()}


async def test_changed_secret_is_seen_by_running_replicas_and_never_in_part(shared: Shared) -> None:
    world = shared.world
    await secrets(world, changing="old" * 1000)
    address = await world.up("changing", "sh -c 'cat $SPRINGTIDE_SECRETS/changing'", secrets=("changing",))
    reading, seen = True, []

    async def read_on_and_on() -> None:
        while reading:
            seen.append((await world.http.post(address)).text)

    reader = asyncio.create_task(read_on_and_on())
    await world.provider.put_secret(NAMESPACE, "changing", b"new" * 1000, replace=True)
    await eventually(lambda: "new" in "".join(seen))
    reading = False
    await reader

    assert set(seen) <= {"old" * 1000, "new" * 1000}
    assert seen[-1].startswith("new")


async def test_deleted_secret_is_taken_from_running_replicas_and_comes_back_when_created_anew(shared: Shared) -> None:
    world = shared.world
    await secrets(world, fleeting="first")
    address = await world.up("fleeting", "sh -c 'cat $SPRINGTIDE_SECRETS/fleeting || true'", secrets=("fleeting",))
    await world.provider.delete_secret(NAMESPACE, "fleeting")
    without = (await world.http.post(address)).text
    await secrets(world, fleeting="second")
    without, again = [without, (await world.http.post(address)).text]

    assert "first" not in without
    assert again == "second"


async def test_secrets_are_readable_by_their_owner_only(shared: Shared) -> None:
    world = shared.world
    await secrets(world, private="x")
    await world.up("private", "cat", secrets=("private",))

    state = shared.world.state_dir
    files = [*state.glob("secrets/*/private"), *state.glob("mounts/*/*/private")]
    assert len(files) == 2
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
    assert state.stat().st_mode & 0o777 == 0o700


async def test_missing_secret_is_refused_by_name(shared: Shared) -> None:
    async def story(world: World) -> None:
        await world.provider.deploy(world.spec("needy", "cat", secrets=("nowhere", "nothing")))

    with pytest.raises(BadInput, match="nothing, nowhere"):
        await story(shared.world)


async def test_update_gives_and_takes_secrets_with_the_generation(world: Any) -> None:
    async with world() as here:
        await secrets(here, one="1", two="2")
        ref = FunctionRef(NAMESPACE, "fn")
        listing = "sh -c 'ls $SPRINGTIDE_SECRETS'"
        first = await here.up("fn", listing, secrets=("one",))
        assert (await here.http.post(first)).text == "one\n"

        await here.provider.update(here.spec("fn", listing, secrets=("two",)))
        function = await here.until(ref, lambda seen: seen.endpoints and "-2-" in seen.endpoints[0].instance)
        assert (await here.http.post(url(function))).text == "two\n"
        mounts = here.state_dir / "mounts" / NAMESPACE
        await eventually(lambda: len(list(mounts.iterdir())) == 1, "the end of the first generation's secrets")


@pytest.mark.skipif(not mounts_possible(), reason="the system allows no mount namespace")
async def test_read_only_root_file_system_leaves_tmp_writable(shared: Shared) -> None:
    world = shared.world
    command = "sh -c 'test -w /var || echo refused; test -w /tmp && mktemp > /dev/null && echo fine'"
    free = await world.up("writable", command)
    bound = await world.up("read-only", command, read_only_root_filesystem=True)
    free, bound = (await world.http.post(free)).text, (await world.http.post(bound)).text

    assert bound == "refused\nfine\n"
    assert free == ("fine\n" if os.access("/var", os.W_OK) else bound)


async def test_namespace_goes_with_its_functions_and_secrets(world: Any) -> None:
    async with world() as here:
        await here.provider.put_namespace(Namespace("dev", {"openfaas": "1"}), replace=False)
        await here.provider.put_secret("dev", "key", b"v", replace=False)
        await here.up("fn", "cat", namespace="dev", secrets=("key",))
        await here.provider.delete_namespace("dev")

        with pytest.raises(NotFound):
            await here.provider.statuses("dev")
        await here.provider.put_namespace(Namespace("dev", {"openfaas": "1"}), replace=False)
        assert await here.provider.secret_names("dev") == []
        assert await here.provider.statuses("dev") == []


async def test_namespaces_secrets_and_labels_survive_a_restart(world: Any) -> None:
    async with world() as here:
        await here.provider.put_namespace(Namespace("dev", {"a": "b"}, {"openfaas": "true"}), replace=False)
        await here.provider.put_secret("dev", "key", b"value", replace=False)
    async with world() as here:
        assert Namespace("dev", {"a": "b"}, {"openfaas": "true"}) in await here.provider.namespaces()
        assert await here.provider.secret_names("dev") == ["key"]
        address = await here.up("fn", "sh -c 'cat $SPRINGTIDE_SECRETS/key'", namespace="dev", secrets=("key",))
        assert (await here.http.post(address)).text == "value"
