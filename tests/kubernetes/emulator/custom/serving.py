"""Starts and stops serving custom resources as definitions come and go."""

from __future__ import annotations

from tests.kubernetes.emulator.custom import definitions
from tests.kubernetes.emulator.objects import deleting, name_of
from tests.kubernetes.emulator.resources import Resources, StoreKey
from tests.kubernetes.emulator.store import Change, Kind, Store

KEY = StoreKey("apiextensions.k8s.io", "customresourcedefinitions")


def serve_definitions(store: Store, resources: Resources) -> None:
    """From now on, for the life of the store."""

    def heard(change: Change) -> None:
        if change.key != KEY:
            return
        name = name_of(change.object)
        if change.kind is Kind.DELETED or deleting(change.object):
            for resource in resources.of_definition(name):
                for thing in store.objects(resource.key):
                    store.remove(resource.key, thing)
            resources.forget(name)
        else:
            resources.define(name, definitions.resources(change.object))

    store.listen(heard)
