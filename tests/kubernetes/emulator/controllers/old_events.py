"""Events: gone after a while, as a lease of etcd's ends."""

from __future__ import annotations

from tests.kubernetes.emulator import conditions
from tests.kubernetes.emulator.actor import Actor
from tests.kubernetes.emulator.controllers.worker import Key
from tests.kubernetes.emulator.settings import EmulatorSettings

LOOK_S = 30.0
EVERYTHING: Key = ("", "")


class OldEvents:
    def __init__(self, actor: Actor, settings: EmulatorSettings) -> None:
        self._actor, self._settings = actor, settings

    def sync(self, _key: Key) -> float | None:
        for event in self._actor.all("events"):
            told = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
            if conditions.age_s(told) > self._settings.event_ttl_s:
                self._actor.delete("events", event)
        return min(LOOK_S, self._settings.event_ttl_s)
