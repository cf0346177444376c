"""What becomes of a job, in virtual time: retried in time, run once however long it takes, cancelled, given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from springtide.queue_worker.execution import MAX_DEAD_ANSWER
from springtide.queue_worker.retrying import LOST_ATTEMPTS
from springtide.queue_worker.sharing import SETTLE_S
from springtide.wire.jobs.job import Answer, JobState, StoredBody
from springtide.wire.jobs.ports import CallbackLease, Lease
from tests.queue_worker.values import INTERNAL, QUEUE, a_job, answer, lane
from tests.queue_worker.world import ACK_WAIT_S, CALLBACK, Worker, World, takes

pytestmark = pytest.mark.virtual_time


def began(world: World) -> list[float]:
    """Since the first worker was sure to be alone."""
    return [run.began_at - SETTLE_S for run in world.functions.runs]


# Retries.


async def test_a_call_is_repeated_in_its_time_and_then_done(world: World) -> None:
    world.functions.deploy("echo", takes(1.0, answer(500), answer(0), answer(503), answer(200)))
    world.worker()
    (job_id,) = await world.post()
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts) == (JobState.DONE, 4)
    assert began(world) == pytest.approx([0.0, 11.0, 32.0, 73.0], abs=0.1)  # 10, 20 and 40 s after each end


async def test_a_call_is_given_up_after_its_attempts_and_kept_whole(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(502, ("A", "b"), body=b"no")))
    world.worker()
    (job_id,) = await world.post()
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts) == (JobState.FAILED, 10)
    assert "10 times" in outcome.reason
    assert "status 502" in outcome.reason
    assert began(world) == pytest.approx([0, 10, 30, 70, 150, 270, 390, 510, 630, 750], abs=0.5)
    ((letter, body),) = world.broker.dead.values()
    assert (letter.job.id, body, letter.outcome) == (job_id, b"body", outcome)
    assert world.broker.jobs(QUEUE) == {}


async def test_a_letter_keeps_the_beginning_of_a_long_answer_and_the_outcome_all_of_it(world: World) -> None:
    long = bytes(range(256)) * 1000
    world.functions.deploy("echo", takes(0.0, answer(500, body=long)))
    world.worker(max_attempts=1)
    (job_id,) = await world.post()
    (outcome,) = await world.ended(job_id)
    ((letter, _),) = world.broker.dead.values()
    assert letter.outcome.answer is not None
    assert outcome.answer is not None
    assert outcome.answer.body == long
    assert (letter.outcome.answer.body, letter.outcome.answer.truncated) == (long[:MAX_DEAD_ANSWER], True)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 422, 501])
async def test_what_is_not_to_be_repeated_is_done(world: World, status: int) -> None:
    world.functions.deploy("echo", takes(0.0, answer(status)))
    world.worker()
    (outcome,) = await world.ended(*await world.post())
    assert (outcome.state, outcome.answer, outcome.attempts) == (JobState.DONE, answer(status), 1)


async def test_a_function_says_how_it_is_repeated(world: World) -> None:
    said = {"attempts": "3", "codes": "418", "min_wait": "1s", "max_wait": "1500ms"}
    annotations = {f"com.openfaas.retry.{name}": value for name, value in said.items()}
    world.functions.deploy("echo", takes(0.0, answer(418)), annotations=annotations)
    world.functions.deploy("other", takes(0.0, answer(500)), annotations=annotations)
    world.worker()
    teapot, error = await world.ended(*await world.post("echo"), *await world.post("other"))
    assert (teapot.state, teapot.attempts) == (JobState.FAILED, 3)
    assert (error.state, error.attempts) == (JobState.DONE, 1)
    times = [run.began_at - SETTLE_S for run in world.functions.runs if run.job.lane == lane("echo")]
    assert times == pytest.approx([0.0, 1.0, 2.5], abs=0.1)


async def test_annotations_that_change_hold_from_the_next_try(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500)))
    world.worker()
    (job_id,) = await world.post()
    await asyncio.sleep(5.0)
    world.functions.deploy("echo", annotations={"com.openfaas.retry.attempts": "2"})
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts) == (JobState.FAILED, 2)


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_honoured(world: World, as_date: bool) -> None:
    async def busy(lease: Lease) -> Answer:
        at = datetime.fromtimestamp(world.clock.wall() + 55.0, UTC)
        return (
            answer(429, ("Retry-After", format_datetime(at) if as_date else "55"))
            if lease.deliveries == 1
            else answer()
        )

    world.functions.deploy("echo", busy)
    world.worker()
    await world.ended(*await world.post())
    assert began(world) == pytest.approx([0.0, 55.0], abs=1.1)


async def test_an_error_of_the_gateways_own_is_repeated_and_named(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(599, INTERNAL, body=b"no replica came\n")))
    world.worker(max_attempts=2)
    (outcome,) = await world.ended(*await world.post())
    assert (outcome.state, outcome.attempts) == (JobState.FAILED, 2)
    assert outcome.reason.endswith("status 599, no replica came")


async def test_a_job_is_not_tried_again_once_it_is_too_old(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500)))
    world.worker(max_age_s=100.0)
    (outcome,) = await world.ended(*await world.post())
    assert (outcome.state, outcome.attempts) == (JobState.FAILED, 5)  # at 0, 10, 30, 70 and 150 s
    assert "older than" in outcome.reason


async def test_the_age_of_a_delayed_job_is_since_its_time_came(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500), answer()))
    world.worker(max_age_s=5.0)
    (job_id,) = await world.post(not_before=world.clock.wall() + 1000.0)
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, began(world)) == (JobState.DONE, pytest.approx([1000.0, 1010.0], abs=0.5))


async def test_a_job_whose_retry_waits_keeps_no_place(world: World) -> None:
    world.functions.deploy("echo", takes(1.0, answer(500), answer()), replicas=1, limit=1)
    world.worker()
    ids = await world.post(count=5)
    await world.ended(*ids)
    assert began(world)[:5] == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0], abs=0.1)


async def test_retries_of_a_worker_that_is_gone_come_to_another(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500), answer()))
    first = world.worker()
    (job_id,) = await world.post()
    await asyncio.sleep(1.0)
    await first.stop()
    world.worker()
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts) == (JobState.DONE, 2)
    assert began(world)[1] == pytest.approx(10.0, abs=2.1)


# Leases.


async def test_a_job_that_takes_longer_than_a_lease_runs_once(world: World) -> None:
    world.functions.deploy("echo", takes(90.0))
    world.worker(ack_wait_s=5.0)
    world.worker(ack_wait_s=5.0)
    (outcome,) = await world.ended(*await world.post())
    assert (outcome.state, outcome.attempts, len(world.functions.runs)) == (JobState.DONE, 1, 1)


async def test_a_job_whose_worker_is_killed_runs_once_more(world: World) -> None:
    world.functions.deploy("echo", takes(90.0))
    worker = world.worker(ack_wait_s=5.0)
    (job_id,) = await world.post()
    await asyncio.sleep(45.0)
    await worker.kill()
    world.worker(ack_wait_s=5.0)
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts, len(world.functions.runs)) == (JobState.DONE, 2, 2)
    assert world.functions.runs[1].began_at <= 45.0 + 5.0 + 2.1


async def killed_before(world: World, worker: Worker, step: str) -> None:
    def before(taken: str) -> None:
        worker.link.cut = worker.link.cut or taken == step

    worker.link.before = before
    await world.until(lambda: worker.link.cut)
    await worker.kill()


async def test_workers_killed_before_they_call_take_no_attempt_along(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500), answer(500), answer()))
    (job_id,) = await world.post()
    for _ in range(10):
        worker = world.worker(ack_wait_s=1.0, max_attempts=2)
        await killed_before(world, worker, "outcome")
    world.worker(ack_wait_s=1.0, max_attempts=2)
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts, len(world.functions.runs)) == (JobState.DONE, 1, 1)


async def test_a_server_that_forgot_what_was_told_of_a_job_gives_it_no_more_attempts(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500)))
    world.worker(max_attempts=3)
    (job_id,) = await world.post()
    await world.until(lambda: len(world.functions.runs) == 2)
    world.broker.lose_memory()
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts, len(world.functions.runs)) == (JobState.FAILED, 3, 3)


async def test_a_job_that_kills_its_workers_is_given_up(world: World) -> None:
    world.functions.deploy("echo", takes(1000.0))
    (job_id,) = await world.post()
    while (await world.state(job_id)) is not JobState.FAILED:
        worker = world.worker(ack_wait_s=1.0, max_attempts=2)
        await asyncio.sleep(5.0)
        await worker.kill()
    assert len(world.functions.runs) == 2 + LOST_ATTEMPTS
    assert "did not live" in (await world.outcome(job_id)).reason
    assert len(world.broker.dead) == 1


async def test_a_worker_that_is_stopped_finishes_what_it_can_and_takes_no_more(world: World) -> None:
    world.functions.deploy("echo", takes(10.0), replicas=1, limit=3)
    worker = world.worker()
    ids = await world.post(count=6)
    await asyncio.sleep(5.0)
    await worker.stop(grace_s=30.0)
    assert world.loop.time() == pytest.approx(SETTLE_S + 10.0, abs=0.1)
    states = [await world.state(job_id) for job_id in ids]
    assert states == [JobState.DONE] * 3 + [JobState.QUEUED] * 3


async def test_a_worker_that_is_stopped_hands_back_what_it_cannot_finish(world: World) -> None:
    world.functions.deploy("echo", takes(100.0))
    worker = world.worker()
    (job_id,) = await world.post()
    await asyncio.sleep(5.0)
    await worker.stop(grace_s=10.0)
    assert world.loop.time() == pytest.approx(15.0, abs=0.1)
    assert world.functions.runs[0].broken
    world.worker()
    await asyncio.sleep(SETTLE_S + 0.5)
    assert began(world) == pytest.approx([0.0, 15.0], abs=0.1)  # at once, and not when the lease ends
    (outcome,) = await world.ended(job_id)
    assert outcome.attempts == 2


async def test_what_comes_to_a_worker_that_stops_goes_back(world: World) -> None:
    """Taken in the very moment."""
    world.functions.deploy("echo", takes(1.0))
    worker = world.worker()
    await asyncio.sleep(1.0)
    stopping: list[asyncio.Task[None]] = []

    def stop(step: str) -> None:
        if step == "take":
            worker.link.before = lambda _: None
            stopping.append(asyncio.ensure_future(worker.work.dispatch.drain(0.0)))

    worker.link.before = stop
    (job_id,) = await world.post()
    await asyncio.sleep(0.1)
    await asyncio.gather(*stopping)
    await worker.end()
    world.worker()
    (outcome,) = await world.ended(job_id)
    assert outcome.state is JobState.DONE
    assert world.loop.time() <= 5.0


async def test_a_job_that_its_own_worker_is_given_again_goes_on(world: World) -> None:
    """The broker was away for longer than the lease lasts."""
    world.functions.deploy("echo", takes(100.0))
    world.worker()
    (job_id,) = await world.post()
    await asyncio.sleep(5.0)
    world.broker.away = True
    await asyncio.sleep(ACK_WAIT_S + 10.0)
    world.broker.away = False
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, len(world.functions.runs)) == (JobState.DONE, 1)
    assert world.broker.jobs(QUEUE) == {}
    assert world.loop.time() == pytest.approx(100.0, abs=1.0)


async def test_a_stored_body_that_is_gone_ends_the_job_with_the_reason(world: World) -> None:
    async def gone(lease: Lease) -> Answer:
        async for _ in lease.body():
            pass
        raise AssertionError

    world.functions.deploy("echo", gone)
    world.worker()
    (job_id,) = await world.submit(replace(a_job(callback=CALLBACK), stored_body=StoredBody("gone", 5)))
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts) == (JobState.FAILED, 1)
    assert "gone" in outcome.reason


# Cancelled.


async def cancelled(world: World, job_id: str) -> JobState:
    """As the gateway's DELETE does it: told its worker while it runs, taken away otherwise."""
    found = await world.store.remove(job_id)
    assert found is not None
    if not found.state.final:
        await world.store.stop_running(job_id)
    await asyncio.sleep(0.1)
    state = await world.state(job_id)
    assert state is not None
    return state


