from __future__ import annotations

from typing import Any

import pytest

from springtide.runtime.clock import SystemClock
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Decision, FunctionRef, Instant, Reason, Writer
from tests.provider.api.served import Served

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
DEV = FunctionRef("dev", "echo")


async def with_dev(served: Served) -> None:
    """A second namespace with a function called as one in the default namespace."""
    await served.http.post("/system/namespace/dev", json={"labels": {"openfaas": "1"}})
    await served.deploy()
    await served.deploy(namespace="dev")


async def refs(served: Served) -> set[FunctionRef]:
    return {function.ref for function in await served.memory.list_functions()}


async def test_empty_list_is_a_list(served: Served) -> None:
    answer = await served.http.get("/system/functions")

    assert (answer.status_code, answer.json()) == (200, [])
    assert answer.headers["content-type"] == "application/json"


async def test_minimal_function_shows_what_is_always_there_and_nothing_unset(served: Served) -> None:
    await served.deploy()

    (listed,) = (await served.http.get("/system/functions")).json()
    described = (await served.http.get("/system/function/echo")).json()

    assert listed == described
    created_at = listed.pop("createdAt")
    assert created_at.endswith("Z")
    assert listed == {
        "name": "echo",
        "image": "x",
        "namespace": "openfaas-fn",
        "labels": {"faas_function": "echo"},
        "annotations": {},
        "replicas": 1,
        "availableReplicas": 1,
        "owner": "alert",
    }


async def test_sleeping_function_shows_no_counts(served: Served) -> None:
    await served.deploy()
    await served.http.post("/system/scale-function/echo", json={"replicas": 0})

    described = (await served.http.get("/system/function/echo")).json()

    assert "replicas" not in described
    assert "availableReplicas" not in described


async def test_everything_set_is_echoed_verbatim(served: Served) -> None:
    given: dict[str, Any] = {
        "envProcess": "cat",
        "envVars": {"a": "1"},
        "constraints": ["k=v"],
        "annotations": {"topic": "t"},
        "limits": {"memory": "128Mi", "cpu": "100m", "nvidia.com/gpu": "1"},
        "requests": {"memory": "1Mi"},
        "readOnlyRootFilesystem": True,
    }

    assert (await served.deploy(**given, labels={"team": "a"})).status_code == 202

    described = (await served.http.get("/system/function/echo")).json()

    assert {key: described[key] for key in given} == given
    assert described["labels"] == {"team": "a", "faas_function": "echo"}


async def test_nulls_of_older_clients_are_accepted(served: Served) -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        ("labels", "annotations", "envVars", "secrets", "constraints", "limits", "requests", "namespace"), None
    )

    assert (await served.deploy(**nothing, network="func_functions", registryAuth="")).status_code == 202


async def test_all_problems_of_a_deployment_are_told_at_once(served: Served) -> None:
    answer = await served.http.post(
        "/system/functions",
        json={"service": "Echo", "envVars": {"a": 1}, "labels": {"com.openfaas.scale.max": "many"}},
    )

    assert answer.status_code == 400
    assert len(answer.text.splitlines()) == 4
    for word in ("Echo", "image", "envVars", "com.openfaas.scale.max"):
        assert word in answer.text
    assert await refs(served) == set()


@pytest.mark.parametrize(
    ("name", "status"),
    [("a" * 63, 202), ("a" * 64, 400), ("", 400), ("a_b", 400), ("-a", 400), ("a.b", 400), ("../a", 400), ("a\n", 400)],
)
async def test_name_of_a_function_must_be_a_label(served: Served, name: str, status: int) -> None:
    assert (await served.deploy(name)).status_code == status


async def test_post_is_an_upsert(served: Served) -> None:
    await served.deploy()

    again = await served.deploy(image="y")

    assert (again.status_code, again.content) == (202, b"")
    assert (await served.http.get("/system/function/echo")).json()["image"] == "y"


async def test_put_of_an_unknown_function_is_404_and_creates_nothing(served: Served) -> None:
    answer = await served.http.put("/system/functions", json={"service": "echo", "image": "x"})

    assert answer.status_code == 404
    assert await refs(served) == set()


