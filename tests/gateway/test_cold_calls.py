from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import structlog

from springtide.runtime.errors import Conflict, NotFound, Unavailable
from springtide.scaler.core.vocabulary import Reason, Scale, Writer
from springtide.wire.provider_client import Unreachable
from tests.gateway.harness import Conversation, data_plane, echo, get, post, ref, replica, response

pytestmark = pytest.mark.uvloop


ZERO = {"com.openfaas.scale.zero": "true"}


async def test_five_hundred_callers_of_a_sleeping_function_make_one_wake_and_are_all_answered() -> None:
    async with data_plane() as gateway, replica(echo) as server:
        gateway.publish("echo", [], desired=0, labels=ZERO)

        async def call(number: int) -> tuple[int, bytes]:
            async with gateway.connect() as caller:
                await caller.send(post(b"%d" % number))
                answer = await caller.answer()
                return answer.status, answer.body

        calls = [asyncio.create_task(call(number)) for number in range(500)]
        await gateway.until(lambda: gateway.route().metrics.held == 500)
        gateway.publish("echo", [server], labels=ZERO)
        answers = await asyncio.gather(*calls)

        assert answers == [(200, b"%d" % number) for number in range(500)]
        assert gateway.target.writes == [(ref("echo"), 1, "1")]
        assert gateway.route().metrics.cold_start.count == 500
        assert gateway.route().metrics.held == 0


async def test_wake_asks_for_the_minimum_and_says_why() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0, labels={"com.openfaas.scale.min": "3"})
        await caller.send(get())
        await gateway.target.written.wait()
        gateway.publish("echo", [server], desired=3)
        await caller.answer()

        (decision,) = gateway.target.decisions
        assert (decision.ref, decision.writer, decision.reason) == (ref("echo"), Writer.WAKE, Reason.WAKE)
        assert (decision.before, decision.after, decision.detail) == (0, 3, "1 caller waits")
        assert decision.inputs == {"held": 1, "min": 3, "max": 20}
        assert gateway.decisions.recorded == [decision]


@pytest.mark.parametrize(
    ("labels", "learned", "after", "detail"),
    [
        pytest.param(
            {}, 6, 6, "1 caller waits; woken to 6: the middle of the last three wakes needed that", id="as learned"
        ),
        pytest.param(
            {"com.openfaas.scale.max": "4"},
            6,
            4,
            "1 caller waits; woken to 4: the middle of the last three wakes needed that",
            id="within its maximum",
        ),
        pytest.param({"com.openfaas.scale.min": "3"}, 2, 3, "1 caller waits", id="never below its minimum"),
        pytest.param({"com.springtide.scale.wake": "min"}, 6, 1, "1 caller waits", id="its label asks for the minimum"),
    ],
)
async def test_wake_asks_for_what_the_last_ones_needed(
    labels: dict[str, str], learned: int, after: int, detail: str
) -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0, labels=labels, learned_wake=learned)
        await caller.send(get())
        await gateway.target.written.wait()
        gateway.publish("echo", [server], desired=after)
        await caller.answer()

        (decision,) = gateway.target.decisions
        assert (decision.before, decision.after, decision.detail) == (0, after, detail)


async def test_wake_that_lost_a_race_goes_by_what_was_learned_meanwhile() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0)
        gateway.target.failures.append(Conflict("the version moved on"))
        gateway.target.scales[ref("echo")], gateway.target.learned_wake = Scale(0, 0, "77"), 5
        await caller.send(get())
        await gateway.until(lambda: len(gateway.target.writes) == 2)
        gateway.publish("echo", [server], desired=5)
        await caller.answer()

        assert gateway.target.writes[1] == (ref("echo"), 5, "77")


async def test_wake_is_one_line_in_the_log_however_many_wait() -> None:
    with structlog.testing.capture_logs() as lines:
        async with data_plane() as gateway, replica(echo) as server:
            gateway.publish("echo", [], desired=0)
            async with gateway.connect() as one, gateway.connect() as other:
                await one.send(get())
                await other.send(get())
                await gateway.target.written.wait()
                gateway.publish("echo", [server])
                await asyncio.gather(one.answer(), other.answer())

    (line,) = lines
    assert (line["event"], line["function"], line["reason"]) == ("woken", "echo.openfaas-fn", "wake")
    assert (line["before"], line["after"]) == (0, 1)