async def test_a_queued_job_is_cancelled(world: World) -> None:
    (job_id,) = await world.post()
    assert await cancelled(world, job_id) is JobState.CANCELLED
    world.functions.deploy("echo", takes(0.0))
    world.worker()
    await asyncio.sleep(10.0)
    assert world.functions.runs == []


async def test_a_delayed_job_is_cancelled(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.worker()
    (job_id,) = await world.post(not_before=world.clock.wall() + 100.0)
    await asyncio.sleep(1.0)
    assert await cancelled(world, job_id) is JobState.CANCELLED
    await asyncio.sleep(200.0)
    assert world.functions.runs == []


async def test_a_running_job_is_cancelled_and_its_connection_closed(world: World) -> None:
    world.functions.deploy("echo", takes(100.0))
    world.worker()
    world.worker()
    (job_id,) = await world.post(callback=CALLBACK)
    await asyncio.sleep(1.0)
    assert await cancelled(world, job_id) is JobState.CANCELLED
    (run,) = world.functions.runs
    assert (run.broken, run.ended_at) == (True, pytest.approx(1.0, abs=0.1))
    await asyncio.sleep(100.0)
    assert world.told.told == []
    assert world.broker.dead == {}
    assert world.broker.jobs(QUEUE) == {}


async def test_a_job_that_waits_for_its_retry_is_cancelled(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500), answer()))
    world.worker()
    (job_id,) = await world.post()
    await asyncio.sleep(5.0)
    assert await world.state(job_id) is JobState.RETRYING
    assert await cancelled(world, job_id) is JobState.CANCELLED
    outcome = await world.outcome(job_id)
    assert outcome.attempts == 1
    assert outcome.reason == "it was cancelled after 1 attempt, while it waited for the next"
    await asyncio.sleep(60.0)
    assert len(world.functions.runs) == 1


