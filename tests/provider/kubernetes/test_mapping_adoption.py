"""Fields that others wrote become ours, so that an apply removes what is not wanted any more."""

from __future__ import annotations

from typing import Any

from springtide.provider.kubernetes.manifests.adoption import merge, patch_of

CONTAINER = 'k:{"name":"echo"}'


def entry(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    head = {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1"}
    return {**head, "time": "2024-05-01T10:00:00Z", "fieldsV1": fields, **more}


def env(*names: str) -> dict[str, Any]:
    keys: dict[str, Any] = {f'k:{{"name":"{name}"}}': {".": {}, "f:value": {}} for name in names}
    return {"f:template": {"f:spec": {"f:containers": {CONTAINER: {"f:env": keys}}}}}


def deployment(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "metadata": {"resourceVersion": "7", "managedFields": list(entries)}}


def test_spec_that_another_provider_wrote_becomes_ours_but_not_its_replicas() -> None:
    theirs = entry("faas-netes", "Update", {"f:metadata": {"f:labels": {}}, "f:spec": {"f:replicas": {}, **env("a")}})
    status = entry("kube-controller-manager", "Update", {"f:status": {}}, subresource="status")

    patch = patch_of(deployment(theirs, status))

    assert patch is not None
    assert patch["metadata"]["resourceVersion"] == "7"
    left, untouched, mine = patch["metadata"]["managedFields"]
    assert left == theirs | {"fieldsV1": {"f:metadata": {"f:labels": {}}, "f:spec": {"f:replicas": {}}}}
    assert untouched == status
    assert mine == entry("springtide", "Apply", {"f:spec": env("a")})


def test_edit_joins_what_we_applied() -> None:
    ours = entry("springtide", "Apply", {"f:metadata": {}, "f:spec": env("a")})
    edit = entry("kubectl-edit", "Update", {"f:spec": env("b")})

    patch = patch_of(deployment(ours, edit))

    assert patch is not None
    (mine,) = patch["metadata"]["managedFields"]
    assert mine == ours | {"fieldsV1": {"f:metadata": {}, "f:spec": env("a", "b")}}


def test_restart_by_kubectl_stays_its_own_and_the_rest_of_its_entry_becomes_ours() -> None:
    restarted: dict[str, Any] = {
        "f:template": {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}
    }
    noted: dict[str, Any] = {"f:template": {"f:metadata": {"f:annotations": {"f:note": {}}}}}
    restart = entry("kubectl-rollout", "Update", {"f:spec": restarted})
    edit = entry("kubectl-edit", "Update", {"f:spec": merge([restarted, noted, env("b")])})

    assert patch_of(deployment(restart)) is None
    patch = patch_of(deployment(restart, edit))

    assert patch is not None
    untouched, left, mine = patch["metadata"]["managedFields"]
    assert untouched == restart
    assert left == edit | {"fieldsV1": {"f:spec": restarted}}
    assert mine["fieldsV1"] == {"f:spec": merge([noted, env("b")])}


def test_nothing_is_taken_from_appliers_scalers_and_webhooks() -> None:
    entries = (
        entry("springtide", "Apply", {"f:spec": env("a")}),
        entry("argocd", "Apply", {"f:spec": env("b")}),
        entry("kubectl", "Update", {"f:spec": {"f:replicas": {}}}, subresource="scale"),
        entry("horizontal", "Update", {"f:spec": {"f:replicas": {}}}),
        entry("springtide", "Update", {"f:spec": env("added-by-admission")}),
        entry("kube-controller-manager", "Update", {"f:status": {}}, subresource="status"),
    )

    assert patch_of(deployment(*entries)) is None
    assert patch_of({"apiVersion": "apps/v1", "metadata": {"resourceVersion": "1"}}) is None


def test_union_of_field_sets_keeps_both_sides() -> None:
    assert merge([{"a": {"x": {}}}, {"a": {"y": {}}, "b": {}}]) == {"a": {"x": {}, "y": {}}, "b": {}}
