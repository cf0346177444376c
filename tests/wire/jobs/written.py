"""Values of asynchronous calls, made up by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Answer, Job, JobState, Lane, Outcome, StoredBody

TEXT = st.text(max_size=20)
BYTES_AS_TEXT = st.binary(max_size=20).map(lambda raw: raw.decode("latin-1"))
INSTANTS = st.floats(0, 2e9)
HEADERS = st.lists(st.tuples(BYTES_AS_TEXT, BYTES_AS_TEXT), max_size=4).map(tuple)
LANES = st.builds(
    Lane,
    st.from_regex(r"[a-z0-9_-]{1,40}", fullmatch=True),
    st.builds(FunctionRef, st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20)),
    st.text(min_size=1, max_size=20),
)
TOKENS = st.integers(0, 2**62 - 1).map(lambda number: f"{number:016x}")
JOBS = st.builds(
    Job,
    token=TOKENS,
    lane=LANES,
    method=TEXT,
    path=TEXT,
    query=TEXT,
    headers=HEADERS,
    accepted_at=INSTANTS,
    callback=TEXT,
    not_before=INSTANTS,
    stored_body=st.none() | st.builds(StoredBody, TEXT, st.integers(0, 2**40)),
    round=st.integers(0, 9),
    id=TEXT,
)
ANSWERS = st.builds(Answer, st.integers(0, 599), HEADERS, st.binary(max_size=100), st.booleans())
OUTCOMES = st.builds(
    Outcome,
    state=st.sampled_from(JobState),
    attempts=st.integers(0, 100),
    started_at=INSTANTS,
    finished_at=INSTANTS,
    answer=st.none() | ANSWERS,
    reason=TEXT,
)