async def test_function_that_is_awake_but_not_ready_is_waited_for_and_not_woken() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=2)
        await caller.send(get())
        await gateway.until(lambda: gateway.route().metrics.held == 1)

        gateway.publish("echo", [server], desired=2)

        assert (await caller.answer()).status == 200
        assert gateway.target.writes == []


async def test_reply_that_waited_says_where_the_time_went() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.target.written.wait()
        gateway.publish("echo", [server])
        cold, warm = await caller.answer(), await caller.get()

        parts = dict(re.findall(r"([a-z-]+);dur=([0-9.]+)", cold["server-timing"]))
        assert list(parts) == ["hold", "decided", "accepted", "ready", "first-byte"]
        inside = sum(float(parts[name]) for name in ("decided", "accepted", "ready"))
        assert inside == pytest.approx(float(parts["hold"]), abs=0.05)
        assert "server-timing" not in warm.headers


async def test_first_come_is_first_served() -> None:
    async with data_plane() as gateway, replica(echo, max_inflight=1) as server:
        gateway.publish("echo", [], desired=0)
        tasks = []
        for number in range(20):

            async def call(number: int = number) -> int:
                async with gateway.connect() as caller:
                    await caller.send(post(b"%d" % number))
                    return (await caller.answer()).status

            tasks.append(asyncio.create_task(call()))
            await gateway.until(lambda number=number: gateway.route().metrics.held == number + 1)  # type: ignore[misc]

        gateway.publish("echo", [server])
        await asyncio.gather(*tasks)

        assert [received.body for received in server.received] == [b"%d" % number for number in range(20)]


async def test_waiting_callers_spread_over_replicas_as_they_come() -> None:
    go_on = asyncio.Event()

    async def busy(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await go_on.wait()
            await conversation.send(response())

    async with data_plane() as gateway, replica(busy, max_inflight=5) as one, replica(busy, max_inflight=5) as two:
        gateway.publish("echo", [], desired=2)

        async def call() -> int:
            async with gateway.connect() as caller:
                return (await caller.get()).status

        tasks = [asyncio.create_task(call()) for _ in range(12)]
        await gateway.until(lambda: gateway.route().metrics.held == 12)
        gateway.publish("echo", [one], desired=2)
        await gateway.until(lambda: len(one.received) == 5)
        assert gateway.route().metrics.held == 7
        gateway.publish("echo", [one, two], desired=2)
        await gateway.until(lambda: len(two.received) == 5)
        assert gateway.route().metrics.held == 2

        go_on.set()
        assert await asyncio.gather(*tasks) == [200] * 12


# QueueBounds.


async def test_callers_beyond_the_bound_of_one_function_are_refused_at_once() -> None:
    async with data_plane(max_held_per_function=2) as gateway, replica(echo) as server:
        gateway.publish("echo", [], desired=0)
        async with gateway.connect() as one, gateway.connect() as two, gateway.connect() as three:
            await one.send(get())
            await two.send(get())
            await gateway.until(lambda: gateway.route().metrics.held == 2)

            refused = await three.get()

            assert (refused.status, refused["retry-after"]) == (503, "1")
            assert refused["x-openfaas-internal"] == "gateway"
            assert gateway.route().metrics.refused == {"overloaded": 1}
            gateway.publish("echo", [server])
            assert [(await caller.answer()).status for caller in (one, two)] == [200, 200]
            assert (await three.get()).status == 200


@pytest.mark.parametrize(
    "bounds", [pytest.param({"max_held": 1}, id="callers"), pytest.param({"max_held_bytes": 300}, id="bytes")]
)
async def test_the_whole_room_is_bounded(bounds: dict[str, Any]) -> None:
    async with data_plane(**bounds) as gateway:
        gateway.publish("one", [], desired=0)
        gateway.publish("two", [], desired=0)
        async with gateway.connect() as first, gateway.connect() as second:
            await first.send(get("/function/one"))
            await gateway.until(lambda: gateway.route("one").metrics.held == 1)

            assert (await second.get("/function/two")).status == 503


# Deadlines.


async def test_caller_is_held_only_so_long() -> None:
    async with data_plane(hold_timeout_s=0.05) as gateway, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)

        answer = await caller.get()

        assert (answer.status, answer["retry-after"]) == (503, "1")
        assert gateway.route().metrics.refused == {"hold_timeout": 1}
        assert gateway.route().metrics.held == 0


