"""What a callback is sent: contract 10.5 and 10.8."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from springtide.queue_worker.callback_request import callback_headers, signature
from springtide.wire.jobs.job import Answer, Job
from springtide.wire.jobs.job import JobState as State
from tests.queue_worker.values import a_job, answer, outcome


def headers(
    job: Job | None = None, *, state: State = State.DONE, attempts: int = 1, said: Answer | None, most: int = 10
) -> dict[str, str]:
    told = callback_headers(job or a_job(), "an-id", outcome(state, attempts, said), max_attempts=most, version="1.2.3")
    assert len({name.lower() for name, _ in told}) == len(told)
    return dict(told)


def test_a_callback_tells_of_the_call() -> None:
    assert headers(said=answer(201)) == {
        "X-Call-Id": "an-id",
        "X-Springtide-Job-Id": "an-id",
        "X-Duration-Seconds": "2.500000",
        "X-Function-Status": "201",
        "X-Function-Name": "echo",
        "X-Retry": "0",
        "X-Retry-Max": "9",
        "User-Agent": "queue-worker/1.2.3",
    }


def test_the_callers_own_call_id_is_told_beside_ours() -> None:
    told = headers(a_job(headers=(("x-call-ID", "theirs"),)), said=answer())
    assert (told["X-Call-Id"], told["X-Springtide-Job-Id"]) == ("theirs", "an-id")


def test_the_functions_own_headers_are_passed_on() -> None:
    told = headers(said=answer(200, ("Content-Type", "a/b"), ("X-Mine", "\xe4"), ("Content-Encoding", "gzip")))
    assert (told["Content-Type"], told["X-Mine"], told["Content-Encoding"]) == ("a/b", "\xe4", "gzip")


@pytest.mark.parametrize(
    "name", ["Connection", "Transfer-Encoding", "Content-Length", "Host", "Date", "Server", "Expect", "Upgrade"]
)
def test_what_is_of_the_connection_is_not_passed_on(name: str) -> None:
    assert name not in headers(said=answer(200, (name, "x")))


@pytest.mark.parametrize(
    "name",
    [
        "x-function-STATUS",
        "user-agent",
        "X-Call-Id",
        "x-retry",
        "x-duration-seconds",
        "x-springtide-signature-256",
        "X-Springtide-Truncated",
    ],
)
def test_a_function_cannot_say_what_is_ours_to_say(name: str) -> None:
    assert "forged" not in headers(said=answer(200, (name, "forged"))).values()


@pytest.mark.parametrize("said", [None, Answer(0)], ids=["no answer", "a lost connection"])
def test_no_answer_is_told_as_503(said: Answer | None) -> None:
    assert headers(state=State.FAILED, attempts=10, said=said)["X-Function-Status"] == "503"


@pytest.mark.parametrize("attempts", [1, 2, 9, 10])
@pytest.mark.parametrize("most", [1, 2, 10])
def test_equal_numbers_say_that_it_was_given_up(attempts: int, most: int) -> None:
    given_up = headers(state=State.FAILED, attempts=attempts, most=most, said=answer(500))
    worked = headers(state=State.DONE, attempts=attempts, most=most, said=answer())
    assert given_up["X-Retry"] == given_up["X-Retry-Max"] == str(attempts - 1)
    assert worked["X-Retry"] == str(attempts - 1)
    assert int(worked["X-Retry"]) < int(worked["X-Retry-Max"])


def test_a_shortened_body_is_said_to_be() -> None:
    assert headers(said=answer(truncated=True))["X-Springtide-Truncated"] == "true"
    assert "X-Springtide-Truncated" not in headers(said=answer())


def test_a_signature_is_that_of_githubs_webhooks() -> None:
    mac = hmac.new(b"It's a Secret to Everybody", b"Hello, World!", hashlib.sha256).hexdigest()
    assert signature(b"It's a Secret to Everybody", b"Hello, World!") == f"sha256={mac}"
    assert mac == "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"  # GitHub's own example
