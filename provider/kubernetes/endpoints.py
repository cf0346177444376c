"""Which addresses of a function take calls, from EndpointSlices, pods, and what we know before Kubernetes says so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from springtide.provider.kubernetes.manifests.keys import PORT
from springtide.provider.kubernetes.pods import Pod
from springtide.wire.endpoint_stream import Endpoint

SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which a slice says whose it is."""


@dataclass(frozen=True, slots=True)
class Address:
    """One pod behind a Service, as its EndpointSlice has it."""

    pod: str
    host: str
    port: int
    ready: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """What we keep of an EndpointSlice."""

    service: str
    addresses: tuple[Address, ...]


def slice_of(value: Mapping[str, Any]) -> Slice:
    labels = value["metadata"].get("labels") or {}
    port = _port(value.get("ports") or ())
    found = [] if value.get("addressType") == "FQDN" else value.get("endpoints") or ()
    return Slice(labels.get(SERVICE_NAME, ""), tuple(_address(item, port) for item in found if item.get("addresses")))


def _address(item: Mapping[str, Any], port: int) -> Address:
    conditions = item.get("conditions") or {}
    # Not said means ready, as the API has it. A terminating one may still serve, but is sent nothing new.
    ready = conditions.get("ready", True) is not False and not conditions.get("terminating")
    host = item["addresses"][0]
    return Address((item.get("targetRef") or {}).get("name") or host, host, port, ready)


def _port(ports: Iterable[Mapping[str, Any]]) -> int:
    """The one called ``http``, else the only one there is, else the one that every function listens on."""
    numbers = {item.get("name") or "": item.get("port") or PORT for item in ports}
    return int(numbers.get("http") or next(iter(numbers.values()), PORT))


def taking_calls(
    slices: Iterable[Slice], pods: Mapping[str, Pod], *, early: Collection[str], withdrawn: Collection[str]
) -> tuple[Endpoint, ...]:
    """Ready by their slice, or found to answer (``early``); not those that end or are about to (``withdrawn``).

    A pod that only a slice knows of does not count: it belonged to a former function of that name, or is news in a
    moment.
    """
    hosts: dict[str, tuple[str, int]] = {}
    for address in sorted(
        (address for each in slices for address in each.addresses), key=lambda address: ":" in address.host
    ):
        # A pod of a dual-stack Service is in two slices; its first address, the IPv4 one, is enough.
        if address.ready or address.pod in early:
            hosts.setdefault(address.pod, (address.host, address.port))
    for name in early:
        if name in pods and pods[name].ip:
            hosts.setdefault(name, (pods[name].ip, PORT))
    staying = {name for name, pod in pods.items() if not pod.terminating} - set(withdrawn)
    return tuple(Endpoint(name, host, port) for name, (host, port) in sorted(hosts.items()) if name in staying)