async def test_a_job_that_is_done_stays_done(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.worker()
    (job_id,) = await world.post()
    await world.ended(job_id)
    assert await cancelled(world, job_id) is JobState.DONE


async def test_a_job_that_is_cancelled_while_its_last_try_ends_is_not_tried_again(world: World) -> None:
    """The word comes when the answer is there and the lease not yet handed back."""
    world.functions.deploy("echo", takes(1.0, answer(500), answer()))
    worker = world.worker()
    (job_id,) = await world.post()

    def stop(step: str) -> None:
        if step == "tell" and world.loop.time() >= 0.9:
            found = worker.work.dispatch
            found.cancel(world.functions.runs[0].job.token)

    worker.link.before = stop
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, len(world.functions.runs)) == (JobState.CANCELLED, 1)


async def test_what_was_noted_as_cancelled_is_settled_without_a_call(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500), answer()))
    world.worker()
    (job_id,) = await world.post(callback=CALLBACK)
    await asyncio.sleep(1.0)
    await world.store.forbid(job_id)
    await asyncio.sleep(20.0)
    assert len(world.functions.runs) == 1
    assert world.broker.jobs(QUEUE) == {}
    assert world.told.told == []


# The broker is away.


STORED = ["store outcome", "store callback", "store dead", "settle", "hand back"]
STEPS = [(step, "asked") for step in ("backlog", "take", "outcome", "tell", *STORED)]


