"""Alertmanager's configuration: scaling alerts to the alert receiver, each function by itself; the others to people."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.rules.alerts import SCALING_LABELS
from springtide.rules.model import Yaml, to_text
from springtide.rules.timing import Timing, prometheus_duration
from springtide.scaler.core.steps import MAX_ALERTS

SCALER, OPERATORS = "scaler", "operators"


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """What a client proves itself with. The password stays in its file, which is read at every request."""

    username: str
    password_file: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where scaling alerts are delivered: the alert receiver, or a gateway's ``/system/alert``."""

    url: str
    auth: BasicAuth | None = None


def alertmanager_configuration(timing: Timing, webhook: Webhook, operators: Yaml | None = None) -> str:
    """The receiver for people is empty unless ``operators`` says how they are told: everyone has their own channel."""
    return to_text(
        {
            "route": {
                "receiver": OPERATORS,
                "group_by": ["alertname"],
                "group_wait": "10s",
                "group_interval": "1m",
                "repeat_interval": "4h",
                "routes": [_scaling_route(timing)],
            },
            "receivers": [
                {"name": SCALER, "webhook_configs": [_delivery(webhook)]},
                {"name": OPERATORS, **(operators or {})},
            ],
        }
    )


def asked_for(auth: BasicAuth | None) -> Yaml:
    """A client's part of a configuration, of Prometheus or of Alertmanager."""
    return {} if auth is None else {"basic_auth": {"username": auth.username, "password_file": auth.password_file}}


def _scaling_route(timing: Timing) -> Yaml:
    """A group of its own for each alert of each function.

    Whenever a group changes, all of it is delivered again. With functions sharing a group, as in OpenFaaS, one
    function's alert starting or ending gives every other firing function a step.
    """
    matchers = [f'{label}="{value}"' for label, value in SCALING_LABELS.items()]
    return {
        "receiver": SCALER,
        "matchers": [*matchers, 'function_name!=""'],
        "group_by": ["alertname", "function_name"],
        "group_wait": prometheus_duration(timing.group_wait_s),
        "group_interval": prometheus_duration(timing.group_interval_s),
        "repeat_interval": prometheus_duration(timing.repeat_s),
    }


def _delivery(webhook: Webhook) -> Yaml:
    return {
        "url": webhook.url,
        "send_resolved": True,
        # One alert a group, unless a user's rule keeps more labels; the receiver remembers no more than this.
        "max_alerts": MAX_ALERTS,
        "http_config": {"follow_redirects": False, **asked_for(webhook.auth)},
    }
