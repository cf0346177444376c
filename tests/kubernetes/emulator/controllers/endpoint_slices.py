"""EndpointSlices: the addresses of the pods that a service selects."""

from __future__ import annotations

from tests.kubernetes.emulator import conditions
from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.controllers.worker import Key
from tests.kubernetes.emulator.objects import Object, deleting, dig, labels_of, name_of, namespace_of, owned_by, uid_of
from tests.kubernetes.emulator.selectors import spec_selector
from tests.kubernetes.emulator.writes import random_suffix

SERVICE, MANAGED_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
MAX_ENDPOINTS = 100
_ENDED = ("Succeeded", "Failed")


class EndpointSlices:
    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def sync(self, key: Key) -> float | None:
        service = self._actor.get("services", *key)
        if service is None or deleting(service):
            return None
        selector = dig(service, "spec", "selector")
        if not selector:
            return None
        selects = spec_selector({"matchLabels": selector})
        label, value = next(iter(selector.items()))
        labelled = self._actor.labelled("pods", namespace_of(service), label, value)
        pods = [pod for pod in labelled if selects(pod) and _has_place(pod)]
        groups: dict[str, list[Object]] = {}
        for pod in pods:
            groups.setdefault(str(_ports(service, pod)), []).append(pod)
        wanted = [
            (_ports(service, group[0]), [_endpoint(service, pod) for pod in group[start : start + MAX_ENDPOINTS]])
            for group in groups.values()
            for start in range(0, len(group), MAX_ENDPOINTS)
        ] or [([], [])]
        self._write(service, wanted)
        return None

    def _write(self, service: Object, wanted: list[tuple[list[Object], list[Object]]]) -> None:
        existing = [
            one
            for one in self._actor.labelled("endpointslices", namespace_of(service), SERVICE, name_of(service))
            if labels_of(one).get(MANAGED_BY) == MANAGER
        ]
        for ports, endpoints in wanted:
            body = {key: value for key, value in (("ports", ports), ("endpoints", endpoints)) if value}
            if not existing:
                self._actor.create("endpointslices", _new(service) | body)
                continue
            one = existing.pop(0)
            kept = {key: value for key, value in one.items() if key not in ("ports", "endpoints")}
            self._actor.write("endpointslices", kept | body)
        for one in existing:
            self._actor.delete("endpointslices", one)


def _new(service: Object) -> Object:
    labels = {**labels_of(service), SERVICE: name_of(service), MANAGED_BY: MANAGER}
    if dig(service, "spec", "clusterIP") == "None":
        labels["service.kubernetes.io/headless"] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name_of(service)[:57]}-{random_suffix()}",
            "generateName": f"{name_of(service)}-",
            "namespace": namespace_of(service),
            "labels": labels,
            "ownerReferences": [owned_by(service)],
        },
        "addressType": "IPv4",
    }


def _has_place(pod: Object) -> bool:
    return bool(dig(pod, "status", "podIP")) and dig(pod, "status", "phase") not in _ENDED


def _endpoint(service: Object, pod: Object) -> Object:
    serving = conditions.is_true(pod, "Ready")
    ready = (serving and not deleting(pod)) or bool(dig(service, "spec", "publishNotReadyAddresses"))
    ref = {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}
    return {
        "addresses": [dig(pod, "status", "podIP")],
        "conditions": {"ready": ready, "serving": serving, "terminating": deleting(pod)},
        "targetRef": ref,
        "nodeName": dig(pod, "spec", "nodeName"),
    }


def _ports(service: Object, pod: Object) -> list[Object]:
    """Named target ports are looked up in the pod; one that it does not have is left out."""
    found = []
    for port in dig(service, "spec", "ports", default=[]):
        number = port_of(pod, port["targetPort"])
        if number is not None:
            found.append({"name": port.get("name", ""), "port": number, "protocol": port["protocol"]})
    return found


def port_of(pod: Object, target: int | str) -> int | None:
    """The number of a port of a pod."""
    if isinstance(target, int):
        return target
    for container in dig(pod, "spec", "containers", default=[]):
        for port in container.get("ports", ()):
            if port.get("name") == target:
                return int(port["containerPort"])
    return None