async def test_missing_secret_is_400(served: Served) -> None:
    answer = await served.deploy(secrets=["token"])

    assert answer.status_code == 400
    assert "token" in answer.text


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        pytest.param("", {}, ECHO, id="default when neither says"),
        pytest.param("?namespace=dev", {}, DEV, id="query"),
        pytest.param("", {"namespace": "dev"}, DEV, id="body"),
        pytest.param("?namespace=dev", {"namespace": DEFAULT_NAMESPACE}, ECHO, id="body wins"),
        pytest.param("?namespace=dev", {"namespace": ""}, DEV, id="empty in the body is none"),
        pytest.param("?namespace=", {"namespace": None}, ECHO, id="empty and null are none"),
    ],
)
async def test_namespace_is_taken_from(
    served: Served, query: str, body: dict[str, object], expected: FunctionRef
) -> None:
    await with_dev(served)
    other = DEV if expected == ECHO else ECHO

    spec = {"service": "echo", "image": "updated", **body}
    updated = await served.http.put(f"/system/functions{query}", json=spec)
    scaled = await served.http.post(f"/system/scale-function/echo{query}", json={"replicas": 3, **body})
    assert (await served.memory.status(expected)).spec.image == "updated"
    assert (await served.memory.status(other)).spec.image == "x"
    assert (await served.memory.read(expected)).scale.desired == 3
    deleted = await served.http.request("DELETE", f"/system/functions{query}", json={"functionName": "echo", **body})

    assert [answer.status_code for answer in (updated, scaled, deleted)] == [202, 202, 202]
    assert await refs(served) == {other}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"functionName": "ghost"}, 404, id="unknown"),
        pytest.param({"functionName": ""}, 400, id="empty name"),
        pytest.param({}, 400, id="no name"),
        pytest.param({"functionName": 1}, 400, id="name that is no text"),
        pytest.param({"functionName": "echo", "namespace": 1}, 400, id="namespace that is no text"),
        pytest.param({"functionName": "echo", "namespace": "../x"}, 400, id="bad namespace"),
    ],
)
async def test_delete_is_refused_for(served: Served, body: dict[str, object], status: int) -> None:
    await served.deploy()

    assert (await served.http.request("DELETE", "/system/functions", json=body)).status_code == status
    assert await refs(served) == {ECHO}


async def test_deleted_function_has_its_holds_told_anew(served: Served) -> None:
    await served.deploy()
    hold = Decision(ECHO, Writer.IDLER, 1, 1, Reason.NO_DATA, "", Instant(SystemClock().wall()))
    served.decisions.record(hold)

    await served.http.request("DELETE", "/system/functions", json={"functionName": "echo"})
    served.decisions.record(hold)

    assert len(served.decisions.since(0)) == 2


@pytest.mark.parametrize(
    "path", ["/system/function/ghost", "/system/function/Gh%20ost", "/system/function/echo?namespace=dev"]
)
async def test_describe_of_an_unknown_function_is_404(served: Served, path: str) -> None:
    await served.deploy()

    assert (await served.http.get(path)).status_code == 404


async def test_list_of_an_unknown_namespace_is_404_and_of_a_bad_one_400(served: Served) -> None:
    assert (await served.http.get("/system/functions?namespace=nowhere")).status_code == 404
    assert (await served.http.get("/system/functions?namespace=No!")).status_code == 400


MISSPELT = {
    "com.openfaas.scale.zeroduration": "5m",
    "com.openfaas.scale.scale-max": "1",
    "com.openfaas.scale.type ": "",
    "com.openfaas.scale.mode": "capacity",
    "com.openfaas.health.http.path": "/ready",
}


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_misspelt_labels_are_refused_all_at_once_with_the_nearest_known_names(
    served: Served, method: str
) -> None:
    await served.deploy()
    body = {"service": "echo", "image": "x", "labels": MISSPELT}

    answer = await served.http.request(method, "/system/functions", json=body)

    assert answer.status_code == 400
    for key, value in MISSPELT.items():
        assert f"{key}={value!r}: " in answer.text
    for near in ("zero-duration", "max", "type"):
        assert f"com.openfaas.scale.{near}" in answer.text
    (listed,) = (await served.http.get("/system/functions")).json()
    assert listed["labels"] == {"faas_function": "echo"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_wrong_schedules_are_refused_all_at_once(served: Served, method: str) -> None:
    await served.deploy()
    annotations = {
        "topic": "cron-function",
        "schedule": "@daily; 61 * * * *; @every 5",
        "com.springtide.schedule.overlap": "never",
    }

    body = {"service": "echo", "image": "x", "annotations": annotations}
    answer = await served.http.request(method, "/system/functions", json=body)

    assert answer.status_code == 400
    told = answer.text.splitlines()
    assert [line.partition(":")[0] for line in told] == [
        "annotation com.springtide.schedule.overlap='never'",
        "annotation schedule='61 * * * *'",
        "annotation schedule='@every 5'",
    ]


async def test_topics_that_no_source_can_have_are_refused_all_at_once(served: Served) -> None:
    body = {"service": "echo", "image": "x", "annotations": {"topic": "orders,,sensors/#/state,new.>.orders"}}
    answer = await served.http.post("/system/functions", json=body)

    assert answer.status_code == 400
    assert [line.partition(":")[0] for line in answer.text.splitlines()] == [
        "annotation topic",
        "annotation topic='sensors/#/state'",
        "annotation topic='new.>.orders'",
    ]
    body["annotations"] = {"topic": "orders.*, sensors/#, größe"}
    assert (await served.http.post("/system/functions", json=body)).status_code == 202
