"""What is seen around one function: its calls at the gateway, and which parts of a local suite are away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from springtide.cli.explanation import Calls
from springtide.cli.state import Running
from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.gateway_metrics import GatewayMetricsReader

DEADLINE_S = 2.0


def calls(metrics_urls: Sequence[str], ref: FunctionRef) -> Calls | None:
    """None where a gateway does not tell: what one of them does not see is not known to be nothing."""
    name = f'function_name="{ref}"'
    texts = []
    for url in metrics_urls:
        text = _got(url)
        if text is None:
            return None
        # The others' series are many, and reading them takes time.
        texts.append("\n".join(line for line in text.splitlines() if name in line))
    seen = GatewayMetricsReader().read(texts).functions.get(str(ref))
    if seen is None or seen.in_flight is None:
        return None
    return Calls(seen.in_flight, seen.held or 0.0, seen.last_active)


def away(running: Running, credentials: Credentials) -> frozenset[str]:
    """The parts of a local suite that do not answer, or that it runs without. ``credentials`` are the suite's."""
    urls: Mapping[str, str | None] = {
        "prometheus": running.prometheus and f"{running.prometheus}/-/ready",
        "alertmanager": running.alertmanager and f"{running.alertmanager}/-/ready",
        "alert_receiver": f"{running.alert_receiver}/healthz",
        "scaler": running.scaler and f"{running.scaler}/healthz",
        "idler": running.idler and f"{running.idler}/healthz",
    }
    with ThreadPoolExecutor(len(urls)) as threads:
        answers = threads.map(lambda url: None if url is None else _got(url, credentials), urls.values())
        return frozenset(part for part, answer in zip(urls, answers, strict=True) if answer is None)


def _got(url: str, credentials: Credentials | None = None) -> str | None:
    """The body of a good answer."""
    try:
        headers = {} if credentials is None else {"Authorization": credentials.header}
        return httpx.get(url, headers=headers, timeout=DEADLINE_S, trust_env=False).raise_for_status().text
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
