"""The configuration inside a cluster, where the parts are pods with the annotations OpenFaaS uses.

A part's pods carry the label ``app`` with its name, and the annotations ``prometheus.io.scrape: "true"`` and
``prometheus.io.port``; ``prometheus.io.path`` is optional. The spelling with a slash works as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from springtide.rules.alertmanager import BasicAuth, Webhook
from springtide.rules.model import Yaml
from springtide.rules.operators import OperatorRules
from springtide.rules.prometheus import configuration_files, static
from springtide.rules.timing import DEFAULT, Timing
from springtide.scaler.core.catalogue import Part
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE

CORE_NAMESPACE = "openfaas"
FUNCTIONS_JOB = "functions"
WEBHOOK = Webhook(
    f"http://gateway.{CORE_NAMESPACE}:8080/system/alert", BasicAuth("admin", "/var/secrets/basic-auth-password")
)
_DEFAULT_RULES = OperatorRules()
_POD = "__meta_kubernetes_pod_"
_SCRAPE, _PATH, _PORT = (f"{_POD}annotation_prometheus_io_{name}" for name in ("scrape", "path", "port"))


def kubernetes_configuration(
    timing: Timing = DEFAULT, webhook: Webhook = WEBHOOK, operators: OperatorRules = _DEFAULT_RULES
) -> Mapping[str, str]:
    """File name → content."""
    jobs = {
        **{part.value: _pods(CORE_NAMESPACE, _only_app(part)) for part in Part},
        FUNCTIONS_JOB: _pods(DEFAULT_NAMESPACE, _function_name()),
        "prometheus": static("localhost:9090"),
    }
    alertmanager = f"alertmanager.{CORE_NAMESPACE}:9093"
    return configuration_files(timing, webhook, jobs=jobs, alertmanager=alertmanager, operators=operators)


def _only_app(part: Part) -> Yaml:
    return {"source_labels": [f"{_POD}label_app"], "regex": part.value, "action": "keep"}


def _function_name() -> Yaml:
    """For watchdogs of functions whose owner asked for it by annotation."""
    return {"source_labels": [f"{_POD}label_faas_function"], "target_label": "faas_function"}


def _pods(namespace: str, special: Yaml) -> Yaml:
    return {
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [namespace]}}],
        "relabel_configs": [
            {"source_labels": [_SCRAPE], "regex": "true", "action": "keep"},
            # A pod that has ended keeps its address in the API for a while.
            {"source_labels": [f"{_POD}phase"], "regex": "Succeeded|Failed", "action": "drop"},
            special,
            {"source_labels": [_PATH], "regex": "(.+)", "target_label": "__metrics_path__"},
            _address(r"(\d+);([0-9.]+)", "$2:$1"),
            _address(r"(\d+);([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)", "[$2]:$1"),
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "kubernetes_namespace"},
            {"source_labels": [f"{_POD}name"], "target_label": "kubernetes_pod_name"},
        ],
    }


def _address(regex: str, replacement: str) -> Yaml:
    return {
        "source_labels": [_PORT, f"{_POD}ip"],
        "regex": regex,
        "replacement": replacement,
        "target_label": "__address__",
    }
