"""Lists and watches of the emulator."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.kubernetes.stories import DEPLOYMENTS, SECRETS, Cluster, at, deployment, emulated, secret


async def labelled(cluster: Cluster, name: str, **labels: str) -> Any:
    return (await cluster.post(SECRETS, at(secret(name), "metadata.labels", labels))).json()


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param("tier=web", ["a", "b"], id="equal"),
        pytest.param("tier==web,zone", ["a"], id="equal and exists"),
        pytest.param("tier!=web", ["c", "d"], id="unequal takes those without"),
        pytest.param("!tier", ["d"], id="does not exist"),
        pytest.param("tier in (web, db)", ["a", "b", "c"], id="in"),
        pytest.param("tier notin (web),zone", ["c"], id="not in"),
    ],
)
async def test_label_selector_selects(cluster: Cluster, selector: str, expected: list[str]) -> None:
    await labelled(cluster, "a", tier="web", zone="1")
    await labelled(cluster, "b", tier="web")
    await labelled(cluster, "c", tier="db", zone="2")
    await labelled(cluster, "d")

    assert names(await cluster.get(SECRETS, labelSelector=selector)) == expected


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"labelSelector": "a=b=c"}, id="label selector"),
        pytest.param({"labelSelector": "a=" + "x" * 64}, id="label value"),
        pytest.param({"fieldSelector": "data.token=x"}, id="field"),
        pytest.param({"limit": "many"}, id="limit"),
        pytest.param({"resourceVersion": "new"}, id="version"),
        pytest.param({"continue": "!"}, id="continue"),
    ],
)
async def test_query_that_makes_no_sense_is_refused(cluster: Cluster, query: dict[str, str]) -> None:
    answer = await cluster.get(SECRETS, **query)

    assert (answer.status_code, answer.json()["kind"]) == (400, "Status")


async def test_field_selector_finds_one_object(cluster: Cluster) -> None:
    for name in ("a", "b"):
        await cluster.post(SECRETS, secret(name))

    assert names(await cluster.get(SECRETS, fieldSelector="metadata.name=b")) == ["b"]
    assert names(await cluster.get("/api/v1/secrets", fieldSelector="metadata.namespace!=openfaas-fn")) == []


async def test_items_of_built_in_lists_do_not_name_their_kind(cluster: Cluster) -> None:
    await cluster.post(SECRETS, secret())
    answer = (await cluster.get(SECRETS)).json()

    assert (answer["kind"], answer["apiVersion"]) == ("SecretList", "v1")
    assert {"kind", "apiVersion"}.isdisjoint(answer["items"][0])


async def test_pages_show_one_moment(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        await cluster.post(SECRETS, secret(name))
    first = await cluster.get(SECRETS, limit="2")
    await cluster.delete(f"{SECRETS}/c")
    meta = first.json()["metadata"]
    second = await cluster.get(SECRETS, limit="2", **{"continue": meta["continue"]})

    assert (names(first), meta["remainingItemCount"]) == (["a", "b"], 1)
    assert names(second) == ["c"]
    assert second.json()["metadata"]["resourceVersion"] == meta["resourceVersion"]

    cluster.emulator.compact()
    gone = await cluster.get(SECRETS, limit="2", **{"continue": meta["continue"]})
    assert (gone.status_code, gone.json()["reason"]) == (410, "Expired")


async def test_list_of_a_version_still_to_come_is_refused(cluster: Cluster) -> None:
    answer = await cluster.get(SECRETS, resourceVersion="999999", resourceVersionMatch="NotOlderThan")

    assert (answer.status_code, answer.json()["reason"]) == (504, "Timeout")
    assert answer.json()["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_watch_tells_what_happens_after_its_version(cluster: Cluster) -> None:
    before = await cluster.post(SECRETS, secret("old"))
    version = before.json()["metadata"]["resourceVersion"]
    await cluster.post(SECRETS, secret("new"))
    async with cluster.watch(SECRETS, resourceVersion=version) as events:
        assert (await anext(events))["object"]["metadata"]["name"] == "new"
        await cluster.patch(f"{SECRETS}/new", {"data": {"a": "eA=="}})
        changed = await anext(events)
        await cluster.delete(f"{SECRETS}/new")
        gone = await anext(events)

    assert (changed["type"], changed["object"]["kind"]) == ("MODIFIED", "Secret")
    assert gone["type"] == "DELETED"
    assert int(gone["object"]["metadata"]["resourceVersion"]) > int(changed["object"]["metadata"]["resourceVersion"])


async def test_watch_without_a_version_begins_with_what_is_there(cluster: Cluster) -> None:
    await cluster.post(SECRETS, secret())
    async with cluster.watch(SECRETS) as events:
        first = await anext(events)

    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "token")


async def test_object_that_leaves_the_selection_is_deleted_for_the_watch(cluster: Cluster) -> None:
    await labelled(cluster, "a", tier="web")
    async with cluster.watch(SECRETS, labelSelector="tier=web") as events:
        assert (await anext(events))["type"] == "ADDED"
        await cluster.patch(f"{SECRETS}/a", {"metadata": {"labels": {"tier": "db"}}})
        left = await anext(events)
        await cluster.patch(f"{SECRETS}/a", {"metadata": {"labels": {"tier": "web"}}})
        back = await anext(events)

    assert (left["type"], left["object"]["metadata"]["labels"]) == ("DELETED", {"tier": "web"})
    assert back["type"] == "ADDED"


async def test_watch_of_a_compacted_version_is_gone(cluster: Cluster) -> None:
    created = await cluster.post(SECRETS, secret())
    version = created.json()["metadata"]["resourceVersion"]
    await cluster.delete(f"{SECRETS}/token")
    cluster.emulator.compact()
    async with cluster.watch(SECRETS, resourceVersion=version) as events:
        error = await anext(events)
        assert [event async for event in events] == []
    cluster.emulator.faults.gone_as_http = True
    answer = await cluster.get(SECRETS, watch="true", resourceVersion=version)

    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")


async def test_bookmarks_come_to_those_who_allow_them() -> None:
    async with emulated(bookmark_s=0.05) as cluster:
        async with cluster.watch(SECRETS, allowWatchBookmarks="true", resourceVersion="1001") as events:
            bookmark = await anext(events)
        async with cluster.watch(
            SECRETS, timeoutSeconds="1", resourceVersion=str(cluster.emulator.store.version)
        ) as events:
            quiet = [event async for event in events]

        assert bookmark["type"] == "BOOKMARK"
        assert int(bookmark["object"]["metadata"]["resourceVersion"]) >= 1001
        assert quiet == []


async def test_watch_that_asks_for_the_initial_events_gets_their_end_marked(cluster: Cluster) -> None:
    await cluster.post(SECRETS, secret())
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersion": "0"}
    refused = await cluster.get(SECRETS, watch="true", **query)
    async with cluster.watch(SECRETS, resourceVersionMatch="NotOlderThan", **query) as events:
        first, mark = await anext(events), await anext(events)

    assert refused.status_code == 422
    assert first["type"] == "ADDED"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_watcher_that_falls_behind_is_dropped() -> None:
    async with (
        emulated(watch_buffer=5, watch_send_bytes=4096) as cluster,
        cluster.http.stream("GET", SECRETS, params={"watch": "true"}) as response,
    ):
        pieces = response.aiter_raw()
        body = at(secret(), "stringData", {"large": "x" * 200_000})
        await cluster.post(SECRETS, body)
        for number in range(200):
            await cluster.patch(f"{SECRETS}/token", {"metadata": {"labels": {"n": str(number)}}})
            if not cluster.emulator.streams:
                break
        assert cluster.emulator.streams == 0
        with pytest.raises(httpx.HTTPError):
            async for _ in pieces:
                pass


async def test_each_event_is_a_line_of_its_own_at_once(cluster: Cluster) -> None:
    version = str(cluster.emulator.store.version)
    async with cluster.http.stream("GET", DEPLOYMENTS, params={"watch": "1", "resourceVersion": version}) as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        await cluster.post(DEPLOYMENTS, deployment())
        async with asyncio.timeout(60):
            pieces = response.aiter_raw()  # kept: without it the answer is closed
            piece = await anext(pieces)
    assert piece.endswith(b"\n")
