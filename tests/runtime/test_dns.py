from __future__ import annotations

import asyncio
import socket

import pytest

from springtide.runtime.dns import all_resolved_urls, resolved_urls
from springtide.runtime.errors import Unavailable


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:8082/metrics", id="an address"),
        pytest.param("http://[::1]:8082/metrics", id="an address of IPv6"),
        pytest.param("https://gateway.example/metrics", id="a name that a certificate is for"),
    ],
)
def test_every_address_of_what_is_one_is_itself(url: str) -> None:
    assert asyncio.run(resolved_urls(url)) == [url]


def test_every_address_of_a_name_is_each_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("gateways.openfaas", 8082)
        return [(0, 0, 0, "", ("10.244.1.7", port))] * 2 + [(0, 0, 0, "", ("fd00::7", port, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)

    found = asyncio.run(
        all_resolved_urls(["http://gateways.openfaas:8082/metrics?a=1", "http://10.244.1.7:8082/metrics?a=1"])
    )

    assert found == ["http://10.244.1.7:8082/metrics?a=1", "http://[fd00::7]:8082/metrics?a=1"]


def test_every_address_of_a_name_without_any_says_so() -> None:
    with pytest.raises(Unavailable, match="cannot be resolved"):
        asyncio.run(resolved_urls("http://no-such-name.invalid:8082/metrics", deadline_s=10))