@pytest.mark.parametrize(("step", "lost"), [*STEPS, *((step, "answered") for step in STORED)])
async def test_the_broker_may_go_away_at_each_step(world: World, step: str, lost: str) -> None:
    """Before it hears of a step, or before its answer is heard; nothing is run again for that."""
    world.functions.deploy("echo", takes(1.0, answer(500)), annotations={"com.openfaas.retry.attempts": "2"})
    worker = world.worker()
    went: list[str] = []

    def away(taken: str) -> None:
        if taken == step and not went:
            went.append(step)
            worker.link.cut = True
            world.loop.call_later(3.0, setattr, worker.link, "cut", False)

    setattr(worker.link, "before" if lost == "asked" else "after", away)
    (job_id,) = await world.post(callback=CALLBACK)
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts) == (JobState.FAILED, 2)
    assert len(world.functions.runs) == 2
    assert len(world.broker.dead) == 1
    await world.until(lambda: len(world.told.told) >= 1)
    assert went == [step]


@pytest.mark.parametrize("step", STORED)
async def test_a_broker_that_is_away_for_several_leases_has_nothing_run_again(world: World, step: str) -> None:
    world.functions.deploy("echo", takes(1.0, answer(500)), annotations={"com.openfaas.retry.attempts": "2"})
    worker = world.worker(ack_wait_s=5.0)
    went: list[str] = []

    def away(taken: str) -> None:
        if taken == step and not went:
            went.append(step)
            worker.link.cut = True
            world.loop.call_later(60.0, setattr, worker.link, "cut", False)

    worker.link.before = away
    (job_id,) = await world.post(callback=CALLBACK)
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, len(world.functions.runs), len(world.broker.dead)) == (JobState.FAILED, 2, 1)
    assert went == [step]


