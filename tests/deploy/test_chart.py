"""The chart, rendered by Helm's own engine for many installations, and what must hold in each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import yaml

from deploy.permissions import PARTS as WITH_PERMISSIONS
from deploy.rendering import CHART, Object, objects, render
from deploy.values import PARTS, chart_values, settings_of
from springtide.cli.parts.settings_flags import Section
from springtide.runtime.settings import SettingsError, declared
from tests.deploy.installations import INSTALLATIONS, containers, environment, named, of_kind, rendered, workloads
from tests.provider.kubernetes.published_schemas import VERSIONS, problems

helm_python = pytest.importorskip("helm_python", reason="helm-python-sdk: there is none for this machine")

CUSTOM = {"PodMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which the published schemas do not have."""

COMMANDS = {
    "gateway": "gateway",
    "kubernetes-provider": "provider",
    "alert-receiver": "alertReceiver",
    "scaler": "scaler",
    "queue-worker": "queueWorker",
    "cron": "cron",
    "idler": "idler",
    "console": "console",
}


def _connector(source: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"connectors": [{"name": "a", "config": {"sources": [source], **settings}}]}


every_installation = pytest.mark.parametrize("installation", INSTALLATIONS)


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_lint_finds_nothing(installation: str) -> None:
    report = helm_python.lint(CHART, dict(INSTALLATIONS[installation]), strict=True, namespace="openfaas")

    assert report["errors"] == []
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_manifests_are_valid_in_every_version(kubernetes: str) -> None:
    """Each object once, however many installations have it."""
    every = {json.dumps(one, sort_keys=True): one for name in INSTALLATIONS for one in rendered(name)}
    published = [one for one in every.values() if one["kind"] not in CUSTOM]

    assert [problem for manifest in published for problem in problems(manifest, kubernetes)] == []
    assert len(published) > 150


@every_installation
def test_objects_have_one_place_each(installation: str) -> None:
    keys = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rendered(installation)]

    assert len(keys) == len(set(keys))
    assert {namespace for _, namespace, _ in keys} <= {"openfaas", "openfaas-fn", None}


@every_installation
def test_pods_have_no_more_rights_than_they_need(installation: str) -> None:
    for workload in workloads(installation):
        pod = workload["spec"]["template"]["spec"]
        account = pod["serviceAccountName"]

        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is (account in WITH_PERMISSIONS)
        assert named(installation, "ServiceAccount", account)["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@every_installation
def test_pods_say_what_they_need_and_how_they_are(installation: str) -> None:
    for workload in workloads(installation):
        for container in containers(workload):
            if installation != "least" or container["name"] != "gateway":
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
                assert "memory" in container["resources"]["limits"]
            if workload["kind"] != "Job":
                assert {"readinessProbe", "livenessProbe"} <= container.keys()
                ports = {port["name"] for port in container["ports"]}
                assert all(port in ports for port in _probed_ports(container))


@every_installation
def test_selectors_find_their_pods(installation: str) -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in workloads(installation)]
    selectors = [
        *(one["spec"]["selector"] for one in of_kind(installation, "Service")),
        *(one["spec"]["selector"]["matchLabels"] for one in of_kind(installation, "Deployment")),
        *(one["spec"]["selector"]["matchLabels"] for one in of_kind(installation, "StatefulSet")),
        *(one["spec"]["selector"]["matchLabels"] for one in of_kind(installation, "PodDisruptionBudget")),
        *(one["spec"]["selector"]["matchLabels"] for one in of_kind(installation, "PodMonitor")),
    ]

    for selector in selectors:
        assert sum(selector.items() <= of_pod.items() for of_pod in labels) == 1, selector


