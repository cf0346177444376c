"""Alert rules, Prometheus and Alertmanager configuration, generated from one place and checked with their own tools."""

from springtide.rules.alertmanager import BasicAuth, Webhook
from springtide.rules.local import Login, Targets, alertmanager_arguments, local_configuration, prometheus_arguments
from springtide.rules.timing import DEFAULT, FAST, Timing

__all__ = [
    "DEFAULT",
    "FAST",
    "BasicAuth",
    "Login",
    "Targets",
    "Timing",
    "Webhook",
    "alertmanager_arguments",
    "local_configuration",
    "prometheus_arguments",
]
