"""Namespaces: a service account in each, and an end that takes everything in it along."""

from __future__ import annotations

from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.controllers.worker import Key
from tests.kubernetes.emulator.objects import deleting
from tests.kubernetes.emulator.operations import Operations


class Namespaces:
    def __init__(self, actor: Actor, operations: Operations) -> None:
        self._actor, self._operations = actor, operations

    def sync(self, key: Key) -> float | None:
        name = key[1]
        namespace = self._actor.get("namespaces", "", name)
        if namespace is None:
            return None
        if not deleting(namespace):
            if self._actor.get("serviceaccounts", name, "default") is None:
                meta = {"name": "default", "namespace": name}
                account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
                self._actor.create("serviceaccounts", account)
            return None
        left = 0
        for resource in {one.key: one for one in self._operations.resources if one.namespaced}.values():
            qualified = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
            for thing in self._actor.all(qualified, name):
                self._actor.delete(qualified, thing, policy="Background")
            left += len(self._actor.all(qualified, name))
        if left:
            return 0.05
        spec = {**namespace["spec"], "finalizers": []}
        self._actor.write("namespaces", namespace | {"spec": spec}, subresource="finalize")
        return None
