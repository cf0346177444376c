"""What Prometheus's configuration has in common on one machine and in a cluster: intervals, rules, job names."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.rules.alertmanager import BasicAuth, Webhook, alertmanager_configuration, asked_for
from springtide.rules.alerts import scaling_group
from springtide.rules.model import Yaml, rule_file, to_text
from springtide.rules.operators import OperatorRules
from springtide.rules.timing import Timing, prometheus_duration
from springtide.scaler.core.catalogue import Part

_DEFAULT_RULES = OperatorRules()
PROMETHEUS_FILE, ALERTMANAGER_FILE = "prometheus.yml", "alertmanager.yml"
SCALING_RULES_FILE, OPERATOR_RULES_FILE = "scaling.rules.yml", "operators.rules.yml"


def configuration_files(
    timing: Timing,
    webhook: Webhook,
    *,
    jobs: Mapping[str, Yaml],
    alertmanager: str,
    operators: OperatorRules = _DEFAULT_RULES,
    auth: BasicAuth | None = None,
    receiver: Yaml | None = None,
) -> Mapping[str, str]:
    """File name → content, all for one folder. ``jobs``: name → how its targets are found.

    ``auth`` is what Alertmanager asks Prometheus for, ``receiver`` how people are told of alerts.
    """
    alertmanagers = {**static(alertmanager), **asked_for(auth)}
    prometheus = {
        "global": {**_every(timing.parts_scrape_s), "evaluation_interval": prometheus_duration(timing.evaluation_s)},
        "rule_files": [SCALING_RULES_FILE, OPERATOR_RULES_FILE],
        "alerting": {"alertmanagers": [alertmanagers]},
        "scrape_configs": [_job(name, discovery, timing) for name, discovery in jobs.items()],
    }
    return {
        PROMETHEUS_FILE: to_text(prometheus),
        ALERTMANAGER_FILE: alertmanager_configuration(timing, webhook, receiver),
        SCALING_RULES_FILE: rule_file(scaling_group(timing, operators.thresholds), runbooks=operators.runbooks),
        OPERATOR_RULES_FILE: rule_file(*operators.groups(timing), runbooks=operators.runbooks),
    }


def static(target: str) -> Yaml:
    return {"static_configs": [{"targets": [target]}]}


def _job(name: str, discovery: Yaml, timing: Timing) -> Yaml:
    often = _every(timing.gateway_scrape_s) if name == Part.GATEWAY else {}
    return {"job_name": name, **often, **discovery}


def _every(seconds: float) -> Yaml:
    """A scrape that takes longer than until the next one counts as lost."""
    return {"scrape_interval": prometheus_duration(seconds), "scrape_timeout": prometheus_duration(seconds)}
