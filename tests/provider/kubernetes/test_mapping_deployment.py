"""A function as a Deployment and a Service (contract: Kubernetes mapping of a deployment)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_validate import validate

from springtide.provider.kubernetes.manifests.deployment import DesiredFunction, deployment_of, owner_of, service_of
from springtide.provider.kubernetes.manifests.hpa import hpa_of
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.scaler.core.vocabulary import Instant
from tests.provider.kubernetes.published_schemas import VERSIONS, all_problems
from tests.provider.kubernetes.specs import FULL, spec, specs

PLAIN = ManifestSettings()


def deployed(asked: Any, *, how: ManifestSettings = PLAIN, **changes: Any) -> dict[str, Any]:
    return deployment_of(DesiredFunction(spec=asked, rollout="1", **changes), how)


def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    return dict(deployment["spec"]["template"]["spec"])


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(deployment)["containers"]
    return dict(only)


def test_full_function_is_mapped_whole() -> None:
    deployment = deployed(FULL, pull_secrets={"registry"}, created=Instant(1_700_000_000.25))

    metadata = deployment["metadata"]
    assert metadata["labels"] == {"faas_function": "echo"}
    assert metadata["annotations"].pop("com.openfaas.function.spec")
    shown = {"topic": "billing", "com.openfaas.serviceaccount": "robot", "prometheus.io.scrape": "false"}
    assert metadata["annotations"] == shown | {"com.springtide.created": "2023-11-14T22:13:20.250000Z"}
    assert deployment["spec"]["selector"] == {"matchLabels": {"faas_function": "echo"}}
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert deployment["spec"]["revisionHistoryLimit"] == 10
    assert deployment["spec"]["template"]["metadata"] == {
        "labels": {"team": "a", "com.openfaas.scale.min": "2", "faas_function": "echo", "uid": "1"},
        "annotations": shown,
    }
    assert pod(deployment) | {"containers": []} == {
        "containers": [],
        "volumes": [
            {"name": "echo-projected-secrets", "projected": {"sources": [{"secret": {"name": "token"}}]}},
            {"name": "temp", "emptyDir": {}},
        ],
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"zone": "b", "disk": "ssd"},
        "serviceAccountName": "robot",
        "enableServiceLinks": False,
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 124,
    }
    probe = {"httpGet": {"path": "/_/health", "port": 8080, "scheme": "HTTP"}, "successThreshold": 1}
    assert container(deployment) == {
        "name": "echo",
        "image": "ghcr.io/example/echo:1",
        "imagePullPolicy": "Always",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "OPENFAAS_NAME", "value": "echo"},
            {"name": "OPENFAAS_NAMESPACE", "value": "openfaas-fn"},
            {"name": "Z", "value": ""},
            {"name": "colour", "value": "blue"},
            {"name": "exec_timeout", "value": "2m"},
            {"name": "fprocess", "value": "python3 main.py"},
            {"name": "write_timeout", "value": "1m30s"},
        ],
        "readinessProbe": probe
        | {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 3},
        "livenessProbe": probe
        | {"initialDelaySeconds": 2, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
        "resources": {
            "limits": {"memory": "1024Mi", "cpu": "0.5", "nvidia.com/gpu": "1"},
            "requests": {"memory": "16Mi", "cpu": "100m"},
        },
        "volumeMounts": [
            {"name": "echo-projected-secrets", "mountPath": "/var/openfaas/secrets", "readOnly": True},
            {"name": "temp", "mountPath": "/tmp"},
        ],
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
    }


def test_service_selects_the_pods_of_its_function() -> None:
    service = service_of(DesiredFunction(spec=FULL, rollout="1"))

    assert service["metadata"]["labels"] == {"faas_function": "echo"}
    assert service["spec"] == {
        "type": "ClusterIP",
        "selector": {"faas_function": "echo"},
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080, "targetPort": 8080}],
    }


@given(specs(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_manifest_is_valid_on_every_version(asked: Any, http: bool, nonroot: bool) -> None:
    how = ManifestSettings(http_probe=http, set_nonroot_user=nonroot)
    wanted = DesiredFunction(spec=asked, rollout="1", pull_secrets=asked.secrets[:1], created=Instant(1.5))
    made = [deployment_of(wanted, how.on((1, 29))), service_of(wanted)]
    made += [hpa] if (hpa := hpa_of(asked)) else []

    assert [problem for manifest in made for problem in all_problems(manifest)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_handpicked_manifests_pass_the_library_itself(version: str) -> None:
    how = ManifestSettings(set_nonroot_user=True).on(version)
    asked = spec(labels={"com.openfaas.scale.type": "cpu"}, requests={"cpu": "1"}, secrets=("a",))
    wanted = DesiredFunction(spec=asked, rollout="1")

    for manifest in (deployment_of(wanted, how), service_of(wanted), hpa_of(asked)):
        assert manifest is not None
        validate(manifest, version, strict=True)


def test_unknown_field_would_be_noticed() -> None:
    deployment = deployed(spec())
    deployment["spec"]["template"]["spec"]["nodeselector"] = {}

    assert len(all_problems(deployment)) == len(VERSIONS) >= 8


def test_versions_reach_from_1_29_on() -> None:
    assert VERSIONS[0].startswith("1.29.")


@given(specs())
@settings(max_examples=25, deadline=None)
def test_deployment_leaves_replicas_to_whoever_scales(asked: Any) -> None:
    assert "replicas" not in deployed(asked)["spec"]


def test_own_variables_win_over_ours() -> None:
    asked = spec(env_process="cat", env_vars={"fprocess": "wc", "OPENFAAS_NAME": "mine"})

    env = {item["name"]: item["value"] for item in container(deployed(asked))["env"]}

    assert env == {"fprocess": "wc", "OPENFAAS_NAME": "mine", "OPENFAAS_NAMESPACE": "openfaas-fn"}


@pytest.mark.parametrize(
    ("env", "grace"),
    [
        pytest.param({}, 32, id="nothing said: Kubernetes' default and the sleep"),
        pytest.param({"write_timeout": "60"}, 64, id="time-out and two seconds and the sleep"),
        pytest.param({"write_timeout": "5s", "exec_timeout": "1m"}, 64, id="the longest of them"),
        pytest.param({"write_timeout": "1500ms"}, 6, id="rounded up"),
    ],
)
def test_grace_follows_the_functions_time_outs(env: dict[str, str], grace: int) -> None:
    assert pod(deployed(spec(env_vars=env)))["terminationGracePeriodSeconds"] == grace


@pytest.mark.parametrize("version", ["v1.29.15-eks-1", "1.29", (1, 29), "", "no version"])
def test_cluster_before_sleep_gets_no_pre_stop(version: str | tuple[int, int]) -> None:
    deployment = deployed(spec(), how=PLAIN.on(version))

    assert "lifecycle" not in container(deployment)
    assert pod(deployment)["terminationGracePeriodSeconds"] == 30


@pytest.mark.parametrize("version", ["v1.30.0", "v1.36.2+k3s1", (2, 0)])
def test_cluster_with_sleep_gets_a_pre_stop(version: str | tuple[int, int]) -> None:
    assert "lifecycle" in container(deployed(spec(), how=PLAIN.on(version)))


def test_nonroot_function_meets_the_restricted_standard() -> None:
    context = container(deployed(spec(), how=ManifestSettings(set_nonroot_user=True)))["securityContext"]

    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": False,
        "runAsNonRoot": True,
        "runAsUser": 12000,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize(
    ("annotations", "readiness", "liveness"),
    [
        pytest.param({}, ("/_/health", 0, 1, 1, 1, 3), ("/_/health", 2, 5, 5, 1, 3), id="defaults"),
        pytest.param(
            {"com.openfaas.health.http.path": "/h", "com.openfaas.health.http.initialDelay": "1m0.5s"},
            ("/h", 60, 1, 1, 1, 3),
            ("/h", 60, 5, 5, 1, 3),
            id="health's path and delay are both probes'",
        ),
        pytest.param(
            {
                "com.openfaas.ready.http.path": "/r",
                "com.openfaas.ready.http.initialDelaySeconds": "3",
                "com.openfaas.ready.http.periodSeconds": "4s",
                "com.openfaas.ready.http.timeoutSeconds": "5",
                "com.openfaas.ready.http.successThreshold": "6",
                "com.openfaas.ready.http.failureThreshold": "7",
                "com.openfaas.health.http.periodSeconds": "8",
                "com.openfaas.health.http.failureThreshold": "9",
            },
            ("/r", 3, 4, 5, 6, 7),
            ("/_/health", 2, 8, 5, 1, 9),
            id="each its own",
        ),
    ],
)
def test_probes_follow_the_annotations(
    annotations: dict[str, str], readiness: tuple[object, ...], liveness: tuple[object, ...]
) -> None:
    made = container(deployed(spec(annotations=annotations)))

    shown = [
        (
            probe["httpGet"]["path"],
            probe["initialDelaySeconds"],
            probe["periodSeconds"],
            probe["timeoutSeconds"],
            probe["successThreshold"],
            probe["failureThreshold"],
        )
        for probe in (made["readinessProbe"], made["livenessProbe"])
    ]
    assert shown == [readiness, liveness]


def test_exec_probe_looks_for_the_lock_file_unless_a_path_is_named() -> None:
    how = ManifestSettings(http_probe=False)

    plain = container(deployed(spec(), how=how))
    named = container(deployed(spec(annotations={"com.openfaas.health.http.path": "/h"}), how=how))

    assert plain["livenessProbe"]["exec"] == plain["readinessProbe"]["exec"] == {"command": ["cat", "/tmp/.lock"]}
    assert named["livenessProbe"]["httpGet"]["path"] == "/h"


def test_volume_name_fits_however_long_the_function_is_called() -> None:
    longest = FULL.ref.__class__("openfaas-fn", "f" * 63)

    deployment = deployed(spec(ref=longest, secrets=("token",)))

    assert [volume["name"] for volume in pod(deployment)["volumes"]] == ["projected-secrets"]
    assert container(deployment)["volumeMounts"][0]["name"] == "projected-secrets"


def test_selector_that_is_there_is_kept_and_its_labels_with_it() -> None:
    existing = deployed(spec())
    existing["spec"]["selector"] = {
        "matchLabels": {"app": "echo", "controller": "echo"},
        "matchExpressions": [{"key": "tier", "operator": "Exists"}],
    }
    existing["spec"]["template"]["metadata"]["labels"] |= {"tier": "1", "old": "2"}

    wanted = DesiredFunction(spec=spec(labels={"app": "mine"}), rollout="2", existing=existing)
    deployment = deployment_of(wanted, PLAIN)

    assert deployment["spec"]["selector"] == existing["spec"]["selector"]
    assert deployment["spec"]["template"]["metadata"]["labels"] == {
        "faas_function": "echo",
        "uid": "2",
        "app": "echo",
        "controller": "echo",
        "tier": "1",
    }
    assert service_of(wanted)["spec"]["selector"] == {"app": "echo", "controller": "echo"}


def test_birthday_is_kept_by_later_deployments() -> None:
    first = deployed(spec(), created=Instant(10.0))

    later = deployed(spec(), created=Instant(20.0), existing=first)

    assert later["metadata"]["annotations"]["com.springtide.created"] == "1970-01-01T00:00:10.000000Z"


def test_owner_takes_both_objects_with_it_and_needs_no_finalizer_permission() -> None:
    function = {"apiVersion": "openfaas.com/v1", "kind": "Function", "metadata": {"name": "echo", "uid": "u"}}
    wanted = DesiredFunction(spec=spec(), rollout="1", owner=owner_of(function))

    for manifest in (deployment_of(wanted, PLAIN), service_of(wanted)):
        assert manifest["metadata"]["ownerReferences"] == [
            {"apiVersion": "openfaas.com/v1", "kind": "Function", "name": "echo", "uid": "u", "controller": True}
        ]
        assert all_problems(manifest) == []
