"""The private network that pods live in."""

from __future__ import annotations

import socket


def test_any_pod_and_service_address_can_be_bound(pod_network: None) -> None:
    for address in ("10.244.7.9", "10.96.0.10"):
        with socket.create_server((address, 8080)) as server, socket.create_connection((address, 8080), 5) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.getpeername() == (address, 8080)


def test_the_machine_outside_cannot_be_reached(pod_network: None) -> None:
    with socket.socket() as outside:
        outside.settimeout(5)
        assert outside.connect_ex(("192.0.2.1", 80)) != 0
