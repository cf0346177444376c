"""What only SQS has: loans that are prolonged and end, events of S3, and where credentials are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from springtide.runtime.errors import BadInput, Unavailable
from springtide.triggers.source import Source
from springtide.triggers.sources import kinds
from springtide.triggers.sources.sqs import Queue, Settings, event_of, queues, region
from springtide.wire.events.headers import call_headers
from tests import sqs_server
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.sqs_server import KEY, SECRET, SqsServer
from tests.triggers.reading import eventually, first, reading

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"


@pytest.fixture
def server() -> SqsServer:
    server = sqs_server.shared()
    server.forget()
    server.create("orders")
    return server


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    return str(tmp_path / "secret")


def source(server: SqsServer, secret: str, *others: str, **keys: str) -> Source:
    urls = ",".join(server.url(queue) for queue in ("orders", *others))
    asked = {"queue_url": urls, "user": KEY, "password_path": secret, "wait": "1s", "visibility": "600s"}
    return kinds.build("sqs", "q", asked | keys)


def attribute(value: str) -> dict[str, str]:
    return {"StringValue": value, "DataType": "String"}


async def test_a_message_is_told_with_its_id_and_queue(server: SqsServer, secret: str) -> None:
    server.send(
        "orders",
        "größe",
        MessageAttributes={"content-type": attribute("text/csv"), "ce-type": attribute("order.new")},
    )
    async with source(server, secret).connect() as feed:
        [received] = await feed.take(10)
        await received.taken()

    event = received.event
    told = call_headers(event, connector="sqs-connector")
    assert event.body == "größe".encode()
    assert told[:5] == [
        (b"Content-Type", b"text/csv"),
        (b"X-Topic", b"orders"),
        (b"X-Connector", b"connector-sdk"),
        (b"X-Connector", b"sqs-connector"),
        (b"User-Agent", b"springtide/sqs-connector"),
    ]
    assert told[-2:] == [
        (b"X-SQS-Message-ID", event.id.encode()),
        (b"X-SQS-Queue-URL", server.url("orders").encode()),
    ]
    assert dict(told)[b"ce-id"] == event.id.encode()
    assert dict(told)[b"ce-source"] == b"/q/orders"
    assert dict(told)[b"ce-type"] == b"order.new"
    assert dict(told)[b"ce-time"].startswith(b"20")
    assert server.left("orders") == (0, 0)


async def test_what_is_not_over_is_handed_back_at_the_end(server: SqsServer, secret: str) -> None:
    """At once, not when its time is up: also what nobody had asked for as yet."""
    server.send_all("orders", ["one", "two", "three"])
    async with source(server, secret).connect() as feed:
        one, two = await feed.take(2)
        await one.give_back()
        await two.taken()
        assert server.left("orders") == (0, 2)

    assert server.left("orders") == (2, 0)
    with pytest.raises(Unavailable, match="the connection is lost"):
        await one.taken()


async def test_what_is_given_back_is_given_again_with_its_id(server: SqsServer, secret: str) -> None:
    server.send("orders", "one")
    async with source(server, secret).connect() as feed:
        [one] = await feed.take(1)
        await one.give_back()
        [again] = await feed.take(1)

    assert again.event == one.event


async def test_a_loan_is_prolonged_once_a_third_of_it_is_over(server: SqsServer, secret: str) -> None:
    """Each request costs money."""
    server.send("orders", "one")
    async with source(server, secret).connect() as feed:
        one: Any
        [one] = await feed.take(1)
        server.ask(
            "ChangeMessageVisibility", QueueUrl=server.url("orders"), ReceiptHandle=one.handle, VisibilityTimeout=0
        )
        await one.keep()
        assert server.left("orders") == (1, 0)
        one.lent_at -= 201.0
        await one.keep()
        assert server.left("orders") == (0, 1)


async def test_many_are_deleted_by_few_requests(server: SqsServer, secret: str) -> None:
    """And each is told of its own."""
    server.send_all("orders", [f"{number}" for number in range(10)])
    async with source(server, secret).connect() as feed:
        some: list[Any] = await first(feed, 10)
        some[0].handle = "no such receipt"
        results = [await result for result in [_outcome(each) for each in some]]

    assert results == ["Unavailable", *(9 * ["taken"])]


async def _outcome(received: Any) -> str:
    try:
        await received.taken()
    except Unavailable:
        return "Unavailable"
    return "taken"


async def test_copies_share_the_messages_of_a_queue(server: SqsServer, secret: str) -> None:
    """SQS promises that each comes to one at least, and tells both the same id where it comes to two."""
    bodies = {f"{number}" for number in range(100)}
    one, other, functions = MemoryGateway(), MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders")
    async with (
        reading(source(server, secret), one, functions) as first,
        reading(source(server, secret), other, functions) as second,
    ):
        server.send_all("orders", sorted(bodies))
        await eventually(lambda: len({**one.jobs, **other.jobs}) == 100)
        await first.stop()
        await second.stop()

    assert {call.body.decode() for gateway in (one, other) for call in gateway.calls} == bodies
    assert len(one.jobs) + len(other.jobs) < 200
    assert server.left("orders") == (0, 0)


async def test_a_queue_that_is_not_there_is_told(server: SqsServer, secret: str) -> None:
    with pytest.raises(BadInput, match=r"queue_url: http.*/nowhere: there is no such queue; create it, or see region"):
        async with source(server, secret, "nowhere").connect():
            pass


async def test_a_server_that_does_not_answer_is_told(secret: str) -> None:
    absent = kinds.build("sqs", "q", {"queue_url": "http://127.0.0.1:1/1/q", "user": KEY, "password_path": secret})

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1.*: nothing listens there"):
        async with absent.connect():
            pass


async def test_a_key_that_is_refused_is_told_without_its_secret(tmp_path: Path, secret: str) -> None:
    server = SqsServer(tmp_path, own_rights=True)
    with server.process.running():
        refused = source(server, secret)
        with pytest.raises(BadInput, match=r"it refuses the credentials .*; see user and password_path") as told:
            async with refused.connect():
                pass

    assert SECRET not in str(told.value) + repr(refused)


def told(body: Any) -> dict[str, Any]:
    return {"MessageId": "7", "Body": body if isinstance(body, str) else json.dumps(body), "ReceiptHandle": "r"}


RECORD = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "eu-west-1",
    "eventTime": "2023-11-14T22:13:20.123Z",
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "photos"}, "object": {"key": "2023/a+cat.jpg", "size": 1024}},
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"Records": [RECORD]}, id="straight"),
        pytest.param({"Type": "Notification", "Message": json.dumps({"Records": [RECORD]})}, id="by SNS"),
    ],
)
def test_an_event_of_s3_is_told_as_cloud_events_has_it(body: dict[str, Any]) -> None:
    message = told(body)
    event = event_of(message, Queue(URL), source="/q/orders")

    assert event.body.decode() == message["Body"]
    assert call_headers(event, connector="sqs-connector") == [
        (b"Content-Type", b"application/json"),
        (b"X-Topic", b"orders"),
        (b"X-Connector", b"connector-sdk"),
        (b"X-Connector", b"sqs-connector"),
        (b"User-Agent", b"springtide/sqs-connector"),
        (b"ce-specversion", b"1.0"),
        (b"ce-id", b"7"),
        (b"ce-source", b"aws:s3.eu-west-1.photos"),
        (b"ce-type", b"com.amazonaws.s3.ObjectCreated:Put"),
        (b"ce-subject", b"2023/a+cat.jpg"),
        (b"ce-time", b"2023-11-14T22:13:20.123Z"),
        (b"X-SQS-Message-ID", b"7"),
        (b"X-SQS-Queue-URL", URL.encode()),
    ]
    assert event.source == "/q/orders"


@pytest.mark.parametrize(
    "body",
    [
        "s3",
        '"s3"',
        {"Service": "Amazon S3", "Event": "s3:TestEvent"},
        {"Records": [RECORD, RECORD]},
        {"Records": [{"s3": {}}]},
        {"Records": [{"s3": {"bucket": {"name": 1}, "object": {"key": "k"}}, "eventName": "e"}]},
        {"Records": "s3"},
        "[" * 10_000 + "s3",
    ],
)
def test_what_is_no_event_of_s3_is_a_message_like_others(body: Any) -> None:
    event = event_of(told(body), Queue(URL), source="/q/orders")

    assert (event.type, event.subject, event.content_type) == ("com.springtide.sqs.message", "", "")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("vpce-1.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ("eu-west-2.queue.amazonaws.com", "eu-west-2"),
        ("localhost:9324", "us-east-1"),
    ],
)
def test_a_region_is_in_the_queues_address(host: str, expected: str) -> None:
    assert region(Settings(queue_url=queues(f"https://{host}/1/q"))) == expected


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"queue_url": ""}, "queue_url: there is none; write queue_url: https://sqs.eu-west-1"),
        ({"queue_url": "https://host"}, "queue_url: 'https://host' is no queue; write https://sqs"),
        ({"queue_url": "https://me:s3cret@host/1/q"}, "queue_url: it holds a user or a password"),
        ({"queue_url": "https://a/1/q,https://b/1/q"}, "queue_url: they are on several servers"),
        ({"queue_url": ",".join(f"https://a/1/q{n}" for n in range(21))}, "queue_url: 21 are more than 20"),
        ({"queue_url": "https://queue.amazonaws.com/1/q"}, "region: queue.amazonaws.com does not tell its region"),
        ({"region": "Europe"}, "region: 'Europe' is no region"),
        ({"visibility": "5s"}, "visibility: 5 is out of range"),
        ({"wait": "60s"}, "wait: 60 is out of range"),
        ({"max_messages": "11"}, "max_messages: 11 is out of range"),
        ({"user": "me"}, "user: an access key has an id and a secret"),
        ({"password_path": "/nowhere"}, "password_path: /nowhere: No such file"),
        ({"ca_path": __file__}, "ca_path: .*: no certificates in it"),
    ],
)
def test_what_is_wrong_with_its_keys_is_told(keys: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as error:
        kinds.build("sqs", "q", {"queue_url": URL} | keys)
    assert "s3cret" not in str(error.value)
