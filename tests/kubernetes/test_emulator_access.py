"""Who may do what, and what was done."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.kubernetes.emulator import Access
from tests.kubernetes.stories import DEPLOYMENTS, NAMESPACE, SECRETS, Cluster, Manifest, deployment

USER = "system:serviceaccount:openfaas:provider"
RBAC = {"apiVersion": "rbac.authorization.k8s.io/v1"}


def rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Manifest:
    found: Manifest = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return found | ({"resourceNames": list(names)} if names else {})


def role(*rules: Manifest) -> Manifest:
    return RBAC | {"kind": "Role", "metadata": {"name": "provider", "namespace": NAMESPACE}, "rules": list(rules)}


def cluster_role(*rules: Manifest) -> Manifest:
    return RBAC | {"kind": "ClusterRole", "metadata": {"name": "provider"}, "rules": list(rules)}


def binding(subject: str, namespace: str = NAMESPACE) -> Manifest:
    subjects = [{"kind": "ServiceAccount", "name": subject, "namespace": "openfaas"}]
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "provider"}
    meta = {"name": "provider", "namespace": namespace}
    return RBAC | {"kind": "RoleBinding", "metadata": meta, "subjects": subjects, "roleRef": ref}


def as_user(cluster: Cluster, *manifests: Manifest) -> None:
    cluster.emulator.access.grant(manifests, token="t", user=USER)
    cluster.http.headers["Authorization"] = "Bearer t"


async def test_what_no_role_grants_is_forbidden_in_the_servers_words(cluster: Cluster) -> None:
    as_user(cluster, role(rule("apps", ["deployments"], ["get", "list"])))
    allowed = await cluster.get(DEPLOYMENTS)
    refused = await cluster.post(DEPLOYMENTS, deployment())
    everywhere = await cluster.get("/apis/apps/v1/deployments")

    assert allowed.status_code == 200
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    assert refused.json()["message"] == (
        f'deployments.apps is forbidden: User "{USER}" cannot create resource "deployments" in API group "apps" in '
        f'the namespace "{NAMESPACE}"'
    )
    assert everywhere.json()["message"].endswith('in API group "apps" at the cluster scope')


async def test_request_without_a_known_token_is_nobodys(cluster: Cluster) -> None:
    as_user(cluster, role())
    cluster.http.headers["Authorization"] = "Bearer other"

    assert (await cluster.get(DEPLOYMENTS)).status_code == 401


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        pytest.param([rule("apps", ["deployments"], ["*"])], f"{DEPLOYMENTS}/hello/scale", 403, id="subresource apart"),
        pytest.param(
            [rule("apps", ["deployments/scale"], ["get"])], f"{DEPLOYMENTS}/hello/scale", 404, id="subresource"
        ),
        pytest.param([rule("*", ["*"], ["get"])], f"{SECRETS}/a", 404, id="everything"),
        pytest.param([rule("", ["secrets"], ["get"], ["a"])], f"{SECRETS}/a", 404, id="by name"),
        pytest.param([rule("", ["secrets"], ["get"], ["a"])], f"{SECRETS}/b", 403, id="another name"),
        pytest.param([rule("apps", ["secrets"], ["get"])], f"{SECRETS}/a", 403, id="another group"),
        pytest.param([rule("", ["secrets"], ["list"], ["a"])], SECRETS, 403, id="list is not of a name"),
    ],
)
async def test_rule_covers_exactly_what_it_says(
    cluster: Cluster, rules: list[Manifest], path: str, expected: int
) -> None:
    as_user(cluster, role(*rules))

    assert (await cluster.get(path)).status_code == expected


@pytest.mark.parametrize(
    ("manifests", "expected"),
    [
        pytest.param([cluster_role(rule("", ["secrets"], ["list"]))], [200, 200], id="a role alone is bound"),
        pytest.param(
            [cluster_role(rule("", ["secrets"], ["list"])), binding("provider")], [200, 403], id="in a namespace"
        ),
        pytest.param([cluster_role(rule("", ["secrets"], ["list"])), binding("idler")], [403, 403], id="somebody else"),
    ],
)
async def test_binding_says_who_and_where(cluster: Cluster, manifests: list[Manifest], expected: list[int]) -> None:
    as_user(cluster, *manifests)

    answers = [await cluster.get(SECRETS), await cluster.get("/api/v1/secrets")]
    assert [answer.status_code for answer in answers] == expected


async def test_discovery_and_health_are_open_to_users(cluster: Cluster) -> None:
    as_user(cluster, role())

    for path in ("/version", "/apis", "/api/v1", "/readyz"):
        assert (await cluster.get(path)).status_code == 200


async def test_every_permission_that_was_used_is_known(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment())
    await cluster.get(f"{DEPLOYMENTS}/hello/scale")
    await cluster.get(DEPLOYMENTS)
    async with cluster.watch(DEPLOYMENTS) as events:
        await anext(events)
    await cluster.get("/version")

    requests = cluster.emulator.requests
    await cluster.emulator.until("deployments", lambda _: requests.count(verb="watch"))
    assert requests.used == {
        Access("create", "apps", "deployments"),
        Access("get", "apps", "deployments", "scale"),
        Access("list", "apps", "deployments"),
        Access("watch", "apps", "deployments"),
    }
    assert requests.count(resource="deployments") == 4
    assert requests.count(resource="deployments", status=201) == 1
    requests.clear()
    assert requests.count() == 0


async def test_one_may_ask_what_one_may(cluster: Cluster) -> None:
    as_user(cluster, role(rule("", ["secrets"], ["get"])))
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answers = []
    for verb in ("get", "delete"):
        spec = {"resourceAttributes": {"verb": verb, "resource": "secrets", "namespace": NAMESPACE}}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
        answers.append((await cluster.post(path, body)).json()["status"]["allowed"])

    assert answers == [True, False]
