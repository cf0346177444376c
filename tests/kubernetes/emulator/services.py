"""Cluster addresses of services."""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.resources import StoreKey
from tests.kubernetes.emulator.store import Store

KEY = StoreKey("", "services")
FIRST = (10, 96, 0, 10)


def allocate(store: Store, new: Object, old: Object | None) -> None:
    """Give a service its address, or keep the one it has."""
    spec = new["spec"]
    if spec.get("type") == "ExternalName":
        return
    kept = dig(old, "spec", "clusterIP")
    if not spec.get("clusterIP"):
        spec["clusterIP"] = kept or _free(store)
    spec["clusterIPs"] = [spec["clusterIP"]]


def _free(store: Store) -> str:
    taken = {dig(service, "spec", "clusterIP") for service in store.objects(KEY)}
    number = 0
    while (address := _address(number)) in taken:
        number += 1
    return address


def _address(number: int) -> str:
    last = FIRST[3] + number
    return f"{FIRST[0]}.{FIRST[1]}.{last // 256}.{last % 256}"