async def test_caller_may_shorten_its_wait_but_not_lengthen_it() -> None:
    async with data_plane(hold_timeout_s=1.0) as gateway:
        gateway.publish("echo", [], desired=1)
        async with gateway.connect() as patient, gateway.connect() as hasty, gateway.connect() as greedy:
            await patient.send(get())
            await greedy.send(get("/function/echo", "X-Timeout: 10h\r\n"))
            await gateway.until(lambda: gateway.route().metrics.held == 2)

            assert (await hasty.get("/function/echo", "X-Timeout: 50ms\r\n")).status == 503
            assert gateway.route().metrics.held == 2
            assert (await greedy.answer()).status == 503
            assert (await patient.answer()).status == 503


async def test_x_timeout_that_is_no_duration_is_the_functions_business() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(get("/function/echo", "X-Timeout: soon\r\n"))
        await gateway.until(lambda: gateway.route().metrics.held == 1)
        gateway.publish("echo", [server])

        assert (await caller.answer()).status == 200
        assert server.received[0].values("x-timeout") == ["soon"]


# Wakes that go wrong.


async def test_wake_that_lost_a_race_reads_again_and_writes_with_the_new_version() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.target.failures.append(Conflict("moved on"))
        gateway.target.scales[ref("echo")] = Scale(0, 0, "newer")
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.until(lambda: len(gateway.target.writes) == 2)
        gateway.publish("echo", [server])

        assert (await caller.answer()).status == 200
        assert [expect for _, _, expect in gateway.target.writes] == ["1", "newer"]


async def test_wake_that_finds_the_function_awake_writes_nothing_more() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.target.failures.append(Conflict("moved on"))
        gateway.target.scales[ref("echo")] = Scale(4, 0, "newer")
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.until(lambda: gateway.route().desired == 4)
        gateway.publish("echo", [server], desired=4)

        assert (await caller.answer()).status == 200
        assert len(gateway.target.writes) == 1


async def test_wake_waits_for_a_provider_that_is_away_for_a_moment() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.target.failures += [Unavailable("restarting"), Unavailable("restarting")]
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.until(lambda: len(gateway.target.writes) == 3)
        gateway.publish("echo", [server])

        assert (await caller.answer()).status == 200


async def test_provider_that_is_away_is_waited_for_as_long_as_a_caller_may_be_held() -> None:
    async with data_plane(wake_patience_s=0.0, hold_timeout_s=5.0) as gateway, replica(echo) as server:
        gateway.target.failures += [Unreachable("provider: connection refused")] * 5
        gateway.publish("echo", [], desired=0)
        async with gateway.connect() as hurried, gateway.connect() as caller:
            await hurried.send(get(headers="X-Timeout: 200ms\r\n"))
            await caller.send(get())

            left = await hurried.answer()
            assert (left.status, b"provider: connection refused" in left.body) == (503, True)
            await gateway.until(lambda: len(gateway.target.writes) == 6)
            gateway.publish("echo", [server])

            assert (await caller.answer()).status == 200
            assert gateway.route().metrics.refused == {"hold_timeout": 1}
            assert gateway.route().wake_obstacle is None


async def test_wake_ends_with_the_last_caller_that_waited_for_the_provider() -> None:
    async with data_plane(hold_timeout_s=0.3) as gateway, gateway.connect() as caller:
        gateway.target.failures += [Unreachable("provider: connection refused")] * 1000
        gateway.publish("echo", [], desired=0)

        assert (await caller.get()).status == 503
        await gateway.until(lambda: bool(gateway.decisions.recorded))

        failed = gateway.decisions.recorded[-1]
        assert (failed.reason, failed.inputs["held"]) == (Reason.WRITE_FAILED, 0)


async def test_wake_that_fails_is_503_with_the_providers_reason() -> None:
    async with data_plane(wake_patience_s=0.2) as gateway, gateway.connect() as caller:
        gateway.target.failures += [Unavailable("no space left on this machine")] * 10
        gateway.publish("echo", [], desired=0)

        answer = await caller.get()

        assert answer.status == 503
        assert b"no space left on this machine" in answer.body
        assert gateway.route().metrics.refused == {"wake_failed": 1}
        failed = gateway.decisions.recorded[-1]
        assert (failed.reason, failed.inputs["held"]) == (Reason.WRITE_FAILED, 1)
        assert gateway.route().metrics.held == 0


