from __future__ import annotations

import pytest

from springtide.runtime.http_headers import HOP_BY_HOP, end_to_end


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_header_of_one_hop_is_not_passed_on(name: bytes) -> None:
    assert end_to_end([(name.upper(), b"x"), (b"X-Mine", b"1")]) == [(b"x-mine", b"1")]


def test_header_that_connection_names_is_not_passed_on() -> None:
    headers = [(b"Connection", b"close, X-Secret"), (b"x-secret", b"1"), (b"x-open", b"2")]

    assert end_to_end(headers) == [(b"x-open", b"2")]


def test_order_and_repetitions_stay() -> None:
    headers = [(b"set-cookie", b"a"), (b"x", b"1"), (b"set-cookie", b"b")]

    assert end_to_end(headers) == headers


def test_what_a_proxy_writes_itself_is_left_out_on_request() -> None:
    assert end_to_end([(b"Host", b"here"), (b"accept", b"*/*")], without={b"host"}) == [(b"accept", b"*/*")]
