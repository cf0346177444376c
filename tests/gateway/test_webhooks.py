"""Deliveries through a whole gateway, a real provider API and a real NATS server: what is right is taken, once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest
import structlog

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Job, Lane
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.source import NatsJobSource
from springtide.wire.jobs.settings import BrokerSettings
from springtide.wire.webhooks.proof import Proof
from tests.gateway.harness import Answer, Client, Conversation, client, data_plane, ref, replica, response, until
from tests.gateway.test_system_api import AUTH, Whole, whole
from tests.nats_server import NatsServer

pytestmark = pytest.mark.uvloop

SECRET = "It's a Secret to Everybody"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"zen": "Keep it logically awesome."}'


def digest(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def github(body: bytes, *, secret: str = SECRET, event_id: str = "", at: float = 0) -> dict[str, str]:
    return {
        "X-Hub-Signature-256": f"sha256={digest(secret, body)}",
        "X-GitHub-Delivery": event_id or str(uuid.uuid4()),
        "X-GitHub-Event": "push",
    }


def stripe(body: bytes, *, secret: str = SECRET, event_id: str = "", at: float = 0) -> dict[str, str]:
    seconds = int(at or time.time())
    return {"Stripe-Signature": f"t={seconds},v1={digest(secret, b'%d.%b' % (seconds, body))}"}


def slack(body: bytes, *, secret: str = SECRET, event_id: str = "", at: float = 0) -> dict[str, str]:
    seconds = int(at or time.time())
    signature = digest(secret, b"v0:%d:%b" % (seconds, body))
    return {"X-Slack-Request-Timestamp": str(seconds), "X-Slack-Signature": f"v0={signature}"}


def standard(body: bytes, *, secret: str = WHSEC, event_id: str = "", at: float = 0) -> dict[str, str]:
    own_id, seconds = event_id or f"msg_{uuid.uuid4().hex}", int(at or time.time())
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.new(key, b"%b.%d.%b" % (own_id.encode(), seconds, body), hashlib.sha256).digest()
    return {
        "webhook-id": own_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def alertmanager(body: bytes, *, secret: str = SECRET, event_id: str = "", at: float = 0) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


Sign = Callable[..., dict[str, str]]
SENDERS: dict[str, Sign] = {
    "github": github,
    "stripe": stripe,
    "slack": slack,
    "standard": standard,
    "alertmanager": alertmanager,
}
ALL = pytest.mark.parametrize("kind", SENDERS)
TIMED = pytest.mark.parametrize("kind", ["stripe", "slack", "standard"])


def value_for(kind: str) -> str:
    return WHSEC if kind == "standard" else SECRET


class Hook:
    """A suite whose function ``echo`` takes deliveries of one kind."""

    def __init__(self, suite: Whole, broker: Broker | None) -> None:
        self.suite, self.queue = suite, f"q{uuid.uuid4().hex[:12]}"
        self._source = None if broker is None else NatsJobSource(broker, self.queue, ack_wait_s=30.0)

    async def secret(self, name: str, value: str, method: str = "POST") -> None:
        answer = await self.suite.http.request(method, "/system/secrets", json={"name": name, "value": value})
        assert answer.status_code == 202, answer.text

    async def takes(self, kind: str, *secrets: str, delivery: str = "", **more: Any) -> None:
        names = [f"s{number}" for number, _ in enumerate(secrets)]
        for name, value in zip(names, secrets, strict=True):
            await self.secret(name, value)
        said = {
            "com.springtide.webhook": kind,
            "com.springtide.webhook.secret": ",".join(names),
            "com.springtide.trigger.delivery": delivery,
            "com.openfaas.queue": self.queue,
        }
        await self.suite.deploy(annotations={key: text for key, text in said.items() if text}, secrets=names, **more)
        await until(lambda: self.suite.route.annotations.get("com.springtide.webhook") == kind)

    async def jobs(self) -> list[tuple[Job, bytes]]:
        assert self._source is not None
        leases = await self._source.take(Lane(self.queue, ref("echo")), 100, 0.0)
        return [(lease.job, b"".join([piece async for piece in lease.body()])) for lease in leases]

    async def post(
        self, headers: Mapping[str, str], body: bytes = BODY, path: str = "/webhook/echo", method: str = "POST"
    ) -> Answer:
        async with client(self.suite.gateway.port) as caller:
            await send(caller, headers, body, path, method)
            return await caller.answer(method)

    @property
    def outcomes(self) -> dict[str, int]:
        return self.suite.route.metrics.webhooks


async def send(
    caller: Client, headers: Mapping[str, str], body: bytes = BODY, path: str = "/webhook/echo", method: str = "POST"
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    await caller.send(head.encode() + body)


@pytest.fixture
@contextlib.asynccontextmanager
async def hook(server: NatsServer) -> AsyncIterator[Hook]:
    """With a queue."""
    broker = Broker(server.settings, name="test")
    async with whole(broker=server.settings, max_webhook_body=100_000) as suite:
        yield Hook(suite, broker)
    await broker.aclose()


@pytest.fixture
@contextlib.asynccontextmanager
async def direct() -> AsyncIterator[Hook]:
    """Without one."""
    async with whole(max_webhook_body=100_000) as suite:
        yield Hook(suite, None)


# What is right.


@ALL
async def test_a_delivery_becomes_a_job_that_says_what_it_is(hook: Hook, kind: str) -> None:
    await hook.takes(kind, value_for(kind))
    body = (
        b'{"id": "evt_1", "type": "invoice.paid", "status": "firing", "event_id": "Ev1", "event": {"type": "message"}}'
    )

    answer = await hook.post(
        {"X-Topic": "theirs", "CE-Type": "theirs", **SENDERS[kind](body)}, body, "/webhook/echo/x?y=1"
    )

    ((job, stored),) = await hook.jobs()
    said = {name.lower(): value for name, value in job.headers}
    types = {
        "github": "com.github.push",
        "stripe": "com.stripe.invoice.paid",
        "slack": "com.slack.message",
        "standard": "invoice.paid",
        "alertmanager": "io.prometheus.alertmanager.firing",
    }
    assert (answer.status, answer.body) == (202, b"")
    assert (job.method, job.path, job.query, stored) == ("POST", "/x", "y=1", body)
    assert (said["x-topic"], said["x-connector"]) == (kind, "webhook")
    assert (said["ce-specversion"], said["ce-type"]) == ("1.0", types[kind])
    assert said["ce-source"] == "/webhook/echo.openfaas-fn"
    assert len([name for name, _ in job.headers if name.lower() in ("x-topic", "ce-type")]) == 2
    ids = {
        "github": said.get("x-github-delivery"),
        "stripe": "evt_1",
        "slack": "Ev1",
        "standard": said.get("webhook-id"),
    }
    assert said["ce-id"] == ids.get(kind, said["ce-id"])
    assert "authorization" not in said
    assert hook.outcomes == {"queued": 1}


@ALL
async def test_without_a_queue_the_function_is_called_at_once(direct: Hook, kind: str) -> None:
    await direct.takes(kind, value_for(kind))

    answer = await direct.post(SENDERS[kind](BODY), path="/webhook/echo.openfaas-fn")

    (received,) = direct.suite.server.received
    assert (answer.status, answer.body, received.body) == (200, BODY, BODY)
    assert received.line == b"POST / HTTP/1.1"
    assert received.values("X-Topic") == [kind]
    assert received.values("ce-specversion") == ["1.0"]
    assert received.values("Authorization") == []
    assert direct.outcomes == {"called": 1}


async def test_a_function_may_want_to_be_called_at_once_or_by_the_queue(hook: Hook, direct: Hook) -> None:
    await hook.takes("github", SECRET, delivery="sync")
    assert (await hook.post(github(BODY))).body == BODY
    assert await hook.jobs() == []

    await direct.takes("github", SECRET, delivery="async")
    answer = await direct.post(github(BODY))
    assert (answer.status, b"nats_url" in answer.body) == (501, True)


@ALL
async def test_either_of_two_secrets_is_right_while_they_change(hook: Hook, kind: str) -> None:
    old, new = value_for(kind), "whsec_" + base64.b64encode(b"n" * 32).decode()
    await hook.takes(kind, new, old)

    for secret in (old, new):
        assert (await hook.post(SENDERS[kind](BODY, secret=secret))).status == 202
    await hook.suite.http.request("DELETE", "/system/secrets", json={"name": "s1"})

    assert (await hook.post(SENDERS[kind](BODY, secret=new))).status == 202
    assert (await hook.post(SENDERS[kind](BODY, secret=old))).status == 401


async def test_slacks_question_whether_anybody_is_here_is_answered(hook: Hook) -> None:
    await hook.takes("slack", SECRET)
    challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    body = json.dumps({"token": "x", "challenge": challenge, "type": "url_verification"}).encode()

    answer = await hook.post(slack(body), body)

    assert (answer.status, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer.body == challenge.encode()
    assert (await hook.post(slack(body, secret="other"), body)).status == 401
    assert await hook.jobs() == []
    assert hook.outcomes == {"answered": 1, "wrong_signature": 1}


async def test_anybody_may_send_where_the_function_says_so(hook: Hook) -> None:
    await hook.takes("none")
    own = {"ce-specversion": "1.0", "ce-id": "7", "ce-type": "t", "ce-source": "s", "X-Callback-Url": "http://x/"}

    for headers in ({}, own, own):
        assert (await hook.post(headers)).status == 202

    jobs = [dict(job.headers) for job, _ in await hook.jobs()]
    assert [job["ce-type"] for job in jobs] == ["webhook", "t", "t"]
    assert all("X-Callback-Url" not in job for job in jobs)


async def test_a_body_is_raw_however_it_comes(direct: Hook) -> None:
    await direct.takes("github", SECRET)
    body = bytes(range(256)) * 20
    lines = "".join(f"{name}: {value}\r\n" for name, value in github(body).items())
    head = f"POST /webhook/echo HTTP/1.1\r\nHost: x\r\n{lines}Content-Encoding: gzip\r\n"

    async with client(direct.suite.gateway.port) as caller:
        await caller.send(f"{head}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".encode())
        assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for at in range(0, len(body), 1000):
            piece = body[at : at + 1000]
            await caller.send(b"%x;x=y\r\n%b\r\n" % (len(piece), piece))
        await caller.send(b"0\r\nX-Trailer: 1\r\n\r\n")
        assert (await caller.answer("POST")).body == body
        # The connection is used on, also by one that is not a delivery.
        await send(caller, github(b""), b"")
        assert (await caller.answer("POST")).status == 200
        assert (await caller.get("/function/echo")).status == 200

    (received, empty, _) = direct.suite.server.received
    assert (received.body, received.values("Content-Length")) == (body, [str(len(body))])
    assert received.values("Content-Encoding") == ["gzip"]
    assert (empty.body, received.values("Transfer-Encoding"), received.values("Expect")) == (b"", [], [])


# What comes again.


@pytest.mark.parametrize("kind", ["github", "stripe", "slack", "standard"])
async def test_a_delivery_that_comes_again_is_the_same_job(hook: Hook, kind: str) -> None:
    """As a replay, byte for byte, and as its sender repeats it: signed anew, its body changed where senders do that."""
    await hook.takes(kind, value_for(kind))
    own_id = uuid.uuid4().hex
    first = json.dumps({"id": own_id, "event_id": own_id, "pending_webhooks": 2}).encode()
    again = first if kind in ("github", "standard") else first.replace(b": 2", b": 1")
    signed = SENDERS[kind](first, event_id=own_id)

    answers = [
        await hook.post(signed, first),
        await hook.post(signed, first),
        await hook.post(SENDERS[kind](again, event_id=own_id, at=time.time() - 60), again, "/webhook/echo?other"),
    ]

    assert [answer.status for answer in answers] == [202] * 3
    assert len({answer["X-Call-Id"] for answer in answers}) == 1
    assert [body for _, body in await hook.jobs()] == [first]
    assert hook.outcomes == {"queued": 1, "repeated": 2}


@TIMED
async def test_a_delivery_without_an_id_is_known_by_its_signature(hook: Hook, kind: str) -> None:
    await hook.takes(kind, value_for(kind))
    signed = SENDERS[kind](b"text=hello")

    for _ in range(2):
        assert (await hook.post(signed, b"text=hello")).status == 202
    assert (await hook.post(SENDERS[kind](b"text=hello", at=time.time() - 9), b"text=hello")).status == 202

    assert hook.outcomes == {"queued": 2, "repeated": 1}


async def test_alerts_come_again_and_are_run_again(hook: Hook) -> None:
    await hook.takes("alertmanager", SECRET)

    for _ in range(2):
        assert (await hook.post(alertmanager(BODY))).status == 202

    assert len(await hook.jobs()) == 2


async def test_a_callers_key_cannot_stand_for_a_delivery(hook: Hook) -> None:
    await hook.takes("github", SECRET)
    key = f"Idempotency-Key: webhook github\n{'e' * 20}".replace("\n", "\\n")

    async with client(hook.suite.gateway.port) as caller:
        head = f"POST /async-function/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{key}\r\n\r\n"
        await caller.send(head.encode())
        assert (await caller.answer("POST")).status == 202
    assert (await hook.post(github(BODY, event_id="e" * 20))).status == 202

    assert len(await hook.jobs()) == 2


async def test_a_call_at_once_is_made_once_unless_it_failed() -> None:
    answers = [response(b"broken", status="500 Oh"), response(b"later", status="429 No"), response(b"done")]

    async def handler(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.send(answers.pop(0))

    async with whole(handler=handler, replay_bytes=0) as suite:
        hook = Hook(suite, None)
        await hook.takes("github", SECRET)
        signed = github(BODY)
        told = [await hook.post(signed) for _ in range(5)]

        assert [answer.status for answer in told] == [500, 429, 200, 200, 200]
        assert [answer.body for answer in told[2:]] == [b"done", b"", b""]
        assert hook.outcomes == {"called": 3, "repeated": 2}


async def test_a_delivery_that_is_being_made_is_not_made_twice() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        await conversation.request()
        began.set()
        await go_on.wait()
        await conversation.send(response(b"done"))

    async with whole(handler=handler) as suite:
        hook = Hook(suite, None)
        await hook.takes("github", SECRET)
        signed = github(BODY)
        first = asyncio.create_task(hook.post(signed))
        await began.wait()

        assert (await hook.post(signed)).status == 409
        go_on.set()
        assert (await first).body == b"done"


# What is wrong.


@ALL
async def test_wrong_secrets_are_refused_and_nothing_is_told(hook: Hook, kind: str) -> None:
    await hook.takes(kind, value_for(kind))
    wrong = "whsec_" + base64.b64encode(b"w" * 32).decode()

    with structlog.testing.capture_logs() as logs:
        answer = await hook.post(SENDERS[kind](BODY, secret=wrong))
        changed = SENDERS[kind](BODY) if kind != "alertmanager" else {"Authorization": "Bearer x"}
        assert (await hook.post(changed, BODY + b" ")).status == 401

    assert (answer.status, answer.body) == (401, b"the delivery is not accepted\n")
    assert "WWW-Authenticate".lower() in answer.headers
    assert await hook.jobs() == []
    assert hook.outcomes == {"wrong_signature": 2}
    (line,) = [line for line in logs if line["event"] == "a webhook's delivery is refused"]
    assert (line["function"], line["kind"], line["outcome"]) == ("echo.openfaas-fn", kind, "wrong_signature")
    told = json.dumps(logs)
    for secret in (wrong, value_for(kind), *SENDERS[kind](BODY).values()):
        assert secret not in told or secret == "push"


@TIMED
@pytest.mark.parametrize(("by", "outcome"), [(-400, "too_old"), (400, "too_new")])
async def test_old_and_future_ones_are_refused(hook: Hook, kind: str, by: int, outcome: str) -> None:
    await hook.takes(kind, value_for(kind))

    assert (await hook.post(SENDERS[kind](BODY, at=time.time() + by))).status == 401
    assert (await hook.post(SENDERS[kind](BODY, at=time.time() + by * 0.5))).status == 202

    assert hook.outcomes == {outcome: 1, "queued": 1}


@ALL
async def test_who_shows_nothing_is_refused_before_his_body_is_read(hook: Hook, kind: str) -> None:
    await hook.takes(kind, value_for(kind))

    async with client(hook.suite.gateway.port) as caller:
        await caller.send(b"POST /webhook/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n")
        answer = await caller.answer("POST")
        assert (answer.status, answer["Connection"]) == (401, "close")

    assert hook.outcomes == {"no_signature": 1}


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "not announced"])
async def test_a_huge_one_is_refused_before_it_is_read(hook: Hook, chunked: bool) -> None:
    await hook.takes("github", SECRET)
    body = b"x" * 100_001
    lines = "".join(f"{name}: {value}\r\n" for name, value in github(body).items())
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"

    async with client(hook.suite.gateway.port) as caller:
        await caller.send(f"POST /webhook/echo HTTP/1.1\r\nHost: x\r\n{lines}{length}\r\n\r\n".encode())
        if chunked:
            await caller.send(b"%x\r\n%b\r\n" % (len(body), body))
        answer = await caller.answer("POST")

    assert (answer.status, b"max_webhook_body" in answer.body) == (413, True)
    assert hook.outcomes == {"too_large": 1}
    assert (await hook.post(github(body[:-1]), body[:-1])).status == 202


async def test_one_that_no_message_of_the_queues_server_holds_is_stored(server: NatsServer) -> None:
    body = b"x" * 9_000_000  # of 8 MB, as the suite's own server takes them
    broker = Broker(server.settings, name="test")
    async with whole(broker=server.settings) as suite:
        hook = Hook(suite, broker)
        await hook.takes("github", SECRET)
        headers = github(body)

        answers = [await hook.post(headers, body) for _ in range(2)]
        jobs = await hook.jobs()
    await broker.aclose()

    assert [answer.status for answer in answers] == [202, 202]
    assert [stored for _, stored in jobs] == [body]


async def test_a_slow_one_ends_however_steadily_it_comes() -> None:
    async with whole(read_timeout_s=0.3) as suite:
        hook = Hook(suite, None)
        await hook.takes("github", SECRET)
        lines = "".join(f"{name}: {value}\r\n" for name, value in github(BODY).items())

        async with client(suite.gateway.port) as caller:
            await caller.send(f"POST /webhook/echo HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 9999\r\n\r\n".encode())
            while not hook.outcomes:
                await caller.send(b"x")
                await asyncio.sleep(0.01)
            assert (await caller.answer("POST")).status == 408

        assert hook.outcomes == {"incomplete": 1}


async def test_too_many_at_once_are_put_off() -> None:
    async with whole(max_webhook_held_bytes=1_000_000, max_webhook_body=2_000_000) as suite:
        hook = Hook(suite, None)
        await hook.takes("github", SECRET)
        body = b"x" * 1_000_001
        answer = await hook.post(github(body), body)

        assert (answer.status, answer["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_other_methods_are_refused(hook: Hook, method: str) -> None:
    await hook.takes("github", SECRET)

    answer = await hook.post(github(b""), b"", method=method)

    assert (answer.status, answer["Allow"]) == (405, "POST")
    assert hook.outcomes == {"wrong_method": 1}


async def test_a_function_without_a_webhook_is_as_unknown_as_none(hook: Hook) -> None:
    await hook.suite.deploy()
    await until(lambda: hook.suite.gateway.plane.table.by_name(b"echo") is not None)

    answers = [await hook.post(github(BODY), path=f"/webhook/{name}") for name in ("echo", "nosuch", "", "echo.other")]

    assert [answer.status for answer in answers] == [404] * 4
    assert answers[0].body.replace(b"echo", b"nosuch") == answers[1].body


async def test_deploying_it_wrong_is_refused_with_the_remedy(hook: Hook) -> None:
    await hook.secret("s0", SECRET)
    said = {"com.springtide.webhook": "github", "com.springtide.webhook.secret": "s0"}

    for method in ("POST", "PUT"):
        spec = {"service": "echo", "image": "any", "annotations": said}
        answer = await hook.suite.http.request(method, "/system/functions", json=spec)
        assert answer.status_code == 400
        assert "com.springtide.webhook.secret='s0': the function does not name s0" in answer.text


async def test_one_that_cannot_be_checked_is_to_come_again(hook: Hook) -> None:
    await hook.takes("github", SECRET)
    await hook.secret("s0", " \n", method="PUT")
    empty = await hook.post(github(BODY, secret=""))
    await hook.suite.http.request("DELETE", "/system/secrets", json={"name": "s0"})

    with structlog.testing.capture_logs():
        gone = await hook.post(github(BODY))

    for answer in (empty, gone):
        assert (answer.status, answer["Retry-After"]) == (503, "1")
        assert b"s0" not in answer.body
    assert hook.outcomes == {"unchecked": 2}


async def test_the_check_is_not_for_the_world(hook: Hook) -> None:
    """It is the provider's, for gateways: neither the public port nor anybody without credentials has it."""
    await hook.takes("github", SECRET)

    assert (await hook.suite.http.post("/system/webhook-check?function=echo")).status_code == 404
    async with client(hook.suite.api.port) as caller:
        await send(caller, {}, b"", "/system/webhook-check?function=echo")
        assert (await caller.answer("POST")).status == 401


