"""Headers of calls for events, byte for byte, and what a producer cannot do with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.wire.events.delivery_mode import ANNOTATION, DeliveryMode, delivery_mode
from springtide.wire.events.event import Event, idempotency_key
from springtide.wire.events.headers import (
    MAX_BYTES,
    MAX_VALUE_BYTES,
    attribute_value,
    call_headers,
    field_value,
    timestamp,
)

EVENT = Event(topic="orders.new", body=b"{}", id="7", source="/nats/orders", type="com.springtide.nats.message")


def headers(event: Event = EVENT, **more: Any) -> list[tuple[str, str]]:
    told = call_headers(event, connector="nats-connector", **more)
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in told]


def test_a_plain_event_has_the_connectors_headers_and_those_of_cloud_events() -> None:
    assert headers() == [
        ("Content-Type", "text/plain"),
        ("X-Topic", "orders.new"),
        ("X-Connector", "connector-sdk"),
        ("X-Connector", "nats-connector"),
        ("User-Agent", "springtide/nats-connector"),
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "/nats/orders"),
        ("ce-type", "com.springtide.nats.message"),
    ]


def test_all_that_a_source_knows_is_told() -> None:
    event = replace(
        EVENT,
        content_type="application/json; charset=utf-8",
        subject="order 7",
        time=1_700_000_000.1234,
        headers=(("X-Kafka-Key", "k"), ("X-Kafka-Größe", "no token"), ("Host", "elsewhere")),
        attributes=(("id", "A1"), ("dataschema", "#/s"), ("Not-One", "x")),
    )

    told = headers(event)

    assert told[0] == ("Content-Type", "application/json; charset=utf-8")
    assert told[5:] == [
        ("ce-specversion", "1.0"),
        ("ce-id", "A1"),
        ("ce-source", "/nats/orders"),
        ("ce-type", "com.springtide.nats.message"),
        ("ce-subject", "order%207"),
        ("ce-time", "2023-11-14T22:13:20.123Z"),
        ("ce-dataschema", "#/s"),
        ("X-Kafka-Key", "k"),
    ]


def test_without_the_sdk_there_is_one_connector() -> None:
    assert [value for name, value in headers(also_sdk=False) if name == "X-Connector"] == ["nats-connector"]


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        pytest.param("Euro € 😀", b"Euro%20%E2%82%AC%20%F0%9F%98%80", id="the example of the binding"),
        pytest.param('a"b', b"a%22b", id="a quote"),
        pytest.param("50%", b"50%25", id="a percent sign"),
        pytest.param("a\r\nX-Evil: 1", b"a%0D%0AX-Evil:%201", id="the end of a line"),
        pytest.param("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~", b"!#$&'()*+,-./:;<=>?@[\\]^_`{|}~", id="other punctuation"),
        pytest.param("half \ud800", b"half%20?", id="half a character"),
    ],
)
def test_attributes_are_encoded_as_cloud_events_has_it(text: str, encoded: bytes) -> None:
    assert attribute_value(text) == encoded


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        pytest.param("größe/ä b", "größe/ä b".encode(), id="text is UTF-8, as OpenFaaS sends it"),
        pytest.param("a\r\nX-Evil: 1", b"a%0D%0AX-Evil: 1", id="the end of a line"),
        pytest.param("\0", b"%00", id="a zero byte"),
        pytest.param("  two ", b"%20%20two%20", id="white space at the ends"),
        pytest.param("", b"", id="nothing"),
    ],
)
def test_other_headers_carry_what_http_can(text: str, sent: bytes) -> None:
    assert field_value(text) == sent


@pytest.mark.parametrize("given", ["text/\nplain", "", " text/plain", "ä", "x" * 300])
def test_a_content_type_that_is_none_is_the_default(given: str) -> None:
    assert headers(replace(EVENT, content_type=given))[0] == ("Content-Type", "text/plain")
    told = headers(replace(EVENT, content_type=given), content_type="application/json")
    assert told[0] == ("Content-Type", "application/json")


@pytest.mark.parametrize(
    "name",
    [
        "X-Callback-Url",
        "x-delay",
        "X-Queue",
        "X-Topic",
        "X-Springtide-Decision",
        "Authorization",
        "Prefer",
        "X-",
        "X-a b",
    ],
)
def test_a_producer_steers_no_call(name: str) -> None:
    assert headers(replace(EVENT, headers=((name, "http://elsewhere"),))) == headers()


def test_what_is_too_long_is_left_out() -> None:
    long, short = ("X-Long", "x" * (MAX_VALUE_BYTES + 1)), ("X-Short", "x")
    assert headers(replace(EVENT, headers=(long, short)))[-1] == short

    many = tuple((f"X-{number}", "x" * 1000) for number in range(100))
    told = call_headers(replace(EVENT, headers=many), connector="c")
    assert MAX_BYTES - 2000 < sum(len(name) + len(value) for name, value in told if name[:2] == b"X-") < MAX_BYTES + 100

    assert dict(headers(replace(EVENT, topic="t" * 10_000)))["X-Topic"] == "t" * MAX_VALUE_BYTES


@given(topic=st.text(max_size=50), value=st.text(max_size=50), name=st.text(max_size=20), kind=st.text(max_size=20))
def test_no_text_ends_a_header(topic: str, value: str, name: str, kind: str) -> None:
    event = replace(
        EVENT, topic=topic, content_type=kind, id=value, headers=((f"X-{name}", value),), attributes=((name, value),)
    )
    for told in call_headers(event, connector="c"):
        for part in told:
            assert not any((byte < 32 and byte != 9) or byte == 127 for byte in part)
            assert part == part.strip()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (-5.0, "1970-01-01T00:00:00.000Z"), (1e15, "9999-12-31T23:59:59.000Z")],
)
def test_instants_are_told_in_utc(seconds: float, text: str) -> None:
    assert timestamp(seconds) == text


def test_a_repetition_has_the_same_key_and_nothing_else_has() -> None:
    same = replace(EVENT, headers=(("X-Retry", "2"),), time=5.0)
    others = [
        replace(EVENT, id="8"),
        replace(EVENT, body=b"{} "),
        replace(EVENT, source="/nats/other"),
        replace(EVENT, topic="orders.old"),
        replace(EVENT, source="/nats/orders7", id=""),
    ]

    assert idempotency_key(same) == idempotency_key(EVENT)
    assert len({idempotency_key(event) for event in (EVENT, *others)}) == 1 + len(others)
    assert len(idempotency_key(EVENT)) <= 255


def test_functions_say_how_their_events_are_delivered() -> None:
    assert delivery_mode({}, DeliveryMode.ASYNC) is DeliveryMode.ASYNC
    assert delivery_mode({ANNOTATION: " Sync "}, DeliveryMode.ASYNC) is DeliveryMode.SYNC
    with pytest.raises(ValueError, match=r"com.springtide.trigger.delivery: 'later' is neither sync nor async"):
        delivery_mode({ANNOTATION: "later"}, DeliveryMode.ASYNC)
