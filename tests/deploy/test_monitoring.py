"""What Prometheus and Alertmanager are given, checked by their own tools and followed back to the pods."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.configuration import DASHBOARDS
from springtide.cli.tools import Tools
from springtide.rules.kubernetes import kubernetes_configuration
from tests.deploy.installations import INSTALLATIONS, named, of_kind, workloads

RULES = sorted(name for name in kubernetes_configuration() if name.endswith(".rules.yml"))
PARTS = {"gateway", "provider", "alert-receiver", "scaler", "queue-worker", "cron", "connector", "idler", "console"}


def _configuration(installation: str) -> dict[str, str]:
    """File name → content, from whichever ConfigMap has it."""
    found: dict[str, str] = {}
    for config_map in of_kind(installation, "ConfigMap"):
        if not config_map["metadata"]["name"].startswith(("grafana", "nats", "connector")):
            found |= config_map["data"]
    return found


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_configuration_satisfies_promtool_and_amtool(installation: str, tools: Tools, tmp_path: Path) -> None:
    files = _configuration(installation)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    _without_discovery(tmp_path / "prometheus.yml")

    assert files.keys() == {"prometheus.yml", "alertmanager.yml", *RULES}
    _run(tools.promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    _run(tools.promtool, "check", "rules", *(tmp_path / name for name in RULES))
    _run(tools.amtool, "check-config", tmp_path / "alertmanager.yml")


@pytest.mark.parametrize(
    ("installation", "alertmanager"),
    [
        ("defaults", [{"scheme": "http", "path_prefix": "/", "targets": ["alertmanager.openfaas:9093"]}]),
        ("one's own Alertmanager", [{"scheme": "https", "path_prefix": "/prefix", "targets": ["alerts.example:8443"]}]),
        ("Prometheus operator", []),
    ],
)
def test_prometheus_tells_the_alertmanager_there_is(installation: str, alertmanager: list[dict[str, Any]]) -> None:
    alerting = yaml.safe_load(_configuration(installation)["prometheus.yml"])["alerting"]["alertmanagers"]

    assert [
        {"scheme": one["scheme"], "path_prefix": one["path_prefix"], "targets": one["static_configs"][0]["targets"]}
        for one in alerting
    ] == alertmanager


def test_alertmanager_shows_the_credentials_it_has_mounted() -> None:
    with_auth = yaml.safe_load(_configuration("defaults")["alertmanager.yml"])["receivers"][0]["webhook_configs"][0]
    without = yaml.safe_load(_configuration("no authentication")["alertmanager.yml"])["receivers"][0][
        "webhook_configs"
    ][0]
    mounts = named("defaults", "Deployment", "alertmanager")["spec"]["template"]["spec"]["containers"][0][
        "volumeMounts"
    ]

    assert with_auth["http_config"]["basic_auth"]["password_file"] == "/var/secrets/basic-auth-password"
    assert "/var/secrets" in [mount["mountPath"] for mount in mounts]
    assert "basic_auth" not in without["http_config"]


def test_people_are_told_as_the_values_say() -> None:
    receivers = yaml.safe_load(_configuration("most")["alertmanager.yml"])["receivers"]

    assert receivers[1] == {"name": "operators", "webhook_configs": [{"url": "https://pager.example/hook"}]}


@pytest.mark.parametrize("installation", ["defaults", "springtide-all-namespaces", "functions beside the suite"])
def test_each_job_finds_the_pods_of_its_part_alone(installation: str) -> None:
    """The relabelling's questions, asked of the pods' labels and annotations."""
    jobs = {
        job["job_name"]: job for job in yaml.safe_load(_configuration(installation)["prometheus.yml"])["scrape_configs"]
    }
    for workload in workloads(installation):
        metadata = workload["spec"]["template"]["metadata"]
        part, annotations = metadata["labels"]["app"], metadata.get("annotations", {})
        ports = workload["spec"]["template"]["spec"]["containers"][0].get("ports", [])
        scraped = annotations.get("prometheus.io/scrape") == "true"
        takers = [name for name, job in jobs.items() if scraped and _wanted_app(job) == part]

        assert takers == ([part] if part in PARTS and part in jobs else [])
        if scraped:
            assert int(annotations["prometheus.io/port"]) in [port["containerPort"] for port in ports]


def test_functions_are_looked_for_where_they_are() -> None:
    def namespaces(installation: str) -> list[str]:
        jobs = yaml.safe_load(_configuration(installation)["prometheus.yml"])["scrape_configs"]
        functions = next(job for job in jobs if job["job_name"] == "functions")
        found: list[str] = functions["kubernetes_sd_configs"][0]["namespaces"]["names"]
        return found

    assert namespaces("defaults") == ["openfaas-fn"]
    assert namespaces("functions beside the suite") == ["openfaas"]
    assert namespaces("springtide-all-namespaces") == []


def test_pod_monitors_give_jobs_the_names_that_rules_know() -> None:
    monitors = {one["metadata"]["name"]: one["spec"] for one in of_kind("Prometheus operator", "PodMonitor")}

    assert monitors.keys() == PARTS
    for part, spec in monitors.items():
        selector = spec["selector"]["matchLabels"].items()
        (pod,) = (
            one["spec"]["template"]
            for one in workloads("Prometheus operator")
            if selector <= one["spec"]["template"]["metadata"]["labels"].items()
        )
        assert pod["metadata"]["labels"][spec["jobLabel"]] == part
        ports = [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
        assert spec["podMetricsEndpoints"][0]["port"] in ports


def test_prometheus_rules_are_the_rule_files() -> None:
    rules = {one["metadata"]["name"]: one["spec"] for one in of_kind("Prometheus operator", "PrometheusRule")}
    files = _configuration("Prometheus operator")

    assert rules == {f"springtide-{name.removesuffix('.rules.yml')}": yaml.safe_load(files[name]) for name in RULES}


def test_dashboards_are_labelled_for_the_sidecar() -> None:
    boards = [
        one for one in of_kind("Prometheus operator", "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]
    ]

    assert {name for board in boards for name in board["data"]} == {path.name for path in DASHBOARDS.glob("*.json")}
    assert {board["metadata"]["labels"]["grafana_dashboard"] for board in boards} == {"1"}


def _without_discovery(file: Path) -> None:
    """Debian's Prometheus is built without Kubernetes, and would not even read of it."""
    value = yaml.safe_load(file.read_text())
    for job in value["scrape_configs"]:
        for found in job.pop("kubernetes_sd_configs", ()):
            assert found.keys() == {"role", "namespaces"}
            assert found["role"] == "pod"
            job["static_configs"] = [{"targets": ["localhost:1"]}]
    file.write_text(yaml.safe_dump(value))


def _wanted_app(job: dict[str, Any]) -> str:
    for rule in job.get("relabel_configs", ()):
        if rule.get("source_labels") == ["__meta_kubernetes_pod_label_app"] and rule["action"] == "keep":
            assert re.fullmatch(r"[-a-z]+", rule["regex"])
            found: str = rule["regex"]
            return found
    return ""


def _run(program: Path, *arguments: object) -> None:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
