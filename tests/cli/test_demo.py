"""The demonstration, with this test in the role of Prometheus, the alert receiver and the idler."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import Sequence
from typing import Any

import pytest

from springtide.cli.demo.story import Pace, Story
from springtide.cli.demo.timeline import Timeline
from springtide.cli.state import Running, StateFolder
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire.provider_client import ProviderClient

CREDENTIALS = Credentials("admin", "s3cret")
LONG = Pace(idle_s=20, ready_s=20, climb_s=20, descend_s=20, sweep_s=20, follow_s=20, back_s=20)
UP, DOWN = [1, 5, 9, 13, 17, 20], [20, 16, 12, 8, 4, 1]


class Autoscalers:
    """Write counts as the real parts would, each at its place in the story."""

    def __init__(
        self,
        url: str,
        timeline: Timeline,
        *,
        up: Sequence[int] = UP,
        down: Sequence[int] = DOWN,
        zero: bool = True,
        follow: Sequence[int] = (1, 3, 7),
        back: Sequence[int] = (7, 1),
    ) -> None:
        self._url, self._timeline = url, timeline
        self._up, self._down, self._zero = up, down, [1, 0] if zero else []
        self._follow, self._back = follow, back

    async def play(self) -> None:
        client = ProviderClient(self._url, CREDENTIALS)
        try:
            await asyncio.gather(self._alerts(client), self._scaler(client))
        finally:
            await client.aclose()

    async def _alerts(self, client: ProviderClient) -> None:
        ref = await self._told("load_started")
        await self._write(client, ref, self._up, Writer.ALERT, Reason.ALERT_FIRING)
        await self._told("load_stopped")
        await self._write(client, ref, self._down, Writer.ALERT, Reason.ALERT_RESOLVED)
        await self._write(client, ref, self._zero, Writer.IDLER, Reason.IDLE)

    async def _scaler(self, client: ProviderClient) -> None:
        ref = await self._told("long_calls")
        await self._write(client, ref, self._follow, Writer.SCALER, Reason.LOAD_UP)
        await self._told("calls_ended")
        await self._write(client, ref, self._back, Writer.SCALER, Reason.LOAD_DOWN)

    async def _write(
        self, client: ProviderClient, ref: FunctionRef, counts: Sequence[int], writer: Writer, reason: Reason
    ) -> None:
        for before, after in itertools.pairwise(counts):
            decision = Decision(ref, writer, before, after, reason, "as the test has it", Instant(time.time()))
            await client.write(ref, after, expect=None, decision=decision)

    async def _told(self, reason: str) -> FunctionRef:
        """Whom it was told of."""
        while not (found := [event.function for event in self._timeline.events if event.reason == reason]):  # noqa: ASYNC110 - told elsewhere
            await asyncio.sleep(0.01)
        return FunctionRef.parse(found[0])


def played(api: Any, pace: Pace = LONG, **parts: Any) -> Timeline:
    """The timeline of one whole story; raises as the story does."""
    timeline = Timeline(began=time.time(), as_json=True)

    async def both() -> None:
        autoscalers = asyncio.create_task(Autoscalers(api.url, timeline, **parts).play())
        try:
            await Story(api.url, CREDENTIALS, pace, timeline).play()
        finally:
            autoscalers.cancel()
            await asyncio.gather(autoscalers, return_exceptions=True)

    asyncio.run(both())
    return timeline


def functions(api: Any) -> list[str]:
    async def names() -> list[str]:
        return [function.ref.name for function in await api.provider.list_functions()]

    return list(api.do(names()))


def test_story_is_told_from_first_call_to_cold_call(api: Any, capfd: pytest.CaptureFixture[str]) -> None:
    timeline = played(api)

    told = {owner: [e.reason for e in timeline.events if f"-{owner}-" in e.function] for owner in ("alerts", "scaler")}
    assert told["alerts"] == [
        "deployed",
        "load_started",
        *["alert_firing"] * 5,
        "replicas_ready",
        "load_stopped",
        *["alert_resolved"] * 5,
        "idle",
        "wake",
        "cold_call",
    ]
    assert told["scaler"] == ["deployed", "stayed", "long_calls", *["load_up"] * 2, "calls_ended", "load_down"]
    printed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(event["before"], event["after"]) for event in printed if event["reason"] == "wake"] == [(0, 1)]
    assert all({"t", "function", "before", "after", "reason", "detail"} <= event.keys() for event in printed)
    assert functions(api) == []


@pytest.mark.parametrize(
    ("parts", "pace", "said"),
    [
        pytest.param(
            {"up": []},
            {"climb_s": 0.3},
            "the alert did not take the function to 20 replicas within 0.3 s; changes so far: none",
            id="no alert",
        ),
        pytest.param(
            {"up": [1, 9, 20]},
            {},
            "the steps up were 1 → 9, 9 → 20, not 1 → 5, 5 → 9, 9 → 13, 13 → 17, 17 → 20",
            id="other steps",
        ),
        pytest.param(
            {"down": [20, 1]},
            {},
            "the steps down were 20 → 1, not 20 → 16, 16 → 12, 12 → 8, 8 → 4, 4 → 1",
            id="off the cliff",
        ),
        pytest.param(
            {"down": [20, 16]},
            {"descend_s": 0.3},
            "the resolved alert did not take the function back to 1 replica within 0.3 s",
            id="never down",
        ),
        pytest.param(
            {"zero": False},
            {"idle_s": 0.2, "sweep_s": 0.1},
            "the idler did not take the function to zero",
            id="no idler",
        ),
        pytest.param(
            {"follow": [1, 3]},
            {"follow_s": 0.3},
            "the scaler did not follow the long calls to 6 replicas within 0.3 s; changes so far: 1 → 3 (load_up)",
            id="no scaler",
        ),
        pytest.param(
            {"back": [7, 2]},
            {"back_s": 0.3},
            "the scaler did not take the function back to 1 replica within 0.3 s",
            id="never back",
        ),
    ],
)
def test_story_that_did_not_happen_says_what_is_missing(
    api: Any, parts: dict[str, Any], pace: dict[str, float], said: str
) -> None:
    limits = {name: getattr(LONG, name) for name in Pace.__slots__} | pace

    with pytest.raises(Unavailable) as caught:
        played(api, Pace(**limits), **parts)
    assert str(caught.value).startswith(said)
    assert functions(api) == [], "the function is gone also when the story breaks off"


def test_function_of_a_demo_that_was_killed_is_removed(api: Any, springtide: Any) -> None:
    springtide("deploy", "demo-dead", "--fprocess", "cat", "-l", "com.springtide.demo=true")
    springtide("deploy", "mine", "--fprocess", "cat")

    with pytest.raises(Unavailable):
        played(api, Pace(idle_s=1, ready_s=20, climb_s=0.1, descend_s=1, sweep_s=1, follow_s=1, back_s=1), up=[])

    assert functions(api) == ["mine"]


def test_demo_without_a_suite_says_how_to_start_one(terminal: Any) -> None:
    outcome = terminal("demo", "-g", "http://127.0.0.1:1")

    assert outcome.status == 1
    assert outcome.err == (
        "springtide: no suite of this machine runs at http://127.0.0.1:1; start one with: springtide up --fast\n"
    )


def test_demo_of_a_suite_without_alert_path_says_so(terminal: Any) -> None:
    state = StateFolder.default(terminal.environ)
    with state.held():
        state.announce(
            Running(pid=os.getpid(), gateway="http://127.0.0.1:1", metrics="m", provider="p", alert_receiver="a")
        )
        outcome = terminal("demo")

    assert outcome.status == 1
    assert outcome.err.startswith("springtide: this suite runs without Prometheus and Alertmanager")


def test_timeline_for_people_shows_time_change_reason_and_detail(capfd: pytest.CaptureFixture[str]) -> None:
    ref = FunctionRef("openfaas-fn", "demo")
    timeline = Timeline(began=100.0, as_json=False)

    timeline.decided(Decision(ref, Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "alert fires", Instant(106.25)))
    timeline.happened(107.0, str(ref), replicas=5, reason="load_stopped", detail="9 calls")

    assert capfd.readouterr().out.splitlines() == [
        "    6.2 s  demo     1 → 5  alert_firing    alert fires",
        "    7.0 s  demo         5  load_stopped    9 calls",
    ]
