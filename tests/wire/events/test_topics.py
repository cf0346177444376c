"""Which topics a function wants, and what is told of those that cannot come."""

from __future__ import annotations

import pytest

from springtide.wire.events.topics import MAX_TOPIC, MAX_TOPICS, problems_of, topics_of


@pytest.mark.parametrize(
    ("text", "delimiter", "topics"),
    [
        pytest.param("orders", ",", ("orders",), id="one"),
        pytest.param(" orders , invoices,orders", ",", ("orders", "invoices"), id="several, spaced and repeated"),
        pytest.param("a,b;c", ";", ("a,b", "c"), id="another delimiter"),
        pytest.param("", ",", (), id="none"),
        pytest.param("  ", ",", (), id="blank"),
        pytest.param("größe/+", ",", ("größe/+",), id="not ASCII"),
        pytest.param(
            "orders.*,orders.>,sensors/#,a>b,c#", ",", ("orders.*", "orders.>", "sensors/#", "a>b", "c#"), id="patterns"
        ),
        pytest.param(
            "orders..new,a/b.>.c/d,living room", ",", ("orders..new", "a/b.>.c/d", "living room"), id="odd ones"
        ),
    ],
)
def test_topics_are_those_between_delimiters(text: str, delimiter: str, topics: tuple[str, ...]) -> None:
    assert topics_of({"topic": text}, delimiter=delimiter) == (topics, ())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,,b", "annotation topic: one of its topics is empty; leave out a , of it"),
        ("a, b,", "annotation topic: one of its topics is empty; leave out a , of it"),
        (
            "a,x\ny",
            r"annotation topic='x\ny': has a line break or another control character; write several topics as a, b",
        ),
        (
            "a,sensors/#/state",
            "annotation topic='sensors/#/state': # is for all that follows, and stands only at the end",
        ),
        ("a,orders.>.new", "annotation topic='orders.>.new': > is for all that follows, and stands only at the end"),
        ("a," + "x" * 1025, f"annotation topic='{'x' * 40}': has 1025 characters; at most 1024 are looked for"),
    ],
)
def test_what_no_source_can_have_is_told_and_the_others_count(text: str, told: str) -> None:
    topics, [problem] = topics_of({"topic": text})

    assert topics[0] == "a"
    assert problem.startswith(told)
    assert problems_of({"topic": text}) == (problem,)


def test_there_are_bounds_and_what_is_beyond_is_told() -> None:
    topics, [problem] = topics_of({"topic": ",".join(map(str, range(MAX_TOPICS + 1)))})
    assert len(topics) == MAX_TOPICS
    assert problem.startswith(f"annotation topic: {MAX_TOPICS + 1} topics; the first {MAX_TOPICS} count")

    topics, _ = topics_of({"topic": "x" * MAX_TOPIC})
    assert len(topics) == 1
