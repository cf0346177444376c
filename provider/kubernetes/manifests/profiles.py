"""Profiles: parts of a pod's spec that an administrator prepares and functions name in an annotation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from springtide.provider.kubernetes.manifests import keys
from springtide.runtime.kubernetes.api import Json

REPLACED = {
    "runtimeClassName": "runtimeClassName",
    "podSecurityContext": "securityContext",
    "affinity": "affinity",
    "topologySpreadConstraints": "topologySpreadConstraints",
    "dnsPolicy": "dnsPolicy",
    "dnsConfig": "dnsConfig",
    "priorityClassName": "priorityClassName",
}
"""Field of a Profile's spec to the field of the pod's spec that it replaces."""


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    spec: Mapping[str, Any]

    def merge_into(self, deployment: Json) -> None:
        """Change a Deployment's spec: of several profiles the later ones win, and tolerations add up."""
        pod = deployment["template"]["spec"]
        for field, target in REPLACED.items():
            if self.spec.get(field):
                pod[target] = self.spec[field]
        if self.spec.get("tolerations"):
            pod["tolerations"] = [*pod.get("tolerations", ()), *self.spec["tolerations"]]
        if self.spec.get("strategy"):
            deployment["strategy"] = self.spec["strategy"]
        for kind in ("limits", "requests"):
            self._add_amounts(pod["containers"][0], kind)

    def _add_amounts(self, container: Json, kind: str) -> None:
        """What the function itself asks for goes before what its profiles say."""
        amounts = (self.spec.get("resources") or {}).get(kind)
        if amounts:
            resources = container.setdefault("resources", {})
            resources[kind] = {**{name: str(amount) for name, amount in amounts.items()}, **resources.get(kind, {})}


def names_of(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The profiles that a function names, in its order, each once."""
    words = (word.strip() for word in annotations.get(keys.PROFILE, "").split(","))
    return tuple(dict.fromkeys(word for word in words if word))


def profile_of(value: Mapping[str, Any]) -> Profile:
    """From a ``profiles.openfaas.com`` object."""
    return Profile(value["metadata"]["name"], value.get("spec") or {})


def missing(annotations: Mapping[str, str], known: Mapping[str, Profile], namespace: str) -> list[str]:
    """A problem for each profile that a function names and that is not there."""
    return [
        f"{keys.PROFILE}: no profile {name} in {namespace}; create it, or remove it from the annotation"
        for name in names_of(annotations)
        if name not in known
    ]
