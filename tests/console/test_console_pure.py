"""The console's arithmetic and words, without any server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import cast

import pytest

from springtide.console import deployments, view, words
from springtide.console.decisions import DecisionRecord
from springtide.console.functions import State, from_json, state_of
from springtide.console.gateway_api import GatewayApi
from springtide.console.gateway_poller import GatewayPoller
from springtide.console.history import History
from springtide.console.invocation import cold_parts
from springtide.runtime.errors import BadInput, Unavailable
from springtide.runtime.virtual_time import EPOCH, VirtualTimeLoop
from springtide.scaler.core.vocabulary import Reason, Writer
from springtide.wire.function_rates import FunctionRates

pytestmark = pytest.mark.virtual_time

TEMPLATES = Path(__file__).parents[2] / "console" / "templates"


def told(reason: str = "wake", writer: str = "wake", **inputs: float) -> DecisionRecord:
    return DecisionRecord(1, 0.0, "f.ns", 0, 1, reason, writer, "", inputs)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_a_sentence(reason: Reason) -> None:
    assert words.reason(told(reason.value)) != reason.value.replace("_", " ")


@pytest.mark.parametrize("writer", list(Writer))
def test_every_writer_has_a_name(writer: Writer) -> None:
    assert words.writer(told(writer=writer.value)) in {
        "Alerts",
        "Scaler",
        "HPA",
        "Idler",
        "Gateway",
        "Pre-warm",
        "Person",
    }


def test_reason_of_a_newer_provider_is_shown_by_its_name() -> None:
    assert words.reason(told("moon_phase")) == "moon phase"


def test_inputs_are_shown_with_their_units_and_three_digits() -> None:
    shown = words.inputs(told(data_age_s=0.01234, factor_percent=20, load=123456.7, ready=3))

    assert shown == [("data age", "0.0123 s"), ("factor", "20 %"), ("load", "123,457"), ("ready", "3")]


@pytest.mark.parametrize(
    ("desired", "ready", "problem", "state"),
    [
        pytest.param(None, 1, None, State.UNKNOWN, id="not known"),
        pytest.param(0, 0, None, State.ASLEEP, id="asleep"),
        pytest.param(2, 0, None, State.STARTING, id="starting"),
        pytest.param(2, 1, None, State.SCALING, id="scaling"),
        pytest.param(2, 2, None, State.READY, id="ready"),
        pytest.param(1, 2, None, State.READY, id="more than wanted"),
        pytest.param(1, 0, "it crashed", State.PROBLEM, id="broken"),
        pytest.param(2, 1, "one crashed", State.SCALING, id="broken in part"),
    ],
)
def test_state(desired: float | None, ready: float | None, problem: str | None, state: State) -> None:
    assert state_of(desired, ready, problem) is state


def test_history_keeps_gaps_as_gaps() -> None:
    history = History(slots=5)
    for slot, ready in [(10, 1.0), (11, 2.0), (14, 4.0)]:
        history.put(slot, FunctionRates(ready=ready))

    assert history.last(5, 14)["ready"] == [1, 2, None, None, 4]
    assert history.last(2, 14)["ready"] == [None, 4]
    assert history.last(4, 16)["ready"] == [None, 4, None, None]
    assert history.last(5, 14)["rate"] == [None] * 5


@pytest.mark.parametrize(
    ("slots", "until", "expected"),
    [
        pytest.param([1, 2, 3, 4, 5, 6, 7], 7, [3, 4, 5, 6, 7], id="the oldest go"),
        pytest.param([1, 2, 300], 300, [300], id="away for longer than it holds"),
        pytest.param([50, 51, 2], 2, [2], id="the clock was set back"),
        pytest.param([1, 2, 2], 2, [1, 2], id="one slot twice"),
        pytest.param([], 9, [], id="nothing yet"),
    ],
)
def test_history_holds_the_last_slots(slots: list[int], until: int, expected: list[int]) -> None:
    history = History(slots=5)
    for slot in slots:
        history.put(slot, FunctionRates(ready=float(slot)))

    assert history.last(5, until)["ready"] == expected


@pytest.mark.parametrize("value", [None, [], {"name": None, "replicas": "many"}, {"replicas": 1}])
def test_answer_that_is_no_function_is_told_as_such(value: object) -> None:
    with pytest.raises(Unavailable, match="is not a function"):
        from_json(value)


def test_form_of_a_function_deploys_the_same_function() -> None:
    sent = {
        "service": "greet", "namespace": "team", "image": "any", "envProcess": "wc -l", "envVars": {"A": "1=2"},
        "labels": {"com.openfaas.scale.min": "2", "com.openfaas.scale.zero": "true", "team": "blue"},
        "annotations": {"com.springtide.handler": "/h", "topic": "orders"}, "secrets": ["one", "two"],
        "limits": {"memory": "64Mi"}, "requests": {"cpu": "10m"}, "constraints": ["zone=a"],
        "readOnlyRootFilesystem": True,
    }  # fmt: skip
    info = from_json({**sent, "name": "greet"})

    assert deployments.deployment(deployments.form(info)) == sent


def test_a_function_s_page_is_told_of_topics_that_can_never_come() -> None:
    info = from_json({"name": "bill", "namespace": "team", "replicas": 1, "annotations": {"topic": "a,,b"}})

    assert view.limits(info)["wrong_topics"] == ["annotation topic: one of its topics is empty; leave out a , of it"]


def test_form_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="must be a JSON object"):
        deployments.deployment(["name"])


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        pytest.param(
            "hold;dur=20.00, decided;dur=1.00, accepted;dur=4.00, ready;dur=15.00, first-byte;dur=3.00",
            {"decided": 0.001, "accepted": 0.004, "ready": 0.015, "first_byte": 0.003},
            id="all of them",
        ),
        pytest.param("hold;dur=20.00, ready;dur=20.00", {"ready": 0.02}, id="only some"),
        pytest.param("db;dur=5.0", None, id="a function's own timing"),
        pytest.param("", None, id="none"),
    ],
)
def test_cold_call_is_known_by_its_server_timing(header: str, parts: dict[str, float] | None) -> None:
    cold = cold_parts({"server-timing": header})

    assert (None if cold is None else {part["part"]: part["seconds"] for part in cold["parts"]}) == parts


@pytest.mark.parametrize(
    ("takes_s", "looks_at"),
    [
        pytest.param(0.1, [0.0, 2.0, 4.0, 6.0, 8.0], id="soon answered"),
        pytest.param(4.0, [0.0, 16.0, 32.0, 48.0, 64.0], id="thousands of functions"),
    ],
)
async def test_gateway_whose_numbers_take_long_is_asked_more_rarely(
    loop: VirtualTimeLoop, takes_s: float, looks_at: list[float]
) -> None:
    asked: list[float] = []

    class Gateway:
        async def metrics(self, _: str) -> str:
            asked.append(loop.time())
            await asyncio.sleep(takes_s)
            raise Unavailable("they do not come")

        async def functions(self) -> list[object]:
            return []

    api = cast("GatewayApi", Gateway())
    watch = GatewayPoller(api, ["http://127.0.0.1:1/metrics"], step_s=2.0, clock=loop.clock, changed=lambda: None)
    looking = asyncio.create_task(watch.run())
    await asyncio.sleep(looks_at[-1] + 1.0)
    looking.cancel()

    assert EPOCH % 2.0 == 0.0
    assert asked == pytest.approx(looks_at)


async def test_list_that_does_not_come_holds_up_no_numbers(loop: VirtualTimeLoop) -> None:
    numbers: list[float] = []
    lists: list[float] = []

    class Gateway:
        async def metrics(self, _: str) -> str:
            numbers.append(loop.time())
            raise Unavailable("no matter")

        async def functions(self) -> list[object]:
            lists.append(loop.time())
            await asyncio.sleep(5.0)
            raise Unavailable("the provider is away")

    api = cast("GatewayApi", Gateway())
    watch = GatewayPoller(api, ["http://127.0.0.1:1/metrics"], step_s=2.0, clock=loop.clock, changed=lambda: None)
    looking = asyncio.create_task(watch.run())
    await asyncio.sleep(9.0)
    looking.cancel()

    assert numbers == pytest.approx([0.0, 2.0, 4.0, 6.0, 8.0])
    assert lists == pytest.approx([0.0, 7.0])


async def test_slot_is_told_only_with_its_own_numbers(loop: VirtualTimeLoop) -> None:
    told: list[tuple[float, int]] = []

    class Gateway:
        async def metrics(self, _: str) -> str:
            await asyncio.sleep(0.3)
            raise Unavailable("no matter")

        async def functions(self) -> list[object]:
            await asyncio.sleep(0.1)
            return []

    def changed() -> None:
        told.append((loop.time(), watch.slot))

    api = cast("GatewayApi", Gateway())
    watch = GatewayPoller(api, ["http://127.0.0.1:1/metrics"], step_s=2.0, clock=loop.clock, changed=changed)
    looking = asyncio.create_task(watch.run())
    await asyncio.sleep(2.1)
    watch.look_soon()
    await asyncio.sleep(0.4)
    looking.cancel()

    first = int(EPOCH / 2.0)
    assert [at for at, _ in told] == pytest.approx([0.1, 0.3, 2.2, 2.3])
    assert [slot for _, slot in told] == [0, first, first, first + 1]


@pytest.mark.parametrize("page", sorted(TEMPLATES.glob("*.html")), ids=lambda page: page.stem)
def test_nothing_can_be_clicked_before_its_script_is_there(page: Path) -> None:
    """Nothing but a dialog's, which no one sees before."""
    seen = re.sub(r"<dialog.*?</dialog>", "", page.read_text(), flags=re.DOTALL)

    assert [tag for tag in re.findall(r"<button[^>]*>", seen) if " data-waits disabled" not in tag] == []