# Callbacks.


async def test_the_caller_is_told_what_the_function_said(world: World) -> None:
    world.functions.deploy("echo", takes(2.5, answer(201, ("A", "b"), body=b"said")))
    world.worker()
    (job_id,) = await world.post(callback=CALLBACK)
    await world.until(lambda: bool(world.told.told))
    ((_, lease),) = world.told.told
    told = dict(lease.callback.headers)
    assert (lease.body, lease.callback.job.callback) == (b"said", CALLBACK)
    assert (told["X-Call-Id"], told["X-Function-Status"], told["A"]) == (job_id, "201", "b")
    assert told["X-Duration-Seconds"] == "2.500000"
    await world.until(lambda: not world.broker.callbacks)


async def test_the_caller_of_what_was_given_up_is_told_the_last_answer(world: World) -> None:
    world.functions.deploy("echo", takes(0.0, answer(500, body=b"first"), answer(502, body=b"last")))
    world.worker(max_attempts=2)
    await world.post(callback=CALLBACK)
    await world.until(lambda: bool(world.told.told))
    ((_, lease),) = world.told.told
    told = dict(lease.callback.headers)
    assert (lease.body, told["X-Function-Status"]) == (b"last", "502")
    assert told["X-Retry"] == told["X-Retry-Max"] == "1"