async def test_function_after_a_failed_wake_can_be_woken_again() -> None:
    async with data_plane(wake_patience_s=0.0) as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.target.failures.append(Unavailable("away"))
        gateway.publish("echo", [], desired=0)
        assert (await caller.get()).status == 503

        await caller.send(get())
        await gateway.until(lambda: len(gateway.target.writes) == 2)
        gateway.publish("echo", [server])

        assert (await caller.answer()).status == 200


async def test_function_that_the_provider_no_longer_has_is_404() -> None:
    async with data_plane() as gateway, gateway.connect() as caller:
        gateway.target.failures.append(NotFound("no function echo"))
        gateway.publish("echo", [], desired=0)

        assert (await caller.get()).status == 404


async def test_callers_of_a_function_that_is_deleted_are_404() -> None:
    async with data_plane() as gateway, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.target.written.wait()

        gateway.remove("echo")

        assert (await caller.answer()).status == 404
        assert (await caller.get()).status == 404


async def test_function_that_goes_back_to_sleep_under_its_callers_is_woken_again() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(get())
        await gateway.until(lambda: gateway.route().metrics.held == 1)

        gateway.publish("echo", [], desired=0)
        await gateway.target.written.wait()
        gateway.publish("echo", [server])

        assert (await caller.answer()).status == 200


async def test_function_that_cannot_start_is_503_with_the_problem() -> None:
    async with data_plane(problem_grace_s=0.05) as gateway, gateway.connect() as caller:
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.target.written.wait()
        gateway.publish("echo", [], desired=1, problem="fprocess: no such file")
        waited = await caller.answer()
        came_later = await caller.get()

        assert (waited.status, came_later.status) == (503, 503)
        assert b"no such file" in waited.body
        assert b"no such file" in came_later.body


async def test_function_that_takes_too_long_is_503_with_what_delays_it() -> None:
    async with data_plane(hold_timeout_s=0.2, problem_grace_s=0.0) as gateway, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1, delay="it answers /_/ready with 503")
        answer = await caller.get()

        assert answer.status == 503
        assert b"within hold_timeout (0.2 s) of the gateway: it answers /_/ready with 503" in answer.body


async def test_problem_that_passes_costs_no_caller_its_answer() -> None:
    async with data_plane(problem_grace_s=0.2) as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(get())
        await gateway.until(lambda: gateway.route().metrics.held == 1)
        gateway.publish("echo", [], desired=1, problem="the port was taken")
        gateway.publish("echo", [server])

        assert (await caller.answer()).status == 200


async def test_zero_that_is_asked_for_right_after_a_wake_does_not_leave_callers_waiting() -> None:
    """The provider's push of the zero comes before the answer to the wake's own write."""

    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        write = gateway.target.write

        async def overtaken(*arguments: Any, **options: Any) -> Scale:
            scale = await write(*arguments, **options)
            if len(gateway.target.writes) == 1:
                gateway.publish("echo", [], desired=0)
                gateway.target.scales[ref("echo")] = Scale(0, 0, gateway.route().version)
            return scale

        gateway.target.write = overtaken  # type: ignore[method-assign]
        gateway.publish("echo", [], desired=0)
        await caller.send(get())
        await gateway.until(lambda: len(gateway.target.writes) == 2)
        gateway.publish("echo", [server])

        assert (await caller.answer()).status == 200


async def test_failed_wake_is_told_to_callers_before_the_log() -> None:
    held: list[int] = []
    async with data_plane(wake_patience_s=0.2) as gateway, gateway.connect() as caller:

        def note(_: object, __: str, event: structlog.typing.EventDict) -> str:
            if event["event"] == "a wake failed":
                held.append(gateway.route().metrics.held)
            return ""

        gateway.target.failures += [Unavailable("no space left on this machine")] * 10
        gateway.publish("echo", [], desired=0)
        before = structlog.get_config()
        structlog.configure(processors=[note])
        try:
            assert (await caller.get()).status == 503
        finally:
            structlog.configure(**before)

    assert held == [0]