async def test_the_console_of_wrong_tokens_counts_them(hook: Hook) -> None:
    await hook.takes("alertmanager", SECRET)

    for number in range(3):
        assert (await hook.post({"Authorization": f"Bearer {number}"})).status == 401

    assert hook.suite.gateway.plane.unknown.metrics.refused["wrong_credentials"] == 3
    assert AUTH[1] != SECRET


async def test_what_became_of_deliveries_is_in_the_metrics(hook: Hook) -> None:
    await hook.takes("github", SECRET)
    await hook.post(github(BODY))
    await hook.post({})

    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{hook.suite.gateway.metrics_port}/metrics")).text

    for outcome in ("queued", "no_signature"):
        labels = f'function_name="echo.openfaas-fn",outcome="{outcome}"'
        assert f"gateway_webhook_deliveries_total{{{labels}}} 1.0" in text


class SlowChecks:
    """Answers once it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked, self.go_on, self._error = asyncio.Event(), asyncio.Event(), error

    async def right(self, function: FunctionRef, proof: Proof, body: bytes) -> bool:  # noqa: ARG002 - the Protocol's
        self.asked.set()
        await self.go_on.wait()
        if self._error is not None:
            raise self._error
        return True


TAKES = {"com.springtide.webhook": "github", "com.springtide.webhook.secret": "s"}


@pytest.mark.parametrize(
    ("queue", "error", "outcome"),
    [
        pytest.param(True, None, "queued", id="it is stored all the same"),
        pytest.param(False, None, "incomplete", id="nobody would hear the function's answer"),
        pytest.param(True, Unavailable("away"), "unchecked", id="it could not be checked"),
    ],
)
async def test_what_becomes_of_a_delivery_whose_sender_left_is_counted(
    server: NatsServer, queue: bool, error: Exception | None, outcome: str
) -> None:
    checks = SlowChecks(error)
    broker = server.settings if queue else BrokerSettings()
    async with data_plane(checks=checks, broker=broker) as gateway, replica() as function:
        gateway.publish("echo", [function], annotations=TAKES)
        async with gateway.connect() as caller:
            await send(caller, github(BODY))
            await checks.asked.wait()
            # The hard way: who only ends sending waits for his answer.
            raw = caller.writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            caller.leave()
            await gateway.until(lambda: not gateway.plane.draining.open)
        checks.go_on.set()

        await gateway.until(lambda: bool(gateway.route().metrics.webhooks))
        assert gateway.route().metrics.webhooks == {outcome: 1}
        assert function.received == []


async def test_a_fault_of_ours_is_answered_and_counted() -> None:
    checks = SlowChecks(ZeroDivisionError())
    checks.go_on.set()
    async with data_plane(checks=checks) as gateway, gateway.connect() as caller:
        gateway.publish("echo", annotations=TAKES)
        await send(caller, github(BODY))

        assert (await caller.answer("POST")).status == 500
        assert gateway.route().metrics.webhooks == {"not_stored": 1}