async def test_a_callback_is_repeated_with_the_same_pauses_and_given_up(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.told.answers = [answer(500, body=b"no")]
    world.worker()
    (job_id,) = await world.post(callback=CALLBACK)
    await world.until(lambda: bool(world.broker.dead))
    assert [at for at, _ in world.told.told] == pytest.approx([0, 10, 30, 70, 150, 270, 390, 510, 630, 750], abs=1.0)
    ((letter, body),) = world.broker.dead.values()
    assert (letter.callback, letter.job.id, body) == (True, job_id, b"answer")
    assert "10 times" in letter.outcome.reason
    assert world.broker.callbacks == {}
    assert (await world.outcome(job_id)).state is JobState.DONE  # the call itself went well


async def test_a_calls_story_says_how_telling_its_caller_goes(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.told.answers = [answer(500), answer(0, body=b"nobody there"), answer(200)]
    world.worker()
    (job_id,) = await world.post(callback=CALLBACK)
    seen: list[tuple[JobState, int, int, float, str]] = []
    while not seen or seen[-1][0] is not JobState.DONE:
        found = await world.store.find(job_id)
        if found is not None and (told := found.delivery) is not None:
            again_in_s = told.next_attempt_at - told.started_at if told.next_attempt_at else 0.0
            now = (told.state, told.attempts, told.status, round(again_in_s, 1), told.reason)
            if now not in seen:
                seen.append(now)
        await asyncio.sleep(0.5)
    assert seen == [
        (JobState.RETRYING, 1, 500, 10.0, ""),
        (JobState.RETRYING, 2, 0, 20.0, "nobody there"),
        (JobState.DONE, 3, 200, 0.0, ""),
    ]


async def test_a_callback_that_was_given_up_is_told_with_the_reason(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.told.answers = [answer(404)]
    world.worker()
    (job_id,) = await world.post(callback=CALLBACK)
    await world.until(lambda: bool(world.broker.dead) and not world.broker.callbacks)
    found = await world.store.find(job_id)
    assert found is not None
    assert found.delivery is not None
    assert (found.state, found.delivery.state, found.delivery.attempts) == (JobState.DONE, JobState.FAILED, 1)
    assert found.delivery.reason == f"{CALLBACK} answered 404, which is not tried again"


async def test_a_broker_that_forgot_is_told_again_which_calls_run(world: World) -> None:
    world.functions.deploy("echo", takes(100.0))
    world.worker(ack_wait_s=9.0)
    (job_id,) = await world.post()
    await asyncio.sleep(1.0)
    world.broker.progress.clear()
    assert await world.state(job_id) is JobState.QUEUED
    await asyncio.sleep(3.0)  # a third of the lease
    assert await world.state(job_id) is JobState.RUNNING
    await world.ended(job_id)
    assert world.broker.progress == {}


@pytest.mark.parametrize("status", [0, 429, 500, 501, 503, 507, 599])
async def test_a_callback_is_repeated_after_errors_that_pass(world: World, status: int) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.told.answers = [answer(status), answer(200)]
    world.worker()
    await world.post(callback=CALLBACK)
    await world.until(lambda: len(world.told.told) == 2)
    await world.until(lambda: not world.broker.callbacks)
    assert world.broker.dead == {}


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_a_callback_that_is_refused_is_given_up_at_once(world: World, status: int) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.told.answers = [answer(status)]
    world.worker()
    await world.post(callback=CALLBACK)
    await world.until(lambda: bool(world.broker.dead))
    ((letter, _),) = world.broker.dead.values()
    assert (len(world.told.told), letter.outcome.reason) == (
        1,
        f"the callback was given up: {CALLBACK} answered {status}, which is not tried again",
    )


async def test_callbacks_of_one_that_hangs_leave_room_for_others(world: World) -> None:
    world.functions.deploy("echo", takes(0.0), replicas=10)
    worker = world.worker()
    hanging = asyncio.Event()
    tell = world.told.tell

    async def told(lease: CallbackLease) -> Answer:
        if lease.callback.job.callback.endswith("hangs"):
            await hanging.wait()
        return await tell(lease)

    world.told.tell = told  # type: ignore[method-assign]
    await world.post(count=20, callback="http://caller/hangs")
    await world.post(count=20, callback=CALLBACK)
    await asyncio.sleep(100.0)  # more than a lease
    assert len(world.told.told) == 20
    hanging.set()
    await world.until(lambda: not world.broker.callbacks)
    assert len(world.told.told) == 40
    await worker.stop()


async def test_a_callback_whose_worker_is_killed_is_sent_by_another(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    worker = world.worker()

    def die(step: str) -> None:
        if step == "settle callback":
            worker.link.cut = True

    worker.link.before = die
    await world.post(callback=CALLBACK)
    await asyncio.sleep(1.0)
    await worker.kill()
    world.worker()
    await world.until(lambda: not world.broker.callbacks)
    assert len(world.told.told) == 2


async def test_a_fault_of_ours_in_one_job_leaves_the_others_alone_and_ends(world: World) -> None:
    async def faulty(_: Lease) -> Answer:
        raise ZeroDivisionError

    world.functions.deploy("faulty", faulty)
    world.functions.deploy("echo", takes(0.0))
    world.worker(ack_wait_s=5.0, max_attempts=1)
    (job_id,) = await world.post("faulty")
    assert {one.state for one in await world.ended(*await world.post("echo", 10), job_id)} == {
        JobState.DONE,
        JobState.FAILED,
    }
    assert len(world.functions.runs) == 10 + 1 + LOST_ATTEMPTS
    assert len(world.broker.dead) == 1


async def test_an_answer_that_the_broker_cannot_take_is_shortened_and_said_to_be(world: World) -> None:
    """It could not be stored, and the job would run again and again for that."""
    world.broker.max_answer = 100
    world.functions.deploy("echo", takes(0.0, answer(body=b"x" * 1000)))
    world.worker()
    (outcome,) = await world.ended(*await world.post(callback=CALLBACK))
    assert outcome.answer is not None
    assert (outcome.answer.body, outcome.answer.truncated) == (b"x" * 100, True)
    await world.until(lambda: bool(world.told.told))
    ((_, lease),) = world.told.told
    assert (lease.body, dict(lease.callback.headers)["X-Springtide-Truncated"]) == (b"x" * 100, "true")
