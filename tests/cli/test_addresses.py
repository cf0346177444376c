"""Ports: those asked for are taken literally, the others where they can be had."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from springtide.cli import addresses, ports
from springtide.cli.addresses import WishedPorts
from springtide.cli.ports import PortClaims
from springtide.runtime.errors import BadInput

LOOPBACK = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody listens on."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def claims() -> Iterator[PortClaims]:
    with PortClaims() as claims:
        yield claims


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        pytest.param("gateway", "--gateway-port", id="gateway"),
        pytest.param("metrics", "--metrics-port", id="metrics"),
        pytest.param("prometheus", "--prometheus-port", id="prometheus"),
        pytest.param("alertmanager", "--alertmanager-port", id="alertmanager"),
        pytest.param("nats", "--nats-port", id="nats"),
    ],
)
def test_port_asked_for_and_taken_is_one_sentence_with_its_flag(
    taken: int, claims: PortClaims, name: str, flag: str
) -> None:
    wished = WishedPorts(**{"gateway": 0, "metrics": 0, name: taken})

    with pytest.raises(BadInput) as caught:
        addresses.choose(LOOPBACK, wished, claims)
    assert str(caught.value) == (
        f"cannot listen on {LOOPBACK}:{taken}: Address already in use; choose another port with {flag}"
    )


def test_ports_that_are_taken_are_told_at_once(taken: int, claims: PortClaims) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        other = server.getsockname()[1]
        with pytest.raises(BadInput) as caught:
            addresses.choose(LOOPBACK, WishedPorts(gateway=taken, metrics=other), claims)

    assert str(caught.value).splitlines() == [
        f"cannot listen on {LOOPBACK}:{port}: Address already in use; choose another port with {flag}"
        for port, flag in ((taken, "--gateway-port"), (other, "--metrics-port"))
    ]


def test_port_given_twice_is_one_sentence(claims: PortClaims) -> None:
    port = ports.free(LOOPBACK, PortClaims())

    with pytest.raises(BadInput, match=f"--metrics-port {port}: another listener"):
        addresses.choose(LOOPBACK, WishedPorts(gateway=port, metrics=port), claims)


def test_all_ports_differ_and_free_ones_lie_below_those_of_outgoing_connections(claims: PortClaims) -> None:
    wished = WishedPorts(gateway=0, metrics=0, prometheus=0, alertmanager=0, nats=0)
    chosen = addresses.choose(LOOPBACK, wished, claims)

    picked = [chosen.gateway, chosen.metrics, chosen.prometheus, chosen.alertmanager, chosen.nats]
    others = [chosen.provider, chosen.alert_receiver, chosen.idler, chosen.console, chosen.nats_monitoring]
    assert len({*picked, *others}) == 10
    assert all(ports.MIN_PORT <= port <= ports.MAX_PORT for port in picked)


def test_known_port_is_preferred_and_gives_way_to_whoever_has_it(taken: int, claims: PortClaims) -> None:
    free = ports.free(LOOPBACK, PortClaims())

    assert ports.preferred(LOOPBACK, free, claims) == free
    assert ports.preferred(LOOPBACK, taken, claims) != taken
    assert ports.preferred(LOOPBACK, free, claims) != free


def test_two_suites_that_start_together_choose_different_ports(claims: PortClaims) -> None:
    """Neither listens yet."""
    port = ports.free(LOOPBACK, PortClaims())

    first = ports.preferred(LOOPBACK, port, claims)
    with PortClaims() as others:
        second = ports.preferred(LOOPBACK, port, others)
        with pytest.raises(BadInput, match=f"--gateway-port {port}: another suite on this machine"):
            ports.literal(LOOPBACK, port, "--gateway-port", others)

    assert first == port
    assert second != port


def test_claim_ends_with_the_suite() -> None:
    port = ports.free(LOOPBACK, PortClaims())
    with PortClaims() as claims:
        ports.preferred(LOOPBACK, port, claims)

    with PortClaims() as claims:
        assert ports.preferred(LOOPBACK, port, claims) == port


@pytest.mark.parametrize(
    ("host", "url"),
    [
        pytest.param("127.0.0.1", "http://127.0.0.1:80", id="an address"),
        pytest.param("0.0.0.0", "http://127.0.0.1:80", id="every address"),
        pytest.param("::", "http://[::1]:80", id="every address of version 6"),
        pytest.param("example", "http://example:80", id="a name"),
    ],
)
def test_url_reaches_the_listener_from_this_machine(host: str, url: str) -> None:
    assert ports.url(host, 80) == url
