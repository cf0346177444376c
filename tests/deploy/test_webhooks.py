"""Webhooks on a cluster: deliveries are checked with a Secret, by parts that have the rights of their pods."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.parts import Running, granted, refused, running, used
from tests.kubernetes.emulator import EmulatorSettings, ThreadedEmulator, running_in_thread
from tests.kubernetes.stories import MERGE, SECRETS, handler, secret

PATIENCE_S = 120.0
OLD, NEW = "one-5b1f", "two-9c3a"
INSTALLATION = "no NATS"
"""So that the answer is the function's own."""
TELLS = """
def handle(event, context):
    said = event.headers
    return f"{said['ce-type']} {said['X-Connector']} {event.body.decode()}"
"""
BODY = b'{"zen": "Keep it logically awesome."}'
HOOK = {
    "service": "on-push",
    "image": "on-push",
    "secrets": ["github-hook"],
    "annotations": {"com.springtide.webhook": "github", "com.springtide.webhook.secret": "github-hook"},
}


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[ThreadedEmulator]:
    folder = tmp_path / "on-push"
    folder.mkdir()
    images = {"on-push": handler(folder, TELLS)}
    with running_in_thread(EmulatorSettings(hpa_period_s=3600.0), images=images) as started:
        yield started


@pytest.mark.usefixtures("pod_network")
def test_a_delivery_is_checked_with_the_secret_that_the_cluster_keeps(
    emulator: ThreadedEmulator, tmp_path: Path
) -> None:
    with running(emulator, INSTALLATION, "provider", tmp_path / "provider", {}) as provider:
        told = {"functions_provider_url": str(provider.http.base_url), "prometheus_url": "", "cron_url": ""}
        more = {"metrics_port": "0", "grace": "1s", **told}
        with running(emulator, INSTALLATION, "gateway", tmp_path / "gateway", more) as gateway:
            emulator.do(lambda inner: inner.create(secret("github-hook", **{"github-hook": OLD})))
            answer = provider.http.post("/system/functions", json=HOOK)
            assert answer.status_code == 202, answer.text
            _until(lambda: _delivered(gateway, "1", OLD)[0] != 404, gateway, provider)

            # Made by kubectl it is not a function's: who may deploy functions must not try whatever else is there.
            assert _delivered(gateway, "1", OLD)[0] == 503
            _until(lambda: "app.kubernetes.io/managed-by=openfaas" in gateway.log.read_text(), gateway)

            _patch(emulator, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "openfaas"}}})
            _until(lambda: _delivered(gateway, "1", OLD)[0] == 200, gateway, provider)
            assert _delivered(gateway, "2", OLD) == (200, f"com.github.push webhook {BODY.decode()}")
            assert _delivered(gateway, "2", OLD) == (200, "")  # its sender's "Redeliver"
            assert _delivered(gateway, "3", NEW) == (401, "the delivery is not accepted")

            _patch(emulator, {"stringData": {"github-hook": NEW}})
            _until(lambda: _delivered(gateway, f"{time.time()}", NEW)[0] == 200, gateway, provider)
            assert _delivered(gateway, "4", OLD)[0] == 401

        logs = gateway.log.read_text() + provider.log.read_text()
        assert "wrong_signature" in logs
        assert not [value for value in (OLD, NEW) if value in logs]
        assert refused(emulator) == 0
        assert used(emulator, "provider") <= granted(INSTALLATION, "provider")


# What senders, people and kubectl do.


def _delivered(gateway: Running, number: str, secret: str) -> tuple[int, str]:
    """As GitHub documents it; without the system's credentials."""
    digest = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": number,
        "X-Hub-Signature-256": f"sha256={digest}",
        "Content-Type": "application/json",
    }
    url = gateway.http.base_url.join("/webhook/on-push")
    answer = httpx.post(url, content=BODY, headers=headers, timeout=60, trust_env=False)
    return answer.status_code, answer.text.strip()


def _patch(emulator: ThreadedEmulator, change: dict[str, Any]) -> None:
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "admin"}}
    emulator.do(lambda inner: inner.access.grant([role | {"rules": [everything]}], token="admin", user="admin"))
    answer = httpx.patch(
        f"{emulator.do(lambda inner: inner.url)}{SECRETS}/github-hook",
        json=change,
        headers={"Content-Type": MERGE, "Authorization": "Bearer admin"},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


def _until(holds: Callable[[], bool], *parts: Running) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "\n".join(part.log.read_text()[-3000:] for part in parts)
        time.sleep(0.05)
