"""What the server refuses, as a table: each row is one thing wrong with a manifest that is right otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubernetes.stories import (
    DEPLOYMENTS,
    NAMESPACE,
    SECRETS,
    Cluster,
    Manifest,
    at,
    deployment,
    emulated,
    secret,
    service,
)

SPEC = "spec.template.spec"
CONTAINER = f"{SPEC}.containers.0"
PROBE = {"httpGet": {"path": "/_/health", "port": 8080}}
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
SCALERS = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"


def autoscaler(**spec: Any) -> Manifest:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    target = {"type": "Utilization", "averageUtilization": 70}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "hello"},
        "spec": {"scaleTargetRef": ref, "minReplicas": 1, "maxReplicas": 5, "metrics": metrics} | spec,
    }


def endpoint_slice(address: str) -> Manifest:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "hello"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8080}],
    }


async def refused(path: str, body: Manifest, code: int, words: str) -> None:
    async with emulated() as cluster:
        answer = await cluster.post(path, body)

        assert answer.status_code == code, answer.text
        assert words in answer.json()["message"]
        assert answer.json()["reason"] == {400: "BadRequest", 422: "Invalid"}[code]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        pytest.param("spec.replica", 1, 'unknown field "spec.replica"', id="unknown field"),
        pytest.param(f"{CONTAINER}.imag", "x", 'unknown field "spec.template.spec.containers[0].imag"', id="nested"),
        pytest.param("spec.replicas", "two", "cannot unmarshal string into Go struct field spec.replicas", id="type"),
        pytest.param("spec.replicas", 1 << 31, "of type int32", id="too large for its type"),
        pytest.param(f"{CONTAINER}.env", [{"name": "A", "value": 1}], "of type string", id="number for a string"),
        pytest.param(
            f"{CONTAINER}.resources", {"limits": {"memory": "128 Mb"}}, "quantities must match", id="quantity"
        ),
    ],
)
async def test_manifest_that_cannot_be_read_is_a_bad_request(path: str, value: Any, words: str) -> None:
    await refused(DEPLOYMENTS, at(deployment(), path, value), 400, words)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        pytest.param("metadata.name", "Hello", "RFC 1123 subdomain", id="name"),
        pytest.param("metadata.labels", {"a": "x" * 64}, "must be no more than 63 bytes", id="long label"),
        pytest.param("metadata.labels", {"a": "-x"}, "a valid label must be", id="label value"),
        pytest.param("metadata.labels", {"a b": "x"}, "name part must consist of", id="label key"),
        pytest.param("metadata.annotations", {"a b": "x"}, "metadata.annotations", id="annotation key"),
        pytest.param("metadata.finalizers", ["hold"], "nor is it fully qualified", id="finalizer"),
        pytest.param("spec.replicas", -1, "must be greater than or equal to 0", id="replicas"),
        pytest.param("spec.selector", {}, "empty selector is invalid", id="empty selector"),
        pytest.param("spec.selector.matchLabels", {"other": "x"}, "does not match template `labels`", id="selector"),
        pytest.param(
            "spec.strategy", {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}, "may not be 0", id="rolling"
        ),
        pytest.param("spec.strategy", {"rollingUpdate": {"maxSurge": "1/2"}}, "a valid percent string", id="percent"),
        pytest.param("spec.strategy", {"type": "Recreate", "rollingUpdate": {}}, "may not be specified", id="recreate"),
        pytest.param("spec.progressDeadlineSeconds", 0, "must be greater than minReadySeconds", id="deadline"),
        pytest.param(f"{SPEC}.containers", [], "spec.template.spec.containers: Required value", id="no container"),
        pytest.param(f"{SPEC}.restartPolicy", "Never", 'supported values: "Always"', id="restart policy"),
        pytest.param(f"{SPEC}.dnsPolicy", "None", "at least one DNS nameserver", id="dns policy"),
        pytest.param(f"{SPEC}.serviceAccountName", "No!", "serviceAccountName", id="service account"),
        pytest.param(f"{SPEC}.nodeSelector", {"a": "b c"}, "nodeSelector", id="node selector"),
        pytest.param(f"{SPEC}.tolerations", [{"operator": "Exists", "value": "x"}], "must be empty", id="toleration"),
        pytest.param(f"{SPEC}.volumes", [{"name": "a"}, {"name": "a"}], "Duplicate value", id="volume twice"),
        pytest.param(f"{SPEC}.volumes", [{"name": "a", "secret": {}}], "secretName: Required", id="secret volume"),
        pytest.param(
            f"{SPEC}.volumes",
            [{"name": "a", "emptyDir": {}, "secret": {"secretName": "b"}}],
            "more than 1",
            id="sources",
        ),
        pytest.param(
            f"{SPEC}.volumes",
            [
                {
                    "name": "a",
                    "projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": "../x"}]}}]},
                }
            ],
            "must be a relative path",
            id="path outside the volume",
        ),
        pytest.param(f"{CONTAINER}.name", "He_llo", "RFC 1123 label", id="container name"),
        pytest.param(f"{CONTAINER}.image", "", "image: Required value", id="image"),
        pytest.param(f"{CONTAINER}.imagePullPolicy", "Sometimes", "Unsupported value", id="pull policy"),
        pytest.param(f"{CONTAINER}.env", [{"name": "a=b"}], "printable ASCII", id="variable"),
        pytest.param(f"{CONTAINER}.env", [{"name": "A"}, {"name": "A"}], "Duplicate value", id="variable twice"),
        pytest.param(
            f"{CONTAINER}.env",
            [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "may not be specified when `value` is not empty",
            id="variable with two sources",
        ),
        pytest.param(f"{CONTAINER}.ports", [{"containerPort": 0}], "between 1 and 65535", id="port"),
        pytest.param(f"{CONTAINER}.ports", [{"containerPort": 1, "name": "a" * 16}], "no more than 15", id="port name"),
        pytest.param(f"{CONTAINER}.volumeMounts", [{"name": "x", "mountPath": "/x"}], "Not found", id="mount"),
        pytest.param(f"{CONTAINER}.readinessProbe", {"periodSeconds": 1}, "must specify a handler", id="no handler"),
        pytest.param(
            f"{CONTAINER}.readinessProbe",
            PROBE | {"exec": {"command": ["x"]}},
            "more than 1 handler",
            id="two handlers",
        ),
        pytest.param(
            f"{CONTAINER}.readinessProbe", PROBE | {"initialDelaySeconds": -1}, "initialDelaySeconds", id="delay"
        ),
        pytest.param(f"{CONTAINER}.readinessProbe", PROBE | {"timeoutSeconds": -1}, "timeoutSeconds", id="timeout"),
        pytest.param(f"{CONTAINER}.livenessProbe", PROBE | {"successThreshold": 2}, "must be 1", id="liveness"),
        pytest.param(
            f"{CONTAINER}.resources",
            {"limits": {"memory": "64Mi"}, "requests": {"memory": "128Mi"}},
            "must be less than or equal to memory limit of 64Mi",
            id="request over limit",
        ),
        pytest.param(f"{CONTAINER}.resources", {"limits": {"gpu": "1"}}, "standard resource type", id="resource name"),
        pytest.param(f"{CONTAINER}.resources", {"requests": {"cpu": "0.1m"}}, "finer than 1m", id="fine cpu"),
        pytest.param(
            f"{CONTAINER}.securityContext",
            {"privileged": True, "allowPrivilegeEscalation": False},
            "cannot set `allowPrivilegeEscalation`",
            id="privileged",
        ),
    ],
)
async def test_deployment_that_cannot_be_is_invalid(path: str, value: Any, words: str) -> None:
    await refused(DEPLOYMENTS, at(deployment(), path, value), 422, words)


async def test_selector_of_a_deployment_never_changes(cluster: Cluster) -> None:
    await cluster.post(DEPLOYMENTS, deployment())
    labels = {"faas_function": "hello", "more": "x"}
    changed = at(at(deployment(), "spec.selector.matchLabels", labels), "spec.template.metadata.labels", labels)
    answer = await cluster.put(f"{DEPLOYMENTS}/hello", changed)

    assert answer.status_code == 422
    assert "spec.selector" in answer.json()["message"]
    assert "field is immutable" in answer.json()["message"]
    assert answer.json()["details"]["causes"][0]["field"] == "spec.selector"


async def test_duplicate_fields_are_refused_and_without_strictness_warned_of(cluster: Cluster) -> None:
    raw = b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","name":"b"},"tipe":"x"}'
    headers = {"Content-Type": "application/json"}
    strict = await cluster.http.post(SECRETS, content=raw, headers=headers, params={"fieldValidation": "Strict"})
    lax = await cluster.http.post(SECRETS, content=raw, headers=headers)
    silent = await cluster.http.post(
        SECRETS, content=raw.replace(b'"b"', b'"c"'), headers=headers, params={"fieldValidation": "Ignore"}
    )

    assert strict.status_code == 400
    assert 'duplicate field "metadata.name"' in strict.json()["message"]
    assert lax.status_code == 201
    assert 'unknown field \\"tipe\\"' in lax.headers["Warning"]
    assert cluster.emulator.warnings == ['duplicate field "metadata.name"', 'unknown field "tipe"']
    assert "Warning" not in silent.headers


@pytest.mark.parametrize(
    ("path", "body", "code", "words"),
    [
        pytest.param("services", at(service(), "metadata.name", "1st"), 422, "DNS-1035", id="service name"),
        pytest.param("services", at(service(), "spec.ports", []), 422, "spec.ports: Required", id="no port"),
        pytest.param(
            "services", at(service(), "spec.ports", [{"port": 1}, {"port": 2}]), 422, "name: Required", id="names"
        ),
        pytest.param("services", at(service(), "spec.type", "Magic"), 422, "Unsupported value", id="service type"),
        pytest.param("secrets", at(secret(), "data", {"a": "%"}), 400, "illegal base64", id="base64"),
        pytest.param("secrets", at(secret(), "stringData", {"a/b": "x"}), 422, "valid config key", id="key"),
        pytest.param("secrets", at(secret(), "type", "kubernetes.io/tls"), 422, "data[tls.crt]", id="missing keys"),
    ],
)
async def test_other_core_objects_are_checked(path: str, body: Manifest, code: int, words: str) -> None:
    await refused(f"/api/v1/namespaces/{NAMESPACE}/{path}", body, code, words)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param("127.0.0.1", "loopback range", id="loopback"),
        pytest.param("169.254.1.1", "link-local range", id="link local"),
        pytest.param("0.0.0.0", "may not be unspecified", id="unspecified"),
        pytest.param("hello", "must be a valid IP address", id="name"),
        pytest.param("fd00::1", "must be a valid IPv4 address", id="family"),
    ],
)
async def test_endpoint_slice_takes_no_special_addresses(address: str, words: str) -> None:
    await refused(SLICES, endpoint_slice(address), 422, words)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"minReplicas": 0}, "spec.minReplicas", id="zero"),
        pytest.param({"maxReplicas": 0}, "must be greater than 0", id="no maximum"),
        pytest.param({"minReplicas": 6}, "greater than or equal to `minReplicas`", id="minimum over maximum"),
        pytest.param({"metrics": [{"type": "Resource"}]}, "must populate information", id="metric"),
        pytest.param({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 4000}}}, "3600", id="window"),
        pytest.param(
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 15}]}}},
            "must be greater than zero",
            id="policy",
        ),
    ],
)
async def test_autoscaler_is_checked(spec: Manifest, words: str) -> None:
    await refused(SCALERS, autoscaler(**spec), 422, words)


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        pytest.param({"renewTime": "2026-01-01T00:00:00Z"}, 400, "parsing time", id="time without microseconds"),
        pytest.param({"leaseDurationSeconds": 0}, 422, "must be greater than 0", id="duration"),
        pytest.param({"holder": "a"}, 400, 'unknown field "spec.holder"', id="unknown field"),
    ],
)
async def test_lease_is_checked(spec: Manifest, code: int, words: str) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "leader"}, "spec": spec}
    await refused(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases", lease, code, words)


async def test_events_of_both_versions_are_the_same_objects(cluster: Cluster) -> None:
    new_style = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "hello.1", "namespace": NAMESPACE},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"kind": "Deployment", "name": "hello", "namespace": NAMESPACE, "apiVersion": "apps/v1"},
        "reason": "ScaledUp",
        "action": "Scale",
        "note": "from 0 to 1",
        "type": "Normal",
        "reportingController": "springtide.dev/gateway",
        "reportingInstance": "gateway-1",
    }
    path = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
    created = await cluster.post(path, new_style)
    core = (await cluster.get(f"/api/v1/namespaces/{NAMESPACE}/events/hello.1")).json()
    without = await cluster.post(path, at(at(new_style, "action", ""), "metadata.name", "hello.2"))
    chosen = await cluster.get("/api/v1/events", fieldSelector="involvedObject.name=hello,reason=ScaledUp")

    assert (created.status_code, created.json()["note"]) == (201, "from 0 to 1")
    assert (core["message"], core["involvedObject"]["name"]) == ("from 0 to 1", "hello")
    assert core["reportingComponent"] == "springtide.dev/gateway"
    assert (without.status_code, "action" in without.json()["message"]) == (422, True)
    assert len(chosen.json()["items"]) == 1
