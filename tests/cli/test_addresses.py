"""Ports: those asked for are taken literally, the others where they can be had."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from springtide.cli import addresses, ports
from springtide.cli.addresses import WishedPorts
from springtide.runtime.errors import BadInput

LOOPBACK = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody listens on."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        pytest.param("gateway", "--gateway-port", id="gateway"),
        pytest.param("metrics", "--metrics-port", id="metrics"),
        pytest.param("prometheus", "--prometheus-port", id="prometheus"),
        pytest.param("alertmanager", "--alertmanager-port", id="alertmanager"),
    ],
)
def test_port_asked_for_and_taken_is_one_sentence_with_its_flag(taken: int, name: str, flag: str) -> None:
    wished = WishedPorts(**{"gateway": 0, "metrics": 0, name: taken})

    with pytest.raises(BadInput) as caught:
        addresses.choose(LOOPBACK, wished)
    assert str(caught.value) == (
        f"cannot listen on {LOOPBACK}:{taken}: Address already in use; choose another port with {flag}"
    )


def test_port_given_twice_is_one_sentence() -> None:
    port = ports.free(LOOPBACK)

    with pytest.raises(BadInput, match=f"--metrics-port {port}: another listener"):
        addresses.choose(LOOPBACK, WishedPorts(gateway=port, metrics=port))


def test_all_ports_differ_and_free_ones_lie_below_those_of_outgoing_connections() -> None:
    chosen = addresses.choose(LOOPBACK, WishedPorts(gateway=0, metrics=0, prometheus=0, alertmanager=0))

    picked = [chosen.gateway, chosen.metrics, chosen.prometheus, chosen.alertmanager]
    others = [chosen.provider, chosen.alert_receiver, chosen.idler, chosen.console]
    assert len({*picked, *others}) == 8
    assert all(ports.MIN_PORT <= port <= ports.MAX_PORT for port in picked)


def test_known_port_is_preferred_and_gives_way_to_whoever_has_it(taken: int) -> None:
    free = ports.free(LOOPBACK)

    assert ports.preferred(LOOPBACK, free) == free
    assert ports.preferred(LOOPBACK, taken) != taken
    assert ports.preferred(LOOPBACK, free, taken=[free]) != free


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
