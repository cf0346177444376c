from __future__ import annotations

import pytest

from springtide.gateway.http1.response import ResponseHead
from springtide.gateway.resend import FULL, MAX_REFUSALS, MAX_RESENDS, PROXY_REFUSED, after_loss, after_refusal


@pytest.mark.parametrize(
    ("method", "resends", "heard", "retry_posts", "again"),
    [
        pytest.param(b"GET", 0, False, False, True, id="safe method"),
        pytest.param(b"DELETE", MAX_RESENDS - 1, False, False, True, id="the last time"),
        pytest.param(b"GET", MAX_RESENDS, False, True, False, id="often enough"),
        pytest.param(b"GET", 0, True, True, False, id="an answer had begun"),
        pytest.param(b"POST", 0, False, True, True, id="post, allowed"),
        pytest.param(b"POST", 0, False, False, False, id="post, not allowed"),
        pytest.param(b"BREW", 0, False, False, False, id="unknown method"),
    ],
)
def test_call_whose_connection_broke(method: bytes, resends: int, heard: bool, retry_posts: bool, again: bool) -> None:
    assert after_loss(method, resends, heard=heard, retry_posts=retry_posts) is again


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_call_of_a_queue_worker_is_tried_again_by_the_worker_alone(method: bytes) -> None:
    assert not after_loss(method, 0, heard=False, retry_posts=True, job=True)


@pytest.mark.parametrize(
    ("status", "fields", "by_proxy", "again"),
    [
        pytest.param(503, PROXY_REFUSED, True, True, id="proxy has no replica"),
        pytest.param(503, PROXY_REFUSED.upper(), True, True, id="in any case"),
        pytest.param(503, b"", True, False, id="the function's own 503"),
        pytest.param(503, PROXY_REFUSED, False, False, id="a replica has no say about proxies"),
        pytest.param(429, FULL, False, True, id="replica is full"),
        pytest.param(429, b"", False, False, id="the function's own 429"),
        pytest.param(429, FULL, True, False, id="a proxy chooses among replicas itself"),
        pytest.param(500, FULL, False, False, id="another status"),
    ],
)
def test_call_that_was_refused(status: int, fields: bytes, by_proxy: bool, again: bool) -> None:
    head = ResponseHead(status, b"", fields, 0)

    assert after_refusal(head, 0, by_proxy=by_proxy) is again
    assert after_refusal(head, MAX_REFUSALS, by_proxy=by_proxy) is False
