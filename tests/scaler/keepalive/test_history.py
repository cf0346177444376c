"""What is remembered of a function's calls, and what is not taken for a pause."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core.keepalive import encoding, history
from springtide.scaler.core.keepalive.encoding import DamagedHistory
from springtide.scaler.core.keepalive.history import BINS, EDGES_S, PAGE_S, PAGES, History
from springtide.scaler.core.vocabulary import Instant

BEGIN = 1_000 * PAGE_S
HOUR_S = 3600.0


def called(known: History, *, at: float, for_s: float = 1.0, calls: int = 1) -> History:
    return history.ended(history.started(known, Instant(at), calls), Instant(at + for_s))


def with_calls(times: Sequence[float], known: History = History()) -> History:  # noqa: B008 - a value
    for at in times:
        known = called(known, at=at)
    return known


def bins_of(known: History) -> dict[int, int]:
    counts = [sum(page.ended[bin_] for page in known.pages) for bin_ in range(BINS)]
    return {bin_: count for bin_, count in enumerate(counts) if count}


@pytest.mark.parametrize(
    ("pause_s", "bin_"),
    [(0.0, 0), (59.9, 0), (60.0, 1), (119.0, 1), (120.0, 2), (3600.0, 6), (EDGES_S[-1], 13), (1e6, 13)],
)
def test_a_pause_is_counted_where_it_ended(pause_s: float, bin_: int) -> None:
    known = called(called(History(), at=BEGIN), at=BEGIN + 1 + pause_s)

    assert bins_of(known) == {bin_: 1}
    assert known.calls == 2


def test_a_pause_begins_when_nothing_is_in_flight_any_more() -> None:
    known = history.started(History(), Instant(BEGIN))
    known = history.started(known, Instant(BEGIN + 30))
    assert known.recent.last_end is None
    known = history.ended(known, Instant(BEGIN + 61))
    assert known.recent.last_end == BEGIN + 61
    known = called(known, at=BEGIN + 400, for_s=0)

    assert bins_of(known) == {history.bin_of(339): 1}
    assert known.recent.last_end == BEGIN + 400
    assert known.pages[-1].watched_s == 400


def test_a_burst_begins_once() -> None:
    known = History()
    for tick in range(5):
        for call in range(3):
            known = called(known, at=BEGIN + tick * 600 + call * 2)

    assert known.recent.intervals_s == (600.0,) * 4


def test_a_pause_in_which_nobody_looked_is_not_counted() -> None:
    known = called(History(), at=BEGIN)
    known = history.lost(known, Instant(BEGIN + 10))
    assert known.recent.last_end is None
    known = called(known, at=BEGIN + HOUR_S)

    assert known.pauses == 0
    assert known.calls == 2
    assert known.pages[-1].watched_s == 10 + 1


def test_a_clock_set_back_ends_a_pause_that_is_not_counted() -> None:
    known = with_calls([BEGIN + 5 * HOUR_S, BEGIN + 6 * HOUR_S])
    known = with_calls([BEGIN, BEGIN + HOUR_S], known)

    assert known.pauses == 2
    assert known.recent.last_start == BEGIN + HOUR_S


def test_pages_of_the_future_are_torn_out_by_a_clock_that_was_set_back() -> None:
    known = with_calls([BEGIN + 100 * PAGE_S, BEGIN + 100 * PAGE_S + 90])

    known = with_calls([BEGIN, BEGIN + 90], known)

    assert [page.number for page in known.pages] == [BEGIN // PAGE_S]


def test_what_is_old_is_forgotten() -> None:
    known = with_calls([BEGIN + page * PAGE_S + call * 300 for page in range(PAGES + 3) for call in range(10)])

    assert len(known.pages) == PAGES
    assert known.calls == PAGES * 10


@pytest.mark.parametrize("at", [-1.0, float("nan"), float("inf"), 1e12])
def test_what_is_no_time_changes_nothing(at: float) -> None:
    known = with_calls([BEGIN, BEGIN + 100])

    assert history.started(known, Instant(at)) == known
    assert history.ended(known, Instant(at)) == known
    assert history.lost(known, Instant(at)) == known


# Any histories.

steps = st.lists(
    st.tuples(
        st.sampled_from(["called", "started", "lost"]),
        st.one_of(st.floats(0, 300), st.floats(0, 4 * PAGE_S), st.floats(-PAGE_S, 0)),
        st.integers(1, 6),
    ),
    max_size=12,
)


Steps = Sequence[tuple[str, float, int]]


def lived(lived_steps: Steps, known: History = History(), since: float = BEGIN) -> History:  # noqa: B008 - a value
    at = since
    for kind, apart_s, calls in lived_steps:
        at = max(0.0, at + apart_s)
        if kind == "called":
            known = called(known, at=at, calls=calls)
        elif kind == "started":
            known = history.started(known, Instant(at), calls)
        else:
            known = history.lost(known, Instant(at))
    return known


histories = steps.map(lived)


@given(histories)
def test_a_history_comes_back_from_its_text(known: History) -> None:
    assert encoding.decode(encoding.encode(known)) == known


@given(histories, steps)
def test_a_life_goes_on_after_a_restart_as_without_one(known: History, more: Steps) -> None:
    at = known.recent.seen_at or BEGIN

    assert lived(more, encoding.decode(encoding.encode(known)), at) == lived(more, known, at)


@given(histories)
def test_a_text_is_never_longer_than_a_kilobyte(known: History) -> None:
    assert len(encoding.encode(known)) <= encoding.MAX_CHARS


def test_the_fullest_history_is_a_kilobyte() -> None:
    page = history.Page(
        2_000, history.MAX_CALLS, int(PAGE_S), (history.MAX_ENDED,) * BINS, (history.MAX_REST_S,) * BINS
    )
    pages = tuple(replace(page, number=2_000 + number) for number in range(PAGES))
    at = Instant(BEGIN)
    known = History(
        pages, history.Recent(at, at, at, busy=True, intervals_s=(history.MAX_INTERVAL_S,) * history.INTERVALS)
    )

    assert len(encoding.encode(known)) <= encoding.MAX_CHARS
    assert encoding.decode(encoding.encode(known)) == known


@given(histories, st.data())
def test_a_damaged_text_is_an_error_that_names_it(known: History, data: st.DataObject) -> None:
    text = encoding.encode(called(known, at=BEGIN + 50 * PAGE_S))
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda letter: letter != text[place]))
    damaged = data.draw(st.sampled_from([text[:place] + other + text[place + 1 :], text[:place], text + other]))

    try:
        found = encoding.decode(damaged)
    except DamagedHistory:
        return
    # Base64 has bits that say nothing at its end.
    assert found in (History(), encoding.decode(text))


@given(st.binary(max_size=800))
def test_anything_else_is_an_error_too(body: bytes) -> None:
    text = base64.urlsafe_b64encode(encoding._HEAD.pack(encoding.VERSION, zlib.crc32(body)) + body).decode()
    try:
        found = encoding.decode(text)
    except DamagedHistory:
        return
    assert encoding.decode(encoding.encode(found)) == found
