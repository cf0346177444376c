"""The generated files before their own tools: promtool and amtool accept them, and they say what they should."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from springtide.rules import DEFAULT, FAST, BasicAuth, Login, Targets, Timing, Webhook, local_configuration

Check = Callable[..., str]
ROOT = Path(__file__).parents[2] / "rules"
GENERATED, CASES = ROOT / "generated", sorted((ROOT / "tests").glob("*.yml"))
LOGIN = Login(auth=BasicAuth("admin", "/dev/null"), password_hash="$2b$04$" + "x" * 53)
WEBHOOK = Webhook("http://127.0.0.1:8083/system/alert")

timings = pytest.mark.parametrize("timing", [pytest.param(DEFAULT, id="default"), pytest.param(FAST, id="fast")])


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@timings
def test_promtool_accepts_local_configuration_and_rules(
    tmp_path: Path, timing: Timing, targets: Targets, promtool: Check
) -> None:
    folder = written(tmp_path, local_configuration(timing, targets, WEBHOOK, LOGIN))

    said = promtool("check", "config", folder / "prometheus.yml")

    assert "2 rule files found" in said
    promtool("check", "rules", *folder.glob("*.rules.yml"))
    promtool("check", "web-config", folder / "web.yml")


@timings
@pytest.mark.parametrize("auth", [pytest.param(True, id="with a password"), pytest.param(False, id="without")])
def test_amtool_accepts_local_configuration(
    tmp_path: Path, timing: Timing, targets: Targets, amtool: Check, auth: bool
) -> None:
    (tmp_path / "password").write_text("secret")
    credentials = BasicAuth("admin", str(tmp_path / "password")) if auth else None
    folder = written(tmp_path, local_configuration(timing, targets, Webhook(WEBHOOK.url, credentials), LOGIN))

    amtool("check-config", folder / "alertmanager.yml")


def test_promtool_and_amtool_accept_the_files_for_kubernetes(promtool: Check, amtool: Check) -> None:
    promtool("check", "rules", *GENERATED.glob("*.rules.yml"))
    amtool("check-config", GENERATED / "alertmanager.yml")


@pytest.mark.parametrize("cases", [pytest.param(file, id=file.stem) for file in CASES])
def test_rules_pass_their_cases(cases: Path, promtool: Check) -> None:
    promtool("test", "rules", cases)


def test_local_prometheus_knows_every_part_and_reads_the_gateway_most_often(targets: Targets) -> None:
    prometheus = yaml.safe_load(local_configuration(DEFAULT, targets, WEBHOOK, LOGIN)["prometheus.yml"])

    jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    assert jobs.pop("connector")["file_sd_configs"][0]["files"] == [f"{targets.connectors}/*.json"]
    assert {name: job["static_configs"][0]["targets"][0] for name, job in jobs.items()} == {
        "gateway": targets.gateway_metrics,
        "provider": targets.provider,
        "alert-receiver": targets.alert_receiver,
        "idler": targets.idler,
        "scaler": targets.scaler,
        "queue-worker": targets.queue_worker,
        "cron": targets.cron,
        "console": targets.console,
        "prometheus": targets.prometheus,
    }
    assert jobs["gateway"]["scrape_interval"] == "2s"
    assert prometheus["global"]["scrape_interval"] == "5s"
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == [targets.alertmanager]


def test_local_prometheus_misses_no_queue_worker_where_no_call_is_kept(targets: Targets) -> None:
    files = local_configuration(DEFAULT, replace(targets, queue_worker=""), WEBHOOK, LOGIN)

    jobs = [job["job_name"] for job in yaml.safe_load(files["prometheus.yml"])["scrape_configs"]]
    assert "queue-worker" not in jobs


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        pytest.param(
            ["alertname=APIHighInvocationRate", "service=gateway", "severity=major", "function_name=a.b"],
            "scaler",
            id="a scaling alert",
        ),
        pytest.param(
            ["alertname=MyQueueIsLong", "service=gateway", "severity=major", "function_name=a.b", "queue=q"],
            "scaler",
            id="a user's own scaling alert",
        ),
        pytest.param(
            ["alertname=GatewayDown", "severity=critical", "job=gateway"], "operators", id="an operator alert"
        ),
        pytest.param(
            ["alertname=FunctionNotReady", "severity=warning", "function_name=a.b"],
            "operators",
            id="an operator alert about a function",
        ),
        pytest.param(["service=gateway", "severity=major"], "operators", id="a scaling alert about no function"),
    ],
)
def test_alertmanager_sends_only_scaling_alerts_to_the_scaler(labels: list[str], receiver: str, amtool: Check) -> None:
    said = amtool("config", "routes", "test", f"--config.file={GENERATED / 'alertmanager.yml'}", *labels)

    assert said.strip() == receiver


def pod(app: str, **changes: str) -> dict[str, Any]:
    """A pod as Kubernetes discovery tells of it."""
    labels = {
        "namespace": "openfaas",
        "pod_name": f"{app}-0",
        "pod_label_app": app,
        "pod_phase": "Running",
        "pod_ip": "10.0.0.5",
        "pod_annotation_prometheus_io_scrape": "true",
        "pod_annotation_prometheus_io_port": "8082",
        **changes,
    }
    return {
        "targets": ["10.0.0.5:8080"],
        "labels": {f"__meta_kubernetes_{name}": value for name, value in labels.items()},
    }


PODS = [
    pod("gateway"),
    pod("gateway", pod_name="gateway-6", pod_ip="fd00::5"),
    pod("gateway", pod_name="gateway-path", pod_annotation_prometheus_io_path="/own"),
    pod("gateway", pod_name="gateway-ended", pod_phase="Succeeded"),
    pod("gateway", pod_name="gateway-hidden", pod_annotation_prometheus_io_scrape="false"),
    pod("idler"),
]


def test_kubernetes_pods_are_scraped_as_their_annotations_say(tmp_path: Path, promtool: Check) -> None:
    """Debian's promtool knows no Kubernetes discovery, so a file tells it of the pods; all else is as committed."""
    prometheus = yaml.safe_load((GENERATED / "prometheus.yml").read_text())
    for job in prometheus["scrape_configs"]:
        if job.pop("kubernetes_sd_configs", None):
            job["file_sd_configs"] = [{"files": ["pods.json"]}]
    files = {file.name: file.read_text() for file in GENERATED.glob("*.rules.yml")}
    folder = written(tmp_path, {**files, "prometheus.yml": yaml.safe_dump(prometheus), "pods.json": json.dumps(PODS)})

    promtool("check", "config", folder / "prometheus.yml")
    found = json.loads(promtool("check", "service-discovery", "--timeout=1s", folder / "prometheus.yml", "gateway"))

    scraped = [target["labels"] for target in found if target.get("labels")]
    assert {
        labels["kubernetes_pod_name"]: labels["__address__"] + labels["__metrics_path__"] for labels in scraped
    } == {
        "gateway-0": "10.0.0.5:8082/metrics",
        "gateway-6": "[fd00::5]:8082/metrics",
        "gateway-path": "10.0.0.5:8082/own",
    }
    assert {labels["job"] for labels in scraped} == {"gateway"}


def test_kubernetes_jobs_look_for_pods_in_the_namespaces_of_the_suite() -> None:
    prometheus = yaml.safe_load((GENERATED / "prometheus.yml").read_text())

    looked_for = {
        job["job_name"]: (discovery["role"], discovery["namespaces"]["names"])
        for job in prometheus["scrape_configs"]
        for discovery in job.get("kubernetes_sd_configs", [])
    }
    assert looked_for == {
        "gateway": ("pod", ["openfaas"]),
        "provider": ("pod", ["openfaas"]),
        "alert-receiver": ("pod", ["openfaas"]),
        "scaler": ("pod", ["openfaas"]),
        "queue-worker": ("pod", ["openfaas"]),
        "idler": ("pod", ["openfaas"]),
        "console": ("pod", ["openfaas"]),
        "connector": ("pod", ["openfaas"]),
        "cron": ("pod", ["openfaas"]),
        "functions": ("pod", ["openfaas-fn"]),
    }
