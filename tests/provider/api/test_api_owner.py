"""Who owns a function's steady state, as the provider tells and keeps it; and how an owner hands over to another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from springtide.scaler.core import loads, policy
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire import decision_log
from springtide.wire.provider_client import WRITER_HEADER
from tests.provider.api.served import Served, serving

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
SCALE = "/system/scale-function/echo"
UP = Decision(ECHO, Writer.ALERT, 5, 9, Reason.ALERT_FIRING, "", Instant(1_700_000_000))
BY_TARGET = {policy.TYPE: "capacity", policy.TARGET: "10"}


@asynccontextmanager
async def beside_a_loop(*, default: bool = False) -> AsyncIterator[Served]:
    async with serving(scalers=Scalers(loop=True, loop_default=default)) as served:
        yield served


async def write(served: Served, writer: Writer, before: int, after: int) -> int:
    """The status of an automatic writer's request."""
    decision = decision_log.to_json(replace(UP, writer=writer, before=before, after=after))
    response = await served.http.post(SCALE, json={"replicas": after}, headers={WRITER_HEADER: json.dumps(decision)})
    return response.status_code


async def owner(served: Served) -> str:
    (listed,) = (await served.http.get("/system/functions")).json()
    described = (await served.http.get("/system/function/echo")).json()
    assert listed["owner"] == described["owner"]
    return str(listed["owner"])


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        pytest.param({}, "alert", id="nothing said"),
        pytest.param(BY_TARGET, "scaler", id="a target"),
        pytest.param({policy.TYPE: "cpu", policy.TARGET: "500m"}, "scaler", id="processor time on one machine"),
        pytest.param({policy.OWNER: "none"}, "none", id="nobody"),
        pytest.param({policy.MIN: "2", policy.MAX: "2"}, "none", id="a fixed size"),
    ],
)
async def test_owner_is_told_with_the_function(labels: dict[str, str], told: str) -> None:
    async with beside_a_loop() as served:
        await served.deploy(labels=labels)

        assert await owner(served) == told


async def test_loop_that_is_the_default_has_what_says_nothing() -> None:
    async with beside_a_loop(default=True) as served:
        await served.deploy()

        assert await owner(served) == "scaler"


@pytest.mark.parametrize(
    ("labels", "may"),
    [
        pytest.param({}, Writer.ALERT, id="the alert path's"),
        pytest.param(BY_TARGET, Writer.SCALER, id="the scaler's"),
        pytest.param({policy.OWNER: "none"}, None, id="nobody's"),
    ],
)
async def test_only_the_owner_moves_a_running_function(labels: dict[str, str], may: Writer | None) -> None:
    async with beside_a_loop() as served:
        await served.deploy(labels=labels)

        automatic = [writer for writer in Writer if writer is not Writer.PERSON]
        taken = {writer for after, writer in enumerate(automatic, 2) if await write(served, writer, 1, after) == 202}

        assert taken == ({may} if may is not None else set())


async def test_change_of_owner_under_load_keeps_the_count_and_the_rights_change_at_once() -> None:
    async with beside_a_loop() as served:
        await served.deploy()
        assert await write(served, Writer.ALERT, 1, 5) == 202

        wish = {"service": "echo", "image": "x"}
        changed = await served.http.put("/system/functions", json=wish | {"labels": BY_TARGET})

        assert changed.status_code == 202
        assert (await served.memory.read(ECHO)).scale.desired == 5
        assert await write(served, Writer.ALERT, 5, 9) == 412
        assert await write(served, Writer.SCALER, 5, 6) == 202

        await served.http.put("/system/functions", json=wish)

        assert (await served.memory.read(ECHO)).scale.desired == 6
        assert await write(served, Writer.SCALER, 6, 7) == 412
        assert await write(served, Writer.ALERT, 6, 10) == 202


async def test_change_of_owner_moves_the_count_into_new_limits_and_no_further() -> None:
    async with beside_a_loop() as served:
        await served.deploy()
        await write(served, Writer.ALERT, 1, 9)

        labels = BY_TARGET | {policy.MAX: "6"}
        await served.http.put("/system/functions", json={"service": "echo", "image": "x", "labels": labels})

        assert (await served.memory.read(ECHO)).scale.desired == 6


