"""What we keep of a function's Deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from springtide.provider.kubernetes.manifests import keys, reading
from springtide.provider.kubernetes.readiness import HEALTH_PATH, READY_PATH
from springtide.provider.spec import FunctionSpec
from springtide.runtime.kubernetes.api import Json
from springtide.scaler.core.vocabulary import FunctionRef, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    spec: FunctionSpec
    labels: Mapping[str, str]
    desired: int
    uid: str
    generation: int
    created_at: Instant | None
    going: bool = False
    """Deleted; what is left of it ends its calls."""
    problem: str | None = None

    @property
    def ref(self) -> FunctionRef:
        return self.spec.ref

    @property
    def version(self) -> str:
        """For a compare-and-set. It moves with the wish (replicas, pods) and not with the status, as a
        resourceVersion would: a pod that becomes ready must not make a person's write fail. The uid keeps versions of
        a former function of that name out."""
        return f"{self.generation}-{self.uid}"

    @property
    def ready_paths(self) -> tuple[str, ...]:
        """Where its pods are asked whether they answer, the next one when they do not know the one before."""
        annotations = self.spec.annotations
        health = annotations.get(keys.HEALTH + "path", HEALTH_PATH)
        return annotations.get(keys.READY + "path", READY_PATH), health

    def scaled(self, replicas: int) -> Deployed:
        """As it is after the count was written; the API server counts a generation for each change of the wish."""
        return self if replicas == self.desired else replace(self, desired=replicas, generation=self.generation + 1)


def deployed_of(deployment: Json) -> Deployed:
    status = reading.status_of(deployment)
    metadata = deployment["metadata"]
    return Deployed(
        spec=status.spec,
        labels=status.function.labels,
        desired=status.function.scale.desired,
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        created_at=status.function.created_at,
        going="deletionTimestamp" in metadata,
        problem=status.problem,
    )
