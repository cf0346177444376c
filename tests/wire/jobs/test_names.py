"""Streams and subjects: each lane has a subject of its own, which says which lane it is; ids tell where a job is."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime.errors import BadInput
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Lane
from springtide.wire.jobs.job_id import MAX_SEQUENCE, Place, job_id, new_token, place_of, queue_number
from tests.wire.jobs.written import LANES, TOKENS

WORD = re.compile(r"[A-Za-z0-9=_-]+")


@given(LANES)
def test_a_lanes_subject_says_which_lane_it_is(lane: Lane) -> None:
    subject = names.job_subject(lane)
    assert names.lane_of(subject) == lane
    assert all(WORD.fullmatch(word) for word in subject.split("."))


@given(LANES)
def test_a_consumers_name_has_no_dot_and_no_wildcard(lane: Lane) -> None:
    assert re.fullmatch(r"[A-Za-z0-9=_~-]+", names.consumer(lane))


@given(LANES, LANES)
def test_two_lanes_of_a_queue_have_two_consumers(one: Lane, other: Lane) -> None:
    other = Lane(one.queue, other.function, other.tenant)
    assert (names.consumer(one) == names.consumer(other)) == (one == other)


@pytest.mark.parametrize("subject", ["", "of.job", "of.due.q", "of.job.q.ns.f", "of.job.q.ns.f.t.more"])
def test_other_subjects_are_no_lanes(subject: str) -> None:
    assert names.lane_of(subject) is None


@pytest.mark.parametrize("name", ["", "Upper", "a b", "a.b", "x" * 41, "delayed", "callbacks", "x_dead", "*"])
def test_a_name_that_is_no_queues_is_refused_with_the_key(name: str) -> None:
    with pytest.raises(BadInput, match="X-Queue is"):
        names.checked_queue(name, "X-Queue")


def test_streams_of_queues_are_told_from_others() -> None:
    assert names.queue_of_stream(names.stream("mail")) == "mail"
    for other in ("mail", names.dead_stream("mail"), names.DELAYED, names.RESULTS, "KV_OF_RESULTS"):
        assert names.queue_of_stream(other) is None


@given(st.from_regex(names.QUEUE_NAME, fullmatch=True), st.integers(0, MAX_SEQUENCE), TOKENS)
def test_an_id_tells_where_its_job_is(queue: str, sequence: int, token: str) -> None:
    text = job_id(queue, sequence, token)
    assert place_of(text) == Place(queue_number(queue), sequence, token)
    assert uuid.UUID(text).version == 8
    assert uuid.UUID(text).variant == uuid.RFC_4122


def test_a_sequence_beyond_what_an_id_holds_is_left_out() -> None:
    token = new_token()
    assert place_of(job_id("q", MAX_SEQUENCE + 1, token)) == Place(queue_number("q"), 0, token)


@pytest.mark.parametrize(
    "text", ["", "x", "5eca04f4-ba33-497b-91d9-b586f66151f5", "{" + job_id("q", 1, "1" * 16) + "}", "0" * 32]
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert place_of(text) is None


def test_tokens_are_the_random_part_of_an_id() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000
