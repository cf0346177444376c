"""Prometheus and Alertmanager for the suite on one machine: their files and their command lines.

Everything listens on loopback, where each part shows its metrics without credentials. These two ask for some: who can
make up an alert scales functions, and a page in a browser reaches loopback, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from springtide.rules.alertmanager import BasicAuth, Webhook, asked_for
from springtide.rules.model import Yaml, to_text
from springtide.rules.prometheus import ALERTMANAGER_FILE, PROMETHEUS_FILE, configuration_files, static
from springtide.rules.timing import Timing
from springtide.scaler.core.catalogue import Part

WEB_FILE = "web.yml"

NO_ORIGIN = r"[^\x00-\x{10FFFF}]"
"""Matches nothing, as Go writes it. By default Prometheus lets the pages of every site read its answers."""

RESEND_S = 30
"""How often Prometheus tells Alertmanager again of what fires. A restarted Alertmanager, which has forgotten it, asks
for no steps until then; one that hears nothing for four times as long takes the alerts for resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """``host:port`` of every listener involved."""

    gateway_metrics: str
    provider: str
    alert_receiver: str
    idler: str
    scaler: str
    cron: str
    console: str
    prometheus: str
    alertmanager: str
    queue_worker: str = ""
    """Empty: there is none, for nothing keeps asynchronous calls."""
    connectors: str = ""
    """A folder in which connectors say where they are; empty: nobody looks for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What both ask for, by the bcrypt hash of the password, and show to each other."""

    auth: BasicAuth
    password_hash: str


def local_configuration(
    timing: Timing, targets: Targets, webhook: Webhook, login: Login, receiver: Yaml | None = None
) -> Mapping[str, str]:
    """File name → content. All of them go into one folder. ``receiver`` is how people are told of alerts."""
    jobs = {
        Part.GATEWAY.value: static(targets.gateway_metrics),
        Part.PROVIDER.value: static(targets.provider),
        Part.ALERT_RECEIVER.value: static(targets.alert_receiver),
        Part.SCALER.value: static(targets.scaler),
        Part.IDLER.value: static(targets.idler),
        **({Part.QUEUE_WORKER.value: static(targets.queue_worker)} if targets.queue_worker else {}),
        Part.CRON.value: static(targets.cron),
        Part.CONSOLE.value: static(targets.console),
        **({Part.CONNECTOR.value: _of_files(targets.connectors)} if targets.connectors else {}),
        "prometheus": {**static(targets.prometheus), **asked_for(login.auth)},
    }
    files = configuration_files(
        timing, webhook, jobs=jobs, alertmanager=targets.alertmanager, auth=login.auth, receiver=receiver
    )
    return {**files, WEB_FILE: to_text({"basic_auth_users": {login.auth.username: login.password_hash}})}


def _of_files(folder: str) -> Yaml:
    """It is told of changes; the interval is for a folder that was not there."""
    return {"file_sd_configs": [{"files": [f"{folder}/*.json"], "refresh_interval": "10s"}]}


def prometheus_arguments(folder: Path, data: Path, listen: str) -> list[str]:
    """Arguments for ``prometheus`` with the files in ``folder`` and its database in ``data``."""
    return [
        f"--config.file={folder.absolute() / PROMETHEUS_FILE}",
        f"--storage.tsdb.path={data.absolute()}",
        "--storage.tsdb.retention.time=7d",
        "--storage.tsdb.retention.size=1GB",
        "--enable-feature=exemplar-storage",
        f"--web.cors.origin={NO_ORIGIN}",
        f"--web.config.file={folder.absolute() / WEB_FILE}",
        f"--web.listen-address={listen}",
        f"--web.external-url=http://{listen}/",
        f"--rules.alert.resend-delay={RESEND_S}s",
        "--log.level=warn",
    ]


def alertmanager_arguments(folder: Path, data: Path, listen: str) -> list[str]:
    """Arguments for ``alertmanager``. Without a cluster address it neither gossips nor waits for peers at its start."""
    return [
        f"--config.file={folder.absolute() / ALERTMANAGER_FILE}",
        f"--storage.path={data.absolute()}",
        f"--web.config.file={folder.absolute() / WEB_FILE}",
        f"--web.listen-address={listen}",
        f"--web.external-url=http://{listen}/",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