@pytest.mark.parametrize(
    ("labels", "annotations", "word"),
    [
        pytest.param({policy.OWNER: "me"}, {}, "write alerts, scaler, hpa or none", id="an owner that there is not"),
        pytest.param({policy.RULE: "panic"}, {}, "write queueing or target", id="a rule that there is not"),
        pytest.param({policy.WAKE: "max"}, {}, "write min or learned", id="a wake that there is not"),
        pytest.param({policy.OWNER: "hpa", policy.TYPE: "cpu"}, {}, "only on Kubernetes", id="an HPA on one machine"),
        pytest.param({policy.OWNER: "hpa"}, {}, "com.openfaas.scale.type=cpu", id="an HPA by calls"),
        pytest.param({policy.OWNER: "scaler", policy.TYPE: "cpu", policy.TARGET: "80"}, {}, "500m", id="percent"),
        pytest.param({policy.TARGET: "0"}, {}, "above zero", id="a target of zero"),
        pytest.param({policy.TARGET: "-3"}, {}, "above zero", id="a negative target"),
        pytest.param({policy.TARGET: "1e300"}, {}, "at most 1000000000", id="a huge target"),
        pytest.param({}, {loads.ALSO: "cpu=80"}, "500m", id="percent beside"),
        pytest.param({}, {loads.ALSO: "a=1,b=1,c=1,d=1,e=1"}, "at most 5", id="too many loads"),
        pytest.param({policy.TYPE: "lag"}, {loads.QUERY: "x" * 1001}, "at most 1000", id="a long query"),
        pytest.param({loads.QUERY: "up"}, {}, "annotations only", id="a query as a label"),
        pytest.param({}, {policy.OWNER: "scaler"}, "labels only", id="an owner as an annotation"),
    ],
)
async def test_what_cannot_be_scaled_as_asked_is_refused_with_the_remedy(
    labels: dict[str, str], annotations: dict[str, str], word: str
) -> None:
    async with beside_a_loop() as served:
        refused = await served.deploy(labels=labels, annotations=annotations)

        assert refused.status_code == 400
        assert word in refused.text


async def test_scaler_as_owner_where_none_runs_is_refused(served: Served) -> None:
    refused = await served.deploy(labels={policy.OWNER: "scaler"})

    assert (refused.status_code, "no control loop runs here" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("labels", "replicas", "owner", "words"),
    [
        pytest.param(BY_TARGET, 7, "scaler", "com.openfaas.scale.min and .max both 7", id="the loop goes on"),
        pytest.param(BY_TARGET, 0, "scaler", None, id="asleep until a caller comes"),
        pytest.param({}, 7, "alert", None, id="until the next alert"),
        pytest.param({policy.OWNER: "none"}, 7, "none", None, id="it stays"),
    ],
)
async def test_a_person_learns_whether_a_scale_lasts_and_how_to_keep_it(
    labels: dict[str, str], replicas: int, owner: str, words: str | None
) -> None:
    async with beside_a_loop() as served:
        await served.deploy(labels=labels)

        answer = await served.http.post(SCALE, json={"replicas": replicas})

        assert (answer.status_code, answer.content) == (202, b"")
        assert answer.headers["x-springtide-owner"] == owner
        warning = answer.headers.get("x-springtide-warning")
        assert warning is None if words is None else warning is not None and words in warning


async def test_a_scaler_that_writes_is_not_warned_of_itself() -> None:
    async with beside_a_loop() as served:
        await served.deploy(labels=BY_TARGET)
        decision = decision_log.to_json(replace(UP, writer=Writer.SCALER, before=1, after=4))

        answer = await served.http.post(SCALE, json={"replicas": 4}, headers={WRITER_HEADER: json.dumps(decision)})

        assert (answer.status_code, "x-springtide-warning" in answer.headers) == (202, False)
