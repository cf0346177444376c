"""List+watch caches against a server whose watches break, expire, fall silent and go away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from springtide.runtime.kubernetes.api import KubernetesApi, connected
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.runtime.kubernetes.watching import Cache
from tests.runtime.kubernetes.api_server import ApiServer, Fault, background, until

PATH = "apis/apps/v1/deployments"


def deployment(name: str, namespace: str = "a", replicas: int = 1) -> dict[str, object]:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"replicas": replicas}}


@contextlib.asynccontextmanager
async def watched(server: ApiServer, folder: Path, **changed: object) -> AsyncIterator[tuple[Cache, KubernetesApi]]:
    settings = KubernetesSettings(kubeconfig=server.kubeconfig(folder), kube_deadline_s=5)
    async with connected(settings) as api:
        cache = Cache(api, DEPLOYMENTS, **changed)  # type: ignore[arg-type]
        async with background(cache.run()):
            await cache.synced.wait()
            await until(lambda: cache.connected)
            yield cache, api


@contextlib.asynccontextmanager
async def cached(folder: Path, **changed: object) -> AsyncIterator[tuple[ApiServer, Cache]]:
    async with ApiServer() as server:
        server.put(PATH, deployment("echo"))
        async with watched(server, folder, **changed) as (cache, _):
            yield server, cache


def names(cache: Cache) -> set[str]:
    return {value["metadata"]["name"] for value in cache}


async def test_cache_follows_what_others_do(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, cache):
        server.put(PATH, deployment("mail"))
        server.put(PATH, deployment("echo", replicas=5))
        await until(lambda: names(cache) == {"echo", "mail"})
        server.remove(PATH, "mail", namespace="a")
        await until(lambda: names(cache) == {"echo"})

        found = cache.get("echo", namespace="a")
        assert found is not None
        assert found["spec"] == {"replicas": 5}
        assert (server.count("GET"), cache.lists) == (1, 1)


async def test_nothing_is_asked_while_nothing_changes(tmp_path: Path) -> None:
    async with cached(tmp_path, watch_s=1.25) as (server, cache):
        for _ in range(3):
            watches = server.count("GET", watch=True)
            server.bookmark(PATH)
            await until(lambda watches=watches: server.count("GET", watch=True) > watches)

        assert server.count("GET") == cache.lists == 1


async def test_watch_that_breaks_goes_on_where_it_was(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, cache):
        for number in range(5):
            server.cut_watches()
            server.put(PATH, deployment(f"f{number}"))
            await until(lambda number=number: f"f{number}" in names(cache))

        assert server.count("GET") == 1
        versions = [int(seen.query["resourceVersion"]) for seen in server.seen if "watch" in seen.query]
        assert versions == sorted(versions)


async def test_bookmark_moves_the_version_a_watch_goes_on_from(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, cache):
        heard_at = time.monotonic() - cache.age_s
        await until(lambda: time.monotonic() > heard_at + 0.01)
        server.bookmark(PATH)
        await until(lambda: time.monotonic() - cache.age_s > heard_at + 0.005)
        server.compact()
        server.bookmark(PATH)
        bookmark = str(server._version)
        server.put(PATH, deployment("mark"))
        await until(lambda: "mark" in names(cache))
        server.cut_watches()
        await until(lambda: server.count("GET", watch=True) == 2 and cache.connected)

        assert int(server.seen[-1].query["resourceVersion"]) > int(bookmark)
        assert cache.lists == 1


@pytest.mark.parametrize("in_stream", [pytest.param(False, id="HTTP 410"), pytest.param(True, id="ERROR event")])
async def test_watch_too_old_is_listed_again_and_deletions_are_noticed(tmp_path: Path, in_stream: bool) -> None:
    async with cached(tmp_path) as (server, cache):
        server.put(PATH, deployment("mail"))
        await until(lambda: "mail" in names(cache))
        # Nothing of what follows reaches the open watch before it ends.
        server._objects.pop((PATH, "a", "echo"))
        server.compact()
        if in_stream:
            server.error_event(PATH, 410, "Expired")
        else:
            server.cut_watches()
        await until(lambda: names(cache) == {"mail"})

        assert cache.lists == 2


async def test_cluster_restored_from_a_backup_is_listed_again(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, cache):
        server.put(PATH, deployment("mail"))
        await until(lambda: "mail" in names(cache))
        server.restore_backup(50)
        server.cut_watches()
        await until(lambda: cache.lists == 2)


async def test_request_for_a_watch_that_is_not_answered_is_made_again(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, cache):
        server.faults.append(Fault(hang=True, method="GET"))
        server.cut_watches()
        server.put(PATH, deployment("mail"))
        await until(lambda: "mail" in names(cache))

        assert cache.lists == 1


async def test_silent_watch_is_renewed(tmp_path: Path) -> None:
    async with cached(tmp_path, watch_s=1.25) as (server, cache):
        server.end_watches = False
        server.cut_watches()
        await until(lambda: server.count("GET", watch=True) == 2 and cache.connected)
        await until(lambda: server.count("GET", watch=True) == 3 and cache.connected)

        assert cache.lists == 1


async def test_outage_leaves_the_last_state_readable_and_is_over_soon_after(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, cache):
        assert cache.connected
        await server.down()
        await until(lambda: not cache.connected)
        assert names(cache) == {"echo"}
        before = cache.age_s
        await until(lambda: cache.age_s > before + 1)

        server.put(PATH, deployment("mail"))
        await server.up()
        await until(lambda: cache.connected and "mail" in names(cache))
        assert cache.lists == 1
        assert cache.age_s < before + 1


async def test_faults_in_a_row_do_not_end_it(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, cache):
        server.faults += [
            Fault(500, left=7),
            Fault(429, left=3, headers={"Retry-After": "0"}),
            Fault(200, body=b"<html>not an API server</html>"),
            Fault(200, body=b'{"type":"MODIFIED"}\n'),
            Fault(reset=True, left=2),
        ]
        server.cut_watches()
        server.put(PATH, deployment("mail"))
        await until(lambda: "mail" in names(cache))

        assert not any(fault.left for fault in server.faults)


async def test_watch_that_ends_at_once_does_not_spin(tmp_path: Path) -> None:
    async with cached(tmp_path) as (server, _cache):
        server.faults.append(Fault(200, left=1000, body=b""))
        server.cut_watches()
        await asyncio.sleep(2)  # what is tested is how many requests come in a time

        assert server.count("GET", watch=True) < 15


async def test_our_write_is_seen_before_the_watch_tells(tmp_path: Path) -> None:
    async with ApiServer() as server, asyncio.timeout(60), watched(server, tmp_path) as (cache, api):
        made = await api.create(DEPLOYMENTS, deployment("mine"))
        cache.observe(made)
        assert "mine" in names(cache)

        await api.delete(DEPLOYMENTS, "mine", namespace="a")
        cache.gone(made)
        assert names(cache) == set()
        server.put(PATH, deployment("last"))
        await until(lambda: "last" in names(cache))
        assert names(cache) == {"last"}


async def test_only_the_namespaces_asked_for_are_watched(tmp_path: Path) -> None:
    async with cached(tmp_path, namespaces=["a", "b"]) as (server, cache):
        for namespace in ("a", "b", "c"):
            server.put(PATH, deployment("x", namespace))
        await until(lambda: len(cache) == 3)

        assert cache.get("x", namespace="c") is None
        assert {seen.path for seen in server.seen} == {f"/apis/apps/v1/namespaces/{one}/deployments" for one in "ab"}
        assert cache.lists == 2
