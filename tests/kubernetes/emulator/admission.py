"""What the server asks of a new pod beyond its own fields: that what it names is there."""

from __future__ import annotations

from tests.kubernetes.emulator.faults import Faults
from tests.kubernetes.emulator.objects import Object, name_of, namespace_of
from tests.kubernetes.emulator.resources import Resource, StoreKey
from tests.kubernetes.emulator.statuses import ApiError, forbidden
from tests.kubernetes.emulator.store import Store

_ACCOUNTS = StoreKey("", "serviceaccounts")
_PRIORITIES = StoreKey("scheduling.k8s.io", "priorityclasses")
_RUNTIMES = StoreKey("node.k8s.io", "runtimeclasses")
_GIVEN_PRIORITIES = ("system-cluster-critical", "system-node-critical")


class PodAdmission:
    def __init__(self, store: Store, faults: Faults) -> None:
        self._store, self._faults = store, faults

    def __call__(self, resource: Resource, new: Object) -> None:
        """Raises ApiError 403."""
        if resource.key != StoreKey("", "pods"):
            return
        if self._faults.refuse_pods:
            raise _refusal(new, self._faults.refuse_pods)
        spec, place = new["spec"], namespace_of(new)
        account = spec.get("serviceAccountName", "default")
        # Every namespace gets its default account a moment after it was made.
        if account != "default" and self._store.get(_ACCOUNTS, place, account) is None:
            why = f'error looking up service account {place}/{account}: serviceaccount "{account}" not found'
            raise _refusal(new, why)
        priority = spec.get("priorityClassName")
        known = priority in (None, *_GIVEN_PRIORITIES)
        if not known and self._store.get(_PRIORITIES, "", str(priority)) is None:
            raise _refusal(new, f"no PriorityClass with name {priority} was found")
        runtime = spec.get("runtimeClassName")
        if runtime is not None and self._store.get(_RUNTIMES, "", runtime) is None:
            raise _refusal(new, f'pod rejected: RuntimeClass "{runtime}" not found')


def _refusal(pod: Object, why: str) -> ApiError:
    return forbidden("", "pods", name_of(pod), why)
