"""Which resources the server has: the built-in ones, and those that definitions add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.kubernetes.emulator.objects import Object

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class StoreKey:
    """Where objects are kept: all versions of a resource in one place."""

    group: str
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One served resource in one version."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    short: tuple[str, ...] = ()
    namespaced: bool = True
    subresources: tuple[str, ...] = ()
    generation: bool = False
    """Counts changes of the specification in metadata.generation."""
    create_on_update: bool = False
    unconditional_update: bool = True
    graceful: bool = False
    """Deletion waits for the node."""
    returns_deleted: bool = False
    categories: tuple[str, ...] = ()
    kept_as: StoreKey | None = None
    schema: Object | None = field(default=None, hash=False)
    """Structural schema of a custom resource; None: built in."""
    scale_paths: Object | None = field(default=None, hash=False)

    @property
    def key(self) -> StoreKey:
        return self.kept_as or StoreKey(self.group, self.plural)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def custom(self) -> bool:
        return self.schema is not None

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    @property
    def verbs(self) -> tuple[str, ...]:
        return ALL_VERBS


_EVENTS = StoreKey("", "events")

BUILT_IN = (
    Resource(
        group="", version="v1", kind="Namespace", plural="namespaces", short=("ns",), namespaced=False,
        subresources=("status", "finalize"),
    ),
    Resource(group="", version="v1", kind="Node", plural="nodes", short=("no",), namespaced=False),
    Resource(group="", version="v1", kind="Secret", plural="secrets"),
    Resource(group="", version="v1", kind="ConfigMap", plural="configmaps", short=("cm",)),
    Resource(
        group="", version="v1", kind="Service", plural="services", short=("svc",), subresources=("status",),
        returns_deleted=True, categories=("all",),
    ),
    Resource(
        group="", version="v1", kind="Pod", plural="pods", short=("po",), subresources=("status", "log"),
        generation=True, graceful=True, returns_deleted=True, categories=("all",),
    ),
    Resource(group="", version="v1", kind="Event", plural="events", short=("ev",), create_on_update=True),
    Resource(
        group="", version="v1", kind="ServiceAccount", plural="serviceaccounts", short=("sa",), returns_deleted=True
    ),
    Resource(group="", version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims", short=("pvc",)),
    Resource(
        group="events.k8s.io", version="v1", kind="Event", plural="events", short=("ev",), create_on_update=True,
        kept_as=_EVENTS,
    ),
    Resource(
        group="apps", version="v1", kind="Deployment", plural="deployments", short=("deploy",),
        subresources=("status", "scale"), generation=True, categories=("all",),
    ),
    Resource(
        group="apps", version="v1", kind="ReplicaSet", plural="replicasets", short=("rs",),
        subresources=("status", "scale"), generation=True, categories=("all",),
    ),
    Resource(
        group="apps", version="v1", kind="StatefulSet", plural="statefulsets", short=("sts",),
        subresources=("status", "scale"), generation=True, categories=("all",),
    ),
    Resource(group="discovery.k8s.io", version="v1", kind="EndpointSlice", plural="endpointslices", generation=True),
    Resource(
        group="autoscaling", version="v2", kind="HorizontalPodAutoscaler", plural="horizontalpodautoscalers",
        short=("hpa",), subresources=("status",), categories=("all",),
    ),
    Resource(
        group="coordination.k8s.io", version="v1", kind="Lease", plural="leases", create_on_update=True,
        unconditional_update=False,
    ),
    Resource(
        group="apiextensions.k8s.io", version="v1", kind="CustomResourceDefinition", plural="customresourcedefinitions",
        short=("crd", "crds"), namespaced=False, subresources=("status",), generation=True, unconditional_update=False,
    ),
    Resource(
        group="policy", version="v1", kind="PodDisruptionBudget", plural="poddisruptionbudgets", short=("pdb",),
        subresources=("status",), generation=True, unconditional_update=False,
    ),
    Resource(
        group="networking.k8s.io", version="v1", kind="NetworkPolicy", plural="networkpolicies", short=("netpol",),
        generation=True,
    ),
    Resource(
        group="networking.k8s.io", version="v1", kind="Ingress", plural="ingresses", short=("ing",),
        subresources=("status",), generation=True,
    ),
    # Nobody runs jobs here.
    Resource(
        group="batch", version="v1", kind="Job", plural="jobs", subresources=("status",), generation=True,
        categories=("all",),
    ),
    Resource(
        group="scheduling.k8s.io", version="v1", kind="PriorityClass", plural="priorityclasses", short=("pc",),
        namespaced=False,
    ),
    Resource(group="node.k8s.io", version="v1", kind="RuntimeClass", plural="runtimeclasses", namespaced=False),
    Resource(group="rbac.authorization.k8s.io", version="v1", kind="Role", plural="roles"),
    Resource(group="rbac.authorization.k8s.io", version="v1", kind="RoleBinding", plural="rolebindings"),
    Resource(
        group="rbac.authorization.k8s.io", version="v1", kind="ClusterRole", plural="clusterroles", namespaced=False
    ),
    Resource(
        group="rbac.authorization.k8s.io", version="v1", kind="ClusterRoleBinding", plural="clusterrolebindings",
        namespaced=False,
    ),
)  # fmt: skip


class Resources:
    """What is served now."""

    def __init__(self) -> None:
        self._by_path = {(one.group, one.version, one.plural): one for one in BUILT_IN}
        self._custom: dict[str, list[Resource]] = {}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_path.values())

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def named(self, name: str) -> Resource:
        """By ``plural`` or ``plural.group``, as kubectl takes it; raises KeyError."""
        for one in self:
            if name in (one.plural, f"{one.plural}.{one.group}"):
                return one
        raise KeyError(f"no resource {name!r}")

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        return next((one for one in self if one.api_version == api_version and one.kind == kind), None)

    def define(self, definition: str, resources: list[Resource]) -> None:
        """Serve the resources of a definition, in place of those it had."""
        self.forget(definition)
        self._custom[definition] = resources
        self._by_path |= {(one.group, one.version, one.plural): one for one in resources}

    def forget(self, definition: str) -> None:
        for one in self._custom.pop(definition, []):
            self._by_path.pop((one.group, one.version, one.plural), None)

    def of_definition(self, definition: str) -> list[Resource]:
        return self._custom.get(definition, [])
