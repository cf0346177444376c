"""News in any order becomes one history: property and table."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime.kubernetes.store import MAX_TOMBSTONES, Json, Store, slim


def thing(version: int | str, *, name: str = "a", uid: str = "u", app: str = "x", namespace: str = "n") -> Json:
    metadata = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, "labels": {"app": app}}}


def version_of(store: Store, name: str = "a") -> str | None:
    found = store.get(name, namespace="n")
    return None if found is None else str(found["metadata"]["resourceVersion"])


def test_object_never_goes_back() -> None:
    store = Store()

    news = [store.observe(thing(version)) for version in (5, 7, 6, 7, 10, 9)]

    assert news == [True, True, False, False, True, False]
    assert version_of(store) == "10"


def test_versions_are_numbers_not_text() -> None:
    store = Store()
    store.observe(thing(9))

    assert store.observe(thing(10))


def test_what_cannot_be_compared_is_taken_as_it_comes() -> None:
    store = Store()
    store.observe(thing("b"))

    assert store.observe(thing("a"))


@pytest.mark.parametrize(
    ("late", "there"),
    [
        pytest.param(lambda store: store.observe(thing(9)), None, id="news from before the deletion"),
        pytest.param(lambda store: store.observe(thing(20, uid="v")), "20", id="another of that name"),
        pytest.param(lambda store: store.observe(thing(13)), "13", id="a selector that matches again"),
    ],
)
def test_after_a_deletion_that_was_seen(late: Callable[[Store], bool], there: str | None) -> None:
    store = Store()
    store.observe(thing(8))
    store.gone(thing(12), at="12")

    late(store)

    assert version_of(store) == there


def test_what_we_deleted_stays_gone_whatever_comes_late() -> None:
    store = Store()
    store.observe(thing(8))
    store.gone(thing(8), at=None)

    store.observe(thing(11))
    store.gone(thing(12), at="12")
    store.observe(thing(13))

    assert version_of(store) is None


def test_late_deletion_does_not_take_the_next_of_that_name() -> None:
    store = Store()
    store.observe(thing(20, uid="v"))

    assert not store.gone(thing(12, uid="u"), at="12")
    assert version_of(store) == "20"


def test_list_tells_what_is_missing_but_not_of_what_was_written_since() -> None:
    store = Store()
    for name, version in (("old", 5), ("kept", 6), ("ours", 30)):
        store.observe(thing(version, name=name))
    store.observe(thing(5, name="elsewhere", namespace="m"))

    missing = store.missing([("n", "kept")], namespace="n", version="20")

    assert [value["metadata"]["name"] for value in missing] == ["old"]


def test_subscribers_hear_of_each_change_once_with_before_and_after() -> None:
    store, heard = Store(), []
    end = store.subscribe(
        lambda old, new: heard.append(tuple(x and x["metadata"]["resourceVersion"] for x in (old, new)))
    )

    store.observe(thing(1))
    store.observe(thing(1))
    store.observe(thing(2))
    store.gone(thing(3), at="3")
    store.gone(thing(3), at="3")
    end()
    store.observe(thing(4))

    assert heard == [(None, "1"), ("1", "2"), ("2", None)]


def test_index_follows_the_objects() -> None:
    store = Store(indexes={"app": lambda value: [value["metadata"]["labels"]["app"]] * 2})
    store.observe(thing(1, name="a"))
    store.observe(thing(2, name="b"))
    store.observe(thing(3, name="a", app="y"))

    assert [value["metadata"]["name"] for value in store.by("app", "x")] == ["b"]
    assert [value["metadata"]["name"] for value in store.by("app", "y")] == ["a"]
    store.gone(thing(4, name="a"), at="4")
    assert store.by("app", "y") == []
    assert store.by("app", "never") == []


def test_objects_are_kept_without_what_nobody_reads() -> None:
    value = thing(1)
    value["metadata"] |= {
        "managedFields": [{}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"},
    }

    kept = slim(value)

    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"a": "b"}


def test_tombstones_are_bounded() -> None:
    store = Store()
    for number in range(MAX_TOMBSTONES + 5):
        store.gone(thing(1, name=f"f{number}"), at="1")

    assert f"{MAX_TOMBSTONES} tombstones" in repr(store)


@given(st.permutations([("put", 1), ("put", 3), ("put", 5), ("gone", 6)]))
def test_deletion_wins_over_everything_before_it_in_any_order(news: list[tuple[str, int]]) -> None:
    store = Store()
    for kind, version in news:
        if kind == "put":
            store.observe(thing(version))
        else:
            store.gone(thing(version), at=str(version))

    assert version_of(store) is None


@given(st.lists(st.integers(1, 30), min_size=1))
def test_newest_version_wins_in_any_order(versions: list[int]) -> None:
    store = Store()
    for version in versions:
        store.observe(thing(version))

    assert version_of(store) == str(max(versions))
