"""What is stored of asynchronous calls is read as it was written, whatever people named and sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import CallbackJob, DeadLetter, Job, JobState, Lane, Outcome, Progress
from springtide.wire.jobs.message import (
    VERSION,
    decode_callback,
    decode_job,
    decode_letter,
    decode_outcome,
    decode_progress,
    encode_callback,
    encode_job,
    encode_letter,
    encode_outcome,
    encode_progress,
)
from tests.wire.jobs.written import HEADERS, INSTANTS, JOBS, OUTCOMES, TEXT

JOB = Job(
    token="00000000000000ff",
    lane=Lane("faas-request", FunctionRef("openfaas-fn", "echo")),
    method="POST",
    path="",
    query="",
    headers=(("Content-Type", "text/plain"),),
    accepted_at=1.5,
)


@given(JOBS)
def test_a_job_is_read_as_it_was_written(job: Job) -> None:
    text = encode_job(job)
    assert decode_job(text) == job
    assert text.isascii()
    assert text.isprintable()  # a header of a message is one line


@given(JOBS, TEXT, OUTCOMES)
def test_an_outcome_is_read_with_the_payload_as_the_body(job: Job, job_id: str, outcome: Outcome) -> None:
    body = outcome.answer.body if outcome.answer else b""
    assert decode_outcome(encode_outcome(job, job_id, outcome), body) == (job_id, job, outcome)


@given(JOBS, OUTCOMES, st.booleans())
def test_a_dead_letter_has_the_last_answer_whole(job: Job, outcome: Outcome, callback: bool) -> None:
    letter = DeadLetter(job=job, outcome=outcome, callback=callback)
    assert decode_letter(encode_letter(letter)) == letter


@given(
    st.builds(
        CallbackJob,
        job=JOBS,
        id=TEXT,
        headers=HEADERS,
        finished_at=INSTANTS,
    )
)
def test_a_callback_is_read_as_it_was_written(callback: CallbackJob) -> None:
    assert decode_callback(encode_callback(callback)) == callback


@given(
    st.builds(
        Progress,
        state=st.sampled_from(JobState),
        attempts=st.integers(0, 99),
        started_at=INSTANTS,
        next_attempt_at=INSTANTS,
        status=st.integers(0, 599),
    )
)
def test_progress_is_read_as_it_was_written(progress: Progress) -> None:
    assert decode_progress(encode_progress(progress)) == progress


def test_members_that_are_not_known_are_passed_over() -> None:
    assert decode_job(json.dumps({**json.loads(encode_job(JOB)), "colour": "red"})) == JOB


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"v": VERSION + 1}, "version 2"),
        ({"v": "1"}, "version"),
        ({"token": "FF"}, "token"),
        ({"token": None}, "token"),
        ({"headers": [["a"]]}, "not"),
        ({"headers": None}, "not what is stored"),
        ({"headers": [["a", "b"]] * 1001}, "1000 headers"),
        ({"function": 7}, "not what is stored"),
        ({"accepted_at": "now"}, "not what is stored"),
        ({"stored_body": [1]}, "not what is stored"),
    ],
)
def test_what_is_not_a_job_of_ours_is_refused(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_job(json.dumps({**json.loads(encode_job(JOB)), **change}))


@pytest.mark.parametrize("text", ["", "[]", "7", "null", '{"v":1}', "{" * 200])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_job(text)