@every_installation
def test_services_lead_to_ports_that_are_open(installation: str) -> None:
    for service in of_kind(installation, "Service"):
        selector = service["spec"]["selector"].items()
        workload = next(one for one in workloads(installation) if selector <= one["metadata"]["labels"].items())
        ports = {port["name"]: port["containerPort"] for port in containers(workload)[0]["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


@every_installation
def test_settings_are_those_that_the_parts_know(installation: str) -> None:
    """Each part reads its environment as in the pod, but for the folder with the credentials."""
    seen = set()
    for deployment in of_kind(installation, "Deployment"):
        container = containers(deployment)[0]
        if container["name"] not in COMMANDS:
            continue
        seen.add(container["name"])
        given = environment(container)
        sections = _sections(COMMANDS[container["name"]])
        known = {item.env for section in sections for item in declared(section.cls)}

        assert container["args"] == [container["name"]]
        assert given.keys() <= known
        for section in sections:
            section.read(given, {})

    assert {"gateway", "kubernetes-provider", "alert-receiver"} <= seen


@every_installation
def test_a_pod_ends_no_sooner_than_its_part(installation: str) -> None:
    """preStop and the part's own grace fit into the pod's."""
    for part, setting, least in (
        ("gateway", "grace", 0.0),
        ("provider", "shutdown_grace", 0.0),
        ("queue-worker", "queue_worker_grace", 0.0),
        ("connector-orders", "connector_grace", 10.0),  # to give back what it did not deliver
        ("connector-sensors", "connector_grace", 10.0),
        ("console", "", 2.0),
    ):
        for deployment in of_kind(installation, "Deployment"):
            if deployment["metadata"]["name"] != part:
                continue
            container = containers(deployment)[0]
            prestop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            grace = least + (float(environment(container)[setting]) if setting else 0.0)
            allowed = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]

            assert prestop[0] == "sleep"
            delay = float(environment(container).get("shutdown_delay", "0s").removesuffix("s"))
            assert float(prestop[1]) + delay + grace + 5 <= allowed


@pytest.mark.parametrize("part", ["provider", "alert-receiver", "console"])
def test_a_part_that_goes_ends_kept_connections_while_it_leaves_its_service(part: str) -> None:
    """A sleep before SIGTERM would leave it unaware, and callers with kept connections at the old one."""
    container = containers(named("defaults", "Deployment", part))[0]

    assert "lifecycle" not in container
    assert environment(container)["shutdown_delay"] == "3s"


def test_a_rollout_of_the_gateway_loses_no_call() -> None:
    deployment = named("defaults", "Deployment", "gateway")
    container = containers(deployment)[0]

    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert float(environment(container)["grace"]) > 60  # the longest call


def test_autoscaling_owns_the_gateways_replicas() -> None:
    assert "replicas" not in named("defaults", "Deployment", "gateway")["spec"]
    assert named("defaults", "HorizontalPodAutoscaler", "gateway")["spec"]["minReplicas"] == 2
    assert named("least", "Deployment", "gateway")["spec"]["replicas"] == 1
    assert not list(of_kind("least", "HorizontalPodAutoscaler"))


@pytest.mark.parametrize("part", ["alert-receiver", "scaler", "cron", "idler"])
def test_copies_elect_a_leader_by_the_lease_they_may_write(part: str) -> None:
    deployment = named("defaults", "Deployment", part)
    given = environment(containers(deployment)[0])
    rules = named("defaults", "Role", f"springtide-{part}")["rules"]

    assert deployment["spec"]["replicas"] == 2
    assert given["leader_election"] == "true"
    assert given["lease_namespace"] == named("defaults", "Role", f"springtide-{part}")["metadata"]["namespace"]
    assert [given["lease_name"]] in [rule.get("resourceNames") for rule in rules]


@pytest.mark.parametrize(
    ("installation", "runs", "by_default"),
    [("defaults", "true", "false"), ("most", "true", "true"), ("least", "false", "false")],
)
def test_the_provider_knows_whether_a_scaler_runs(installation: str, runs: str, by_default: str) -> None:
    """It tells the owner of each function by that."""
    given = environment(containers(named(installation, "Deployment", "provider"))[0])
    scalers = [one for one in of_kind(installation, "Deployment") if one["metadata"]["name"] == "scaler"]

    assert (given["scaler"], given["scaler_default"]) == (runs, by_default)
    assert len(scalers) == (1 if runs == "true" else 0)


def test_the_scaler_hears_every_gateway() -> None:
    """By a name that has the address of each of them, those that leave, too: they take calls for some seconds more."""
    told = environment(containers(named("defaults", "Deployment", "scaler"))[0])["gateway_urls"]
    service = named("defaults", "Service", "gateways")["spec"]

    assert told == "http://gateways.openfaas:8080"
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert 8080 in [port["port"] for port in service["ports"]]


def test_the_version_is_that_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["version"] == chart["appVersion"] == version("springtide")


def test_the_namespace_of_functions_is_marked_and_outlives_the_release() -> None:
    metadata = named("defaults", "Namespace", "openfaas-fn")["metadata"]

    assert metadata["annotations"] == {"openfaas": "1", "helm.sh/resource-policy": "keep"}
    assert metadata["labels"]["openfaas"] == "1"


def test_an_installation_in_another_namespace_is_whole_there() -> None:
    text = render({"clusterRole": True, "podMonitor": {"create": True}}, namespace="springtide")

    found = [one["metadata"].get("namespace") for one in objects(text)]
    assert set(found) == {"springtide", None}
    assert re.findall(r"[-a-z]+\.openfaas[:/]", text) == []
    assert "http://provider.springtide:8081/" in text
    assert "- springtide\n" in text  # where Prometheus looks for parts


# Values.


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"replica": 3}, "replica", id="a key that is not known"),
        pytest.param({"gateway": {"replica": 3}}, "replica", id="one below a key that is"),
        pytest.param({"gateway": {"replicas": "3"}}, "replicas", id="text for a number"),
        pytest.param({"gateway": {"replicas": -1}}, "replicas", id="a negative count"),
        pytest.param({"serviceType": "Nodeport"}, "serviceType", id="a choice that there is not"),
        pytest.param({"gateway": {"upstreamTimeout": "1 minute"}}, "upstreamTimeout", id="a strange duration"),
        pytest.param({"gateway": {"settings": {"hold_timout": "5s"}}}, "hold_timout", id="a setting that is not known"),
        pytest.param({"scaler": {"replicas": 6}}, "replicas", id="more scalers than a gateway tells its load"),
        pytest.param({"scaler": {"default": "yes"}}, "default", id="text for a switch"),
        pytest.param({"provider": {"settings": {"scaler": True}}}, "scaler", id="a switch the chart has a value for"),
        pytest.param({"idler": {"settings": {"idler_port": 9000}}}, "idler_port", id="a setting the chart goes by"),
        pytest.param({"prometheus": {"url": "prometheus:9090"}}, "url", id="a URL without a scheme"),
        pytest.param({"queueWorker": {"settings": {"nats_url": "nats://x"}}}, "nats_url", id="a server by a setting"),
        pytest.param({"gateway": {"settings": {"callback_deny": ""}}}, "callback_deny", id="a check switched off"),
        pytest.param({"nats": {"replicas": 2}}, "replicas", id="servers of which no majority can be away"),
        pytest.param({"nats": {"url": "nats://user:secret@nats:4222"}}, "url", id="a password in an address"),
        pytest.param({"nats": {"syncInterval": "never"}}, "syncInterval", id="a sync that never comes"),
        pytest.param({"nats": {"persistence": {"size": "10G"}}}, "size", id="a size of another unit"),
        pytest.param(
            {"cron": {"settings": {"cron_state_dir": "/x"}}}, "cron_state_dir", id="a folder nothing is mounted at"
        ),
        pytest.param({"connectors": [{"name": "a"}]}, "config", id="a connector of nothing"),
        pytest.param(_connector({"kind": "natz"}), "nats", id="a kind of source that there is not"),
        pytest.param(_connector({"kind": "nats", "tpoics": "a"}), "tpoics", id="a key that its kind does not have"),
        pytest.param(_connector({"kind": "nats", "channels": "a"}), "channels", id="a key of another kind"),
        pytest.param(_connector({"kind": "nats"}, connector_port=1), "connector_port", id="a port the chart goes by"),
        pytest.param({"callbacks": {"deny": "db"}}, "deny", id="text for a list"),
        pytest.param({"image": {"digest": "sha256:abc"}}, "digest", id="half a digest"),
        pytest.param({"imagePullSecrets": ["registry"]}, "imagePullSecrets", id="names for objects"),
    ],
)
def test_values_that_mean_nothing_are_refused(values: dict[str, Any], said: str) -> None:
    with helm_python.Chart.load(CHART) as chart, pytest.raises(helm_python.HelmError, match=said):
        chart.validate_schema(values)


def test_every_value_is_explained() -> None:
    explained = {value.path for value in chart_values()}
    lacking = set(_leaves("", yaml.safe_load((CHART / "values.yaml").read_text()))) - explained

    assert {path for path in lacking if ".resources." not in path} == set()


@pytest.mark.parametrize("part", PARTS)
def test_settings_can_be_given_by_their_names(part: str) -> None:
    names = {item.env for item in settings_of(part)}

    assert len(names) > 5
    assert not {"port", "host", "secret_mount_path", "lease_name"} & names


def test_a_setting_wins_over_the_charts_own() -> None:
    values = {"gateway": {"settings": {"upstream_timeout": "5m", "hold_timeout": "90s"}}}

    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values, name="springtide", namespace="openfaas")
    deployment = next(
        one for one in yaml.safe_load_all(texts["springtide/templates/gateway.yaml"]) if one["kind"] == "Deployment"
    )

    given = environment(containers(deployment)[0])
    assert (given["upstream_timeout"], given["hold_timeout"]) == ("5m", "90s")


def test_a_large_number_is_given_as_it_was_written() -> None:
    """Helm reads it as a float, which Go writes with an exponent."""
    assert environment(containers(named("most", "Deployment", "gateway"))[0])["max_async_body"] == "67108864"


def test_the_check_of_settings_sees_a_bad_one() -> None:
    with pytest.raises(SettingsError, match="port"):
        _sections("gateway")[0].read({"port": "eighty"}, {})


def _sections(part: str) -> list[Section[Any]]:
    return [value for value in vars(PARTS[part]).values() if isinstance(value, Section)]


def _probed_ports(container: Object) -> Iterator[str]:
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container.get(name, {})
        if probe:
            yield (probe.get("httpGet") or probe["tcpSocket"])["port"]


def _leaves(path: str, tree: Any) -> Iterator[str]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(f"{path}.{key}".lstrip("."), value)
    else:
        yield path
